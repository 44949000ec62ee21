"""The shape of the package: who may import whom, what no module may do, and what starting the command loads.

Everything is read from the source with `ast`, so a module is held to this without being imported.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 400

# What each module or package may import of ours, by the longest name that fits. A package's modules may import one
# another as long as no cycle comes of it. Numbers flow text -> ids -> batches -> tensors -> hypotheses -> text.
MAY_IMPORT = {
    # the ground: plain Python
    "nmt.errors": "",
    "nmt.strict_json": "",
    "nmt.strict_yaml": "",
    "nmt.terminal": "",
    "nmt.name_exchange": "",
    "nmt.system_errors": "nmt.errors",
    "nmt.files": "nmt.errors nmt.name_exchange nmt.system_errors",
    "nmt.config_problems": "nmt.errors",
    "nmt.config_corpora": "nmt.config_problems",
    "nmt.config_decoding": "nmt.errors nmt.config_problems nmt.config_corpora",
    "nmt.config_model": "nmt.config_corpora",
    "nmt.config_training": "nmt.config_corpora",
    "nmt.config": (
        "nmt.errors nmt.strict_yaml nmt.config_problems nmt.config_corpora nmt.config_model nmt.config_training "
        "nmt.config_decoding"
    ),
    "nmt.config_keys": "nmt.config",
    # text and numbers, without Keras
    "nmt.text.special": "",
    "nmt.text": "nmt.errors nmt.strict_json",
    "nmt.corpora": "nmt.errors nmt.config_corpora nmt.text",
    "nmt.recipe": "nmt.text.statistics",
    "nmt.evaluation": "nmt.errors nmt.terminal",
    "nmt.attention_table": "nmt.errors nmt.terminal",
    "nmt.plotting": "nmt.errors nmt.files nmt.terminal nmt.attention_table",
    # folders and files
    "nmt.json_lines": "nmt.errors nmt.files",
    "nmt.run_dir": "nmt.errors nmt.files nmt.json_lines nmt.system_errors",
    "nmt.weights_file": "nmt.errors nmt.files nmt.strict_json",
    "nmt.model_card": "nmt.strict_yaml nmt.terminal",
    "nmt.weight_shapes": "",
    "nmt.manifest": "nmt.errors nmt.files nmt.strict_json nmt.weights_file",
    "nmt.checkpoints": "nmt.errors nmt.files nmt.strict_json nmt.manifest nmt.weights_file",
    "nmt.model_file": (
        "nmt.errors nmt.files nmt.system_errors nmt.config_model nmt.config_decoding nmt.manifest nmt.run_dir "
        "nmt.weights_file"
    ),
    # Keras
    "nmt.backend": "",
    "nmt.data": "nmt.errors nmt.system_errors nmt.text",
    "nmt.layers": "nmt.backend",
    "nmt.model": "nmt.backend nmt.layers nmt.text.special",
    "nmt.decoding": "",
    "nmt.decoding.scoring": "",
    "nmt.decoding.search": "nmt.decoding.scoring nmt.text.special",
    "nmt.decoding.loops": "",
    "nmt.decoding.hypothesis": "",
    "nmt.decoding.token_ids": "nmt.errors",
    "nmt.decoding.forced": "nmt.decoding.search nmt.decoding.token_ids nmt.text.special",
    "nmt.decoding.workers": "",
    "nmt.decoding.numpy_cells": "",
    "nmt.decoding.numpy_model": (
        "nmt.decoding.numpy_cells nmt.decoding.search nmt.decoding.token_ids nmt.decoding.workers nmt.text.special"
    ),
    "nmt.decoding.ensemble": (
        "nmt.errors nmt.decoding.forced nmt.decoding.numpy_cells nmt.decoding.numpy_model nmt.decoding.search "
        "nmt.text.special"
    ),
    "nmt.decoding.keras_model": (
        "nmt.backend nmt.data.batching nmt.layers nmt.model nmt.decoding.ensemble nmt.decoding.search "
        "nmt.decoding.token_ids nmt.text.special"
    ),
    "nmt.training.losses": "nmt.backend",
    "nmt.training": "nmt.backend nmt.model nmt.text.special",
    "nmt.training.state": "nmt.errors nmt.checkpoints nmt.training",
    "nmt.training.update": "nmt.errors nmt.backend nmt.data nmt.text.special nmt.training",
    "nmt.training.memory": "nmt.errors nmt.config_model nmt.backend nmt.data nmt.training",
    "nmt.training.flops": "nmt.config_model",
    "nmt.training.saving": "nmt.errors nmt.json_lines nmt.training",
    "nmt.training.records": "nmt.terminal nmt.text.corpus nmt.training",
    # the shell: it alone puts the pieces together
    "nmt.decoding.translator": "nmt.errors nmt.config_decoding nmt.text nmt.decoding",
    "nmt.loading": (
        "nmt.errors nmt.config_model nmt.config_decoding nmt.weight_shapes nmt.model_file nmt.text nmt.decoding "
        "nmt.backend nmt.model"
    ),
    "nmt.averaging": "nmt.errors nmt.files nmt.config_model nmt.model_card nmt.model_file nmt.loading",
    "nmt.training.validation": (
        "nmt.model nmt.text.corpus nmt.training nmt.decoding.hypothesis nmt.decoding.translator nmt.evaluation"
    ),
    "nmt.training.estimate": "nmt.config nmt.loading nmt.training",
    "nmt.training.resolution": "nmt.config nmt.config_keys nmt.recipe nmt.backend nmt.text.statistics nmt.training",
    "nmt.training.preparation": (
        "nmt.errors nmt.files nmt.config nmt.config_training nmt.backend nmt.corpora nmt.text nmt.data nmt.run_dir "
        "nmt.training"
    ),
    "nmt.training.best_models": (
        "nmt.errors nmt.files nmt.config nmt.averaging nmt.loading nmt.model_card nmt.run_dir nmt.decoding.translator "
        "nmt.training.validation"
    ),
    "nmt.training.run": (
        "nmt.errors nmt.checkpoints nmt.config nmt.backend nmt.text nmt.data nmt.training nmt.run_dir "
        "nmt.loading nmt.decoding"
    ),
    "nmt.training.trainer": (
        "nmt.errors nmt.files nmt.config nmt.backend nmt.text nmt.training nmt.run_dir nmt.loading nmt.evaluation"
    ),
    # what a person types and sees
    "nmt.startup": "",
    "nmt.termination": "",
    "nmt.console": "nmt.errors nmt.files nmt.system_errors nmt.terminal",
    "nmt.stream": (
        "nmt.errors nmt.files nmt.system_errors nmt.terminal nmt.console nmt.text nmt.decoding.hypothesis "
        "nmt.decoding.translator"
    ),
    "nmt.held_out": (
        "nmt.errors nmt.files nmt.config nmt.config_corpora nmt.console nmt.corpora nmt.text nmt.decoding.hypothesis "
        "nmt.decoding.translator nmt.evaluation"
    ),
    "nmt.repl": "nmt.errors nmt.config_decoding nmt.terminal nmt.console nmt.decoding nmt.attention_table",
    "nmt.training_run": (
        "nmt.errors nmt.files nmt.config nmt.config_keys nmt.config_problems nmt.console nmt.recipe nmt.run_dir"
    ),
    "nmt.cli_options": "",
    "nmt.cli": "nmt",
    "nmt.__main__": "nmt.cli",
    "nmt": (
        "nmt.errors nmt.config nmt.model nmt.text.tokenizer nmt.decoding.hypothesis nmt.decoding.translator nmt.loading"
    ),
}

# Library modules take plain values; these are the shell that reads the configuration.
READS_CONFIG = {
    "nmt", "nmt.cli", "nmt.repl", "nmt.training_run", "nmt.training.trainer",
    "nmt.training.run", "nmt.training.memory", "nmt.training.preparation", "nmt.decoding.translator", "nmt.loading",
    "nmt.held_out",
    "nmt.model_file", "nmt.corpora", "nmt.training.flops", "nmt.training.estimate", "nmt.training.resolution",
    "nmt.averaging", "nmt.training.best_models",
}  # fmt: skip

# The other backends' frameworks, each with the module that needs more than `keras.ops` gives; the reason stands there.
FRAMEWORKS = {"tensorflow", "jax", "torch"}
IMPORTS_A_FRAMEWORK = {"nmt.backend", "nmt.training.backend"}

# Slow to import, so imported where they are used: `nmt --help` must answer at once.
HEAVY = {"datasets", "matplotlib", "pandas", "sacrebleu", "sentencepiece", "zstandard", *FRAMEWORKS}
WITHOUT_KERAS = (
    "nmt.errors", "nmt.files", "nmt.config", "nmt.config_keys", "nmt.recipe", "nmt.text", "nmt.evaluation",
    "nmt.run_dir", "nmt.corpora",
    "nmt.attention_table", "nmt.plotting", "nmt.data.batching", "nmt.weight_shapes", "nmt.decoding.scoring",
    "nmt.decoding.search", "nmt.decoding.forced", "nmt.decoding.workers", "nmt.decoding.numpy_model",
    "nmt.decoding.ensemble", "nmt.decoding.translator", "nmt.manifest", "nmt.checkpoints", "nmt.model_file",
    "nmt.averaging",
)  # fmt: skip


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / "nmt").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = sorted(modules())


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


def imported(node: ast.AST) -> list[str]:
    """The dotted names that one import statement may load."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def imports(module: str) -> list[str]:
    """What a module imports anywhere in it: at its top, inside functions, for type checking."""
    return [name for node in ast.walk(tree_of(module)) for name in imported(node)]


def imports_at_import_time(module: str) -> list[str]:
    """What importing a module imports: nothing inside a function or under `if TYPE_CHECKING`."""

    def walk(body: list[ast.stmt]) -> Iterator[str]:
        for node in body:
            yield from imported(node)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
                yield from walk(node.orelse)
                continue
            for field in ("body", "orelse", "finalbody"):
                yield from walk(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                yield from walk(handler.body)

    return list(walk(tree_of(module).body))


def module_of(name: str) -> str | None:
    """The module of ours that a dotted name lies in: `nmt.errors` for `nmt.errors.NMTError`."""
    while name:
        if name in modules():
            return name
        name = name.rpartition(".")[0]
    return None


def ours(names: list[str], of: str) -> set[str]:
    return {found for name in names if (found := module_of(name)) is not None and found != of}


def is_within(module: str, packages: str | tuple[str, ...] | set[str]) -> bool:
    names = packages.split() if isinstance(packages, str) else packages
    return any(module == name or module.startswith(f"{name}.") for name in names)


def rule_for(module: str) -> str | None:
    """The longest name of the table that a module lies in; the bare `nmt` stands for its `__init__` alone."""
    fitting = [name for name in MAY_IMPORT if name == module or (name != "nmt" and module.startswith(f"{name}."))]
    return max(fitting, key=len, default=None)


@pytest.mark.parametrize("module", MODULES)
def test_imports_flow_downwards(module: str) -> None:
    rule = rule_for(module)
    assert rule is not None, f"{module} has no place in MAY_IMPORT: decide what it may know, and add it"
    allowed = f"{MAY_IMPORT[rule]} {rule}" if rule != "nmt" else MAY_IMPORT[rule]
    # `import nmt` for its version is no dependency: the package's own module imports nothing of ours when imported.
    upward = {name for name in ours(imports(module), module) if name != "nmt" and not is_within(name, allowed)}
    assert not upward, f"{module} may import {MAY_IMPORT[rule] or 'nothing of ours'}; it imports {sorted(upward)}"


def test_the_table_names_only_what_exists() -> None:
    named = set(MAY_IMPORT) | {name for allowed in MAY_IMPORT.values() for name in allowed.split()}
    assert not {name for name in named | READS_CONFIG | IMPORTS_A_FRAMEWORK if name not in modules()}


@pytest.mark.parametrize("rule", MAY_IMPORT)
def test_the_table_allows_no_more_than_is_used(rule: str) -> None:
    used = {name for module in MODULES if rule_for(module) == rule for name in ours(imports(module), module)}
    unused = [allowed for allowed in MAY_IMPORT[rule].split() if not any(is_within(name, allowed) for name in used)]
    assert not unused, f"{rule} imports nothing of {unused}: take it out of the table"


def test_no_import_cycle() -> None:
    graph = {module: ours(imports(module), module) - {"nmt"} for module in MODULES}
    graph["nmt"] = ours(imports_at_import_time("nmt"), "nmt")
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", MODULES)
def test_only_the_shell_reads_the_configuration(module: str) -> None:
    if any(name.startswith("nmt.config") for name in ours(imports(module), module)):
        assert module in READS_CONFIG or module.startswith("nmt.config")


@pytest.mark.parametrize("module", MODULES)
def test_frameworks_are_imported_only_where_a_reason_is_written(module: str) -> None:
    found = {name.partition(".")[0] for name in imports(module)} & FRAMEWORKS
    assert not found or module in IMPORTS_A_FRAMEWORK


@pytest.mark.parametrize("module", MODULES)
def test_heavy_packages_are_imported_where_they_are_used(module: str) -> None:
    assert not {name.partition(".")[0] for name in imports_at_import_time(module)} & HEAVY


@pytest.mark.parametrize("module", [module for module in MODULES if is_within(module, WITHOUT_KERAS)])
def test_text_files_and_scores_know_nothing_of_keras(module: str) -> None:
    assert "keras" not in {name.partition(".")[0] for name in imports(module)}


@pytest.mark.parametrize("module", MODULES)
def test_no_assert(module: str) -> None:
    lines = [node.lineno for node in ast.walk(tree_of(module)) if isinstance(node, ast.Assert)]
    assert not lines, f"{module}: assert in line {lines}; `python -O` removes it: raise an error"


@pytest.mark.parametrize("module", MODULES)
def test_a_file_is_short_enough_to_read(module: str) -> None:
    num_lines = len(modules()[module].read_text(encoding="utf-8").splitlines())
    assert num_lines < MAX_LINES, f"{module} has {num_lines} lines"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is(module: str) -> None:
    if modules()[module].name != "__init__.py" or tree_of(module).body:
        assert ast.get_docstring(tree_of(module)), f"{module} has no docstring"


def loaded_by(code: str) -> list[str]:
    """The heavy modules that a fresh Python has loaded after `code`."""
    heavy = sorted(HEAVY | {"keras", "prompt_toolkit"})
    report = f"import sys; print('LOADED', *[name for name in {heavy} if name in sys.modules])"
    finished = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()[-1].split()[1:]


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import nmt") == []


def test_translating_loads_no_keras() -> None:
    code = "import nmt; print(nmt.load('tests/golden/model').translate(['Where is the station?'])[0].text)"
    assert loaded_by(code) == ["sentencepiece"]


@pytest.mark.parametrize("command", ["", "train", "translate", "repl", "evaluate", "score"])
def test_help_loads_nothing_heavy(command: str) -> None:
    code = f"""
import runpy, sys
sys.argv = ["nmt", *{command.split()}, "--help"]
try:
    runpy.run_module("nmt", run_name="__main__", alter_sys=True)
except SystemExit as stop:
    assert not stop.code, stop.code
"""
    assert loaded_by(code) == []
