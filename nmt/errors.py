"""The errors a user can cause, and the hint that names what they may have meant.

Every message says what is wrong, the rule, what was received, and what to do next. The command line prints it as one
message without a traceback and ends with `exit_status`. This module knows nothing of the rest of the package.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MAX_NAMES = 30
_MAX_NAME_LENGTH = 80


class NMTError(Exception):
    """A mistake in what the user gave: a command, a file, a configuration. Base of all errors raised on purpose.

    Attributes:
        exit_status: The status that the command line ends with.
    """

    exit_status = 2


class ConfigError(NMTError):
    """The configuration breaks its schema; the message lists every problem at once."""


class CorpusError(NMTError):
    """A corpus is missing, unreadable, misaligned or empty."""


class TokenizerError(NMTError):
    """A tokenizer can't be trained from, or loaded from, what was given."""


class FileError(NMTError):
    """A file or folder can't be read or written: a full disk, a read-only folder, a wrong path."""


class ModelFileError(NMTError):
    """A model folder is missing, damaged, from elsewhere or of a newer format."""


class RunDirectoryError(NMTError):
    """A run directory exists already, is locked, damaged or unwritable."""


class InputError(NMTError):
    """Text or options given to a command or a Python call break a rule."""


class TrainingError(NMTError):
    """Training can't go on: the loss is not a finite number, or nothing is left to train on."""

    exit_status = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    r"""Returns a hint that names the nearest known name, or lists what is known, on one line.

    Args:
        name: What was received.
        known: The names that would have been accepted. They may come from a file, so of very many the first are looked
            at, of long ones the beginning is shown, and a line break is shown as `\n`.

    Example:
        >>> did_you_mean("beam_sise", ["beam_size", "batch_size"])
        'Did you mean `beam_size`?'
        >>> did_you_mean("zzz", ["bleu", "chrf"])
        'Known: bleu, chrf.'
    """
    candidates = sorted(known)
    comparable = [candidate for candidate in candidates[:1000] if len(candidate) <= _MAX_NAME_LENGTH]
    nearest = difflib.get_close_matches(name[: _MAX_NAME_LENGTH + 1], comparable, n=1, cutoff=0.6)
    if nearest:
        return f"Did you mean `{_shown(nearest[0])}`?"
    others = f" and {len(candidates) - _MAX_NAMES:,} more" if len(candidates) > _MAX_NAMES else ""
    return f"Known: {', '.join(map(_shown, candidates[:_MAX_NAMES]))}{others}."


def _shown(name: str) -> str:
    shown = name if name.isprintable() else repr(name)[1:-1]
    return shown if len(shown) <= _MAX_NAME_LENGTH else f"{shown[: _MAX_NAME_LENGTH - 3]}..."
