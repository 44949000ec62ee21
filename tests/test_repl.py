"""The conversation, without a terminal; and the terminal's keys, through prompt_toolkit's own pipe."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.input.base import PipeInput
from prompt_toolkit.output import DummyOutput

from nmt import repl
from nmt.errors import InputError, ModelFileError
from tests.fake_translator import FakeTranslator

Conversation = repl.Conversation


def load(path: Path) -> FakeTranslator:
    if path.name == "missing":
        raise ModelFileError(f"{path}: no such folder.")
    return FakeTranslator("de", "en")


@pytest.fixture
def translator() -> FakeTranslator:
    return FakeTranslator(too_long=50)


@pytest.fixture
def conversation(translator: FakeTranslator) -> Conversation:
    return Conversation(translator, "runs/one", load)  # type: ignore[arg-type]


def test_a_sentence_is_translated(conversation: Conversation, translator: FakeTranslator) -> None:
    assert conversation.answer("hello there") == "HELLO THERE"
    assert translator.calls == [(["hello there"], {"n_best": 1, "beam_size": 5, "with_attention": False})]


def test_a_blank_line_has_no_answer(conversation: Conversation, translator: FakeTranslator) -> None:
    assert conversation.answer("  ") == ""
    assert not translator.calls


def test_an_empty_translation_is_told(conversation: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(str, "upper", None, raising=False) if False else None
    conversation.translator._found = lambda *_: [type(conversation)]  # type: ignore[attr-defined, method-assign]
