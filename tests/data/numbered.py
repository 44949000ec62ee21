"""Corpora of numbers, with a stand-in for the tokenizer that reads ids off the text."""

from nmt.data.corpus import TokenizedCorpus
from nmt.text.corpus import SentencePair
from nmt.text.filters import PairFilter
from nmt.text.special import PAD_ID


class NumberTokenizer:
    """A line is its ids, in digits."""

    def __init__(self, vocabulary_size=1000):
        self.vocabulary_size = vocabulary_size
        self.chunk_sizes = []

    def encode(self, lines):
        self.chunk_sizes.append(len(lines))
        return [[int(word) for word in line.split()] for line in lines]


def three_pieces_at_most():
    return PairFilter(max_length_pieces=3, max_length_ratio=9.0, drop_duplicates=True)


def encode(pairs, pair_filter=None, vocabulary_size=1000):
    tokenizer = NumberTokenizer(vocabulary_size)
    return TokenizedCorpus.from_pairs([SentencePair(*pair) for pair in pairs], tokenizer, tokenizer, pair_filter)


def random_corpus(num_pairs, rng):
    """Every id occurs once in the whole corpus, so that a row tells which pair it is."""
    ids = iter(range(4, 60_000))
    lengths = rng.integers(1, 10, (num_pairs, 2))
    rows = [tuple(" ".join(str(next(ids)) for _ in range(length)) for length in pair) for pair in lengths]
    return encode(rows, vocabulary_size=60_000)


def row(ids):
    """Returns a row of a batch without its padding."""
    return [int(i) for i in ids if i != PAD_ID]
