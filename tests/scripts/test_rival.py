from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import rival
from benchmarks.spread import Spread
from nmt.errors import InputError

FIGURE = "target_tokens_per_second"


def program(folder: Path, code: str) -> list[str]:
    path = folder / "rival.py"
    path.write_text(code, encoding="utf-8")
    return [sys.executable, "-S", str(path)]


def printing(folder: Path, *lines: str) -> list[str]:
    return program(folder, f"print({chr(10).join(lines)!r})")


def test_the_two_run_in_turn_and_neighbours_are_compared(tmp_path: Path) -> None:
    # The rival gives 10, 20, 40 by the number of marks that it finds; ours leaves a mark at each run.
    command = program(
        tmp_path,
        "import pathlib, sys\n"
        "marks = len(list(pathlib.Path(sys.argv[1]).glob('mark-*')))\n"
        f"print('{{\"{FIGURE}\": %d}}' % (10 * 2**marks))",
    )
    ours = iter([30.0, 40.0, 200.0])

    def measure() -> float:
        (tmp_path / f"mark-{len(list(tmp_path.glob('mark-*')))}").touch()
        return next(ours)

    found = rival.compare([*command, str(tmp_path)], measure, FIGURE, 3)
    assert found["runs"] == [{"rival": 10, "ours": 30}, {"rival": 20, "ours": 40}, {"rival": 40, "ours": 200}]
    assert found["ratio"] == Spread(3.0, 2.0, 5.0, 3)
    assert found["rival"].median == 20


def test_the_figure_is_found_among_other_lines(tmp_path: Path) -> None:
    command = printing(tmp_path, "loading", '{"other": 1}', f'{{"system": "x", "{FIGURE}": 12.5}}', "[1]", "done")
    assert rival.run(command, FIGURE) == {"system": "x", FIGURE: 12.5}


@pytest.mark.parametrize("value", ["0", "-1", "true", "null", '"12"', "Infinity", "NaN"])
def test_a_figure_that_is_no_speed_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match=f'above 0 under "{FIGURE}"'):
        rival.run(printing(tmp_path, f'{{"{FIGURE}": {value}}}'), FIGURE)


def test_a_command_that_prints_nothing() -> None:
    with pytest.raises(InputError, match="It printed: nothing"):
        rival.run([sys.executable, "-S", "-c", ""], FIGURE)


def test_a_command_that_fails_is_quoted() -> None:
    with pytest.raises(InputError, match=r"(?s)failed with status 3\..*no GPU here"):
        rival.run(
            [sys.executable, "-S", "-c", "import sys; print('no GPU here', file=sys.stderr); sys.exit(3)"], FIGURE
        )


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file or directory"):
        rival.run([str(tmp_path / "absent")], FIGURE)
