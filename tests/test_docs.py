"""The documents tell the truth: links lead somewhere, commands exist, shipped configurations load, nothing is stale."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from nmt import config

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

# Made by running the project, or brought by its user: named in the documents, absent from a fresh clone.
NOT_SHIPPED = ("runs", "data", "corpora", ".venv", ".venv-backends", ".venv-renew", "build", "dist")


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def fences(page: Path) -> list[str]:
    """The contents of the fenced code blocks of a page."""
    return re.findall(r"^ *```[^\n]*\n(.*?)^ *```", text_of(page), flags=re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its fenced code blocks."""
    return re.sub(r"^ *```.*?^ *```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of each line that runs one of our commands: `nmt ...`, `make ...`, `python scripts/...`."""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        for part in re.split(r"[|;&]+(?=\s)", re.sub(r"^[\s$#>]*", "", line)):
            if re.match(r"(\S*/)?(nmt|make|python3?)\s", command := part.strip()):
                try:
                    words = shlex.split(command, comments=True)
                except ValueError:  # prose with an apostrophe
                    continue
                yield [Path(words[0]).name, *words[1:]]


def test_the_documents_that_are_promised_exist() -> None:
    pages = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"}
    docs = {"docs/architecture.md", "docs/tutorial.md", "docs/configuration.md", "docs/evaluation.md"}
    assert (pages | docs) <= set(NAMES)
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_configuration_page_is_fresh() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "configuration_docs.py"))["page"]()
    assert text_of(ROOT / "docs" / "configuration.md") == page, "stale: run `make docs`"


def anchors(page: Path) -> set[str]:
    """The names that the headings of a page get as the targets of links."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_relative_links_resolve(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.is_relative_to(ROOT) or not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_paths_of_the_project_exist(page: Path) -> None:
    """Whatever looks like a path into this repository, in code or in prose, is there."""
    folders = "nmt|tests|docs|configs|scripts"
    named = re.findall(rf"(?<![\w/.-])((?:{folders})/[\w./*-]*\w/?|\.ci/\w+)", text_of(page))
    missing = {path for path in named if not any(ROOT.glob(path.rstrip("/"))) and not is_inside_another(path, page)}
    assert not missing


def is_inside_another(path: str, page: Path) -> bool:
    """Whether a path is relative to the page's own folder."""
    return (page.parent / path).exists()


@cache
def our_commands() -> dict[str, set[str]]:
    """The subcommands of `nmt` with the options of each; `tokenizer train` stands under both words."""
    from typer.main import get_command

    from nmt.cli import app

    found: dict[str, set[str]] = {}

    def visit(name: str, command: Any) -> None:
        found[name] = {
            option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        found[name] |= {"--help"}
        for inner, subcommand in getattr(command, "commands", {}).items():
            visit(f"{name} {inner}".strip(), subcommand)

    visit("", get_command(app))
    return found


def complaint(words: list[str]) -> str | None:
    """What is wrong with a command line of a document."""
    program, *arguments = words
    if program == "make":
        targets = set(re.findall(r"^([\w-]+):", text_of(ROOT / "Makefile"), flags=re.MULTILINE))
        unknown = [word for word in arguments if "=" not in word and not word.startswith("-") and word not in targets]
        return f"no such target: {unknown}" if unknown else None
    if program.startswith("python"):
        if not arguments or not arguments[0].startswith("scripts/"):
            return None
        script = Path(arguments[0]).stem
        return complaint(["nmt", *arguments]) if script == "nmt" else None
    names = our_commands()
    name = ""
    while arguments and f"{name} {arguments[0]}".strip() in names:
        name = f"{name} {arguments.pop(0)}".strip()
    if not name and arguments and not arguments[0].startswith("-"):
        return f"no such command: nmt {arguments[0]}"
    options = {word.partition("=")[0] for word in arguments if re.match(r"--?[a-z]", word)}
    unknown = sorted(options - names[name])
    return f"nmt {name} has no {unknown}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist_with_their_options(page: Path) -> None:
    inline = re.findall(r"`([^`\n]+)`", prose(page))
    lines = [words for text in [*fences(page), *inline] for words in command_lines(text + "\n")]
    assert not [(words, found) for words in lines if (found := complaint(words))]


def overrides(words: list[str]) -> list[str]:
    """The values of `--set` in a command line."""
    return [value for flag, value in pairwise(words) if flag == "--set"]


def training_lines() -> Iterator[tuple[str, list[str]]]:
    """Every `nmt train` of the documents, and of the comments of the shipped configurations, with where it stands."""
    for page in PAGES:
        for text in fences(page):
            yield from ((page.name, words) for words in command_lines(text) if words[:2] == ["nmt", "train"])
    for path in CONFIGS:
        comments = "\n".join(line.lstrip("# ") for line in text_of(path).splitlines() if line.startswith("#"))
        yield from ((path.name, words) for words in command_lines(comments) if words[:2] == ["nmt", "train"])


TRAINING_LINES = [(where, words) for where, words in training_lines() if words[2:] and words[2].endswith(".yaml")]


def test_the_training_commands_were_found() -> None:
    found = {where for where, _ in TRAINING_LINES}
    assert {"README.md", "configuration.md", *(path.name for path in CONFIGS)} <= found


@pytest.mark.parametrize(("where", "words"), TRAINING_LINES, ids=[where for where, _ in TRAINING_LINES])
def test_the_overrides_that_documents_show_are_accepted(where: str, words: list[str]) -> None:
    path = ROOT / words[2]
    if not path.is_relative_to(ROOT / "configs"):
        path = next(iter(CONFIGS))
    config.load(path, overrides(words))


@pytest.mark.parametrize("name", ["train", "translate", "evaluate"])
def test_a_script_is_its_command(name: str) -> None:
    script = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), "--help"]
    command = [sys.executable, "-m", "nmt", name, "--help"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    shown, expected = (
        subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True)
        for words in (script, command)
    )
    assert f"nmt {name}" in expected.stdout
    assert shown.stdout == expected.stdout


def test_the_shipped_configurations_are_those_that_are_promised() -> None:
    assert {"quickstart.yaml", "multi30k-en-de.yaml", "anki-en-de.yaml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=[path.name for path in CONFIGS])
def test_a_shipped_configuration_loads_and_says_what_each_key_does(path: Path) -> None:
    config.load(path)
    lines = text_of(path).splitlines()
    keys = [key.start_mark.line for key in keys_of(yaml.compose(text_of(path)))]
    bare = [lines[line] for line in keys if "#" not in lines[line] and not is_section(lines, line)]
    assert keys
    assert not bare, "a key without a comment"


def keys_of(node: Any) -> Iterator[yaml.Node]:
    """The keys of a tree of YAML nodes, in order."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield from keys_of(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from keys_of(value)


def is_section(lines: list[str], line: int) -> bool:
    """Whether a line opens a section of the top level, whose name says enough."""
    return bool(re.fullmatch(r"[a-z]+:", lines[line]))


def tree_entries(block: str) -> Iterator[str]:
    """The paths of an indented file tree: names, then two spaces and words; folders end in a slash."""
    folders: list[tuple[int, str]] = []
    for line in block.splitlines():
        if not line.strip():
            continue
        body = re.sub("[│├└─]", " ", line)
        indent = len(body) - len(body.lstrip())
        while folders and folders[-1][0] >= indent:
            folders.pop()
        above = folders[-1][1] if folders else ""
        for name in re.split(r"\s", re.split(r"\s{2,}#?|\s#", f"{body.strip()}  ")[0]):
            if name.endswith("/"):
                folders.append((indent, f"{above}{name}"))
            yield f"{above}{name}"


def test_the_file_tree_matches() -> None:
    page = ROOT / "docs" / "architecture.md"
    blocks = [block for block in fences(page) if re.search(r"^\W*nmt/", block, flags=re.MULTILINE)]
    assert blocks, "docs/architecture.md has no file tree with a line `nmt/`"
    entries = {entry for block in blocks for entry in tree_entries(block)}
    absent = {entry for entry in entries if not (ROOT / entry).exists() and entry.split("/")[0] not in NOT_SHIPPED}
    assert not absent, "in the tree, not in the project"
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "nmt").rglob("[!_]*.py")}
    assert len(modules) > 50
    assert not modules - entries, "in nmt/, not in the tree"
