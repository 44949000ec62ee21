"""SentencePiece: text to piece ids and back. Train, load, encode, decode.

White space: a run of spaces (U+0020) is one space, and spaces at either end of a line are dropped. SentencePiece writes
the space as `▁` (U+2581), so a `▁` that someone types is read as a space. Every other character, NUL, tabs and line
breaks included, comes back as it was, as long as `byte_fallback` is on and `normalization` is `identity`; without the
fallback, a character outside the vocabulary becomes the unknown piece and comes back as `⁇`. Half a surrogate pair,
which a Python string can hold and UTF-8 can't, is read as U+FFFD.

The control pieces `<pad>`, `<s>` and `</s>` are made from ids alone: typed, they are ordinary text.
This module knows nothing of files of text, of languages or of batches.
"""

from __future__ import annotations

import io
import logging
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from nmt.errors import TokenizerError
from nmt.text.special import BOS_ID, BOS_PIECE, EOS_ID, EOS_PIECE, PAD_ID, PAD_PIECE, UNK_ID, UNK_PIECE

MAX_TRAINING_BYTES = 12_000_000
"""Most text that a tokenizer is trained on; unigram training takes about 25 times as much memory."""

_THINNED_SHARE = 0.8  # of the lines that are kept when they have become too many

UNK_TEXT = "⁇"
"""What the unknown piece is decoded to."""

SPACE_PIECE = "\u2581"
"""What a space is written as; it begins a piece, if it is in one."""

_MIN_CHARACTER_COVERAGE = 0.98  # SentencePiece's own bound
_MAX_LINE_BYTES = 2**30  # the most it allows; by default it drops lines of more than 4,192 bytes without a word
_NUM_TRAINING_THREADS = 8  # part of the result: the order in which unigram training adds up its counts
_RESERVED = "\u2585"  # SentencePiece drops a training line with its own mark of the unknown, without a word

_HALF_PAIR = re.compile("[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")

_SPECIAL_PIECES = {PAD_ID: PAD_PIECE, UNK_ID: UNK_PIECE, BOS_ID: BOS_PIECE, EOS_ID: EOS_PIECE}
_CONTROL_IDS = (PAD_ID, BOS_ID, EOS_ID)
_MODEL_FIELDS = {"piece": 1, "trainer": 2, "normalizer": 3}  # of the protocol buffer that a `.model` file is
_REPLACEMENTS_TAG = 2 << 3 | 2  # of the normalizer: its `precompiled_charsmap`
_MAX_REPLACEMENT_BYTES = 100  # what one character may become; the longest of NFKC has 33

logger = logging.getLogger(__name__)


class Tokenizer:
    """A trained SentencePiece model with the ids of `nmt.text.special`.

    Args:
        model_bytes: Content of a `.model` file that `train_tokenizer` made.
        name: What messages call it.

    Raises:
        TokenizerError: The bytes are no such model, or a truncated or damaged one.

    Attributes:
        model_bytes: What the tokenizer was made from; write it to a file to keep it.
        vocabulary_size: Number of pieces, the four control pieces included.

    Example:
        >>> tokenizer = train_tokenizer(["we see the sea", "the sea sees me"], vocabulary_size=300)
        >>> ids = tokenizer.encode(["the sea", "naïve </s> 😀"])
        >>> tokenizer.decode(ids)
        ['the sea', 'naïve </s> 😀']
        >>> min(min(line) for line in ids) > 3
        True
    """

    def __init__(self, model_bytes: bytes, name: str = "tokenizer") -> None:
        # Here and below, not at the top: `nmt --help` never needs it.
        import sentencepiece

        num_pieces = _count_pieces(model_bytes, name)
        try:
            processor: Any = sentencepiece.SentencePieceProcessor(model_proto=model_bytes)
            pieces = [processor.id_to_piece(token_id) for token_id in range(processor.vocab_size())]
        except (RuntimeError, UnicodeDecodeError) as error:
            raise _damaged(name, str(error)) from error
        if len(pieces) != num_pieces or len(set(pieces)) != num_pieces:
            raise _damaged(name, "its pieces are not distinct")
        has_special = pieces[: len(_SPECIAL_PIECES)] == list(_SPECIAL_PIECES.values())
        if not has_special or not processor.is_unknown(UNK_ID) or not all(map(processor.is_control, _CONTROL_IDS)):
            expected = ", ".join(f"{piece}={token_id}" for token_id, piece in _SPECIAL_PIECES.items())
            raise TokenizerError(f"{name}: a tokenizer of nmt has the pieces {expected}. Train one with this program.")
        if not _is_decoded_as(processor, UNK_ID, UNK_TEXT):  # it may be bytes that are no text
            raise _damaged(name, f"the unknown piece must be decoded as {UNK_TEXT}")
        self._processor = processor
        self.model_bytes = model_bytes
        self.vocabulary_size = num_pieces

    @classmethod
    def from_bytes(cls, model_bytes: bytes) -> Tokenizer:
        """Returns the tokenizer that the bytes of a `.model` file hold; see the class for what it raises."""
        return cls(model_bytes)

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Returns the tokenizer that a `.model` file holds.

        Raises:
            TokenizerError: The file can't be read or is no tokenizer of nmt.
        """
        try:
            model_bytes = Path(path).read_bytes()
        except OSError as error:
            raise TokenizerError(f"{path}: can't read the tokenizer: {error.strerror}. Check the path.") from error
        return cls(model_bytes, str(path))

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Splits lines into pieces.

        Args:
            lines: Any text; see the module for what becomes of white space and half surrogate pairs.

        Returns:
            The ids of each line's pieces, without begin and end of the sentence. Blank lines have none.
        """
        encoded: list[list[int]] = self._processor.encode([_to_utf8(line) for line in lines])
        return encoded

    def decode(self, token_ids: Sequence[Sequence[int]]) -> list[str]:
        """Joins pieces to lines.

        Args:
            token_ids: The ids of each line. Padding, begin and end of the sentence have no text.

        Returns:
            A text for each. Byte pieces that make no character become U+FFFD. A line break comes back where the pieces
            spell one.

        Raises:
            IndexError: An id is not one of the vocabulary's.
        """
        return [self._processor.decode(list(map(int, ids))) for ids in token_ids]

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Returns the pieces with these ids, as they are shown: `▁` for a space, `<0x0A>` for a byte."""
        return [self._processor.id_to_piece(int(token_id)) for token_id in token_ids]

    def scores(self) -> dict[int, float]:
        """Returns the score of each piece that spells characters: no control piece, no byte, not the unknown piece.

        It is the logarithm of the piece's probability in a unigram model, and falls from merge to merge in a BPE model.
        """
        processor = self._processor
        return {
            token_id: processor.get_score(token_id)
            for token_id in range(self.vocabulary_size)
            if not (processor.is_control(token_id) or processor.is_unknown(token_id) or processor.is_byte(token_id))
        }


def train_tokenizer(
    lines: Iterable[str],
    *,
    vocabulary_size: int,
    model_type: Literal["unigram", "bpe"] = "unigram",
    byte_fallback: bool = True,
    character_coverage: float = 0.9995,
    normalization: Literal["identity", "nfkc", "nmt_nfkc"] = "identity",
    seed: int = 1,
) -> Tokenizer:
    """Trains a tokenizer. The same lines and arguments give the same bytes.

    More lines than fit `MAX_TRAINING_BYTES` are thinned out at random, and a vocabulary larger than the lines can fill
    is lowered; either is logged.

    Args:
        lines: Text of one language, or of both for a joint vocabulary.
        vocabulary_size: Number of pieces wanted, with the 4 control pieces and, with `byte_fallback`, 256 bytes.
        model_type: `unigram` (Kudo 2018) or `bpe` (Sennrich et al. 2016).
        byte_fallback: Spell characters outside the vocabulary as UTF-8 bytes instead of the unknown piece.
        character_coverage: Share of the lines' characters, the most frequent first, that get a piece of their own.
        normalization: SentencePiece's rule; `identity` changes nothing but spaces.
        seed: Seed of the thinning.

    Returns:
        The tokenizer.

    Raises:
        TokenizerError: The lines hold no text, or the vocabulary is too small for their characters.
    """
    import sentencepiece

    if not _MIN_CHARACTER_COVERAGE <= character_coverage <= 1:
        rule = f"character_coverage must be >= {_MIN_CHARACTER_COVERAGE} and <= 1"
        raise TokenizerError(f"{rule}. Received: character_coverage={character_coverage}.")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(_sample(lines, seed)),
            model_writer=model,
            vocab_size=vocabulary_size,
            hard_vocab_limit=False,
            model_type=model_type,
            byte_fallback=byte_fallback,
            character_coverage=character_coverage,
            normalization_rule_name=normalization,
            pad_id=PAD_ID,
            unk_id=UNK_ID,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            pad_piece=PAD_PIECE,
            unk_piece=UNK_PIECE,
            bos_piece=BOS_PIECE,
            eos_piece=EOS_PIECE,
            unk_surface=UNK_TEXT,
            max_sentence_length=_MAX_LINE_BYTES,
            shuffle_input_sentence=False,
            num_threads=_NUM_TRAINING_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _explain_failure(str(error), vocabulary_size) from error
    tokenizer = Tokenizer(model.getvalue())
    if tokenizer.vocabulary_size < vocabulary_size:
        sizes = f"{vocabulary_size:,} to {tokenizer.vocabulary_size:,}"
        logger.warning("vocabulary lowered from %s pieces: the training text yields no more", sizes)
    return tokenizer


def _sample(lines: Iterable[str], seed: int) -> list[bytes]:
    """Returns the lines to train on: all of them, or a random part that is thinned whenever it grows too large."""
    generator = random.Random(seed)
    kept: list[bytes] = []
    num_lines = num_bytes = 0
    share = 1.0
    for line in lines:
        num_lines += 1
        if share < 1 and generator.random() >= share:
            continue
        kept.append(_to_utf8(line.replace(_RESERVED, " ")))
        num_bytes += len(kept[-1])
        while num_bytes > MAX_TRAINING_BYTES and len(kept) > 1:
            share *= _THINNED_SHARE
            kept = [line for line in kept if generator.random() < _THINNED_SHARE] or kept[:1]
            num_bytes = sum(map(len, kept))
    if share < 1:
        logger.info(
            "training the tokenizer on %s of %s lines, drawn with seed %d", f"{len(kept):,}", f"{num_lines:,}", seed
        )
    return kept


def holds_half_pair(line: str) -> bool:
    r"""Tells whether a string holds half a surrogate pair, which is no character and which no file of text can hold.

    Example:
        >>> holds_half_pair("\ud83d!"), holds_half_pair("\ud83d\ude00!")
        (True, False)
    """
    return _HALF_PAIR.search(line) is not None


def _to_utf8(line: str) -> bytes:
    line = line.replace(SPACE_PIECE, " ")  # or each of a run would count as a space of its own
    try:
        return line.encode()
    except UnicodeEncodeError:  # a whole pair of surrogates is a character, half a pair is none
        return line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _count_pieces(model_bytes: bytes, name: str) -> int:
    """Returns the number of pieces, after a walk over the outer fields: SentencePiece takes a file cut between two."""
    try:
        fields = list(_fields(model_bytes))
        tags = [tag for tag, _ in fields]
        num_pieces = tags.count(_MODEL_FIELDS["piece"] << 3 | 2)
        expected = [_MODEL_FIELDS["piece"]] * num_pieces + [_MODEL_FIELDS["trainer"], _MODEL_FIELDS["normalizer"]]
        if tags != [field << 3 | 2 for field in expected]:
            raise ValueError
        replacements = [inner for tag, inner in _fields(fields[-1][1]) if tag == _REPLACEMENTS_TAG]
    except (IndexError, ValueError):
        raise _damaged(name, "it is truncated, or no SentencePiece model at all") from None
    for charsmap in replacements:
        texts = charsmap[4 + int.from_bytes(charsmap[:4], "little") :]  # behind the tree that finds them
        if charsmap and (texts[-1:] != b"\0" or max(map(len, texts.split(b"\0"))) > _MAX_REPLACEMENT_BYTES):
            limit = f"at most {_MAX_REPLACEMENT_BYTES} bytes"
            raise _damaged(name, f"its normalization must replace a character by {limit}")
    return num_pieces


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields tag and content of the fields of a protocol buffer; a number has no content.

    Raises:
        IndexError: The message ends within a field.
        ValueError: A field is of another kind than those of SentencePiece.
    """
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        size = 0
        if tag & 7 == 2:
            size, position = _read_varint(message, position)
        elif tag & 7 == 5:
            size = 4
        elif tag & 7 == 0:
            _, position = _read_varint(message, position)
        else:
            raise ValueError
        if position + size > len(message):
            raise IndexError
        yield tag, message[position : position + size]
        position += size


def _read_varint(content: bytes, position: int) -> tuple[int, int]:
    """Returns a number of seven bits a byte, low bits first, and the position behind it."""
    value = shift = 0
    while content[position] & 0x80:
        value |= (content[position] & 0x7F) << shift
        shift += 7
        position += 1
        if shift > 63:  # or a long file of nothing else would take for ever
            raise ValueError
    return value | content[position] << shift, position + 1


def _is_decoded_as(processor: Any, token_id: int, text: str) -> bool:
    try:
        return bool(processor.decode([token_id]).strip() == text)
    except UnicodeDecodeError:
        return False


def _damaged(name: str, problem: str) -> TokenizerError:
    return TokenizerError(f"{name}: not a whole SentencePiece model: {problem}. Copy it again, or train a new one.")


def _explain_failure(problem: str, vocabulary_size: int) -> TokenizerError:
    needed = re.search(r"smaller than required_chars\. \d+ vs (\d+)", problem)
    if needed:
        return TokenizerError(
            f"vocabulary_size must be at least {needed[1]} for this text: control pieces, bytes and a piece for each "
            f"common character. Received: vocabulary_size={vocabulary_size}. Raise it, or lower character_coverage."
        )
    if "all_chars_count" in problem or "sentences_.empty" in problem:
        return TokenizerError("a tokenizer is trained on text. Received: no line with a visible character.")
    return TokenizerError(f"SentencePiece could not train: {problem}. Received: vocabulary_size={vocabulary_size}.")
