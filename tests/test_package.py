"""The public names of the package: resolved when they are used, and nothing slow before that."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import nmt
from nmt.config import Config
from nmt.errors import NMTError


def test_public_names_are_those_of_their_modules() -> None:
    assert nmt.Config is Config
    assert nmt.NMTError is NMTError
    assert nmt.Tokenizer.__module__ == "nmt.text.tokenizer"


def test_every_public_name_has_a_home_and_is_listed() -> None:
    assert set(nmt.__all__) == {*nmt._HOMES, "__version__"}
    assert set(nmt.__all__) <= set(dir(nmt))
    for name, home in nmt._HOMES.items():
        source = Path(nmt.__path__[0], *home.split(".")[1:]).with_suffix(".py").read_text(encoding="utf-8")
        assert f"class {name}" in source or f"def {name}(" in source


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'nmt' has no attribute 'laod'"):
        nmt.laod  # type: ignore[attr-defined]  # noqa: B018


def test_the_version_is_that_of_the_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(_: str) -> str:
        return "1.2.3"

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    for find, version in ((installed, "1.2.3"), (absent, "unknown")):
        monkeypatch.setattr(metadata, "version", find)
        vars(nmt).pop("__version__", None)  # what an earlier use has kept
        assert nmt.__version__ == version
    vars(nmt).pop("__version__")


def test_python_m_nmt_is_the_command() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "nmt", "--version"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert finished.stdout == f"nmt {nmt.__version__}\n"
