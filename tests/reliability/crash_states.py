"""Every state in which a stop of the machine can leave a folder while something is written in it.

`recorded` writes down what an action asks of the system: names made, moved and removed, data written, files and folders
flushed. `Record.states` then cuts that record after every operation and gives each content that the disk may hold:

- Data not yet flushed by an fsync of its file is there, is not, or ends in the middle of the last write.
- Names not yet flushed by an fsync of their folder are as after any number of the changes made since, in their order;
  each folder on its own, so one folder's later change may be there and another's earlier one not.

That is what POSIX leaves open to a file system that keeps the order of changes within a folder, as all journals do, and
is more than any one of them does. What a record leaves out would make every conclusion void: `check_complete` compares
the record's own end with what is on the disk.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nmt import name_exchange

Tree = dict[str, Any]
"""What a folder holds by name: bytes for a file, a tree for a folder."""


def tree_of(folder: Path) -> Tree:
    return {path.name: tree_of(path) if path.is_dir() else path.read_bytes() for path in sorted(folder.iterdir())}


def write_tree(folder: Path, tree: Tree) -> None:
    folder.mkdir()
    for name, content in tree.items():
        if isinstance(content, dict):
            write_tree(folder / name, content)
        else:
            (folder / name).write_bytes(content)


@dataclass(eq=False)
class Node:
    """A file or a folder, whatever its name is by now."""

    is_folder: bool
    content: bytes = b""
    names: dict[str, Node] = field(default_factory=dict)
    live: dict[str, Node] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: Tree | bytes) -> Node:
        if isinstance(tree, bytes):
            return cls(False, content=tree)
        names = {name: cls.of(inner) for name, inner in tree.items()}
        return cls(True, names=names, live=dict(names))


@dataclass
class Operation:
    """One change: of the data of a file (new content), of the names in a folder, or a flush of either."""

    what: str
    node: Node
    content: bytes = b""
    torn: bytes = b""
    names: dict[str, Node | None] = field(default_factory=dict)


class Record:
    """What an action did below a folder."""

    def __init__(self, root: Path) -> None:
        self.root_path = Path(os.path.realpath(root))
        self.root = Node.of(tree_of(root))
        self.operations: list[Operation] = []
        self._data: dict[Node, bytes] = {}
        self._open: dict[int, Node] = {}

    def check_complete(self) -> None:
        """The record replayed in full is what the disk holds: no change went unnoticed."""
        everything = list(self._contents(len(self.operations), all_pending=True))
        assert everything == [tree_of(self.root_path)]

    def states(self) -> Iterator[tuple[int, Tree]]:
        """Each different content that the disk may hold after each number of operations."""
        for length in range(len(self.operations) + 1):
            seen = set()
            for tree in self._contents(length):
                key = repr(tree)
                if key not in seen:
                    seen.add(key)
                    yield length, tree

    def _contents(self, length: int, *, all_pending: bool = False) -> Iterator[Tree]:
        changes: dict[Node, list[Operation]] = {}
        num_durable: dict[Node, int] = {}
        for operation in self.operations[:length]:
            if operation.what == "flush":
                num_durable[operation.node] = len(changes.get(operation.node, []))
            else:
                changes.setdefault(operation.node, []).append(operation)
        choices = [
            [len(done)] if all_pending else range(num_durable.get(node, 0), len(done) + 1)
            for node, done in changes.items()
        ]
        torn = [node for node, done in changes.items() if not node.is_folder and len(done) > num_durable.get(node, 0)]
        for lengths in itertools.product(*choices):
            kept = {node: done[:count] for (node, done), count in zip(changes.items(), lengths, strict=True)}
            yield _build(self.root, kept, None)
            if not all_pending:
                for node in torn:
                    if len(kept[node]) > num_durable.get(node, 0):
                        yield _build(self.root, kept, node)

    # What `os` is asked for, noted after it was done.

    def opened(self, path: str, flags: int, descriptor: int, existed: bool) -> None:
        self._open.pop(descriptor, None)  # a Python file object closes its descriptor unseen
        place = self._place(path)
        if place is None:
            return
        folder, name = place
        if flags & os.O_CREAT and not existed:
            self._rename(folder, {name: Node(is_folder=False)})
        node = folder.live[name] if name else folder
        self._open[descriptor] = node

    def wrote(self, descriptor: int, data: bytes) -> None:
        node = self._open.get(descriptor)
        if node is not None:
            before = self._data.get(node, node.content)
            self._set_data(node, before + data, torn=before + data[: len(data) // 2])

    def truncated(self, descriptor: int, length: int) -> None:
        node = self._open[descriptor]
        content = self._data.get(node, node.content)[:length]
        self._set_data(node, content, torn=content)

    def flushed(self, descriptor: int) -> None:
        if descriptor in self._open:
            self.operations.append(Operation("flush", self._open[descriptor]))

    def closed(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)

    def made_folder(self, path: str) -> None:
        if place := self._place(path):
            self._rename(place[0], {place[1]: Node(is_folder=True)})

    def removed(self, path: str) -> None:
        if place := self._place(path):
            self._rename(place[0], {place[1]: None})

    def renamed(self, path: str, new: str, *, exchange: bool = False) -> None:
        place, new_place = self._place(path), self._place(new)
        if place and new_place:
            (folder, name), (new_folder, new_name) = place, new_place
            assert folder is new_folder, "a rename from one folder into another needs a model of its own"
            other = folder.live[new_name] if exchange else None
            self._rename(folder, {name: other, new_name: folder.live[name]})

    def _rename(self, folder: Node, names: dict[str, Node | None]) -> None:
        folder.live = {name: node for name, node in {**folder.live, **names}.items() if node is not None}
        self.operations.append(Operation("names", folder, names=names))

    def _set_data(self, node: Node, content: bytes, torn: bytes) -> None:
        self._data[node] = content
        self.operations.append(Operation("data", node, content=content, torn=torn))

    def _place(self, path: str) -> tuple[Node, str] | None:
        """The folder and the name that a path stands for at this moment; the name of the root is empty."""
        path = os.path.abspath(path)  # noqa: PTH100  (`resolve` would follow a link that is renamed itself)
        if path == str(self.root_path):
            return self.root, ""
        if not path.startswith(f"{self.root_path}/"):
            return None
        *folders, name = path.removeprefix(f"{self.root_path}/").split("/")
        node = self.root
        for folder in folders:
            node = node.live[folder]
        return node, name


def _build(folder: Node, kept: dict[Node, list[Operation]], torn: Node | None) -> Tree:
    names: dict[str, Node | None] = dict(folder.names)
    for operation in kept.get(folder, []):
        names.update(operation.names)
    tree: Tree = {}
    for name, node in sorted(names.items()):
        if node is not None and node.is_folder:
            tree[name] = _build(node, kept, torn)
        elif node is not None:
            done = kept.get(node)
            tree[name] = (done[-1].torn if node is torn else done[-1].content) if done else node.content
    return tree


@contextlib.contextmanager
def recorded(root: Path) -> Iterator[Record]:
    """Records what the block does below a folder through the functions of `os`; the block must end well."""
    record = Record(root)
    wrappers = {
        "open": _opening(record),
        "write": _writing(record),
        "fsync": _on_descriptor(record.flushed),
        "close": _on_descriptor(record.closed),
        "ftruncate": _on_descriptor(record.truncated),
        "mkdir": _on_path(record.made_folder),
        "unlink": _on_path(record.removed),
        "rmdir": _on_path(record.removed),
        "rename": _on_two_paths(record.renamed),
        "replace": _on_two_paths(record.renamed),
    }
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, wrapper in wrappers.items():
            monkeypatch.setattr(os, name, functools.partial(wrapper, getattr(os, name)))
        exchanging = functools.partial(_exchanging(record), name_exchange.exchange_names)
        monkeypatch.setattr(name_exchange, "exchange_names", exchanging)
        yield record
    record.check_complete()


def _opening(record: Record) -> Callable[..., int]:
    def wrapper(real: Any, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        absolute = _absolute(path, kwargs.get("dir_fd"))
        existed = os.path.lexists(absolute)
        assert not flags & os.O_TRUNC, "nothing of ours is truncated on opening"
        descriptor: int = real(path, flags, *args, **kwargs)
        record.opened(absolute, flags, descriptor, existed)
        return descriptor

    return wrapper


def _writing(record: Record) -> Callable[..., int]:
    def wrapper(real: Any, descriptor: int, data: Any) -> int:
        written: int = real(descriptor, data)
        record.wrote(descriptor, bytes(data)[:written])
        return written

    return wrapper


def _on_descriptor(done: Callable[..., None]) -> Callable[..., None]:
    def wrapper(real: Any, descriptor: int, *args: Any) -> None:
        real(descriptor, *args)
        done(descriptor, *args)

    return wrapper


def _on_path(done: Callable[[str], None]) -> Callable[..., None]:
    def wrapper(real: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        absolute = _absolute(path, kwargs.get("dir_fd"))
        real(path, *args, **kwargs)
        done(absolute)

    return wrapper


def _on_two_paths(done: Callable[[str, str], None]) -> Callable[..., None]:
    def wrapper(real: Any, path: Any, new: Any) -> None:
        real(path, new)
        done(os.fspath(path), os.fspath(new))

    return wrapper


def _exchanging(record: Record) -> Callable[..., bool]:
    def wrapper(real: Any, path: Any, new: Any) -> bool:
        done: bool = real(path, new)
        if done:
            record.renamed(os.fspath(path), os.fspath(new), exchange=True)
        return done

    return wrapper


def _absolute(path: Any, folder: int | None) -> str:
    text = os.fspath(path)
    return text if folder is None else str(Path(f"/proc/self/fd/{folder}").readlink() / text)
