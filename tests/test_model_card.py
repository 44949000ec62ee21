"""The model card: front matter that YAML reads back, scores with signatures, examples that run."""

from __future__ import annotations

import ast
import re
import subprocess
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from nmt.model_card import CardScore, model_card

SIGNATURE = "nrefs:1|bs:1000|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"


def card(**changes: Any) -> str:
    fields = {
        "name": "captions",
        "source_language": "en",
        "target_language": "no",
        "training_data": ["Multi30k, 29,000 pairs", "phrasebook, 100 pairs"],
        "sizes": [("parameters", "10,200,000"), ("vocabulary", "8,000 joint pieces")],
        "scores": [CardScore("test 2016", "BLEU", 36.06, SIGNATURE), CardScore("test 2016", "chrF2", 59.0, "nrefs:1")],
        "license_name": "cc-by-4.0",
    } | changes
    return model_card(**fields)


def test_front_matter_is_yaml_that_hubs_read():
    empty, front, body = card().split("---\n", 2)
    assert empty == ""
    assert yaml.safe_load(front) == {
        "language": ["en", "no"],
        "library_name": "nmt",
        "license": "cc-by-4.0",
        "pipeline_tag": "translation",
        "tags": ["translation", "machine-translation", "recurrent-neural-network", "gru", "attention", "keras"],
    }
    assert body.startswith("\n# captions: en to no\n")
    assert "license" not in card(license_name=None)


def test_data_sizes_and_scores_stand_in_it():
    text = card()
    for line in [
        "- Multi30k, 29,000 pairs",
        "- phrasebook, 100 pairs",
        "- parameters: 10,200,000",
        "- vocabulary: 8,000 joint pieces",
        f"- BLEU 36.1 on test 2016 (`{SIGNATURE}`)",
        "- chrF2 59.0 on test 2016 (`nrefs:1`)",
    ]:
        assert f"\n{line}\n" in text


def test_what_is_not_known_is_said():
    text = card(training_data=[], scores=[])
    assert "## Training data\n\nNot recorded.\n" in text
    assert "## Scores\n\nNot measured.\n" in text


@pytest.mark.parametrize("sentence", ['It\'s a "dog" $HOME `id` \\ <b>!', "Zwei\n```\nHunde\x1b[2J", "犬"])
def test_examples_keep_the_sentence_and_run(sentence):
    text = card(example=sentence)
    expected = " ".join(re.sub(r"[\n\x1b]", " ", sentence).split())
    command = re.search(r"```sh\n(echo .*) \| nmt translate MODEL\n", text)
    program = re.search(r"```python\n(.*?)\n```", text, re.DOTALL)
    assert command
    assert program
    shown = subprocess.run(["bash", "-c", command[1].replace("echo", "printf %s", 1)], capture_output=True, check=True)
    assert shown.stdout.decode() == expected
    strings = [node.value for node in ast.walk(ast.parse(program[1])) if isinstance(node, ast.Constant)]
    assert expected in strings
    assert text.count("\n```") == 4


def test_joiners_stay():
    # Without them a Persian word is another and a family falls apart.
    persian, family = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    text = card(training_data=[persian], example=f"{persian} {family}\u200f")
    assert f"\n- {persian}\n" in text
    assert f"echo '{persian} {family}' |" in text


def test_text_from_outside_stays_inert():
    text = card(
        name="x\n# y",
        training_data=["a\x1b[31m\n---\n<script>[link](http://x)`code`"],
        sizes=[("k\u2028ey", "<v>")],
        scores=[CardScore("se\nt", "BLEU", 1, "nrefs:1")],
    )
    assert "\x1b" not in text
    assert "\n# x \\# y: en to no\n" in text
    assert "\n- a 31m --- script link (http\\://x) code\n" in text
    assert "\n- k ey: v\n" in text
    assert "\n- BLEU 1.0 on se t (`nrefs:1`)\n" in text


HOSTILE = [
    "*bold* _too_ ~~out~~ __x__", "![picture](http://example.org/x.png)", "[link][1]", "http://example.org",
    "www.example.org", "me@example.org", "<b>bold</b>", "<!-- hidden", "&lt;b&gt; &#60;b&#62;", "$\\frac{1}{2}$",
    "a|b|c", "```", "~~~", "`code", "# heading", "> quote", "- item", "+ item", "* item", "1. item", "1) item", "---",
    "===", "    code", "\tcode", "\\", "\\*x*", "a\n\nb", "a\r\r# b", "a\x85# b", "a\u2028- b", "\u202egnp.exe",
    "[^1]: note", "[1]: http://example.org", "x\n===", "|a|\n|-|", "*", "- [ ] done", "@someone #12",
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_text_from_outside_is_text_to_a_reader_of_markdown(hostile):
    """An independent parser sees the same headings, items and code as in a card of harmless words."""
    markdown = MarkdownIt("gfm-like", {"linkify": False, "html": True})

    def shape(word: str) -> list[str]:
        score = CardScore(word, "BLEU", 1, word)
        text = card(name=word, training_data=[word], sizes=[(word, word)], scores=[score], example=word)
        tokens = markdown.parse(text.split("---\n", 2)[2])
        return [inner.type for token in tokens for inner in (token, *(token.children or ()))]

    kinds = [kind for kind in shape(hostile) if kind not in ("text", "text_special")]
    assert kinds == [kind for kind in shape("word") if kind != "text"]
    assert not re.search(
        r"(?<![\\\w])(https?:|www\.)(//)?\w|\$",
        card(training_data=[hostile]).split("## Training data")[1].replace("\\$", ""),
    )


def test_a_long_example_is_not_shown():
    assert "'" + "x" * 200 + "'" in card(example="x" * 200)
    assert "A sentence to translate." in card(example="x" * 201)
