"""The interactive prompt: a sentence is answered with its translation, a line that begins with `/` is a command.

`Conversation` knows what is answered to a line, and no terminal; `converse` puts it onto one. Whatever is shown is
inert: neither a model nor what was pasted can move the cursor.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys

from nmt.attention_table import MIN_WIDTH, attention_table
from nmt.config_decoding import DecodingConfig
from nmt.console import show, write_result
from nmt.decoding.hypothesis import Counts, Hypothesis
from nmt.errors import InputError, NMTError, did_you_mean
from nmt.terminal import printable

if TYPE_CHECKING:  # NumPy comes with it: the one who has a translator has imported it
    from nmt.decoding.translator import Translator

WELCOME = "Type a sentence. /help lists the commands, Ctrl-D leaves."
HELP = """\
  /beam [K]            the beam size: K hypotheses are kept at each step, 1 is greedy search
  /nbest [N]           how many translations of a line are shown, with their scores
  /attention [on|off]  whether a table shows what each piece of a translation attends to
  /model [PATH]        the model: translate with another one from now on (several together: nmt repl A B)
  /help                this list
  /quit                leave, as Ctrl-D does
  //...                a line to translate that begins with one /
Without its argument a command says what is set. Ctrl-C clears the line or stops a translation."""


@dataclass(frozen=True)
class Settings:
    """What the commands of a conversation change."""

    beam_size: int
    n_best: int = 1
    with_attention: bool = False


class Conversation:
    """What is answered to each line.

    Args:
        translator: The first translator.
        name: Its path, to be shown.
        load: Loads another one.

    Attributes:
        translator: The translator of the moment.
        settings: What the commands have changed.
        is_over: Whether /quit was typed.
        remarks: What was out of the ordinary about the last line.
    """

    def __init__(self, translator: Translator, name: str, load: Callable[[Path], Translator]) -> None:
        self.translator = translator
        self.settings = Settings(translator.options.beam_size)
        self.is_over = False
        self.remarks: list[str] = []
        self._name = name
        self._load = load
        self._commands: dict[str, Callable[[str], str]] = {
            "/attention": self._attention,
            "/beam": self._beam,
            "/help": lambda _: HELP,
            "/model": self._model,
            "/nbest": self._n_best,
            "/quit": self._quit,
        }

    @property
    def commands(self) -> list[str]:
        """The names of the commands."""
        return sorted(self._commands)

    @property
    def prompt(self) -> str:
        """What stands before the line that is typed: the source language."""
        return f"{self.translator.source_language}> "

    def banner(self) -> str:
        """Returns the languages, the model and the beam."""
        languages = f"{self.translator.source_language} to {self.translator.target_language}"
        return f"{languages}   {self._name}   beam {self.settings.beam_size}"

    def answer(self, line: str, *, width: int = 80) -> str:
        """Returns what is shown for a line: text to be made inert, or nothing for a blank line.

        Args:
            line: A command, or text to translate.
            width: Columns of the terminal.

        Raises:
            NMTError: There is no such command, its argument is wrong, or a model can't be loaded.
        """
        self.remarks = []
        line = line.strip()
        if line.startswith("//"):
            return self._translation(line[1:], width)
        if line.startswith("/"):
            name, _, argument = line.partition(" ")
            if name not in self._commands:
                hint = did_you_mean(name, self.commands)
                raise InputError(f"no such command: {name}. {hint} A line to translate that begins with /: type //.")
            return self._commands[name](argument.strip())
        return self._translation(line, width) if line else ""

    def _translate(self, line: str) -> list[Hypothesis]:
        counts = Counts()
        [found] = self.translator.translate_n_best(
            [line],
            counts=counts,
            n_best=self.settings.n_best,
            beam_size=self.settings.beam_size,
            with_attention=self.settings.with_attention,
        )
        self.remarks += counts.messages()
        return found

    def _translation(self, line: str, width: int) -> str:
        found = self._translate(line)
        lines = [found[0].text or "(an empty translation)"]
        if self.settings.n_best > 1:
            lines = [f"{one.score:9.3f}  {one.text}" for one in found]
        if self.settings.with_attention:
            lines += ["", self._table(line, found[0], width)]
        return "\n".join(lines)

    def _table(self, line: str, best: Hypothesis, width: int) -> str:
        if best.attention is None:
            return "(no attention table: the line was too long to be translated whole)"
        pieces = self.translator.target_pieces(best), self.translator.source_pieces(line)
        return attention_table(best.attention, *pieces, width=max(width, MIN_WIDTH))

    def _beam(self, argument: str) -> str:
        if argument:
            settings = dataclasses.replace(self.settings, beam_size=_whole_number("/beam", argument))
            DecodingConfig().with_changes({"beam_size": settings.beam_size})
            self._apply(settings)
        return f"beam {self.settings.beam_size}"

    def _n_best(self, argument: str) -> str:
        if argument:
            self._apply(dataclasses.replace(self.settings, n_best=_whole_number("/nbest", argument)))
        scores = ", with their scores: log-probability over length penalty, higher is better"
        number = self.settings.n_best
        return f"{number} translation{'s' if number > 1 else ''} a line{scores if number > 1 else ''}"

    def _attention(self, argument: str) -> str:
        if argument not in ("", "on", "off"):
            raise InputError(f"/attention takes on or off. Received: {argument}")
        if argument:
            self._apply(dataclasses.replace(self.settings, with_attention=argument == "on"))
        return f"attention table {'on' if self.settings.with_attention else 'off'}"

    def _apply(self, settings: Settings) -> None:
        if not 1 <= settings.n_best <= settings.beam_size:
            raise InputError(
                "the number of translations must be from 1 to the beam size. "
                f"Received: {settings.n_best} with beam {settings.beam_size}. Set the other one first."
            )
        self.settings = settings

    def _model(self, argument: str) -> str:
        if argument:
            self.translator = self._load(Path(os.path.expanduser(argument)))  # noqa: PTH111  (leaves an unknown user)
            self._name = argument
        return self.banner()

    def _quit(self, _: str) -> str:
        self.is_over = True
        return ""


def converse(conversation: Conversation) -> None:
    """Answers lines from the terminal until the person leaves.

    The search is compiled in the background while the first line is typed.
    """
    bindings = KeyBindings()
    # A colour code that is pasted looks like a movement of the mouse, and prompt_toolkit would stumble over it.
    bindings.add(Keys.Vt100MouseEvent)(lambda _: None)
    session: PromptSession[str] = PromptSession(
        history=_history(),
        key_bindings=bindings,
        completer=WordCompleter(conversation.commands, sentence=True),
        complete_while_typing=Condition(lambda: session.default_buffer.text.startswith("/")),
    )
    _show([conversation.banner(), WELCOME, ""])
    while not conversation.is_over:
        try:
            text = session.prompt(conversation.prompt)
        except KeyboardInterrupt:
            continue
        except EOFError:
            break
        _answer(conversation, text.split("\n"))  # several lines, if they were pasted


def _answer(conversation: Conversation, lines: Sequence[str]) -> None:
    """Shows the answer to each line. One that is refused is no reason to drop those that were pasted behind it."""
    try:
        for line in lines:
            try:
                answer = conversation.answer(line, width=shutil.get_terminal_size().columns)
            except NMTError as error:
                show(str(error), "error")
                continue
            # Of several lines a blank one keeps its place among the answers.
            _show(answer.split("\n") if answer or (len(lines) > 1 and not line.strip()) else [])
            for remark in conversation.remarks:
                show(remark)
    except KeyboardInterrupt:
        show("interrupted")


def _show(lines: list[str]) -> None:
    write_result("".join(f"{printable(line)}\n" for line in lines))


def _whole_number(command: str, argument: str) -> int:
    try:
        return int(argument)
    except ValueError:
        raise InputError(f"{command} takes a whole number. Received: {argument}") from None


class _FileHistory(FileHistory):
    """A history that goes on in memory when its file can't be written any more."""

    def store_string(self, string: str) -> None:
        with contextlib.suppress(OSError):
            super().store_string(string)


def _history() -> History:
    """Returns the history of earlier sessions, or an empty one where its file can't be written."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "nmt" / "history"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.open("a+b").close()
    except (OSError, RuntimeError):  # read-only, a full disk, no home
        return InMemoryHistory()
    return _FileHistory(path)
