"""Every key of the configuration changes something in the run, and this file knows every key.

A run is three epochs of two updates each, computed without compiling anything; a list stands in for the validations.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import re
from types import SimpleNamespace

import keras
import pydantic
import pytest

from nmt.config import Config
from nmt.data.dataset import ParallelDataset
from nmt.evaluation.metrics import MetricScore
from nmt.training import display, limits
from nmt.training import run as course
from nmt.training.validation import Validation
from tests.training import tiny_run
from tests.training.tiny_run import run, tiny_tree, with_changes

BLEU = (10.0, 9.0, 8.0, 11.0)
CHRF = (10.0, 11.0, 9.0, 12.0)
LOSS = (4.0, 3.0, 2.0, 1.0)

ADAMW = {"training.optimizer": "adamw"}
PLATEAU = {"training.schedule": {"type": "plateau", "warmup_updates": 0, "patience": 1}}
BPE = {"tokenizer.model_type": "bpe"}
SAMPLING = {"tokenizer.sampling.alpha": 0.1}
COSINE = {"training.schedule.type": "cosine"}

# What a key, set to this value, changes: beside these other settings where it needs them.
WEIGHTS, TOKENIZER, METRICS, CHECKPOINTS, LOG, DECODING, LANGUAGES = (
    "weights", "tokenizer", "metrics", "checkpoints", "log", "decoding", "languages",
)  # fmt: skip
CHOICES = [
    ("source_language", "de", LANGUAGES, {}),
    ("target_language", "de", LANGUAGES, {}),
    ("seed", 2, WEIGHTS, {}),
    ("recipe", "auto", WEIGHTS, {}),
    ("data.max_length_pieces", 9, LOG, {}),
    ("data.max_length_ratio", 1.0, LOG, {}),
    ("data.drop_duplicates", False, LOG, {}),
    ("tokenizer.model_type", "bpe", TOKENIZER, {}),
    ("tokenizer.vocabulary_size", 310, TOKENIZER, {}),
    ("tokenizer.joint", False, TOKENIZER, {"model.tied_embeddings": "none"}),
    ("tokenizer.byte_fallback", False, TOKENIZER, {}),
    ("tokenizer.character_coverage", 0.98, TOKENIZER, {}),
    ("tokenizer.normalization", "nfkc", TOKENIZER, {}),
    ("tokenizer.normalization", "nmt_nfkc", TOKENIZER, {}),
    ("tokenizer.sampling.alpha", 0.1, WEIGHTS, {}),
    ("tokenizer.sampling.merge_dropout_rate", 0.3, WEIGHTS, BPE),
    ("tokenizer.sampling.sides", "source", WEIGHTS, SAMPLING),
    ("tokenizer.sampling.sides", "target", WEIGHTS, SAMPLING),
    ("batching.size", 6, LOG, {}),
    ("batching.unit", "tokens", LOG, {"batching.size": 40}),
    ("batching.batches_per_update", 2, CHECKPOINTS, {}),
    ("model.embedding_size", 9, WEIGHTS, {}),
    ("model.encoder_size", 7, WEIGHTS, {}),
    ("model.encoder_layers", 2, WEIGHTS, {}),
    ("model.decoder", "input_feeding", WEIGHTS, {}),
    ("model.decoder_size", 9, WEIGHTS, {}),
    ("model.attention_size", 6, WEIGHTS, {}),
    ("model.tied_embeddings", "target", WEIGHTS, {}),
    ("model.tied_embeddings", "none", WEIGHTS, {}),
    ("model.reset_after", False, WEIGHTS, {}),
    ("model.dropout_rate", 0.3, WEIGHTS, {}),
    ("model.variational_dropout", True, WEIGHTS, {}),
    ("model.recurrent_dropout_rate", 0.2, WEIGHTS, {}),
    ("model.source_word_dropout", 0.2, WEIGHTS, {}),
    ("model.target_word_dropout", 0.2, WEIGHTS, {}),
    ("model.lexical_model", True, WEIGHTS, {}),
    ("model.layer_norm", True, WEIGHTS, {}),
    ("model.decoder_transitions", 1, WEIGHTS, {}),
    ("training.optimizer", "adamw", WEIGHTS, {}),
    ("training.optimizer", "rmsprop", WEIGHTS, {}),
    ("training.learning_rate", 0.03, WEIGHTS, {}),
    ("training.weight_decay", 0.5, WEIGHTS, ADAMW),
    ("training.clip_norm", 0.01, WEIGHTS, {}),
    ("training.schedule", {"type": "constant", "warmup_updates": 0}, METRICS, {}),
    ("training.schedule.type", "cosine", METRICS, {}),
    ("training.schedule", {"type": "plateau", "warmup_updates": 0}, METRICS, {}),
    ("training.schedule.warmup_updates", 3, METRICS, {}),
    ("training.schedule.decay_updates", 2, METRICS, {}),
    ("training.schedule.decay_updates", 2, METRICS, COSINE),
    ("training.schedule.factor", 0.1, METRICS, PLATEAU),
    ("training.schedule.patience", 2, METRICS, PLATEAU),
    ("training.schedule.floor", 0.9, METRICS, {}),
    ("training.schedule.floor", 0.9, METRICS, COSINE),
    ("training.schedule.floor", 0.9, METRICS, PLATEAU),
    ("training.label_smoothing", 0.2, WEIGHTS, {}),
    ("training.r_drop", 1.0, WEIGHTS, {}),
    ("training.ema_decay", 0.5, WEIGHTS, {"training.metric": "loss"}),
    ("training.precision", "mixed_bfloat16", WEIGHTS, {}),
    ("training.max_epochs", 2, CHECKPOINTS, {}),
    ("training.bidirectional_epochs", 1, WEIGHTS, {}),
    ("training.max_updates", 2, CHECKPOINTS, {}),
    ("training.max_minutes", 0.02, CHECKPOINTS, {}),
    ("training.validate_every_epochs", 2, METRICS, {}),
    ("training.metric", "chrf", WEIGHTS, {}),
    ("training.metric", "loss", WEIGHTS, {}),
    ("training.early_stopping_patience", 1, CHECKPOINTS, {}),
    ("training.average_best", 2, WEIGHTS, {}),
    ("training.num_sample_sentences", 2, LOG, {}),
    ("training.save_every_minutes", 0.0, CHECKPOINTS, {}),
    ("training.keep_checkpoints", 1, CHECKPOINTS, {}),
    ("decoding.beam_size", 3, DECODING, {}),
    ("decoding.length_penalty", 0.5, DECODING, {}),
    ("decoding.coverage_penalty", 0.5, DECODING, {}),
    ("decoding.min_length_ratio", 0.5, DECODING, {}),
    ("decoding.max_length_ratio", 1.5, DECODING, {}),
    ("decoding.no_repeat_ngram_size", 3, DECODING, {}),
    ("decoding.max_source_pieces", 64, DECODING, {}),
    ("decoding.batch_size", 32, DECODING, {}),
]
# No faster test follows these from the configuration to what reads them, so they are in every run of the tests.
WIRED = {"training.bidirectional_epochs", "training.ema_decay", "training.label_smoothing", "training.r_drop"}
# Corpora make every run what it is: tests/test_corpora.py, and `data.test` in test_trainer.py.
CORPORA = {"data.train", "data.dev", "data.test"}


def keys(section: type[pydantic.BaseModel], prefix: str = "") -> set[str]:
    """Returns the dotted keys of a section; corpora are one key each."""
    found = set()
    for name, field in section.model_fields.items():
        inner = field.annotation
        is_section = isinstance(inner, type) and issubclass(inner, pydantic.BaseModel)
        found |= keys(inner, f"{prefix}{name}.") if is_section else {prefix + name}
    return found


def test_every_key_is_known_here():
    whole = {"training.schedule"}  # types that do not have all its keys
    assert {key for key, *_ in CHOICES} - whole | CORPORA == keys(Config)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Words enough for a vocabulary of more than 310 pieces; rare letters, a ligature, a duplicate, unequal lengths."""
    folder = tmp_path_factory.mktemp("corpora")
    generator = random.Random(1)

    def sentence(num_words):
        return " ".join("".join(generator.choices("abcdefgh", k=generator.randint(1, 3))) for _ in range(num_words))

    pairs = [(sentence(length), sentence(length + length % 2)) for length in [1, 2, 3, 4] * 12]
    pairs += [("ﬁn", "ﬁn ñ"), ("ß", "ø"), pairs[0], pairs[1]]
    for split, rows in (("train", pairs), ("dev", pairs[:3])):
        (folder / f"{split}.en").write_text("".join(f"{source}\n" for source, _ in rows))
        (folder / f"{split}.fr").write_text("".join(f"{target}\n" for _, target in rows))
    return folder


@pytest.fixture(scope="module", autouse=True)
def eager():
    """Runs functions as they stand: compiling takes longer than all that these runs compute."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


class Validations:
    """The first finds the first of `BLEU`, `CHRF` and `LOSS`, the second the second, and so on."""

    def __init__(self):
        self.number = -1

    def __call__(self, translator, pairs, *, with_translations):
        self.number += 1
        if not with_translations:
            return Validation(LOSS[self.number], {}, [])
        scores = {
            name: MetricScore(name, name, values[self.number], "signature")
            for name, values in (("bleu", BLEU), ("chrf", CHRF))
        }
        return Validation(LOSS[self.number], scores, ["" for _ in pairs])


def digest(*contents):
    return hashlib.sha256(b"".join(contents)).hexdigest()


def results(tree, folder, caplog):
    """Trains and returns all that a run leaves, by what it is."""
    caplog.clear()
    with pytest.MonkeyPatch.context() as monkeypatch, caplog.at_level(logging.INFO, "nmt"):
        monkeypatch.setattr(ParallelDataset, "__len__", lambda self: min(2, sum(self._num_batches)))
        monkeypatch.setattr(course, "validate", Validations())
        seconds = iter(range(10_000))
        clock = SimpleNamespace(monotonic=lambda: next(seconds) / 10)
        for module in (course, display, limits):
            monkeypatch.setattr(module, "time", clock)
        run_dir = run(tree, folder)
    model = json.loads((run_dir.best / "config.json").read_text())
    arrays = tiny_run.weights(run_dir.best)
    return {
        WEIGHTS: digest(*(name.encode() + array.tobytes() for name, array in sorted(arrays.items()))),
        TOKENIZER: [digest(path.read_bytes()) for path in sorted(run_dir.tokenizer.iterdir())],
        METRICS: tiny_run.records(run_dir),
        CHECKPOINTS: sorted(path.name for path in run_dir.checkpoints.iterdir()),
        LOG: re.sub(r"\S*/\S*|[\d,.]+ tokens/s|\d+ s\b", "", "\n".join(caplog.messages)),
        DECODING: model["decoding"],
        LANGUAGES: [model["source_language"], model["target_language"]],
    }


@pytest.fixture(scope="module")
def known():
    """Results of the runs that several others are compared with."""
    return {}


@pytest.fixture
def tree(corpora):
    changes = {"training.max_epochs": 3, "training.schedule": {"warmup_updates": 0, "decay_updates": 1}}
    return with_changes(tiny_tree(corpora), changes)


@pytest.mark.slow
def test_the_same_again_is_the_same(tree, tmp_path, caplog):
    """Otherwise the test below would prove nothing."""
    assert results(tree, tmp_path / "one", caplog) == results(tree, tmp_path / "other", caplog)


@pytest.mark.parametrize(
    ("key", "value", "part", "beside"),
    [
        pytest.param(*choice, id=f"{choice[0]}={choice[1]}", marks=[] if choice[0] in WIRED else pytest.mark.slow)
        for choice in CHOICES
    ],
)
def test_every_key_changes_something(key, value, part, beside, tree, tmp_path, caplog, known):
    base = with_changes(tree, beside)
    name = json.dumps(beside)
    if name not in known:
        known[name] = results(base, tmp_path / "base", caplog)
    assert results(with_changes(base, {key: value}), tmp_path / "changed", caplog)[part] != known[name][part]
