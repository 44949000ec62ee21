"""Calls of the system that fail when a test says so."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nmt import name_exchange

CHANGING = ("write", "mkdir", "rename", "replace", "fchmod", "unlink", "rmdir", "ftruncate", "fsync", "exchange_names")
READING = ("open", "close", "stat", "lstat", "fstat", "listdir", "scandir", "pread")
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES)


class Faults:
    """Counts calls, and lets some of them fail.

    Attributes:
        num_calls: How many there were so far.
        hit: The call that failed first; None if none has.
    """

    def __init__(self, fail_at: int, error: BaseException, names: tuple[str, ...], *, forever: bool) -> None:
        self.num_calls = 0
        self.hit: str | None = None
        self._fail_at = fail_at
        self._error = error
        self._names = names
        self._forever = forever

    def call(self, name: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if name not in self._names:
            return real(*args, **kwargs)
        self.num_calls += 1
        if self.num_calls < self._fail_at or (self.num_calls > self._fail_at and not self._forever):
            return real(*args, **kwargs)
        if name == "close" and isinstance(self._error, OSError):
            real(*args, **kwargs)  # a close that fails has closed the descriptor
        self.hit = self.hit or name
        raise type(self._error)(*self._error.args)


@contextlib.contextmanager
def faults(
    fail_at: int, error: BaseException, names: tuple[str, ...] = (*CHANGING, *READING), *, forever: bool = False
) -> Iterator[Faults]:
    """Lets a call of the system fail within the block.

    Args:
        fail_at: Which one, from 1.
        error: What it raises.
        names: The calls that are counted and may fail.
        forever: Whether all later ones fail too.
    """
    counted = Faults(fail_at, error, names, forever=forever)
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in (*CHANGING, *READING):
            place: Any = name_exchange if name == "exchange_names" else os
            monkeypatch.setattr(place, name, functools.partial(counted.call, name, getattr(place, name)))
        yield counted


def system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
