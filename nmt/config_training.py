"""The section `training` of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nmt.config_corpora import Section

_KEYS_OF_TYPE = {
    "constant": {"warmup_updates"},
    "inverse_sqrt": {"warmup_updates", "decay_updates", "floor"},
    "cosine": {"warmup_updates", "decay_updates", "floor"},
    "plateau": {"warmup_updates", "factor", "patience", "floor"},
}
"""Which keys each type of schedule has."""


class ScheduleConfig(Section):
    """Learning rate over the updates."""

    type: Literal["constant", "inverse_sqrt", "cosine", "plateau"] = Field(
        "inverse_sqrt", description="Shape after the warm-up; `plateau` cuts the rate when the chosen metric stalls."
    )
    warmup_updates: int = Field(200, ge=0, description="Updates of linear warm-up.")
    decay_updates: int = Field(
        2000,
        ge=1,
        description="`cosine`: updates from the warm-up to the floor. "
        "`inverse_sqrt`: updates at the peak before it falls.",
    )
    factor: float = Field(0.5, gt=0, lt=1, description="`plateau`: the rate is multiplied by this.")
    patience: int = Field(2, ge=1, description="`plateau`: validations without improvement before a cut.")
    floor: float = Field(0.0, ge=0, le=1, description="Lowest rate, as a fraction of the peak; not of `constant`.")

    def problem(self) -> str | None:
        """Returns which values are set that this type does not have, or None."""
        # What is written of a configuration has all values: those that are the defaults may be nobody's choice.
        values = self.model_dump(exclude={"type"})
        is_set = {name for name, value in values.items() if value != type(self).model_fields[name].default}
        if not (unused := sorted(is_set - _KEYS_OF_TYPE[self.type])):
            return None
        kept = {name: value for name, value in values.items() if name in is_set & _KEYS_OF_TYPE[self.type]}
        section = ", ".join([f"type: {self.type}", *(f"{name}: {value}" for name, value in kept.items())])
        return (
            f"schedule: `{self.type}` has no {' and no '.join(unused)}. "
            f"Received: {', '.join(f'{name}={values[name]}' for name in unused)}. "
            f"Leave it out, or give the section anew: --set 'training.schedule={{{section}}}'."
        )


class TrainingConfig(Section):
    """Optimisation, validation and stopping."""

    optimizer: Literal["adam", "adamw", "rmsprop"] = Field("adam", description="Update rule.")
    learning_rate: float = Field(0.001, gt=0, le=10, description="Peak learning rate.")
    weight_decay: float = Field(0.01, ge=0, lt=1, description="Decoupled weight decay; `adamw` alone uses it.")
    clip_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this global norm.")
    schedule: ScheduleConfig = Field(default_factory=ScheduleConfig, description="Learning rate over the updates.")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Probability mass spread over the whole vocabulary.")
    r_drop: float = Field(
        0.0, ge=0, le=100, description="R-Drop: weight of how far two passes disagree; twice the work. 0: off."
    )
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Decay an update of the averaged weights that are validated and saved; null: off."
    )
    precision: Literal["auto", "float32", "mixed_bfloat16"] = Field(
        "float32", description="Arithmetic of the layers' products; auto: bfloat16 where this machine is faster in it."
    )
    max_epochs: int = Field(30, ge=1, description="Most passes over the training data.")
    bidirectional_epochs: int = Field(
        0, ge=0, description="First epochs: every other batch goes from target to source; needs `tokenizer.joint`."
    )
    max_updates: int | None = Field(None, ge=1, description="Most optimizer updates; null: no limit.")
    max_minutes: float | None = Field(None, gt=0, description="Most minutes of training; null: no limit.")
    validate_every_epochs: int = Field(1, ge=1, description="Epochs between two translations of the dev corpora.")
    metric: Literal["bleu", "chrf", "loss"] = Field("bleu", description="Dev metric that chooses the best model.")
    early_stopping_patience: int | None = Field(
        5, ge=1, description="Validations without improvement before training stops; null: never."
    )
    average_best: int = Field(
        1,
        ge=1,
        le=100,
        description="Best models whose weights are averaged at the end; dev decides if the mean is kept. 1: off.",
    )
    num_sample_sentences: int = Field(3, ge=0, le=100, description="Dev sentences shown with their translations.")
    save_every_minutes: float = Field(
        5.0, ge=0, description="Most minutes between two checkpoints; each epoch ends with one. 0: after every update."
    )
    keep_checkpoints: int = Field(2, ge=1, description="Newest checkpoints kept for resuming.")

    def problems(self) -> list[str]:
        """Returns what does not go together, each beginning with the key's name."""
        found = [problem] if (problem := self.schedule.problem()) else []
        if self.optimizer != "adamw" and self.weight_decay not in (0, type(self).model_fields["weight_decay"].default):
            found.append(
                f"weight_decay: `adamw` alone has it. Received: {self.weight_decay}, with optimizer: {self.optimizer}. "
                "Set it to 0, or optimizer to `adamw`."
            )
        return found

    def num_passes(self) -> int:
        """Returns how often an update goes through each pair."""
        return 2 if self.r_drop else 1
