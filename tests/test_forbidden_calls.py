"""What no module of the package and no script may do: make code of data, unpack archives, reach the network by itself.

Read from the source with `ast`, through the names under which things are imported. `tests/reliability` shows the same
of a process that loads a model.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("nmt", "scripts") for path in (ROOT / folder).rglob("*.py"))

# Importing one is a mistake already; what begins with it too.
MODULES = {
    # objects, and code, from bytes
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle", "h5py", "code",
    "codeop", "imp", "runpy",
    # archives, which write where they like
    "tarfile", "zipfile", "zipimport",
    # the network: `datasets` alone asks for what a person has named
    "socket", "ssl", "urllib.request", "http", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "telnetlib",
    "xmlrpc", "socketserver", "asyncio", "webbrowser",
}  # fmt: skip
# Called, by the whole name.
CALLS = {
    "eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec", "builtins.compile",
    "importlib.import_module", "importlib.util.spec_from_file_location", "os.system", "os.popen", "os.startfile",
    "shutil.unpack_archive", "torch.load", "torch.jit.load", "torch.hub.load", "numpy.load", "pandas.read_pickle",
    "numpy.fromregex", "numpy.ctypeslib.load_library", "ctypes.CDLL", "ctypes.cdll.LoadLibrary",
    "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all", "yaml.load_all",
    "keras.models.load_model", "keras.saving.load_model", "keras.models.model_from_json", "tensorflow.saved_model.load",
    "subprocess.getoutput", "subprocess.getstatusoutput",
}  # fmt: skip
# Called on whatever object: Keras's ways from a file to objects and weights.
METHODS = {
    "load_weights", "deserialize_keras_object", "model_from_json", "enable_unsafe_deserialization", "unsafe_load",
    "full_load", "unpack_archive", "extractall", "from_config_file",
}  # fmt: skip
# Given to whatever is called, with a value other than False.
ARGUMENTS = {"shell", "allow_pickle", "trust_remote_code"}
# Where the reason holds.
EXCEPTIONS = {
    ("nmt/__init__.py", "importlib.import_module"),  # modules of ours, from a table in the same file
    ("nmt/name_exchange.py", "ctypes.CDLL"),  # None: the C library that Python itself has loaded
    ("nmt/run_dir.py", "import socket"),  # for the name of this machine
}
SAFE_LOADER = ("nmt/strict_yaml.py", "_Loader")  # yaml.SafeLoader, and stricter


def imported_names(tree: ast.AST) -> dict[str, str]:
    """What each imported name of a file stands for, in full."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.partition(".")[0]: alias.asname and alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return {name: full or name for name, full in names.items()}


def mistakes(source: str, path: str) -> Iterator[str]:
    """Each place of a file where one of the rules is broken."""
    tree = ast.parse(source)
    names = imported_names(tree)
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        for module in modules:
            if any(module == banned or module.startswith(f"{banned}.") for banned in MODULES):
                yield from unless_excepted(path, node, f"import {module}")
        if isinstance(node, ast.Call):
            for problem in problems_of_call(node, names, path):
                yield from unless_excepted(path, node, problem)


def unless_excepted(path: str, node: ast.stmt | ast.expr, problem: str) -> Iterator[str]:
    if (path, problem) not in EXCEPTIONS:
        yield f"{path}:{node.lineno}: {problem}"


def problems_of_call(node: ast.Call, names: dict[str, str], path: str) -> Iterator[str]:
    first, dot, rest = ast.unparse(node.func).partition(".")
    called = names.get(first, first) + dot + rest
    last = called.rpartition(".")[2]
    is_named = called == "importlib.import_module" and isinstance(node.args[0], ast.Constant)
    if (
        (called in CALLS and not is_named)
        or (last in METHODS and dot)
        or called.startswith(("os.exec", "os.spawn", "os.posix_spawn"))
    ):
        yield called
    if called == "yaml.load" and (path, *map(ast.unparse, node.args[1:])) != SAFE_LOADER:
        yield "yaml.load with another loader than that of nmt.strict_yaml"
    for keyword in node.keywords:
        if keyword.arg in ARGUMENTS and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False):
            yield f"{called}({keyword.arg}=...)"
        if keyword.arg == "safe_mode":
            yield f"{called}(safe_mode=...)"


@pytest.mark.parametrize("path", [path.relative_to(ROOT).as_posix() for path in SOURCES])
def test_nothing_forbidden_is_called(path):
    assert list(mistakes((ROOT / path).read_text(encoding="utf-8"), path)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "import dill as json", "def f():\n    import marshal",
        "import socket", "from urllib import request", "import urllib.request", "import http.client",
        "import tarfile", "from zipfile import ZipFile", "eval(text)", "exec(text)", "compile(text, '', 'exec')",
        "__import__(name)", "import importlib\nimportlib.import_module(name)",
        "from importlib import import_module as load\nload(name)", "import os\nos.system('ls')",
        "from os import system\nsystem('ls')", "import os as o\no.popen('ls')", "import os\nos.execv(a, b)",
        "import shutil\nshutil.unpack_archive(path)", "import subprocess\nsubprocess.run('ls', shell=True)",
        "import subprocess as s\ns.run(a, shell=is_shell)", "import yaml\nyaml.load(text, yaml.Loader)",
        "import yaml\nyaml.load(text, Loader=_Loader)", "import yaml\nyaml.unsafe_load(text)",
        "from yaml import full_load\nfull_load(text)", "import numpy as np\nnp.load(path)",
        "from numpy import load\nload(path)", "read(path, allow_pickle=True)", "import torch\ntorch.load(path)",
        "import keras\nkeras.models.load_model(path)", "from keras.saving import load_model\nload_model(path)",
        "model.load_weights(path)", "keras.saving.deserialize_keras_object(tree)", "load(name, trust_remote_code=True)",
        "load(path, safe_mode=False)", "import keras\nkeras.models.model_from_json(text)",
    ],
)  # fmt: skip
def test_each_of_them_would_be_found(source):
    assert list(mistakes(source, "nmt/strict_json.py"))


@pytest.mark.parametrize(
    "source",
    [
        "import re\nre.compile(pattern)", "model.compile(optimizer)",
        "import importlib\nimportlib.import_module('tensorboard')",
        "from nmt.model_file import load_model\nload_model(path)",
        "import subprocess\nsubprocess.run(['ls'], shell=False)", "import json\njson.load(file)",
        "from urllib.parse import quote", "import importlib.metadata", "import httpstan",
    ],
)  # fmt: skip
def test_what_is_harmless_is_not(source):
    assert not list(mistakes(source, "nmt/strict_json.py"))


@pytest.mark.parametrize(("path", "problem"), EXCEPTIONS)
def test_the_exceptions_are_needed(path, problem, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "EXCEPTIONS", set())
    source = (ROOT / path).read_text(encoding="utf-8")
    assert [mistake.rpartition(": ")[2] for mistake in mistakes(source, path)] == [problem]
