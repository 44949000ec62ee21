"""As many lines come out as went in, in the same order, whatever they hold: each way into the program, each trap.

A model that copies shows what happens to the text, a trained one, which emits what it likes, that lines stay lines.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

import nmt
from nmt import cli, repl, stream
from nmt.config_decoding import DecodingConfig
from nmt.decoding.hypothesis import Counts
from nmt.decoding.translator import Translator
from nmt.terminal import printable
from tests.decoding.copying import CopyingModel
from tests.traps import FAMILY, HALF_PAIRS, NOT_UTF_8, SEPARATORS, TRAPS, copied

GOLDEN = Path(__file__).parent / "golden" / "model"
LONG = {"100,000 characters without a space", "30,000 bytes of emoji", "many lines"}
ALL_LINES = [line for name, (_, lines) in TRAPS.items() if name not in LONG for line in lines]
REFUSED_AS_A_CORPUS = {*NOT_UTF_8, "an empty file"}
Command = Callable[..., tuple[bytes, str]]


@pytest.fixture(scope="module")
def trained() -> Translator:
    return nmt.load(GOLDEN)


@pytest.fixture(scope="module")
def copying(trained: Translator) -> Translator:
    tokenizer = trained.source_tokenizer
    model = CopyingModel(tokenizer.vocabulary_size)
    return Translator(model, tokenizer, tokenizer, "en", "en", DecodingConfig(beam_size=1))


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], copying: Translator) -> Command:
    """Runs a command in this process with the model that copies; returns what it wrote and its messages."""
    monkeypatch.setattr(cli, "_load", lambda *_, **__: copying)

    def run(*words: object, stdin: bytes = b"", status: int = 0) -> tuple[bytes, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stopped:
            cli.main([str(word) for word in words])
        assert (stopped.value.code or 0) == status
        shown = capfd.readouterr()
        return shown.out.encode(), shown.err

    return run


def output_of(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def test_the_table_keeps_its_own_rule() -> None:
    # Else an expectation could be a slip of the pen.
    for name, (content, expected) in TRAPS.items():
        lines = content.split(b"\n")
        lines = lines[:-1] if lines[-1] == b"" else lines
        decoded = [line.removesuffix(b"\r") if content.endswith(b"\n") or n < len(lines) - 1 else line
                   for n, line in enumerate(lines)]  # fmt: skip
        texts = [line.decode("utf-8", "replace") for line in decoded]
        texts[:1] = [text.removeprefix("\ufeff") for text in texts[:1]]
        assert [copied(text) for text in texts] == expected, name
        assert (b"\xff\xfe" in content or "\ufffd" in content.decode("utf-8", "replace")) == (
            name in NOT_UTF_8 or name == "marks of the unknown"
        ), name


@pytest.mark.parametrize("name", TRAPS)
def test_a_file(name: str, command: Command, tmp_path: Path) -> None:
    content, expected = TRAPS[name]
    (tmp_path / "in").write_bytes(content)
    _, messages = command("translate", "model", "-i", tmp_path / "in", "-o", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == output_of(expected)
    assert ("not UTF-8" in messages) == (name in NOT_UTF_8)


@pytest.mark.parametrize("name", TRAPS)
def test_standard_input(name: str, command: Command) -> None:
    content, expected = TRAPS[name]
    assert command("translate", "model", stdin=content)[0] == output_of(expected)


def test_the_prompt_in_a_pipe(command: Command) -> None:
    lines = [line for line in ALL_LINES if not set(line) & {"\r", "\ufeff"}]
    assert command("repl", "model", stdin=output_of(lines))[0] == output_of([copied(line) for line in lines])


@pytest.mark.parametrize("name", TRAPS)
def test_evaluation(name: str, command: Command, tmp_path: Path) -> None:
    content, expected = TRAPS[name]
    path, out = tmp_path / "in", tmp_path / "out"
    path.write_bytes(content)
    words = [
        "evaluate", "model", "--source", path, "--reference", path, "-o", out, "--metrics", "ter", "--no-confidence",
    ]  # fmt: skip
    if name in REFUSED_AS_A_CORPUS:
        # A test set is a corpus: what is wrong with it is told, and no score comes of it.
        assert f"error: {path}" in command(*words, status=2)[1]
        assert not out.exists()
    else:
        command(*words)
        assert out.read_bytes() == output_of(expected)


@pytest.mark.parametrize("name", sorted(set(TRAPS) - LONG))
def test_a_score_for_each_pair(name: str, command: Command, tmp_path: Path) -> None:
    content, expected = TRAPS[name]
    path = tmp_path / "in"
    path.write_bytes(content)
    words = ["score", "model", "--source", path, "--target", path]
    if name in REFUSED_AS_A_CORPUS - {"an empty file"}:
        assert f"error: {path}" in command(*words, status=2)[1]
        return
    rows = [line.split("\t") for line in command(*words)[0].decode().split("\n")[:-1]]
    assert len(rows) == len(expected)
    assert all(float(log_prob) == 0 for log_prob, _ in rows), "the model is certain of what it copies"


def test_lines_given_in_python(copying: Translator, caplog: pytest.LogCaptureFixture) -> None:
    lines = [*HALF_PAIRS, *ALL_LINES, *SEPARATORS]
    expected = [*HALF_PAIRS.values(), *map(copied, ALL_LINES), *[""] * len(SEPARATORS)]
    assert [one.text for one in copying.translate(lines)] == expected
    assert caplog.messages == [
        "3 lines held half a surrogate pair, which is no text; it was read as U+FFFD.",
        "1 line was too long (max_source_pieces), translated in parts and joined again.",
    ]
    counts = Counts()
    pools = copying.translate_n_best(lines, n_best=2, beam_size=2, counts=counts)
    assert [pool[0].text for pool in pools] == expected
    assert counts.num_surrogates == 3
    caplog.clear()
    assert len(copying.score(lines, lines)) == len(lines)
    assert caplog.messages == ["6 lines held half a surrogate pair, which is no text; it was read as U+FFFD."]


def test_a_real_pipe_and_a_real_model() -> None:
    content = b"\n".join(
        content.removeprefix(b"\xef\xbb\xbf") for name, (content, _) in TRAPS.items() if name not in LONG
    )
    done = subprocess.run(
        [sys.executable, "-m", "nmt", "translate", GOLDEN, "--beam-size", "2"],
        input=content, capture_output=True, check=True,
    )  # fmt: skip
    num_lines = content.count(b"\n") + (not content.endswith(b"\n"))
    assert done.stdout.count(b"\n") == num_lines
    assert len(done.stdout.decode().splitlines()) == num_lines
    assert b"lines were not UTF-8" in done.stderr


@pytest.fixture
def typed(
    copying: Translator, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Callable[[str], list[str]]]:
    """Types a text into the interactive loop and returns what is shown below the banner."""
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):

        def send(text: str) -> list[str]:
            pipe.send_text(text + "\r\x04")
            repl.converse(repl.Conversation(copying, "model", lambda _: copying))
            return capsys.readouterr().out.split("\n")[3:-1]

        yield send


def test_a_conversation(typed: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    # Ends of lines are keys there, and so are other controls of a keyboard; a slash begins a command.
    lines = [line for line in ALL_LINES if not set(line) & set(map(chr, range(32))) and not line.startswith("/")]
    assert len(lines) > 40
    shown = typed("\x1b[200~" + "\n".join(lines) + "\x1b[201~")
    assert shown == [printable(line.strip()) for line in lines]


ODD = [*"a b\u2581<\0\x1b\t\ufeff\u200b\u200c\u200d\u202e\xa0\u3000\xe9\u0301\u0645\U0001f600\ufffd", *SEPARATORS[1:]]
ODD_BYTES = [one.encode() for one in [*ODD, "word", "</s>", "<0x0A>", FAMILY]]
INVALID = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\x80", b"\xf4\x90\x80\x80"]
LINE = st.lists(st.sampled_from([*ODD_BYTES, *INVALID]) | st.text(max_size=4).map(str.encode), max_size=8).map(b"".join)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.lists(LINE.map(lambda line: line.replace(b"\n", b"")), max_size=4), st.sampled_from([b"\n", b"\r\n"]))
def test_any_text(copying: Translator, lines: list[bytes], end: bytes) -> None:
    content, written = b"".join(line + end for line in lines), []
    bad = stream.BadLines()
    source = stream.Input(stream.LineReader(io.BytesIO(content), "input", bad), lambda: True, "input", bad)
    stream.translate(copying, source, stream.Output(written.append, is_terminal=False), workers=1)
    texts = [line.removesuffix(b"\r").decode("utf-8", "replace") if end == b"\n" else line.decode("utf-8", "replace")
             for line in lines]  # fmt: skip
    texts[:1] = [text.removeprefix("\ufeff") for text in texts[:1]]
    assert "".join(written) == "".join(f"{copied(text)}\n" for text in texts)
    assert len("".join(written).splitlines()) == len(lines)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.text(st.characters(exclude_categories=[])) | st.text(st.sampled_from(ODD)), max_size=5))
def test_any_strings(trained: Translator, lines: list[str]) -> None:
    # Lone surrogates too; the trained model emits bytes as it likes.
    found = trained.translate(lines, beam_size=1, max_length_ratio=0.5, workers=1)
    assert len(found) == len(lines)
    for line, one in zip(lines, found, strict=True):
        assert not set(one.text) & set(SEPARATORS)
        one.text.encode("utf-8")
        assert line.strip() or not one.text


def test_very_many_lines(command: Command, tmp_path: Path, rng: np.random.Generator, soak: int) -> None:
    """A thousand lines by default, drawn from the traps; `make soak` takes a million."""
    num_lines = 1000 if soak == 1 else 50_000 * soak
    lines = [line for line in ALL_LINES if len(line) < 100]
    drawn = rng.integers(len(lines), size=num_lines)
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    with source.open("wb") as file:
        file.writelines(b"%d: %s\n" % (n, lines[i].encode("utf-8", "surrogatepass")) for n, i in enumerate(drawn))
    command("translate", "model", "-i", source, "-o", target)
    with target.open("rb") as file:
        num_read = 0
        for number, line in enumerate(file):
            assert line.startswith(b"%d:" % number)
            num_read += 1
    assert num_read == num_lines
