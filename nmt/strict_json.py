"""JSON from strangers: refused where two readers could differ over it.

Duplicate keys and numbers that are not finite are refused; so is what is nested too deeply to be read. This module
knows nothing of what the JSON means.
"""

from __future__ import annotations

import json
import math
from typing import Any

_MAX_DIGITS = 100


def parse(content: bytes) -> Any:
    """Returns the plain values that one JSON document in UTF-8 stands for.

    Args:
        content: The document. Its size is for the caller to bound.

    Raises:
        ValueError: It is not JSON, or uses what is refused here; the message is one line.

    Example:
        >>> parse(b'{"a": [1, null]}')
        {'a': [1, None]}
        >>> parse(b'{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ...
        ValueError: duplicate key 'a'
    """
    try:
        text = content.decode("utf-8")
        return json.loads(
            text, object_pairs_hook=_unique, parse_int=_whole, parse_float=_finite, parse_constant=_refuse
        )
    except UnicodeDecodeError as error:
        raise ValueError(f"invalid UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"duplicate key {name[:100]!a}")
            seen.add(name)
    return tree


def _whole(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a whole number has at most {_MAX_DIGITS} digits, received {len(digits):,}")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:100]} is too large")
    return number


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")
