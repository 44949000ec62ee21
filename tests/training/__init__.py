import pytest

pytest.register_assert_rewrite("tests.training.tiny_run")
