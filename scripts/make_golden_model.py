"""Makes tests/golden: a tiny model, and translations that every later version must give with it.

python scripts/make_golden_model.py FOLDER

Run once for a major version of nmt, not when the test fails: that a stored model still loads and translates the same is
what the test is there to hold. Takes about a minute.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from pathlib import Path

import nmt
from nmt import config, files
from nmt.run_dir import RunDirectory, library_versions
from nmt.text.phrasebook import generate
from nmt.training.trainer import train

NUM_PAIRS = 400
MAX_WORDS = 4
NUM_TRANSLATED = 40

MIN_MARGIN = 0.02
"""Least difference between the scores of the best hypothesis and the next; backends differ by far less."""

HARD_LINES = ["", "   ", "x", "Where is Zürich?", "😀 Who?", "THE MUSEUM", " ".join(["Who took the coat?"] * 12)]
"""Lines unlike those of the training: blank, unknown characters, capitals, and one longer than `max_source_pieces`."""

CONFIG = {
    "source_language": "en",
    "target_language": "fr",
    "tokenizer": {"vocabulary_size": 380},
    "batching": {"size": 16, "unit": "sentences"},
    "model": {
        "embedding_size": 16,
        "encoder_size": 16,
        "decoder_size": 32,
        "attention_size": 16,
        "dropout_rate": 0.0,
    },
    "training": {
        "learning_rate": 0.01,
        "schedule": {"type": "cosine", "warmup_updates": 50, "decay_updates": 2000, "floor": 0.02},
        "label_smoothing": 0.0,
        "max_epochs": 80,
        "validate_every_epochs": 40,
    },
    "decoding": {"beam_size": 4, "max_source_pieces": 40},
}


def main(folder: Path) -> None:
    """Trains the model and writes it and its translations."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pairs = [pair for pair in generate("train", 20_000) if len(pair.source.split()) <= MAX_WORDS][:NUM_PAIRS]
    with tempfile.TemporaryDirectory() as temporary:
        corpus = Path(temporary) / "corpus.tsv"
        files.write_text(corpus, "".join(f"{pair.source}\t{pair.target}\n" for pair in pairs))
        data = {"type": "tsv", "path": str(corpus)}
        settings = config.validate({**CONFIG, "data": {"train": data, "dev": data}}, "golden")
        run = RunDirectory.create(
            Path(temporary) / "golden", config_yaml=config.dump(settings), versions=library_versions()
        )
        with run.lock():
            train(settings, run)
        shutil.copytree(run.best, folder / "model", dirs_exist_ok=True)
    lines = [*HARD_LINES, *(pair.source for pair in pairs[:NUM_TRANSLATED])]
    pools = nmt.load(folder / "model").translate_n_best(lines, n_best=2)
    rows = [
        f"{line}\t{pool[0].text}\t{pool[0].score:.3f}\n"
        for line, pool in zip(lines, pools, strict=True)
        if len(pool) == 1 or pool[0].score - pool[1].score >= MIN_MARGIN
    ]
    files.write_text(folder / "translations.tsv", "".join(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
