"""Configurations as dotted keys: which of them were given, what others would make of it.

This module knows the configuration's tree, not what a key means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from nmt.config import Config, validate


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the values of a tree of mappings by dotted key.

    Example:
        >>> leaves({"seed": 1, "training": {"schedule": {"type": "cosine"}}})
        {'seed': 1, 'training.schedule.type': 'cosine'}
    """
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= leaves(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def given(section: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Returns the values that were given and are no defaults, by dotted key.

    Args:
        section: A configuration as it was loaded, or a section of it.
        prefix: What its keys begin with.
    """
    found: dict[str, Any] = {}
    for name in type(section).model_fields:
        if name in section.model_fields_set:
            value = getattr(section, name)
            is_section = isinstance(value, BaseModel)
            found |= given(value, f"{prefix}{name}.") if is_section else {f"{prefix}{name}": value}
    return found


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """Returns a copy with other values, by dotted key, in which every value counts as given.

    Raises:
        ConfigError: They break the schema.
    """
    tree = config.model_dump()
    for key, value in values.items():
        *path, name = key.split(".")
        node = tree
        for part in path:
            node = node[part]
        node[name] = value
    return validate(tree, "configuration")
