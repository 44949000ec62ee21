"""The conversation, without a terminal; and the terminal's keys, through prompt_toolkit's own pipe."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from nmt import repl
from nmt.attention_table import attention_table
from nmt.errors import InputError, ModelFileError
from tests.fake_translator import FakeHypothesis, FakeTranslator


def load(path: Path) -> FakeTranslator:
    if path.name == "missing":
        raise ModelFileError(f"{path}: no such folder.")
    return FakeTranslator("de", "en")


@pytest.fixture
def translator() -> FakeTranslator:
    return FakeTranslator(too_long=50)


@pytest.fixture
def conversation(translator: FakeTranslator) -> repl.Conversation:
    return repl.Conversation(translator, "runs/one", load)  # type: ignore[arg-type]


def test_a_sentence_is_translated(conversation: repl.Conversation, translator: FakeTranslator) -> None:
    assert conversation.answer(" hello there ") == "HELLO THERE"
    assert translator.calls == [(["hello there"], {"n_best": 1, "beam_size": 5, "with_attention": False})]


def test_a_blank_line_has_no_answer(conversation: repl.Conversation, translator: FakeTranslator) -> None:
    assert conversation.answer("  ") == ""
    assert not translator.calls


def test_an_empty_translation_is_told(conversation: repl.Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation.translator, "translate_n_best", lambda *_, **__: [[FakeHypothesis("")]])
    assert conversation.answer("hello") == "(an empty translation)"


def test_the_banner_and_the_prompt_name_the_languages(conversation: repl.Conversation) -> None:
    assert conversation.banner() == "en to fr   runs/one   beam 5"
    assert conversation.prompt == "en> "


def test_the_beam_is_set(conversation: repl.Conversation, translator: FakeTranslator) -> None:
    assert conversation.answer("/beam") == "beam 5"
    assert conversation.answer("/beam  12") == "beam 12"
    conversation.answer("hello")
    assert translator.calls[-1][1]["beam_size"] == 12


def test_several_translations_have_their_scores(conversation: repl.Conversation) -> None:
    assert conversation.answer("/nbest") == "1 translation a line"
    assert conversation.answer("/nbest 3").startswith("3 translations a line, with their scores: ")
    assert conversation.answer("hi").splitlines() == ["    0.000  HI", "   -1.000  HI!", "   -2.000  HI!!"]


def test_attention_is_a_table(conversation: repl.Conversation) -> None:
    assert conversation.answer("/attention") == "attention table off"
    assert conversation.answer("/attention on") == "attention table on"
    answer = conversation.answer("one two", width=60)
    table = attention_table(np.eye(3), ["ONE", "TWO", "</s>"], ["one", "two", "</s>"], width=60)
    assert answer == f"ONE TWO\n\n{table}"
    assert "too long to be translated whole" in conversation.answer("x" * 51)
    conversation.answer("one two", width=3)  # a terminal narrower than any table
    conversation.answer("/attention off")
    assert conversation.answer("one two") == "ONE TWO"


def test_another_model_takes_over_with_the_same_settings(conversation: repl.Conversation) -> None:
    conversation.answer("/beam 3")
    assert conversation.answer("/model") == "en to fr   runs/one   beam 3"
    assert conversation.answer("/model runs/the other") == "de to en   runs/the other   beam 3"
    assert conversation.prompt == "de> "
    with pytest.raises(ModelFileError):
        conversation.answer("/model missing")
    assert conversation.banner() == "de to en   runs/the other   beam 3"


def test_a_slash_can_be_escaped(conversation: repl.Conversation) -> None:
    assert conversation.answer("//beam 3") == "/BEAM 3"
    assert conversation.answer("///") == "//"


def test_help_lists_every_command(conversation: repl.Conversation) -> None:
    listed = [line.split()[0] for line in conversation.answer("/help").splitlines() if line.startswith("  /")]
    assert sorted(listed) == sorted([*conversation.commands, "//..."])


def test_quit(conversation: repl.Conversation) -> None:
    assert conversation.answer("/quit") == ""
    assert conversation.is_over


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/baem 3", r"no such command: /baem. Did you mean `/beam`\? .* type //"),
        ("/", "no such command: /. Known: /attention, /beam"),
        ("/beam three", "/beam takes a whole number. Received: three"),
        ("/beam 0", "beam_size: must be >= 1"),
        ("/beam 1001", "beam_size: must be .*<= 1,000"),
        ("/nbest 0", "from 1 to the beam size. Received: 0 with beam 5"),
        ("/nbest 6", "from 1 to the beam size. Received: 6 with beam 5"),
        ("/attention maybe", "/attention takes on or off. Received: maybe"),
    ],
)
def test_mistakes_change_nothing(conversation: repl.Conversation, line: str, message: str) -> None:
    before = conversation.settings
    with pytest.raises(InputError, match=message):
        conversation.answer(line)
    assert conversation.settings == before


def test_the_beam_is_never_smaller_than_the_number_of_translations(conversation: repl.Conversation) -> None:
    conversation.answer("/nbest 3")
    with pytest.raises(InputError, match="Received: 3 with beam 2"):
        conversation.answer("/beam 2")


# ---- the terminal ----


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PipeInput]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe


def shown_after(
    conversation: repl.Conversation, keys: PipeInput, typed: str, capsys: pytest.CaptureFixture[str]
) -> tuple[list[str], str]:
    """What is shown below the banner, and what of it on standard error."""
    keys.send_text(typed)
    repl.converse(conversation)
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[:3] == ["en to fr   runs/one   beam 5", repl.WELCOME, ""]
    return lines[3:], shown.err


def test_lines_are_answered_until_ctrl_d(
    conversation: repl.Conversation, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, errors = shown_after(conversation, keys, "one\r\r/baem\r/beam 2\rtwo\r\x04", capsys)
    assert lines == ["ONE", "beam 2", "TWO"]
    assert errors.startswith("error: no such command: /baem.")


def test_ctrl_c_clears_the_line(
    conversation: repl.Conversation, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown_after(conversation, keys, "half a li\x03whole\r/quit\r", capsys) == (["WHOLE"], "")


def test_ctrl_c_stops_a_translation_and_nothing_else(
    conversation: repl.Conversation,
    keys: PipeInput,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = repl.Conversation.answer

    def interrupted(self: repl.Conversation, line: str, *, width: int = 80) -> str:
        if line == "endless":
            raise KeyboardInterrupt
        return answer(self, line, width=width)

    monkeypatch.setattr(repl.Conversation, "answer", interrupted)
    assert shown_after(conversation, keys, "endless\rone\r\x04", capsys) == (["ONE"], "interrupted\n")


def test_pasted_lines_are_answered_one_by_one(
    conversation: repl.Conversation, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown_after(conversation, keys, "\x1b[200~one\r\ntwo\rthree\x1b[201~\r\x04", capsys)[0] == [
        "ONE",
        "TWO",
        "THREE",
    ]


def test_a_pasted_line_that_is_refused_drops_no_other(
    conversation: repl.Conversation, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    # The lines behind it were dropped without a word, and a blank one moved those behind it up.
    lines, errors = shown_after(conversation, keys, "\x1b[200~one\n/etc/passwd\n\ntwo\x1b[201~\r\r\x04", capsys)
    assert lines == ["ONE", "", "TWO"]
    assert errors.startswith("error: no such command: /etc/passwd.")


def test_what_is_odd_about_an_answer_is_told(
    conversation: repl.Conversation, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, errors = shown_after(conversation, keys, "loop\rone\r\x04", capsys)
    assert lines == ["LOOP", "ONE"]
    assert errors == "1 output repeats itself, and no other hypothesis of its line was better\n"


def test_answers_are_inert(
    conversation: repl.Conversation, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown_after(conversation, keys, "\x1b[200~a\x1b[31mred\x1b[201~\r\x04", capsys)[0] == ["A\\x1b[31MRED"]


def test_a_pasted_colour_code_is_no_movement_of_a_mouse(
    conversation: repl.Conversation, keys: PipeInput, capsys: pytest.CaptureFixture[str]
) -> None:
    """prompt_toolkit took `ESC [ 31 m` for one and printed a traceback."""
    lines, errors = shown_after(conversation, keys, "\x1b[31mred\r\x04", capsys)
    assert (lines, errors) == (["RED"], "")


def test_the_history_is_kept_for_its_owner_alone(
    conversation: repl.Conversation, keys: PipeInput, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown_after(conversation, keys, "one\r\x04", capsys)
    path = tmp_path / "state" / "nmt" / "history"
    assert "+one" in path.read_text().splitlines()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(repl._history().load_history_strings()) == ["one"]


def test_the_history_stays_in_memory_where_it_cannot_be_written(
    conversation: repl.Conversation, keys: PipeInput, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    assert shown_after(conversation, keys, "one\r\x04", capsys)[0] == ["ONE"]
    assert isinstance(repl._history(), InMemoryHistory)


def test_a_history_that_fails_later_is_no_reason_to_stop(
    conversation: repl.Conversation,
    keys: PipeInput,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(repl.FileHistory, "store_string", fail)
    assert shown_after(conversation, keys, "one\rtwo\r\x04", capsys)[0] == ["ONE", "TWO"]
