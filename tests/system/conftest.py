"""What holds for the tests of the whole system."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    # NumPy 2.4 tells that Keras 3.15's variables and PyTorch's tensors should know one more keyword; nothing of ours.
    item.add_marker(pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"))
