"""What holds in every test: seeded generators, no network, a seed that a failing random test prints."""

from __future__ import annotations

import itertools
import os
import random
import secrets
import signal
import sys
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest

# Before anything imports them: TensorFlow says nothing below an error, and the Hub is never asked.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["HF_HUB_OFFLINE"] = "1"

# A shell that starts the tests in the background has them ignore Ctrl-C, `nohup` the end of the terminal, and every
# command that they start as well.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says more of what else the machine does than of the code.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")

FIXED_SEED = 2026
TESTS_BETWEEN_CLEARINGS = 40
_test_number = itertools.count(1)
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "", None})


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Makes this process as good as offline: a name that isn't this machine's can't be looked up or reached."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in LOCAL_HOSTS:
        raise ConnectionRefusedError(f"tests use no network; something tried to reach {host!r}")


sys.addaudithook(_refuse_network)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="seed of the random tests (default: drawn, and printed)")
    parser.addoption("--soak", type=int, default=1, help="how many times as long the tests of reliability try")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.seed is None:
        config.option.seed = secrets.randbelow(2**31)


def pytest_report_header(config: pytest.Config) -> str:
    return f"random tests: --seed={config.option.seed}"


@pytest.fixture(autouse=True)
def _fixed_generators() -> None:
    """Gives every test the same global generators, whatever ran before it.

    Keras draws the seeds of its initializers from Python's `random`, so a test that has yet to import Keras is covered.
    """
    random.seed(FIXED_SEED)
    np.random.seed(FIXED_SEED)  # Keras and sacreBLEU draw from the global generator
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(FIXED_SEED)


@pytest.fixture(autouse=True)
def _forget_what_was_compiled() -> Iterator[None]:
    """Has JAX let go of what it compiled, every so many tests.

    Each program that it compiles takes several areas of memory. Linux gives a process 65,530; one module took
    38,065, and a process with all of them ended with an abort or a segmentation fault.
    """
    yield
    if "jax" in sys.modules and next(_test_number) % TESTS_BETWEEN_CLEARINGS == 0:
        sys.modules["jax"].clear_caches()


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Returns the session's seed and prints it, so that a failing random test can be run again."""
    value: int = request.config.option.seed
    print(f"repeat with: pytest --seed={value}")
    return value


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """Returns a generator of the session's seed."""
    return np.random.default_rng(seed)


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> int:
    """Returns how many times as long the tests of reliability are to try as they do by default."""
    value: int = request.config.option.soak
    return value
