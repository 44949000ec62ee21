"""The course of a training: updates, epochs, validations, saves, until a limit, patience or a signal ends it.

This module decides what happens when; what an update, a validation or a checkpoint is, is decided in their own modules.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from typing import Any

from rich.console import Console

from nmt.backend import has_gpu, library_name
from nmt.checkpoints import Checkpoint
from nmt.config import Config
from nmt.data.dataset import Batch, ParallelDataset
from nmt.decoding.translator import Translator
from nmt.errors import FileError, ModelFileError, RunDirectoryError, TrainingError
from nmt.loading import build_model, model_shapes, numpy_model, save
from nmt.model_card import CardScore, model_card
from nmt.run_dir import RunDirectory
from nmt.text.corpus import SentencePair
from nmt.text.tokenizer import Tokenizer
from nmt.training.backend import seed_dropout
from nmt.training.display import Display
from nmt.training.limits import Limits
from nmt.training.memory import USABLE_SHARE, UpdateMemory, available_bytes, training_bytes
from nmt.training.objective import Objective
from nmt.training.precision import choose_precision
from nmt.training.preparation import configured_optimizer
from nmt.training.progress import Progress
from nmt.training.records import Curves, epoch_record, log_epoch, log_samples
from nmt.training.state import TrainingState
from nmt.training.stopping import Stopped, StopRequest
from nmt.training.update import Outcome, Updater
from nmt.training.validation import Validation, inference_weights, validate

logger = logging.getLogger(__name__)

MAX_SKIPPED_IN_ROW = 5
"""Updates in a row that are not applied before a run goes back to its last checkpoint, and the next time gives up."""

ROLLBACK_FACTOR = 0.5
"""What the learning rate is multiplied by when a run goes back."""


class Run:
    """A model in training.

    Args:
        config: What to train on and how.
        run_dir: Folder of the run.
        dataset: The training batches.
        tokenizers: Of the source and of the target.
        dev_pairs: What it is validated on.
        made_from: Digests of corpus and tokenizer, kept with each checkpoint.
        console: Where progress is shown.
    """

    def __init__(
        self,
        config: Config,
        run_dir: RunDirectory,
        dataset: ParallelDataset,
        tokenizers: tuple[Tokenizer, Tokenizer],
        dev_pairs: list[SentencePair],
        made_from: dict[str, str],
        console: Console,
    ) -> None:
        self.config = config
        self.run_dir = run_dir
        self.dataset = dataset
        self.tokenizers = tokenizers
        self.dev_pairs = dev_pairs
        training = config.training
        sizes = tokenizers[0].vocabulary_size, tokenizers[1].vocabulary_size
        self._memory_budget = _memory_budget(config, sizes)
        self.model = build_model(config.model, *sizes, dtype=choose_precision(training.precision))
        self._memory = UpdateMemory(config.model, self.model.count_params())
        self.optimizer = configured_optimizer(training)
        self.updater = Updater(Objective(self.model, training.label_smoothing), self.optimizer, training.clip_norm)
        self.state = TrainingState(run_dir.checkpoints, self.updater.variables, training.keep_checkpoints, made_from)
        self.display = Display(training.max_epochs, len(dataset), console)
        self.limits = Limits(
            max_epochs=training.max_epochs,
            max_updates=training.max_updates,
            max_minutes=training.max_minutes,
            patience=training.early_stopping_patience,
            updates_per_epoch=-(-len(dataset) // config.batching.batches_per_update),
        )
        self.stop = StopRequest()
        self._curves = Curves(run_dir.tensorboard)
        self._unwritten: list[dict[str, Any]] = []  # records and the best model, while the disk refuses them
        self._unsaved_best: tuple[Translator, list[CardScore]] | None = None
        self._saved = 0.0

    @property
    def progress(self) -> Progress:
        """How far training is."""
        return self.state.progress

    def describe(self) -> None:
        """Logs what is trained."""
        sizes = [f"{size:,}" for size in dict.fromkeys(tokenizer.vocabulary_size for tokenizer in self.tokenizers)]
        if self.tokenizers[0] is not self.tokenizers[1]:
            sizes = [f"{tokenizer.vocabulary_size:,}" for tokenizer in self.tokenizers]
        logger.info(
            "model: %s parameters, vocabulary %s pieces; %s batches an epoch; %s backend",
            f"{self.model.count_params():,}",
            " and ".join(sizes),
            f"{len(self.dataset):,}",
            library_name(),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes to a checkpoint; later records are forgotten."""
        self.state.restore(checkpoint)
        records = self.run_dir.metrics.read()
        self.run_dir.metrics.replace(record for record in records if record["epoch"] <= self.progress.epoch)
        self.limits.start(self.progress)

    def fit(self) -> None:
        """Trains until the end.

        Raises:
            Stopped: A signal asked for it, and the state is saved.
            TrainingError: Loss or gradient are no finite numbers, again and again.
            FileError: The last state can't be saved.
        """
        try:
            with self.stop:
                self._save()
                while not self.is_over():
                    self._train_epoch()
                    self._end_epoch()
                    self.stop.check()
        finally:
            self.display.close()

    def is_over(self) -> bool:
        """Returns whether epochs, updates, time or patience are used up."""
        return self.limits.is_over(self.progress)

    def _train_epoch(self) -> None:
        """Makes the updates of an epoch that are not made yet."""
        self.dataset.epoch = self.progress.epoch
        self.display.begin_epoch(self.progress)
        while self.progress.batch < len(self.dataset) and not self.limits.is_reached(self.progress):
            self._update()
            if self.stop.signal is not None:
                self._save(is_last=True)
                self.stop.check()
            if self.display.is_due():
                self.display.show(
                    self.progress, float(self.optimizer.learning_rate), self.limits.seconds_left(self.progress)
                )
            is_due = time.monotonic() - self._saved >= self.config.training.save_every_minutes * 60
            if is_due and not self.progress.num_skipped_in_row:
                self._save()
        self.display.close()

    def _update(self) -> None:
        progress = self.progress
        start = time.monotonic()
        end = min(progress.batch + self.config.batching.batches_per_update, len(self.dataset))
        batches = [part for number in range(progress.batch, end) for part in self._parts(self.dataset[number])]
        seed_dropout(self.config.seed, progress.epoch, progress.batch)
        outcome = self.updater(batches)
        progress.batch = end
        if not outcome.is_applied:
            self._skip(outcome, batches)
            return
        progress.updates += 1
        progress.num_skipped_in_row = 0
        progress.loss_sum += outcome.loss
        progress.nll_sum += outcome.nll
        progress.num_tokens += outcome.num_tokens
        progress.gradient_norm = outcome.gradient_norm
        progress.epoch_seconds += time.monotonic() - start

    def _parts(self, batch: Batch) -> list[Batch]:
        """Returns a batch whole, or in parts if it needs more memory than there is."""
        budget = self.progress.memory_budget or self._memory_budget
        parts = self._memory.parts(batch, budget)
        if len(parts) > 1 and self.progress.memory_budget is None:
            self.progress.memory_budget = budget  # a resumed run keeps it: the parts decide what dropout draws
            logger.warning(
                "a batch of %d pairs needs about %.1f GB, and %.1f GB are to be had: such batches are worked on in "
                "parts, which gives the same gradient",
                len(batch.labels),
                self._memory.estimate(batch) / 1e9,
                budget / 1e9,
            )
        return parts

    def _skip(self, outcome: Outcome, batches: list[Batch]) -> None:
        """Counts and names an update that was not applied; goes back after several in a row."""
        progress = self.progress
        progress.num_skipped += 1
        progress.num_skipped_in_row += 1
        logger.warning(
            "the update after number %s was left out: its loss is %s, the norm of its gradient %s. %s names its pairs",
            f"{progress.updates:,}",
            outcome.loss,
            outcome.gradient_norm,
            self.run_dir.skipped.path,
        )
        record = {
            "epoch": progress.epoch + 1,
            "after_update": progress.updates,
            "loss": str(outcome.loss),
            "gradient_norm": str(outcome.gradient_norm),
            "pairs": [number for batch in batches for number in batch.numbers.tolist()],
        }
        try:
            self.run_dir.skipped.append(record)
        except FileError as error:
            logger.warning("%s", error)
        if progress.num_skipped_in_row >= MAX_SKIPPED_IN_ROW:
            self._roll_back()

    def _roll_back(self) -> None:
        """Goes back to the last checkpoint with a lower learning rate, once."""
        num_skipped, num_rollbacks = self.progress.num_skipped, self.progress.num_rollbacks
        problem = (
            f"training has diverged: {MAX_SKIPPED_IN_ROW} updates in a row had a loss or gradient that is no finite "
            f"number, the last after update {self.progress.updates:,}"
        )
        checkpoint = None if num_rollbacks else self.state.newest_sound()
        if checkpoint is None:
            raise TrainingError(
                f"{problem}. The run is as it was at its last checkpoint. {self.run_dir.skipped.path} names the pairs. "
                "Start a new run with a lower training.learning_rate or training.clip_norm."
            )
        self.restore(checkpoint)
        progress = self.progress
        progress.num_skipped, progress.num_skipped_in_row = num_skipped, 0
        progress.num_rollbacks = num_rollbacks + 1
        scale = self.optimizer.rate_scale
        scale.assign(float(scale) * ROLLBACK_FACTOR)
        logger.warning(
            "%s; going back to update %s with the learning rate times %s",
            problem,
            f"{progress.updates:,}",
            ROLLBACK_FACTOR,
        )
        self.dataset.epoch = progress.epoch
        self._save()

    def _end_epoch(self) -> None:
        """Validates, judges, records, saves."""
        training = self.config.training
        epoch = self.progress.epoch + 1
        learning_rate = float(self.optimizer.learning_rate)
        try:
            with self.stop.interruptible():
                translator = self._translator()
                validation = self._validate(translator, epoch)
        except Stopped:
            self._save(is_last=True)  # the epoch's updates are done, its validation is not
            raise
        progress = self.progress
        progress.epoch = epoch
        if validation.translations or training.metric == "loss":
            self._judge(validation, translator)
        is_over = self.is_over()
        record = epoch_record(progress, validation, learning_rate)
        log_epoch(record, validation, is_best=progress.best_epoch == epoch)
        if validation.translations:
            log_samples(self.dev_pairs, validation.translations, training.num_sample_sentences)
        progress.begin_epoch()
        self._unwritten.append(record)
        self._save(is_last=is_over)
        self._curves.add(record)
        if progress.num_bad_validations == training.early_stopping_patience:
            logger.info("no better %s in %d validations: stopping", training.metric, progress.num_bad_validations)

    def _translator(self) -> Translator:
        """Returns the model of the moment, ready to translate."""
        config = self.config
        model = numpy_model(config.model, inference_weights(self.model, self.optimizer))
        languages = config.source_language, config.target_language
        return Translator(model, *self.tokenizers, *languages, config.decoding)

    def _validate(self, translator: Translator, epoch: int) -> Validation:
        def is_last() -> bool:
            return self.limits.is_over(self.progress, epoch)

        with_translations = is_last() or epoch % self.config.training.validate_every_epochs == 0
        try:
            validation = validate(translator, self.dev_pairs, with_translations=with_translations)
            if is_last() and not with_translations:  # the time has ended meanwhile
                validation = validate(translator, self.dev_pairs, with_translations=True)
        except ModelFileError as error:
            raise TrainingError(
                f"training has diverged in epoch {epoch}: {error} Start a new run with a lower training.learning_rate."
            ) from error
        return validation

    def _judge(self, validation: Validation, translator: Translator) -> None:
        """Keeps the model if it is the best so far; cuts the learning rate if the schedule says so."""
        training, progress = self.config.training, self.progress
        value = validation.value(training.metric)
        if progress.best_value is None or value > progress.best_value:
            progress.best_value, progress.best_epoch = value, progress.epoch
            progress.num_bad_validations = progress.num_bad_since_cut = 0
            scores = [CardScore("dev", one.name, one.score, one.signature) for one in validation.scores.values()]
            self._unsaved_best = translator, scores
            return
        progress.num_bad_validations += 1
        progress.num_bad_since_cut += 1
        if training.schedule.type == "plateau" and progress.num_bad_since_cut >= training.schedule.patience:
            progress.num_bad_since_cut = 0
            scale = self.optimizer.rate_scale
            before = float(scale)
            scale.assign(max(before * training.schedule.factor, training.schedule.floor))
            if float(scale) < before:
                logger.info("learning rate cut to %.2e", float(self.optimizer.learning_rate))

    def _save(self, *, is_last: bool = False) -> None:
        """Writes what is new: records, the best model, then the checkpoint that counts on them.

        Training goes on where they can't be written, and tries again at the next save.

        Raises:
            FileError: They can't be written, and there is no next save.
        """
        self._saved = time.monotonic()
        try:
            while self._unwritten:
                self.run_dir.metrics.append(self._unwritten[0])
                del self._unwritten[0]
            if self._unsaved_best is not None:
                self._save_best(*self._unsaved_best)
                self._unsaved_best = None
            self.state.save()
        except (FileError, RunDirectoryError, ModelFileError) as error:
            if is_last:
                raise
            logger.warning("nothing is saved: %s Training goes on, and the next save tries again", error)

    def _save_best(self, translator: Translator, scores: list[CardScore]) -> None:
        source, target = self.config.source_language, self.config.target_language
        card = model_card(
            name=self.run_dir.path.name,
            source_language=source,
            target_language=target,
            training_data=[f"{len(self.dataset.corpus):,} {source}-{target} pairs"],
            sizes=[
                ("parameters", f"{self.model.count_params():,}"),
                ("target vocabulary", f"{self.tokenizers[1].vocabulary_size:,} pieces"),
                ("epochs", str(self.progress.best_epoch)),
            ],
            scores=scores,
            example=self.dev_pairs[0].source,
        )
        save(translator, self.run_dir.best, model=self.config.model, card=card)


def _memory_budget(config: Config, sizes: tuple[int, int]) -> int:
    """Returns how many bytes an update may take, before a model is built.

    Raises:
        TrainingError: The model alone takes more than there is.
    """
    if has_gpu():
        return sys.maxsize  # the backend tells when its memory is used up
    num_parameters = sum(math.prod(shape) for shape in model_shapes(config.model, *sizes).values())
    needed = training_bytes(num_parameters, with_averages=config.training.ema_decay is not None)
    available = available_bytes()
    if needed > available:
        raise TrainingError(
            f"the model has {num_parameters:,} parameters, and to train it takes {needed / 1e9:.1f} GB. Received: "
            f"{available / 1e9:.1f} GB of free memory. Choose a smaller model or vocabulary, or free memory."
        )
    return int((available - needed) * USABLE_SHARE)
