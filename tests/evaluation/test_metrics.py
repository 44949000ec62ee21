"""Scores against arithmetic done by hand, and the rules for what is scored. sacreBLEU's command: see test_report."""

import math

import pytest

from nmt.errors import InputError
from nmt.evaluation.metrics import compare_systems, score_corpus


def score_of(hypotheses, references, metric, **options):
    [score] = score_corpus(hypotheses, references, metrics=[metric], num_resamples=0, **options)
    return score.score


def test_bleu_with_a_brevity_penalty():
    # All of 4, 3, 2, 1 n-grams match; 4 words against 5: exp(1 - 5/4).
    assert score_of(["a b c d"], ["a b c d e"], "bleu") == pytest.approx(100 * math.exp(-0.25))


def test_bleu_sums_over_the_corpus_and_is_not_a_mean_of_sentences():
    # 1-grams 4+0 of 8, 2-grams 3 of 6, 3-grams 2 of 4, 4-grams 1 of 2: every precision 1/2, no brevity penalty.
    assert score_of(["a b c d", "p q r s"], ["a b c d", "w x y z"], "bleu") == pytest.approx(50.0)


def test_chrf():
    # 1-grams: 1 of 2 match; 2-grams: 0 of 1; no longer ones. Precision = recall = mean(1/2, 0) = 1/4 = F.
    assert score_of(["ab"], ["ac"], "chrf") == pytest.approx(25.0)


def test_chrf_weighs_recall_twice():
    # "a" for "ab": 1-gram precision 1, recall 1/2; the reference's 2-gram has no counterpart and does not count.
    # F_2 = (1 + 4) x 1 x 1/2 / (4 x 1 + 1/2) = 5/9.
    assert score_of(["a"], ["ab"], "chrf") == pytest.approx(100 * 5 / 9)


@pytest.mark.parametrize(
    ("hypothesis", "edits"),
    [("a b c d", 0), ("a b c", 1), ("a x c d", 1), ("c d a b", 1), ("", 4), ("a b c d e f", 2)],
)
def test_ter_counts_edits_and_shifts_per_reference_word(hypothesis, edits):
    assert score_of([hypothesis], ["a b c d"], "ter") == pytest.approx(100 * edits / 4)


def test_the_default_tokenizer_separates_punctuation_and_none_does_not():
    written, tokens = ["Hallo, liebe Welt!"], ["Hallo , liebe Welt !"]

    assert score_of(written, tokens, "bleu") == pytest.approx(100.0)
    assert score_of(written, tokens, "bleu", tokenize="none") < 50


def test_case_counts_unless_it_is_told_not_to():
    hypothesis, reference = ["DER hund LÄUFT schnell heim"], ["Der Hund läuft schnell heim"]

    for metric in ("bleu", "chrf"):
        assert score_of(hypothesis, reference, metric) < 100
        assert score_of(hypothesis, reference, metric, lowercase=True) == pytest.approx(100.0)
    assert score_of(hypothesis, reference, "ter") == 0.0  # as sacreBLEU has it: TER never looks at case


def test_scores_come_in_the_order_asked_for_with_their_signatures():
    scores = score_corpus(["a b c d"], ["a b c d"], metrics=["ter", "bleu", "chrf"], num_resamples=0)

    assert [(score.metric, score.name, score.score) for score in scores] == [
        ("ter", "TER", 0.0),
        ("bleu", "BLEU", pytest.approx(100.0)),
        ("chrf", "chrF2", pytest.approx(100.0)),
    ]
    assert [score.higher_is_better for score in scores] == [False, True, True]
    assert all(score.confidence is None and "version:" in score.signature for score in scores)
    assert "bs:" not in scores[1].signature
    assert "tok:13a" in scores[1].signature


def test_blank_lines_are_scored_and_not_dropped():
    # The blank hypothesis loses the brevity of two words: 4 against 6.
    assert score_of(["a b c d", ""], ["a b c d", "e f"], "bleu") == pytest.approx(100 * math.exp(1 - 6 / 4))
    # The blank reference makes two insertions of the hypothesis' words: 2 edits, 4 reference words.
    assert score_of(["a b c d", "e f"], ["a b c d", " "], "ter") == pytest.approx(50.0)


@pytest.mark.parametrize("metric", ["bleu", "chrf", "ter"])
def test_text_without_any_word_has_a_score(metric):
    for hypotheses, references in (([""], [""]), (["a"], [""]), ([""], ["a"])):
        assert math.isfinite(score_of(hypotheses, references, metric))
        [score] = score_corpus(hypotheses, references, metrics=[metric], num_resamples=40)
        assert score.confidence is not None
        assert math.isfinite(score.confidence.mean)


def test_the_environment_does_not_reach_the_resampling(monkeypatch):
    references = [f"{word} b c d e" for word in "uvwxyz"]
    hypotheses = ["u b c d e", "v b x d e", "w w w w w", "x b c", "b c d e", "z b c d y"]
    expected = score_corpus(hypotheses, references, num_resamples=40)

    monkeypatch.setenv("SACREBLEU_SEED", "none")

    assert score_corpus(hypotheses, references, num_resamples=40) == expected
    other = score_corpus(hypotheses, references, num_resamples=40, seed=2)
    assert [score.score for score in other] == [score.score for score in expected]
    assert all(ours.confidence != theirs.confidence for ours, theirs in zip(other, expected, strict=True))
    assert "seed:2|" in other[0].signature


def test_comparison_carries_the_scores_of_both_systems():
    references = [f"{word} b c d e" for word in "uvwxyz"]
    ours, theirs = [*references[:5], "z b c d y"], [line[2:] for line in references]

    comparisons = compare_systems(ours, theirs, references, num_resamples=100, seed=3)

    assert [comparison.system for comparison in comparisons] == score_corpus(
        ours, references, num_resamples=100, seed=3
    )
    assert [comparison.baseline for comparison in comparisons] == score_corpus(
        theirs, references, num_resamples=100, seed=3
    )
    assert comparisons[0].difference == comparisons[0].system.score - comparisons[0].baseline.score


def test_equal_systems_are_not_called_different():
    lines = ["a b c d", "e f g h", "i j k l"]

    for comparison in compare_systems(lines, list(lines), ["a b c x", "e f g", "i j k l"], num_resamples=100):
        assert (comparison.difference, comparison.p_value) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((["a"] * 3, ["a"] * 1200), {}, "Received: 3 hypotheses, 1,200 references"),
        (([], []), {}, "nothing to score"),
        (("abc", ["a"]), {}, "hypotheses are a sequence of lines"),
        ((["a"], "abc"), {}, "references are a sequence of lines"),
        ((["a"], ["a"]), {"metrics": ["blue"]}, "Did you mean `bleu`"),
        ((["a"], ["a"]), {"metrics": ["comet"]}, "Known: bleu, chrf, ter"),
        ((["a"], ["a"]), {"metrics": []}, "a list of different names"),
        ((["a"], ["a"]), {"metrics": "bleu"}, "a list of different names"),
        ((["a"], ["a"]), {"metrics": ["bleu", "bleu"]}, "a list of different names"),
        ((["a"], ["a"]), {"tokenize": "31a"}, "not a tokenizer of sacreBLEU. Did you mean `13a`"),
        ((["a"], ["a"]), {"num_resamples": 39}, "at least 40"),
        ((["a"], ["a"]), {"num_resamples": -1}, "at least 40"),
        ((["a"], ["a"]), {"seed": 0}, "a whole number >= 1. Received: seed=0"),
    ],
)
def test_what_breaks_a_rule_is_refused(arguments, options, message):
    with pytest.raises(InputError, match=message):
        score_corpus(*arguments, **options)


def test_a_comparison_names_the_side_that_differs_in_number_and_needs_resamples():
    with pytest.raises(InputError, match="Received: 1 baseline hypotheses, 2 references"):
        compare_systems(["a", "b"], ["a"], ["a", "b"])
    with pytest.raises(InputError, match="a paired test needs resamples"):
        compare_systems(["a"], ["a"], ["a"], num_resamples=0)


def test_a_tokenizer_that_lacks_its_package_says_which(monkeypatch):
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ja_mecab.MeCab", None)

    with pytest.raises(InputError, match=r"tokenize='ja-mecab' can't be used here: .* pip install sacrebleu\[ja\]"):
        score_corpus(["a"], ["a"], tokenize="ja-mecab")
