"""Everything that is written to disk goes through `nmt.files`, which is where crashes and faults are tested."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.test_architecture import MODULES, modules, tree_of

CHANGES_BY_OS = {
    "chmod", "fchmod", "ftruncate", "link", "makedirs", "mkdir", "mkfifo", "pwrite", "pwritev", "remove", "removedirs",
    "rename", "renames", "replace", "rmdir", "symlink", "truncate", "unlink", "write", "writev",
}  # fmt: skip
CHANGES_BY_PATH = {
    "chmod", "hardlink_to", "mkdir", "rmdir", "symlink_to", "touch", "unlink", "write_bytes", "write_text",
}  # fmt: skip
CHANGES_BY_NAME = {
    "Writer",
    "SummaryWriter",
    "create_file_writer",
    "savefig",
    "save_file",
    "save_weights",
    "savetxt",
    "savez",
    "savez_compressed",
    "tofile",
}
READS_BY_SHUTIL = {"get_terminal_size", "which", "disk_usage"}

# Writes elsewhere: what and where, and why it can't lose or break anything that is kept.
ALLOWED = {
    "nmt.files": "it is the one place",
    "nmt.run_dir os.open": "the lock file: it holds nothing but the name of its holder",
    "nmt.run_dir os.ftruncate": "the lock file",
    "nmt.run_dir os.pwrite": "the lock file",
    "nmt.data.spool tempfile.TemporaryFile": "has no name and is gone with its process",
    "nmt.data.spool os.pwrite": "the same file",
    "nmt.startup tempfile.TemporaryFile": "has no name and is gone with its process",
    "nmt.console os.open": "/dev/null, in place of a closed standard output",
    "nmt.repl path.parent.mkdir": "the history of what was typed, which prompt_toolkit writes",
    "nmt.repl path.touch": "the history",
    "nmt.repl path.open": "the history: whether it can be written",
    "nmt.plotting figure.savefig": "into memory",
    "nmt.training.records importlib.import_module('tensorboard.summary').Writer": "its own files, never read back",
}


def writes(node: ast.Call) -> bool:
    """Whether a call changes what is on a disk, as far as its form tells."""
    called = ast.unparse(node.func)
    owner, _, name = called.rpartition(".")
    if owner in ("files", "_files"):
        return False
    if owner == "os":
        given = ast.unparse(node)
        return name in CHANGES_BY_OS or (
            name == "open" and bool(re.search("O_(WRONLY|RDWR|CREAT|APPEND|TRUNC)", given))
        )
    if owner == "shutil":
        return name not in READS_BY_SHUTIL
    if owner == "tempfile":
        return True
    if name == "open":
        modes = [argument.value for argument in (*node.args, *(keyword.value for keyword in node.keywords))
                 if isinstance(argument, ast.Constant) and isinstance(argument.value, str)]  # fmt: skip
        return any(re.fullmatch("[rwaxbt+]*[wax+][rwaxbt+]*", mode) for mode in modes)
    if name in ("rename", "replace") and owner:
        is_text = len(node.args) != 1 or bool(node.keywords)  # str.replace takes two
        is_json_lines = owner.endswith((".metrics", ".skipped", "._records"))  # which write through `files`
        return not is_text and owner != "dataclasses" and not is_json_lines
    if owner in ("json", "yaml") and name == "dump":
        return len(node.args) > 1
    return name in CHANGES_BY_NAME | CHANGES_BY_PATH or (owner in ("np", "numpy") and name == "save")


def writes_of(module: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call) and writes(node):
            yield f"{module} {ast.unparse(node.func)}", node.lineno


@pytest.mark.parametrize("module", MODULES)
def test_writes_go_through_one_module(module: str) -> None:
    found = {
        f"{what}, line {line}" for what, line in writes_of(module) if module not in ALLOWED and what not in ALLOWED
    }
    assert not found, "write it with nmt.files, or say in ALLOWED why it can't be lost"


def test_the_exceptions_are_in_use() -> None:
    found = {what for module in modules() for what, _ in writes_of(module)}
    assert not {what for what in ALLOWED if " " in what} - found


@pytest.mark.parametrize(
    "call",
    [
        "open(path, 'w')", "path.open('ab')", "open(path, mode='r+')", "gzip.open(path, 'xt')", "path.write_text(text)",
        "path.parent.mkdir()", "os.rename(a, b)", "path.rename(other)", "path.replace(other)", "shutil.move(a, b)",
        "os.open(path, os.O_RDWR)", "np.save(path, array)", "safetensors.numpy.save_file(arrays, path)",
        "json.dump(tree, file)", "tempfile.mkdtemp()", "figure.savefig(path)", "array.tofile(path)", "Path(x).unlink()",
    ],
)  # fmt: skip
def test_a_call_that_writes_is_seen(call: str) -> None:
    assert writes(ast.parse(call, mode="eval").body)


@pytest.mark.parametrize(
    "call",
    [
        "open(path, 'rb')", "path.open()", "path.open('rb')", "text.replace('a', 'w')", "files.write_text(path, text)",
        "os.open(path, os.O_RDONLY)", "dataclasses.replace(x, a=1)", "shutil.get_terminal_size()", "json.dumps(tree)",
    ],
)  # fmt: skip
def test_a_call_that_does_not_write_is_let_through(call: str) -> None:
    assert not writes(ast.parse(call, mode="eval").body)
