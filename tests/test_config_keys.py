"""Keys of a configuration: which were given, and copies with other values."""

from __future__ import annotations

from typing import Any

import pytest

from nmt.config import validate
from nmt.config_keys import given, leaves, with_values
from nmt.errors import ConfigError

PHRASEBOOK = {"type": "phrasebook"}
TREE: dict[str, Any] = {
    "source_language": "en", "target_language": "fr", "data": {"train": PHRASEBOOK, "dev": PHRASEBOOK},
}  # fmt: skip


def test_what_was_given_is_known_also_where_it_is_the_default() -> None:
    config = validate({**TREE, "seed": 1, "training": {"schedule": {"warmup_updates": 7}}, "model": {}}, "test")
    found = given(config)
    assert sorted(found) == [
        "data.dev", "data.train", "seed", "source_language", "target_language", "training.schedule.warmup_updates",
    ]  # fmt: skip
    assert (found["seed"], found["training.schedule.warmup_updates"]) == (1, 7)


def test_a_copy_has_other_values_and_all_are_given() -> None:
    config = validate(TREE, "test")
    copy = with_values(config, {"training.schedule.warmup_updates": 7, "model.decoder": "input_feeding"})
    assert copy.training.schedule.warmup_updates == 7
    assert config.training.schedule.warmup_updates == 200
    differing = {key for key, value in leaves(copy.model_dump()).items() if value != leaves(config.model_dump())[key]}
    assert differing == {"training.schedule.warmup_updates", "model.decoder"}
    assert given(copy).keys() == leaves(copy.model_dump()).keys()
    assert with_values(config, {}) == config


def test_a_copy_is_held_to_the_schema() -> None:
    with pytest.raises(ConfigError, match=r"tied_embeddings: `all` needs one joint vocabulary"):
        with_values(validate(TREE, "test"), {"tokenizer.joint": False})
