"""The composition root of training: from a configuration and a run directory to a trained model.

Here, and nowhere else, the parts meet: corpora, tokenizers, batches, the run itself, the report on the test set. What
each of them does is decided in its own module.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import keras
from rich.console import Console

from nmt import files
from nmt.backend import library_name
from nmt.config import Config, dump
from nmt.errors import ConfigError
from nmt.evaluation import report
from nmt.loading import load
from nmt.run_dir import RunDirectory, library_versions
from nmt.text.corpus import SentencePair
from nmt.text.lines import single_line
from nmt.training.preparation import (
    Pairs,
    check_sources,
    load_tokenizers,
    make_batches,
    read_pairs,
    source_digests,
)
from nmt.training.records import log_samples
from nmt.training.resolution import resolve
from nmt.training.run import Run

logger = logging.getLogger(__name__)

NUM_TEST_SAMPLES = 10


def train(
    config: Config,
    run_dir: RunDirectory,
    *,
    pairs: Pairs | None = None,
    resume: bool = False,
    allow_changed: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Trains a model and leaves the best one, by the chosen dev metric, in `run_dir.best`.

    The state is saved every few minutes and after each epoch. A run that is resumed goes on from its newest checkpoint
    as if it had never stopped: bit for bit on the same machine, with the same versions, backend and number of threads.

    Args:
        config: What to train on and how.
        run_dir: Folder of the run; the caller holds its lock.
        pairs: What `read_pairs(config)` gave, for a caller that reads them first; read here by default. Text of
            training pairs that it holds is released.
        resume: Whether to go on from the newest checkpoint there, with the tokenizer there.
        allow_changed: What may differ from the run that is resumed; of what is read here `corpus` and `tokenizer`.
        console: Where progress is shown; standard output by default.

    Raises:
        NMTError: Something in the corpora, the folder or the course of training breaks a rule; the message tells.
        Stopped: A signal asked for it, and the state is saved.
    """
    is_open = "auto" in (config.recipe, config.training.precision)  # of a caller who leaves it to this function
    if is_open and resume:
        raise ConfigError(
            "a run goes on with what was chosen when it began. Received: a configuration that leaves something to be "
            f"chosen (auto). Give that of the run, {run_dir.config_path}."
        )
    pairs = pairs or read_pairs(config)
    if is_open:
        config = resolve(config, pairs)
        run_dir.update_settings(config_yaml=dump(config), versions=run_dir.versions())
    keras.utils.set_random_seed(config.seed)
    training_pairs, dev_pairs, test_pairs = pairs
    tokenizers = load_tokenizers(config, run_dir, training_pairs)
    dataset = make_batches(config, run_dir, training_pairs, *tokenizers)
    digests = source_digests(config, run_dir, training_pairs, dev_pairs)
    training_pairs.release()
    run = Run(config, run_dir, dataset, tokenizers, dev_pairs, digests, console or Console())
    run.describe()
    if resume:
        _go_on(run, digests, allow_changed)
        versions = {**library_versions(), "backend": library_name()}
        run_dir.update_settings(config_yaml=dump(config), versions=versions)
    is_over = run.is_over()
    is_finished = is_over and not run.owes_average()
    if is_over:
        logger.info("training was finished already, after epoch %d", run.progress.epoch)
    if not is_finished and run_dir.test_report.exists():
        files.remove_folder(run_dir.test_report.parent)  # of a model that may not stay the best
    if not is_over:
        run.fit()
    if run.owes_average():
        run.average()
    if run.progress.best_epoch == 0:
        return
    _tell_best(run)
    if test_pairs and not (is_finished and run_dir.test_report.exists()):
        _report(run_dir, test_pairs)


def _go_on(run: Run, digests: dict[str, str], allow_changed: Sequence[str]) -> None:
    checkpoint = run.state.newest()
    if checkpoint is None:
        logger.warning("no checkpoint in %s yet: training starts from the beginning", run.run_dir.path)
        run.run_dir.metrics.replace([])
        return
    is_changed = check_sources(checkpoint.progress["made_from"], digests, allow_changed)
    run.restore(checkpoint)
    _miss_records(run)
    # What was left out after the checkpoint is about to be tried again.
    skipped = run.run_dir.skipped.read()
    if len(skipped) > run.progress.num_skipped:
        run.run_dir.skipped.replace(skipped[: run.progress.num_skipped])
    if is_changed and run.progress.batch:
        logger.warning("epoch %d begins anew, as its batches are others", run.progress.epoch + 1)
        run.progress.begin_epoch()
    place = f", batch {run.progress.batch:,} of {len(run.dataset):,}" if run.progress.batch else ""
    logger.info("resuming after epoch %d%s, update %s", run.progress.epoch, place, f"{run.progress.updates:,}")


def _miss_records(run: Run) -> None:
    """Tells of epochs that are done and have no record any more: curves will lack them, training does not."""
    known = {record.get("epoch") for record in run.run_dir.metrics.read()}
    missing = [str(epoch) for epoch in range(1, run.progress.epoch + 1) if epoch not in known]
    if missing:
        logger.warning("%s: no record of epoch %s", run.run_dir.metrics.path, ", ".join(missing))


def _tell_best(run: Run) -> None:
    progress = run.progress
    average = ", ".join(map(str, progress.best_average))
    logger.info(
        "best model: %s, dev %s %.2f, in %s",
        f"the mean of epochs {average}" if average else f"epoch {progress.best_epoch}",
        run.config.training.metric,
        abs(progress.best_value or 0.0),
        run.run_dir.best,
    )


def _report(run_dir: RunDirectory, pairs: list[SentencePair]) -> None:
    """Translates the test corpora once, with the best model."""
    translator = load(run_dir.best)
    translations = [one.text for one in translator.translate([pair.source for pair in pairs])]
    references = [pair.target for pair in pairs]
    folder = run_dir.test_report.parent
    hypotheses_path, reference_path = folder / "hypotheses.txt", folder / "references.txt"
    result = report.evaluate(
        translations,
        references,
        metrics=("bleu", "chrf"),
        hypotheses_name=str(hypotheses_path),
        reference_name=str(reference_path),
    )
    with files.new_folder(folder) as temporary:
        # One line a sentence, also where a reference holds a line break.
        files.write_text(temporary / hypotheses_path.name, "".join(f"{line}\n" for line in translations))
        files.write_text(temporary / reference_path.name, "".join(f"{single_line(line)}\n" for line in references))
        files.write_text(temporary / run_dir.test_report.name, result.to_json())
    log_samples(pairs, translations, NUM_TEST_SAMPLES)
    logger.info("test corpora, %s sentences:\n%s", f"{len(pairs):,}", result.to_text())
