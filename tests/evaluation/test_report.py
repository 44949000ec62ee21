"""The report's command, run for real, gives the report's figures; and what people and scripts read in it."""

import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from nmt.evaluation.report import evaluate, sacrebleu_command

WORDS = "der die das Hund Katze , . ! Straße läuft schläft und im Park 3,5 &amp; 中文 O'Brien – nicht-so"


def invented_text(num_lines=60):
    """Returns references, a fair system and a poor one, with blank lines and spaces at the ends."""
    draw, words = random.Random(11), WORDS.split()
    references = [" ".join(draw.choices(words, k=draw.randint(1, 14))) for _ in range(num_lines)]

    def worsened(line, share):
        return " ".join(draw.choice(words) if draw.random() < share else word for word in line.split())

    fair, poor = ([worsened(line, share) for line in references] for share in (0.2, 0.25))
    fair[3], poor[4], references[5] = "", "  ", ""
    fair[6] += " \t"
    return references, fair, poor


@pytest.fixture
def text_files(tmp_path):
    names = {"my reference's.de": 0, "-fair.de": 1, "poor.de": 2}
    text = invented_text()
    for name, index in names.items():
        (tmp_path / name).write_bytes("".join(f"{line}\n" for line in text[index]).encode())
    return tmp_path


def run_command(command, folder):
    """Runs a report's command line in a folder, with this Python's sacreBLEU and a hostile environment."""
    program = folder / "bin" / "sacrebleu"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sacrebleu "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "SACREBLEU_SEED": "99"}
    environment.pop("SACREBLEU_FORMAT", None)
    environment["NO_COLOR"] = "1"
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_close(printed, score):
    """Whether a figure printed with two decimals is the score; sacreBLEU's float32 may round the other way."""
    return abs(float(printed) - score) < 0.00501


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"metrics": ["ter", "bleu"], "tokenize": "none", "lowercase": True, "num_resamples": 0},
        {"metrics": ["chrf", "bleu"], "tokenize": "intl", "lowercase": True, "num_resamples": 200, "seed": 7},
    ],
)
def test_the_command_gives_the_same_figures(text_files, options):
    references, fair, _ = invented_text()
    report = evaluate(fair, references, hypotheses_name="-fair.de", reference_name="my reference's.de", **options)

    output = run_command(report.command, text_files)

    results = re.findall(r"^ *(\w+)\|(\S+) = ([\d.]+)(?: \(μ = ([\d.]+) ± ([\d.]+)\))?", output, re.MULTILINE)
    assert len(results) == len(report.scores)
    for score in report.scores:
        [(signature, printed, mean, half_width)] = [result[1:] for result in results if result[0] == score.name]
        assert signature == score.signature
        assert printed == f"{score.score:.2f}"
        if score.confidence is None:
            assert mean == half_width == ""
        else:
            assert is_close(mean, score.confidence.mean)
            assert is_close(half_width, score.confidence.half_width)


def test_the_command_of_a_paired_test_gives_the_same_figures(text_files):
    references, fair, poor = invented_text()
    report = evaluate(
        fair, references, baseline=poor, num_resamples=300, seed=5,
        hypotheses_name="-fair.de", reference_name="my reference's.de", baseline_name="poor.de",
    )  # fmt: skip

    output = run_command(report.command, text_files)

    assert "Baseline: poor.de" in output
    printed = re.findall(r"([\d.]+) \(([\d.]+) ± ([\d.]+)\)", output)  # a row for each system, a column for each metric
    scores = [*(each.baseline for each in report.comparisons), *(each.system for each in report.comparisons)]
    for (score, mean, half_width), ours in zip(printed, scores, strict=True):
        assert score == f"{ours.score:.2f}"
        assert is_close(mean, ours.confidence.mean)
        assert is_close(half_width, ours.confidence.half_width)
    p_values = [comparison.p_value for comparison in report.comparisons]
    assert re.findall(r"\(p = ([\d.]+)\)", output) == [f"{p_value:.4f}" for p_value in p_values]
    assert max(p_values) > 2 / 301  # the text is such that the test has something to count
    for score in report.scores:
        assert f"{score.name:<10} {score.signature}\n" in output


def test_the_figures_survive_a_compressed_reference(text_files):
    if not shutil.which("xz"):
        pytest.skip("xz is not installed")
    references, fair, _ = invented_text()
    subprocess.run(["xz", "my reference's.de"], cwd=text_files, check=True)
    report = evaluate(
        fair, references, metrics=["bleu"], num_resamples=0,
        hypotheses_name="-fair.de", reference_name="my reference's.de.xz",
    )  # fmt: skip

    assert f" = {report.scores[0].score:.2f} " in run_command(report.command, text_files)


def test_the_command_says_no_more_than_it_must():
    def command(*systems, **options):
        defaults = {"metrics": ["bleu"], "tokenize": "13a", "lowercase": False, "num_resamples": 0, "seed": 1}
        return sacrebleu_command("ref", systems, **{**defaults, **options})

    assert command("out") == "sacrebleu ref -i out -m bleu -w 2 -f text --tokenize 13a"
    assert command("out", metrics=["ter"], lowercase=True) == "sacrebleu ref -i out -m ter -w 2 -f text"
    assert (
        command("out", metrics=["chrf"], lowercase=True) == "sacrebleu ref -i out -m chrf -w 2 -f text --chrf-lowercase"
    )
    assert command("old", "new", num_resamples=50) == (
        "SACREBLEU_SEED=1 sacrebleu ref -i old new -m bleu -w 2 -f text --tokenize 13a --paired-bs --paired-bs-n 50"
    )
    assert command("a b.zst").split(" -m ")[0] == "sacrebleu ref -i <(zstd -dc 'a b.zst')"
    assert command("$(reboot)").split(" -m ")[0] == "sacrebleu ref -i '$(reboot)'"


def test_json_has_the_documented_keys_and_the_figures():
    references, fair, poor = invented_text()
    report = evaluate(fair, references, baseline=poor, num_resamples=40)

    record = json.loads(report.to_json())

    assert list(record) == [
        "format", "version", "reference", "hypotheses", "baseline", "num_sentences", "num_blank_references",
        "num_blank_hypotheses", "num_resamples", "seed", "scores", "comparisons", "notes", "command",
    ]  # fmt: skip
    assert (record["format"], record["version"]) == ("nmt-evaluation", 1)
    assert (record["num_sentences"], record["num_blank_references"], record["num_blank_hypotheses"]) == (60, 1, 1)
    assert list(record["scores"][0]) == ["metric", "name", "score", "higher_is_better", "signature", "confidence"]
    assert list(record["scores"][0]["confidence"]) == ["level", "mean", "half_width", "low", "high"]
    assert list(record["comparisons"][0]) == ["metric", "baseline", "difference", "p_value"]
    assert [score["score"] for score in record["scores"]] == [score.score for score in report.scores]
    assert record["comparisons"][2]["p_value"] == report.comparisons[2].p_value
    assert record["comparisons"][2]["baseline"]["metric"] == record["comparisons"][2]["metric"] == "ter"


def test_json_without_resampling_or_baseline_says_null():
    record = json.loads(evaluate(["a"], ["a"], num_resamples=0).to_json())

    assert record["baseline"] is None
    assert record["comparisons"] is None
    assert [score["confidence"] for score in record["scores"]] == [None, None, None]


def test_text_of_one_system():
    # One sentence, so no resample differs: 4/4, 3/3, 2/2, 1/1 n-grams, 4 words against 5, 100 x exp(1 - 5/4) = 77.88.
    report = evaluate(
        ["a b c d"],
        ["a b c d e"],
        metrics=["bleu", "ter"],
        num_resamples=100,
        hypotheses_name="out",
        reference_name="ref",
    )

    assert report.to_text().splitlines() == [
        "1 sentence of out, against ref",
        "",
        "metric   score    95 % interval           mean",
        "BLEU     77.88   77.88 to 77.88   77.88 ± 0.00",
        "TER      20.00   20.00 to 20.00   20.00 ± 0.00   lower is better",
        "",
        "signatures",
        f"  BLEU   {report.scores[0].signature}",
        f"  TER    {report.scores[1].signature}",
        "",
        "the same figures by sacreBLEU's own command",
        f"  {report.command}",
    ]


def test_text_of_a_comparison_says_better_and_worse_in_each_metric_s_own_direction():
    references = [f"{word} b c d e f" for word in "ghijklmnopqrstuvwxyz"]
    better, worse = references, [line[2:7] + " x" for line in references]

    text = evaluate(better, references, baseline=worse, num_resamples=100).to_text()
    assert [line.split()[-1] for line in text.splitlines() if "   * " in line] == ["better"] * 3
    text = evaluate(worse, references, baseline=better, num_resamples=100).to_text()
    assert [line.split()[-1] for line in text.splitlines() if "   * " in line] == ["worse"] * 3
    text = evaluate(worse, references, baseline=worse, num_resamples=100).to_text()
    assert "   * " not in text
    assert text.count("1.000") == 3


def test_blank_lines_are_counted_and_named():
    report = evaluate(["a", "", "c", "d"], ["a", "b", " ", "\u3000"], num_resamples=0)

    assert report.notes == (
        "2 reference lines are blank, and scored as such.",
        "1 hypothesis line is blank, and scored as such.",
    )
    assert "note: 2 reference lines are blank" in report.to_text()


def test_tokenized_output_is_pointed_out_where_it_spoils_the_score():
    tokens, written = ["das ist ein Hund ."] * 20, ["das ist ein Hund."] * 20

    [note] = evaluate(tokens, written, num_resamples=0).notes
    assert note.startswith("20 hypotheses end in a space and a period")
    assert not evaluate(written, written, num_resamples=0).notes
    assert not evaluate(tokens, tokens, num_resamples=0, tokenize="none").notes
    assert not evaluate(tokens, tokens, num_resamples=0, metrics=["ter"]).notes


def test_file_names_can_t_reach_the_terminal_as_commands():
    report = evaluate(["a"], ["a"], num_resamples=0, hypotheses_name="\x1b[2Jout\n", reference_name="ref\u202e")

    assert not set("\x1b\u202e") & set(report.to_text())
    assert r"1 sentence of \x1b[2Jout\x0a, against ref\u202e" in report.to_text()
    assert json.loads(report.to_json())["hypotheses"] == "\x1b[2Jout\n"
