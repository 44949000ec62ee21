"""Another system beside ours, in turn on one machine: only the ratio of neighbours is worth quoting.

The other system is a command that prints its figure as a JSON object on a line of its own; this module knows nothing
else of it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.spread import Spread
from nmt.errors import InputError

SHOWN_CHARACTERS = 500
"""Of what a command has written last, when it has failed."""


def compare(command: Sequence[str], ours: Callable[[], float], figure: str, num_repeats: int) -> dict[str, Any]:
    """Runs a command and our own measurement in turn.

    Args:
        command: Program and arguments of the other system.
        ours: Measures our figure.
        figure: Name of the figure in the command's JSON object; higher is better.
        num_repeats: Pairs of runs.

    Returns:
        The figures of all runs, their spreads, and the spread of the ratios of ours to the other's, pair by pair.

    Raises:
        InputError: The command can't be run, fails or prints no such figure.
    """
    theirs, own, answers = [], [], []
    for _ in range(num_repeats):
        answers.append(run(command, figure))
        theirs.append(float(answers[-1][figure]))
        own.append(ours())
    return {
        "figure": figure,
        "command": list(command),
        "rival": Spread.of(theirs),
        "ours": Spread.of(own),
        "ratio": Spread.of(mine / other for mine, other in zip(own, theirs, strict=True)),
        "runs": [{"rival": other, "ours": mine} for mine, other in zip(own, theirs, strict=True)],
        "rival_answers": answers,
    }


def run(command: Sequence[str], figure: str) -> dict[str, Any]:
    """Runs the other system once and returns the JSON object that holds its figure, the last if there are several.

    Raises:
        InputError: It can't be run, fails or prints no such object.
    """
    words = " ".join(command)
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 (the user's own command)
    except OSError as error:
        raise InputError(f"can't run the command: {error.strerror}. Received: {words}. Check its path.") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip()[-SHOWN_CHARACTERS:]
        raise InputError(f"the command has failed with status {done.returncode}. Received: {words}. It said: {last}")
    answers = [answer for line in done.stdout.splitlines() if (answer := _figure_in(line, figure))]
    if not answers:
        last = done.stdout.strip()[-SHOWN_CHARACTERS:] or "nothing"
        raise InputError(
            f'the command must print a JSON object on one line with a number above 0 under "{figure}". '
            f"Received: {words}. It printed: {last}"
        )
    return answers[-1]


def _figure_in(line: str, figure: str) -> dict[str, Any] | None:
    try:
        answer = json.loads(line)
    except ValueError:
        return None
    value = answer.get(figure) if isinstance(answer, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return answer if 0 < value < float("inf") else None
