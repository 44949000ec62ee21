"""The commands: what each takes, and which part of the package does it. No logic of its own.

Everything but Typer is imported inside the commands, each only what it needs: Keras alone takes seconds, and `--help`
or a misspelt option should be answered at once. Errors that a person can mend end here as one message and a status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


def _examples(*lines: str) -> str:
    """Returns an epilog with one command a line; Typer joins lines that no blank line parts."""
    return "[bold]Examples[/]\n\n" + "\n\n".join(f"  {line}" for line in lines)
