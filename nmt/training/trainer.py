"""The composition root of training: from a configuration and a run directory to a trained model.

Here, and nowhere else, the parts meet: tokenizer, batches, model, optimizer, callbacks, validation, files.
What each of them does is decided in its own module.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from typing import Any

import keras
from rich.console import Console

from nmt import files
from nmt.backend import library_name
from nmt.config import Config
from nmt.data.dataset import ParallelDataset
from nmt.decoding.translator import Translator
from nmt.evaluation import report
from nmt.loading import build_model, load, numpy_model, save
from nmt.model_card import CardScore, model_card
from nmt.run_dir import RunDirectory
from nmt.terminal import printable
from nmt.text.corpus import SentencePair
from nmt.text.lines import single_line
from nmt.text.tokenizer import Tokenizer
from nmt.training.callbacks import Clock, Display, EpochEnd, duration, peak_memory_gb
from nmt.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from nmt.training.objective import Objective
from nmt.training.precision import choose_precision
from nmt.training.preparation import Pairs, configured_optimizer, load_tokenizers, make_batches, read_pairs
from nmt.training.validation import Validation, inference_weights, validate

logger = logging.getLogger(__name__)

NUM_TEST_SAMPLES = 10


def train(
    config: Config,
    run_dir: RunDirectory,
    *,
    pairs: Pairs | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> None:
    """Trains a model and leaves the best one, by the chosen dev metric, in `run_dir.best`.

    Args:
        config: What to train on and how.
        run_dir: Folder of the run; the caller holds its lock.
        pairs: What `read_pairs(config)` gave, for a caller that reads them first; read here by default. Text of
            training pairs that it holds is released.
        resume: Whether to go on from the newest checkpoint there, with the tokenizer there.
        console: Where progress is shown; standard output by default.

    Raises:
        NMTError: Something in the corpora, the folder or the course of training breaks a rule; the message tells.
    """
    keras.utils.set_random_seed(config.seed)
    training_pairs, dev_pairs, test_pairs = pairs or read_pairs(config)
    source, target = load_tokenizers(config, run_dir, training_pairs)
    dataset = make_batches(config, run_dir, training_pairs, source, target)
    training_pairs.release()
    run = _Run(config, run_dir, dataset, source, target, dev_pairs)
    run.describe()
    if resume:
        run.resume()
    run.fit(console or Console())
    run.report(test_pairs)


class _Run:
    """A model in training, with what an epoch's end needs."""

    def __init__(
        self,
        config: Config,
        run_dir: RunDirectory,
        dataset: ParallelDataset,
        source_tokenizer: Tokenizer,
        target_tokenizer: Tokenizer,
        dev_pairs: list[SentencePair],
    ) -> None:
        self.config = config
        self.run_dir = run_dir
        self.dataset = dataset
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.dev_pairs = dev_pairs
        self.progress = Progress()
        sizes = source_tokenizer.vocabulary_size, target_tokenizer.vocabulary_size
        self.model = build_model(config.model, *sizes, dtype=choose_precision(config.training.precision))
        self.objective = Objective(self.model, config.training.label_smoothing)
        self.optimizer = configured_optimizer(config.training)
        self.optimizer.build(self.objective.trainable_variables)
        # TensorFlow: with XLA each length of source and target would be compiled anew.
        self.objective.compile(optimizer=self.optimizer, jit_compile=library_name() == "jax")

    def _translator(self) -> Translator:
        """Returns the model of the moment, ready to translate."""
        config = self.config
        model = numpy_model(config.model, inference_weights(self.model, self.optimizer))
        languages = config.source_language, config.target_language
        return Translator(model, self.source_tokenizer, self.target_tokenizer, *languages, config.decoding)

    @property
    def _variables(self) -> list[keras.Variable]:
        return [*self.objective.variables, *self.optimizer.variables]

    def describe(self) -> None:
        vocabularies = f"{self.target_tokenizer.vocabulary_size:,}"
        if self.source_tokenizer is not self.target_tokenizer:
            vocabularies = f"{self.source_tokenizer.vocabulary_size:,} and {vocabularies}"
        logger.info(
            "model: %s parameters, vocabulary %s pieces; %s batches an epoch; %s backend",
            f"{self.model.count_params():,}",
            vocabularies,
            f"{len(self.dataset):,}",
            library_name(),
        )

    def resume(self) -> None:
        progress = load_checkpoint(self.run_dir.checkpoints, self._variables)
        if progress is None:
            logger.warning("no checkpoint in %s yet: training starts from the beginning", self.run_dir.path)
            self.run_dir.write_metrics([])
            return
        self.progress = progress
        records = self.run_dir.read_metrics()
        self.run_dir.write_metrics([record for record in records if record["epoch"] <= progress.epoch])
        logger.info("resuming after epoch %d, update %s", progress.epoch, f"{progress.updates:,}")

    def fit(self, console: Console) -> None:
        training = self.config.training
        self.clock = Clock(self.progress, self.dataset, training.max_updates, training.max_minutes)
        if self._is_over():
            logger.info("training was finished already, after epoch %d", self.progress.epoch)
            return
        display = Display(self.clock, training.max_epochs, console)
        callbacks = [self.clock, display, EpochEnd(self._end_epoch), *self._tensorboard()]
        try:
            self.objective.fit(
                self.dataset,
                initial_epoch=self.progress.epoch,
                epochs=training.max_epochs,
                shuffle=False,
                verbose=0,
                callbacks=callbacks,
            )
        finally:
            display.close()

    def _tensorboard(self) -> list[keras.callbacks.Callback]:
        if importlib.util.find_spec("tensorboard") is None or importlib.util.find_spec("tensorflow") is None:
            return []
        return [keras.callbacks.TensorBoard(str(self.run_dir.tensorboard), write_graph=False)]

    def _is_over(self) -> bool:
        """Returns whether updates, time, epochs or patience are used up."""
        training, progress = self.config.training, self.progress
        patience = training.early_stopping_patience
        return (
            self.clock.is_over()
            or progress.epoch >= training.max_epochs
            or (patience is not None and progress.num_bad_validations >= patience)
        )

    def _end_epoch(self, logs: dict[str, Any]) -> bool:
        """Validates, records, saves; returns whether training is over."""
        training, progress = self.config.training, self.progress
        learning_rate = float(self.optimizer.learning_rate)
        with_translations = self._is_over() or progress.epoch % training.validate_every_epochs == 0
        translator = self._translator()
        validation = validate(translator, self.dev_pairs, with_translations=with_translations)
        if self._is_over() and not with_translations:  # the time has ended meanwhile
            validation = validate(translator, self.dev_pairs, with_translations=True)
        if validation.translations or training.metric == "loss":
            self._judge(validation, translator)
        is_over = self._is_over()
        record: dict[str, Any] = {
            "epoch": progress.epoch,
            "updates": progress.updates,
            "seconds": round(progress.seconds, 1),
            "loss": logs["loss"],
            "perplexity": math.exp(min(logs["nll"], 700.0)),
            "learning_rate": learning_rate,
            "gradient_norm": float(self.optimizer.gradient_norm),
            "tokens_per_second": self.clock.tokens_per_second,
            "peak_memory_gb": peak_memory_gb(),
            "validation_loss": validation.loss,
            "validation_perplexity": validation.perplexity,
            **{name: score.score for name, score in validation.scores.items()},
        }
        logs.update({name: value for name, value in record.items() if name not in logs})
        self.run_dir.append_metrics(record)
        self._log(record, validation)
        save_checkpoint(self.run_dir.checkpoints, self._variables, progress, training.keep_checkpoints)
        if progress.num_bad_validations == training.early_stopping_patience:
            logger.info("no better %s in %d validations: stopping", training.metric, progress.num_bad_validations)
        return is_over

    def _judge(self, validation: Validation, translator: Translator) -> None:
        """Keeps the model if it is the best so far; cuts the learning rate if the schedule says so."""
        training, progress = self.config.training, self.progress
        value = validation.value(training.metric)
        if progress.best_value is None or value > progress.best_value:
            progress.best_value, progress.best_epoch = value, progress.epoch
            progress.num_bad_validations = progress.num_bad_since_cut = 0
            self._save_best(translator, [_card_score("dev", score) for score in validation.scores.values()])
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

    def _save_best(self, translator: Translator, scores: list[CardScore]) -> None:
        card = model_card(
            name=self.run_dir.path.name,
            source_language=self.config.source_language,
            target_language=self.config.target_language,
            training_data=[
                f"{len(self.dataset.corpus):,} {self.config.source_language}-{self.config.target_language} pairs"
            ],
            sizes=[
                ("parameters", f"{self.model.count_params():,}"),
                ("target vocabulary", f"{self.target_tokenizer.vocabulary_size:,} pieces"),
                ("epochs", str(self.progress.epoch)),
            ],
            scores=scores,
            example=self.dev_pairs[0].source,
        )
        save(translator, self.run_dir.best, model=self.config.model, card=card)

    def _log(self, record: dict[str, Any], validation: Validation) -> None:
        scores = "".join(f"  {score.name} {score.score:.2f}" for score in validation.scores.values())
        logger.info(
            "epoch %d  loss %.3f  dev perplexity %.2f%s  %s tokens/s  %s%s",
            record["epoch"],
            record["loss"],
            validation.perplexity,
            scores,
            f"{record['tokens_per_second']:,.0f}",
            duration(record["seconds"]),
            "  (best)" if self.progress.best_epoch == record["epoch"] else "",
        )
        if validation.translations:
            for number in range(min(self.config.training.num_sample_sentences, len(self.dev_pairs))):
                _log_sample(self.dev_pairs[number], validation.translations[number])

    def report(self, test_pairs: list[SentencePair]) -> None:
        """Translates the test corpora once, with the best model."""
        if self.progress.best_epoch == 0:
            return
        logger.info(
            "best model: epoch %d, %s %.2f, in %s",
            self.progress.best_epoch,
            self.config.training.metric,
            abs(self.progress.best_value or 0.0),
            self.run_dir.best,
        )
        if not test_pairs:
            return
        translator = load(self.run_dir.best)
        translations = [one.text for one in translator.translate([pair.source for pair in test_pairs])]
        references = [pair.target for pair in test_pairs]
        folder = self.run_dir.path / "test"
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
            files.write_text(temporary / "report.json", result.to_json())
        for number in range(min(NUM_TEST_SAMPLES, len(test_pairs))):
            _log_sample(test_pairs[number], translations[number])
        logger.info("test corpora, %s sentences:\n%s", f"{len(test_pairs):,}", result.to_text())


def _card_score(data: str, score: Any) -> CardScore:
    return CardScore(data, score.name, score.score, score.signature)


def _log_sample(pair: SentencePair, translation: str) -> None:
    logger.info(
        "  source      %s\n  translation %s\n  reference   %s",
        printable(pair.source),
        printable(translation),
        printable(pair.target),
    )
