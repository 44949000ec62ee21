"""Small tasks are learnt all but perfectly, from scratch, through everything: text, tokenizer, training, search.

The seed is drawn anew each time and printed: pytest --seed repeats it.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import sacrebleu

import nmt
from tests.training import tiny_run

LETTERS = "abcdefghijklmnop"
SIZES = {"train": 2500, "dev": 100, "test": 200}
TASKS = {"copy": lambda words: words, "reverse": lambda words: words[::-1]}


def write_task(folder: Path, task: str, generator: random.Random) -> None:
    """Writes pairs of different letters in a row, 4 to 10 of them; no sentence is in two splits."""
    seen: set[str] = set()
    for split, num_pairs in SIZES.items():
        rows = []
        while len(rows) < num_pairs:
            words = generator.sample(LETTERS, generator.randint(4, 10))
            if " ".join(words) not in seen:
                seen.add(" ".join(words))
                rows.append(words)
        (folder / f"{split}.en").write_text("".join(" ".join(words) + "\n" for words in rows))
        (folder / f"{split}.fr").write_text("".join(" ".join(TASKS[task](words)) + "\n" for words in rows))


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["input_feeding", "conditional"])
@pytest.mark.parametrize("task", TASKS)
def test_learns(task, decoder, seed, tmp_path):
    write_task(tmp_path, task, random.Random(seed))
    tree = tiny_run.with_changes(
        tiny_run.tiny_tree(tmp_path),
        {
            "seed": seed,
            "batching.size": 32,
            "model": {
                "decoder": decoder,
                "embedding_size": 32,
                "encoder_size": 48,
                "decoder_size": 64,
                "attention_size": 48,
                "dropout_rate": 0.0,
            },
            "training": {
                "learning_rate": 0.005,
                "schedule": {"type": "cosine", "warmup_updates": 50, "decay_updates": 1900, "floor": 0.05},
                "label_smoothing": 0.1,
                "max_epochs": 25,
                "validate_every_epochs": 5,
                "num_sample_sentences": 0,
            },
        },
    )
    run_dir = tiny_run.run(tree, tmp_path / "run")
    sources, references = ((tmp_path / f"test.{language}").read_text().splitlines() for language in ("en", "fr"))
    translations = [one.text for one in nmt.load(run_dir.path).translate(sources)]
    score = sacrebleu.corpus_bleu(translations, [references]).score
    print(f"{task}, {decoder}: BLEU {score:.2f}")
    assert score > 95
