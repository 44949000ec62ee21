"""YAML without its surprises, as configurations need it.

Scalars are those of YAML 1.2: `no` and `on` are text, `1e-3` is a number, `010`, `1:30` and `2024-01-01` are text.
Duplicate keys, anchors, aliases, merge keys and tags are refused, and what is nested deeper than any configuration: a
short text can't stand for a large tree. The size of the text is for the caller to bound. This module knows nothing of
the configuration's schema.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

MAX_DEPTH = 20
"""How deep lists and mappings may lie in one another."""

_MAX_DIGITS = 100
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBER_STARTS = list("-+.0123456789")
_LINE_BREAK = re.compile("[\n\r\x85\u2028\u2029]")
_SCALARS: tuple[tuple[str, str, list[str]], ...] = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", _NUMBER_STARTS),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+", _NUMBER_STARTS),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012  (PyYAML's way: add_implicit_resolver fills the class's own table)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it bare
        if isinstance(event, yaml.AliasEvent):
            raise _problem("aliases are not allowed; write the value out", event)
        if getattr(event, "anchor", None) is not None:
            raise _problem(f"anchors are not allowed; remove `&{_short(event.anchor)}`", event)
        if getattr(event, "tag", None) is not None:
            raise _problem(f"tags are not allowed; remove `{_short(event.tag)}`", event)
        if isinstance(event, yaml.CollectionStartEvent) and self._depth == MAX_DEPTH:
            raise _problem(f"it is nested too deeply; the limit is {MAX_DEPTH} levels", event)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise _problem("keys must be plain names", key)
            if key.value == "<<" and key.style is None:
                raise _problem("merge keys are not allowed; write the keys out", key)
            if key.value in seen:
                raise _problem(f"duplicate key `{_short(key.value)}`; keep one of them", key)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or 1.2 would read as something else."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # In any other style PyYAML folds U+0085, U+2028 and U+2029 into spaces; a plain `<<` would be a merge key.
        is_quoted = _LINE_BREAK.search(data) or data == "<<"
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if is_quoted else None)

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True  # the same list twice is written twice: aliases would be refused


_Dumper.add_representer(str, _Dumper.represent_str)
for _name, _pattern, _starts in _SCALARS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), _starts)


def _problem(message: str, place: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    mark: Any = place.start_mark
    return yaml.MarkedYAMLError(problem=message, problem_mark=mark)


def _check_scalar(node: yaml.ScalarNode) -> None:
    if node.tag == "tag:yaml.org,2002:int" and len(node.value) > _MAX_DIGITS:
        raise _problem(f"a whole number has at most {_MAX_DIGITS} digits", node)
    if _SURROGATE.search(node.value):
        raise _problem("half a surrogate pair is no character; write the character itself", node)


def parse(text: str) -> Any:
    """Returns the plain values that one YAML document stands for: dict, list, str, int, float, bool and None.

    Args:
        text: One YAML document.

    Raises:
        ValueError: The text is not YAML, or uses what is refused here; the message is one line and names the line.

    Example:
        >>> parse("{language: no, rate: 1e-3, joint: true}")
        {'language': 'no', 'rate': 0.001, 'joint': True}
        >>> parse("{a: 1, a: 2}")
        Traceback (most recent call last):
        ...
        ValueError: line 1: duplicate key `a`; keep one of them
    """
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ValueError(f"line {line}: the character U+{error.character:04X} is not allowed in YAML") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        starts_midway = (error.problem or "").startswith("but ")
        problem = f"{error.context} {error.problem}" if starts_midway else error.problem or error.context
        raise ValueError(f"{_line(mark)}{_short(problem, 200)}") from None
    except (ValueError, OverflowError):  # PyYAML converts escapes and versions without a look at their size
        raise ValueError(f"{_line(loader)}a number or an escape such as `\\U00110000` is too large") from None


def _short(text: str | None, size: int = 80) -> str:
    text = text or ""
    return text if len(text) <= size else f"{text[: size - 3]}..."


def _line(place: Any) -> str:
    return "" if place is None else f"line {place.line + 1}: "


def render(tree: Any) -> str:
    """Returns YAML that `parse` reads back to an equal tree.

    Args:
        tree: Plain values; the order of keys is kept.

    Example:
        >>> print(render({"language": "no", "rate": 0.00001}), end="")
        language: 'no'
        rate: 1.0e-05
    """
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
