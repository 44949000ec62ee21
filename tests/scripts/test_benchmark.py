from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import benchmark
import pytest

from benchmarks import decoding, growth, limit, report, training
from benchmarks.spread import Spread
from nmt.data import blocks
from nmt.errors import NMTError

GOLDEN = Path(__file__).parents[1] / "golden" / "model"
TINY = [f"--set=model.{name}=4" for name in ("embedding_size", "encoder_size", "decoder_size", "attention_size")]
TINY += ["--set=tokenizer.vocabulary_size=400", "--set=batching.size=4"]

WITHOUT_COMPILING = pytest.mark.filterwarnings("ignore:Even though the `tf.config:UserWarning")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        benchmark.main(arguments)
    return int(stop.value.code or 0)


@pytest.fixture
def eager() -> Any:
    """Runs functions as they stand: compiling takes longer than all that these tests compute."""
    tf = pytest.importorskip("tensorflow")
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def is_spread(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"median", "low", "high", "num_repeats"}


def test_a_model_of_no_given_size_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--set=model=auto") == 2
    assert "Received: recipe=auto. Give the config.yaml of a run" in " ".join(capsys.readouterr().err.split())


@WITHOUT_COMPILING
@pytest.mark.usefixtures("in_this_process", "quick_limit", "eager")
def test_training_of_a_tiny_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("source", "target"):  # of few pieces: what is not compiled is slow
        (tmp_path / name).write_text("".join(f"{letter}{letter}\n" for letter in "abcdef"), encoding="utf-8")
    text = ("--train-source", str(tmp_path / "source"), "--train-target", str(tmp_path / "target"), "--num-pairs=4")
    batches = ("--set=batching.size=2", "--set=batching.batches_per_update=2")
    assert run("train", *TINY, *batches, *text, "--repeats=2", "--json", str(tmp_path / "train.json")) == 0
    found = json.loads((tmp_path / "train.json").read_text(encoding="utf-8"))
    results = found["results"]
    assert found["benchmark"] == "train"
    assert found["config"]["model"]["embedding_size"] == 4
    assert (results["num_pairs"], results["num_updates"]) == (4, 1)
    assert results["num_target_tokens"] <= results["num_padded_target_tokens"]
    assert {name for name, value in results.items() if is_spread(value)} == {
        "target_tokens_per_second", "padded_target_tokens_per_second", "bare_target_tokens_per_second",
        "share_outside_model", "share_making_batches", "operations_per_second", "limit_operations_per_second",
        "share_of_limit", "bare_share_of_limit",
    }  # fmt: skip
    assert results["limit_operations_per_second"]["median"] == 2e9
    assert results["share_of_limit"]["num_repeats"] == 2
    assert 0 < results["memory_before_gb"] <= results["peak_memory_gb"]
    shown = capsys.readouterr().out
    for words in ("target tokens/s", "time outside the model", "peak memory", "share of the limit"):
        assert words in shown


@pytest.mark.usefixtures("in_this_process", "quick_limit", "eager")
def test_translation_with_a_stored_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(decoding, "first_translation", lambda *_: Spread.of([1.0]))
    (tmp_path / "en").write_text("Who?\nWho?\n", encoding="utf-8")
    (tmp_path / "fr").write_text("Qui ?\nQui ?\n", encoding="utf-8")
    text = ("--source", str(tmp_path / "en"), "--reference", str(tmp_path / "fr"))
    words = ("--beam-size=2", "--num-single-lines=1", "--repeats=1", "--json=-")
    assert run("decode", "--model", str(GOLDEN), *text, *words) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    [beam] = results["beams"]
    assert (beam["beam_size"], beam["num_sentences"]) == (2, 2)
    assert beam["num_output_tokens"] >= 2
    assert set(beam["latency_seconds"]) == {"p50", "p95", "p99"}
    assert is_spread(beam["sentences_per_second"])
    assert is_spread(results["first_translation_seconds"])


def test_a_translation_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(NMTError, match=r"has failed: error: .*absent: no such folder"):
        decoding.first_translation(tmp_path / "absent", "Who?", 1)


@WITHOUT_COMPILING
@pytest.mark.usefixtures("in_this_process", "eager")
def test_growth_with_the_corpus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(growth, "NUM_CORPUS_UPDATES", 1)
    monkeypatch.setattr(growth, "NUM_WARM_UP_UPDATES", 1)
    monkeypatch.setattr(growth, "CORPUS_LENGTHS", (2, 4))
    monkeypatch.setattr(blocks, "BLOCK_PAIRS", 40)
    monkeypatch.setitem(growth.POINTS, "corpus", (90, 10**9))
    assert run("growth", "--axis=corpus", "--max-pairs=90", "--json=-") == 0
    [point] = json.loads(capsys.readouterr().out)["results"]["axes"]["corpus"]
    assert point["num_blocks"] == 3
    # Two bytes a piece; two offsets of eight bytes and a number of four a pair.
    assert 2 * 2 * 2 + 2 * 8 + 4 <= point["bytes_per_pair"] <= 2 * 2 * 4 + 2 * 8 + 4 + 1
    assert point["num_target_tokens"] <= 90 * 5
    assert point["planning_seconds"] > 0


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("axis", ["vocabulary", "length", "batch", "width"])
def test_a_point_of_growth_changes_one_size(monkeypatch: pytest.MonkeyPatch, axis: str) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(training, "measure_generated", lambda *arguments: seen.append(arguments) or {})
    for value in (400, 800):
        assert growth.training_point(axis, value, 1) == {axis: value}

    def sizes(config: Any, num_pairs: int, lengths: tuple[int, int], num_repeats: int) -> dict[str, int]:
        return {
            "vocabulary": config.tokenizer.vocabulary_size,
            "length": lengths[1] + 1,
            "batch": config.batching.size,
            "width": config.model.embedding_size,
        }

    first, second = (sizes(*arguments) for arguments in seen)
    assert {name for name in first if first[name] != second[name]} == {axis}
    assert (first[axis], second[axis]) == (400, 800)


@pytest.mark.usefixtures("in_this_process")
def test_the_limit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    peak = limit.matrix_product_peak
    shapes = ((2, 3, 4), (3, 3, 3))
    monkeypatch.setattr(limit, "matrix_product_peak", lambda dtype: peak(dtype, shapes, num_repeats=3))
    in_numpy = limit.numpy_product_peak
    monkeypatch.setattr(limit, "numpy_product_peak", lambda: in_numpy(shapes, num_repeats=3))
    assert run("limit", "--json=-") == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [each["dtype"] for each in results["limits"]] == ["float32", "bfloat16", "float32, NumPy"]
    for each in results["limits"]:
        assert each["operations_per_second"]["num_repeats"] == 6
        assert 0 < each["operations_per_second"]["low"] <= each["operations_per_second"]["high"]


@pytest.mark.usefixtures("in_this_process")
def test_a_rival_beside_ours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen: dict[str, Any] = {}

    def measure(config: Any, num_pairs: int, num_repeats: int, **options: Any) -> dict[str, Any]:
        seen.update(source=config.data.train[0].source, num_pairs=num_pairs)
        return {"target_tokens_per_second": Spread.of([50.0])}

    monkeypatch.setattr(training, "measure_text", measure)
    command = [sys.executable, "-S", "-c", "print('{\"target_tokens_per_second\": 20}')"]
    files = ("--train-source", "it's.en", "--train-target", "it's.de", "--num-pairs=7")
    assert run("against", *files, "--repeats=2", "--", *command) == 0
    assert seen == {"source": "it's.en", "num_pairs": 7}
    assert "2.5" in capsys.readouterr().out


def test_every_table_of_growth_can_be_shown() -> None:
    one = Spread.of([2.0])
    training_point = {
        "target_tokens_per_second": one, "matrix_product_operations": 10, "num_target_tokens": 5,
        "share_of_limit": one, "peak_memory_gb": 1.0,
    }  # fmt: skip
    beam_point = {**training_point, "sentences_per_second": one, "output_tokens_per_second": one}
    axes = {
        "width": [{"width": 64, **training_point}],
        "beam": [{"beam": 5, **beam_point, "num_output_tokens": 5}],
    }
    machine = dict.fromkeys(("commit", "time", "processor", "num_cores", "memory_gb")) | {"load_average_before": 0.0}
    shown = report.to_text({"benchmark": "growth", "machine": machine, "results": {"axes": axes}})
    assert "500,000" in shown  # µs of a token at two a second
    assert "Translation with the beam" in shown


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("growth", "--axis=corps"), "Did you mean `corpus`?"),
        (("train", "--train-source=a"), "--train-source and --train-target belong together"),
        (("decode", "--source=a"), "--source and --reference belong together"),
        (("decode", "--model=absent"), "absent: no such folder"),
        (("decode", "--set=data.test=null"), "has no `data.test`"),
        (("train", "--config=absent.yaml"), "absent.yaml: can't read the configuration"),
        (("train", "--set=model.sise=3"), "unknown key"),
    ],
)
def test_a_mistake_is_told(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], complaint: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    assert complaint in capsys.readouterr().err
