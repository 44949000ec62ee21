"""The course of a training: updates, epochs, validations, saves, until a limit, patience or a signal ends it.

This module decides what happens when; what an update, a validation or a checkpoint is, is decided in their own modules.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from nmt.backend import library_name
from nmt.checkpoints import Checkpoint
from nmt.config import Config
from nmt.data.dataset import Batch, ParallelDataset
from nmt.decoding.translator import Translator
from nmt.errors import FileError, ModelFileError, TrainingError
from nmt.loading import build_model, model_shapes, numpy_model
from nmt.run_dir import RunDirectory
from nmt.text.corpus import SentencePair
from nmt.text.tokenizer import Tokenizer
from nmt.training.backend import seed_dropout
from nmt.training.best_models import BestModels
from nmt.training.display import Display
from nmt.training.limits import Limits
from nmt.training.memory import UpdateMemory, memory_budget
from nmt.training.objective import Objective
from nmt.training.preparation import configured_optimizer
from nmt.training.progress import Progress
from nmt.training.records import Curves, epoch_record, log_average, log_epoch, log_samples, warn_if_guessing_is_better
from nmt.training.saving import Saver
from nmt.training.state import TrainingState
from nmt.training.stopping import Stopped, StopRequest
from nmt.training.update import Outcome, Updater
from nmt.training.validation import Validation, inference_weights, validate

logger = logging.getLogger(__name__)

MAX_SKIPPED_IN_ROW = 5
"""Updates in a row that are not applied before a run goes back to its last checkpoint; the next time it gives up."""

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
        num_parameters = sum(math.prod(shape) for shape in model_shapes(config.model, *sizes).values())
        self._memory_budget = memory_budget(num_parameters, with_averages=training.ema_decay is not None)
        self.model = build_model(config.model, *sizes, dtype=training.precision)
        self._memory = UpdateMemory(config.model, num_parameters, training.num_passes())
        self.optimizer = configured_optimizer(training)
        objective = Objective(self.model, training.label_smoothing, training.r_drop)
        self.updater = Updater(objective, self.optimizer, training.clip_norm)
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
        self._models = BestModels(
            run_dir,
            config,
            num_pairs=len(dataset.corpus),
            num_parameters=num_parameters,
            example=dev_pairs[0].source,
        )
        self.saver = Saver(run_dir.metrics, self.state, lambda: self._models.remove_others(self.progress.kept_epochs()))
        self._saved_at = 0.0

    @property
    def progress(self) -> Progress:
        """How far training is."""
        return self.state.progress

    def describe(self) -> None:
        """Logs what is trained."""
        sizes = [f"{tokenizer.vocabulary_size:,}" for tokenizer in dict.fromkeys(self.tokenizers)]  # a joint one once
        logger.info(
            "model: %s parameters, vocabulary %s pieces; %s batches an epoch; %s backend",
            f"{self.model.count_params():,}",
            " and ".join(sizes),
            f"{len(self.dataset):,}",
            library_name(),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes to a checkpoint; the records of later epochs are forgotten."""
        self.state.restore(checkpoint)
        self.saver.forget_after(self.progress.epoch)
        self.limits.start(self.progress)

    def is_over(self) -> bool:
        """Returns whether epochs, updates, time or patience are used up, and the last epoch has been validated."""
        return self.progress.batch == 0 and self.limits.is_over(self.progress)

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
                is_over = False
                while not is_over:
                    self._train_epoch()
                    is_over = self._end_epoch()
                    self._leave_if_asked()
        finally:
            self.display.close()

    def owes_average(self) -> bool:
        """Returns whether there are best models that are to be averaged, and have not been."""
        epochs = self.progress.kept_epochs()[: self.config.training.average_best]
        return len(epochs) > 1 and epochs != self.progress.averaged_epochs

    def average(self) -> None:
        """Makes the mean of the best models the best one if dev finds it better.

        Raises:
            Stopped: A signal asked for it; resumed, the run does it again.
            FileError: What came of it can't be saved.
        """
        training, progress = self.config.training, self.progress
        progress.averaged_epochs = progress.kept_epochs()[: training.average_best]
        weights, epochs = self._models.mean_weights(progress.averaged_epochs)
        if len(epochs) > 1:
            with self.stop, self.stop.interruptible():
                translator = self._translator(weights)
                validation = self._validate(translator, progress.epoch, with_translations=True)
            value, loss = validation.value(training.metric), validation.loss
            is_best = progress.beats_best(value, loss)
            log_average(epochs, validation, is_best=is_best)
            if is_best:
                progress.best_value, progress.best_loss, progress.best_average = value, loss, sorted(epochs)
                self.saver.set_best(partial(self._models.save_best, translator, validation, epochs))
        else:
            logger.warning("fewer than two of the best models are left: there is no average")
        self._save(is_last=True)

    def _leave_if_asked(self) -> None:
        if self.stop.signal is None:
            return
        if not self.saver.is_current:
            self._save(is_last=True)
        self._tell_saved()
        self.stop.check()

    def _tell_saved(self) -> None:
        logger.info("saved after update %s", f"{self.progress.updates:,}")

    def _train_epoch(self) -> None:
        """Makes the updates of an epoch that are not made yet; at least one, unless a limit ended the epoch before."""
        progress = self.progress
        self.dataset.epoch = progress.epoch
        self.display.begin_epoch(progress)
        while progress.batch < len(self.dataset) and not (progress.batch and self.limits.is_reached(progress)):
            self.saver.is_current = False
            self._update()
            progress = self.progress  # another one if the run has gone back
            self._leave_if_asked()
            if self.display.is_due():
                rate = float(self.optimizer.learning_rate)
                self.display.show(progress, rate, self.limits.seconds_left(progress))
            if time.monotonic() - self._saved_at >= self.config.training.save_every_minutes * 60:
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
        budget = min(self.progress.memory_budget or sys.maxsize, self._memory_budget)
        parts = self._memory.parts(batch, budget)
        if len(parts) > 1 and self.progress.memory_budget != budget:
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
        before = self.progress
        problem = (
            f"training has diverged: {MAX_SKIPPED_IN_ROW} updates in a row had a loss or gradient that is no finite "
            f"number, the last after update {before.updates:,}"
        )
        checkpoint = None if before.num_rollbacks else self.state.newest()
        if checkpoint is None:
            raise TrainingError(
                f"{problem}. The run is as it was at its last checkpoint. {self.run_dir.skipped.path} names the pairs. "
                "Start a new run with a lower training.learning_rate or training.clip_norm."
            )
        self.restore(checkpoint)
        progress = self.progress
        progress.num_skipped, progress.num_skipped_in_row = before.num_skipped, 0
        progress.num_rollbacks = before.num_rollbacks + 1
        # A better model than any before the checkpoint stays the best: it has been validated.
        progress.best_epoch, progress.best_value = before.best_epoch, before.best_value
        progress.best_loss, progress.best_average = before.best_loss, before.best_average
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

    def _end_epoch(self) -> bool:
        """Validates, judges, records, saves; returns whether training is over.

        That is decided here once: the clock, asked again, might say otherwise.
        """
        training, progress = self.config.training, self.progress
        epoch = progress.epoch + 1
        if progress.batch < len(self.dataset):
            logger.info("a limit ends epoch %d after %d of %d batches", epoch, progress.batch, len(self.dataset))
        learning_rate = float(self.optimizer.learning_rate)
        is_last = self.limits.is_over(progress, epoch)
        try:
            with self.stop.interruptible():
                translator = self._translator()
                with_translations = is_last or epoch % training.validate_every_epochs == 0
                validation = self._validate(translator, epoch, with_translations=with_translations)
                is_last = self.limits.is_reached(progress) or is_last  # the clock is read in any case
                if is_last and not with_translations:  # the time has ended meanwhile
                    validation = self._validate(translator, epoch, with_translations=True)
        except Stopped:
            self._save(is_last=True)  # the epoch's updates are done, its validation is not
            self._tell_saved()
            raise
        progress.epoch = epoch
        if validation.translations or training.metric == "loss":
            self._judge(validation, translator)
        is_last = is_last or self.limits.has_ended(progress, epoch)
        record = epoch_record(progress, validation, learning_rate)
        log_epoch(record, validation, is_best=progress.best_epoch == epoch)
        warn_if_guessing_is_better(validation.loss, self.tokenizers[1].vocabulary_size)
        if validation.translations:
            log_samples(self.dev_pairs, validation.translations, training.num_sample_sentences)
        progress.begin_epoch()
        self.saver.add_record(record)
        self._save(is_last=is_last)
        self._curves.add(record)
        if progress.num_bad_validations == training.early_stopping_patience:
            logger.info("no better %s in %d validations: stopping", training.metric, progress.num_bad_validations)
        if is_last and epoch <= training.bidirectional_epochs:
            logger.warning(
                "a limit ends the run in epoch %d, while the other direction is still learned too. The model is better "
                "for some epochs without it: set training.bidirectional_epochs lower",
                epoch,
            )
        return is_last

    def _translator(self, weights: dict[str, NDArray[np.float32]] | None = None) -> Translator:
        """Returns the model of the moment, or one of these weights, ready to translate."""
        config = self.config
        model = numpy_model(config.model, weights or inference_weights(self.model, self.optimizer))
        languages = config.source_language, config.target_language
        return Translator(model, *self.tokenizers, *languages, config.decoding)

    def _validate(self, translator: Translator, epoch: int, *, with_translations: bool) -> Validation:
        try:
            return validate(translator, self.dev_pairs, with_translations=with_translations)
        except ModelFileError as error:
            raise TrainingError(
                f"training has diverged in epoch {epoch}: {error} Start a new run with a lower training.learning_rate."
            ) from error

    def _judge(self, validation: Validation, translator: Translator) -> None:
        """Keeps the model if it is the best so far; cuts the learning rate if the schedule says so."""
        training, progress = self.config.training, self.progress
        value, loss, epoch = validation.value(training.metric), validation.loss, progress.epoch
        if training.average_best > 1 and progress.keep_model(value, loss, training.average_best):
            save = partial(self._models.keep, translator, validation, epoch)
            self.saver.set_kept(epoch, save, progress.kept_epochs())
        # Of equal scores, such as the zeros of the first epochs, the lower loss decides.
        if progress.beats_best(value, loss):
            progress.best_value, progress.best_loss, progress.best_epoch = value, loss, epoch
            progress.best_average = []
            progress.num_bad_validations = progress.num_bad_since_cut = 0
            self.saver.set_best(partial(self._models.save_best, translator, validation, [epoch]))
            return
        if epoch <= training.bidirectional_epochs:  # the other direction is learned too: this one may stand still
            return
        progress.num_bad_validations += 1
        progress.num_bad_since_cut += 1
        if training.schedule.type == "plateau" and progress.num_bad_since_cut >= training.schedule.patience:
            progress.num_bad_since_cut = 0
            scale = self.optimizer.rate_scale
            before = float(scale)
            cut = max(before * training.schedule.factor, training.schedule.floor)
            scale.assign(min(cut, before))  # after divergence it may be below the floor already
            if float(scale) < before:
                logger.info("learning rate cut to %.2e", float(self.optimizer.learning_rate))

    def _save(self, *, is_last: bool = False) -> None:
        """Saves what is new, but not within a row of updates that were left out: the run may have to go back."""
        self._saved_at = time.monotonic()
        if is_last or not self.progress.num_skipped_in_row:
            self.saver.save(is_last=is_last)
