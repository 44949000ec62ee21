"""What is wrong with a tree of values, in words for the person who wrote it.

Turns the errors of any pydantic schema into lines of path, rule and what was received. This module knows pydantic,
nothing of the schemas that it speaks about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import pydantic
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from nmt.errors import did_you_mean

MAX_SHOWN_CHARACTERS = 80
MAX_SHOWN_PROBLEMS = 20

_RULES = {
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "model_attributes_type": "must be a section of keys and values",
    "model_type": "must be a section of keys and values",
    "string_too_short": "must not be empty",
    "string_type": "must be text; put it in quotes if it is meant as such",
    "too_short": "must not be empty",
}
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_RANGE_KINDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def describe(error: pydantic.ValidationError, root: type[BaseModel]) -> list[str]:
    r"""Returns the problems of a failed validation, a line each; of very many the first, and a line for the others.

    Args:
        error: What `root.model_validate` raised.
        root: The schema.

    Example:
        >>> class Search(BaseModel, extra="forbid"):
        ...     beam_size: int = pydantic.Field(5, ge=1)
        >>> try:
        ...     Search.model_validate({"beam_sise": 4, "beam_size": 0})
        ... except pydantic.ValidationError as error:
        ...     print("\n".join(describe(error, Search)))
        beam_size: must be >= 1. Received: 0
        beam_sise: unknown key. Did you mean `beam_size`?
    """
    problems = error.errors(include_url=False)
    lines = [line for problem in problems[:MAX_SHOWN_PROBLEMS] for line in _describe_one(problem, root).split("\n")]
    num_others = len(problems) - MAX_SHOWN_PROBLEMS
    return [*lines, f"and {num_others:,} more"] if num_others > 0 else lines


def bounds(field: FieldInfo) -> str:
    """Returns the range of a number, such as `>= 0 and < 1`; empty if it has none.

    Args:
        field: Field of a schema.
    """
    limits = [(sign, getattr(rule, name, None)) for rule in field.metadata for name, sign in _SIGNS.items()]
    return " and ".join(f"{sign} {limit:,}" for sign, limit in limits if limit is not None)


def shown(value: object) -> str:
    r"""Returns a value as it stands in a message: on one line, printable, shortened where it is long.

    Args:
        value: Whatever was received.

    Example:
        >>> shown("a\nb"), shown(True), shown(None)
        ("'a\\nb'", 'true', 'null')
    """
    text = str(value).lower() if isinstance(value, bool) else "null" if value is None else repr(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[: MAX_SHOWN_CHARACTERS - 3]}..."


def tagged_sections(field: FieldInfo) -> dict[str, type[BaseModel]]:
    """Returns the sections that a field accepts, by their `type`; empty if the field is no such choice.

    Args:
        field: Field of a schema.
    """
    tags = {
        section: get_args(section.model_fields["type"].annotation)
        for section in _sections(field.annotation)
        if "type" in section.model_fields
    }
    return {tag[0]: section for section, tag in tags.items() if len(tag) == 1}


def _sections(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]


def _describe_one(problem: Any, root: type[BaseModel]) -> str:
    path, section, field = _locate(problem["loc"], root)
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{path}: unknown key. {did_you_mean(str(problem['loc'][-1]), section.model_fields)}"
    if kind == "value_error":
        return f"{path}: {context['error']}" if path else str(context["error"])
    if kind == "missing" and field is not None:
        return f"{path}: missing. Add it: {field.description}"
    if kind in ("union_tag_not_found", "union_tag_invalid") and field is not None:
        known = tagged_sections(field)
        if kind == "union_tag_not_found":
            return f"{path}.type: missing. It must be one of {', '.join(known)}."
        return f"{path}.type: unknown. Received: {shown(value['type'])}. {did_you_mean(str(value['type']), known)}"
    if kind in _RANGE_KINDS and field is not None:
        return f"{path}: must be {bounds(field)}. Received: {shown(value)}"
    rule = _RULES[kind].format(**context) if kind in _RULES else problem["msg"]
    return f"{path or 'configuration'}: {rule}. Received: {shown(value)}"


def _locate(loc: Sequence[str | int], root: type[BaseModel]) -> tuple[str, type[BaseModel], FieldInfo | None]:
    """Returns the dotted path of a problem, the section that its last key lies in, and that key's field."""
    path, section = "", root
    field: FieldInfo | None = None
    is_in_list = False
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif is_in_list and field is not None:
            section, field = tagged_sections(field)[part], None  # not a key, but pydantic's tag of the union's member
        else:
            inner = _sections(field.annotation) if field is not None else []
            section = inner[0] if inner else section
            field = section.model_fields.get(part)
            name = part if part.isprintable() and len(part) <= MAX_SHOWN_CHARACTERS else shown(part)
            path += f".{name}" if path else name
        is_in_list = isinstance(part, int)
    return path, section, field
