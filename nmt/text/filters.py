"""What is left out of the training pairs, and the count of it.

A pair passes two gates: one looks at its text before it is tokenized, the other at its lengths afterwards. Each pair
that is left out is counted once, under the first rule it breaks. This module knows nothing of files or tokenizers.
"""

from __future__ import annotations

from nmt.text.corpus import SentencePair


class PairFilter:
    """Decides which training pairs are kept, and counts the others by reason.

    Ask `keeps_text` about every pair and, if it says yes, `keeps_lengths`.

    Args:
        max_length_pieces: A pair with a longer side, in pieces without the end of the sentence, is left out.
        max_length_ratio: A pair whose longer side has more than this many times the pieces of the shorter is left out.
        drop_duplicates: Leave out a pair that equals an earlier one, character by character on both sides.

    Attributes:
        num_pairs: Pairs looked at so far.
        counts: Pairs left out so far, for each of the reasons `blank`, `duplicate`, `length` and `ratio`.

    Example:
        >>> pair_filter = PairFilter(max_length_pieces=100, max_length_ratio=9.0, drop_duplicates=True)
        >>> pairs = [SentencePair("Yes.", "Oui."), SentencePair("Yes.", "Oui."), SentencePair("No.", " ")]
        >>> [pair_filter.keeps_text(pair) and pair_filter.keeps_lengths(2, 2) for pair in pairs]
        [True, False, False]
        >>> pair_filter.report()
        'kept 1 of 3 pairs; left out 2: 1 with a blank side, 1 duplicate'
    """

    def __init__(self, max_length_pieces: int, max_length_ratio: float, drop_duplicates: bool) -> None:
        self.max_length_pieces = max_length_pieces
        self.max_length_ratio = max_length_ratio
        self.drop_duplicates = drop_duplicates
        self.num_pairs = 0
        self.counts = {"blank": 0, "duplicate": 0, "length": 0, "ratio": 0}
        self._seen: set[bytes] = set()

    def keeps_text(self, pair: SentencePair) -> bool:
        """Counts the pair in; False if a side is blank (empty or white space alone) or the pair is a duplicate."""
        self.num_pairs += 1
        if not pair.source.strip() or not pair.target.strip():
            return self._leave_out("blank")
        if self.drop_duplicates:
            digest = pair.digest()
            if digest in self._seen:
                return self._leave_out("duplicate")
            self._seen.add(digest)
        return True

    def forget(self) -> None:
        """Frees the memory of the pairs seen so far; for where no later pair can be equal to one of them."""
        self._seen.clear()

    def keeps_lengths(self, num_source_pieces: int, num_target_pieces: int) -> bool:
        """Returns False if a side is too long, or one side too long for the other."""
        shorter, longer = sorted((num_source_pieces, num_target_pieces))
        if shorter == 0:  # text that the tokenizer reads as white space
            return self._leave_out("blank")
        if longer > self.max_length_pieces:
            return self._leave_out("length")
        if longer > self.max_length_ratio * shorter:
            return self._leave_out("ratio")
        return True

    def report(self) -> str:
        """Returns one sentence on what was kept and what was left out why, for the person running."""
        num_left_out = sum(self.counts.values())
        if not num_left_out:
            return f"kept all {self.num_pairs:,} pairs"
        reasons = {
            "blank": "with a blank side",
            "duplicate": "duplicate" if self.counts["duplicate"] == 1 else "duplicates",
            "length": f"longer than {self.max_length_pieces} pieces",
            "ratio": f"with a length ratio above {self.max_length_ratio:g}",
        }
        details = ", ".join(f"{count:,} {reasons[name]}" for name, count in self.counts.items() if count)
        num_kept = self.num_pairs - num_left_out
        report = f"kept {num_kept:,} of {self.num_pairs:,} pairs; left out {num_left_out:,}: {details}"
        return (
            f"{report}. Most are left out: check the corpora and the limits"
            if 0 < 2 * num_kept < num_left_out
            else report
        )

    def _leave_out(self, reason: str) -> bool:
        self.counts[reason] += 1
        return False
