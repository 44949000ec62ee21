"""The model card: what a model is, what it was trained on, how good it is and how to use it, as Markdown.

It opens with the YAML front matter that hubs read. This module knows nothing of files and of how scores are computed.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from nmt import strict_yaml
from nmt.terminal import ACTIVE

_TAGS = ["translation", "machine-translation", "recurrent-neural-network", "gru", "attention", "keras"]
_WHAT = "A GRU encoder-decoder with attention, trained with `nmt`. This folder holds all that it needs."
_LIMITS = (
    "It translates one sentence at a time and knows no more than its training data: names, numbers and subjects that "
    "were rare there come out wrong. Check what matters."
)
_MAX_EXAMPLE_LENGTH = 200  # a longer one says no more of how the model is used
_MARKS = re.compile(r"[\\*_~$|&@#!]|^[-+=>]|^\d+(?=[.)])|(?<=[a-z]):(?=//)|(?<=www)\.", re.IGNORECASE)


class CardScore(NamedTuple):
    """One score of the card.

    Attributes:
        data: What was translated, such as `Multi30k test 2016`.
        metric: Such as `BLEU`.
        value: 0 to 100.
        signature: SacreBLEU's signature, without which the value means little.
    """

    data: str
    metric: str
    value: float
    signature: str


def model_card(
    *,
    name: str,
    source_language: str,
    target_language: str,
    training_data: Sequence[str],
    sizes: Sequence[tuple[str, str]],
    scores: Sequence[CardScore],
    example: str | None = None,
    license_name: str | None = None,
) -> str:
    """Builds the model card.

    Args:
        name: What to call the model.
        source_language: Code of the source language.
        target_language: Code of the target language.
        training_data: What it was trained on, a line for each corpus, with the number of pairs.
        sizes: Names and values of what describes the model, such as `("parameters", "10,200,000")`.
        scores: Scores on held-out data; none are shown as not measured.
        example: A source sentence for the examples of use; one of more than 200 characters is not shown.
        license_name: The licence's short name, such as `cc-by-4.0`, for the front matter.

    Returns:
        Markdown with YAML front matter. Text from outside stands in it on one line each, without markup.

    Example:
        >>> score = CardScore("test", "BLEU", 36.04, "nrefs:1|case:mixed|tok:13a")
        >>> card = model_card(name="captions", source_language="en", target_language="de",
        ...                   training_data=["Multi30k, 29,000 pairs"], sizes=[("parameters", "10,200,000")],
        ...                   scores=[score])
        >>> "- BLEU 36.0 on test (`nrefs:1|case:mixed|tok:13a`)" in card
        True
    """
    parts = [
        _front_matter(source_language, target_language, license_name),
        f"# {_plain(name)}: {source_language} to {target_language}",
        f"Translates from `{source_language}` to `{target_language}`. {_WHAT}",
        "## Use",
        _use(_one_line(example) if example and len(example) <= _MAX_EXAMPLE_LENGTH else "A sentence to translate."),
        "## Training data",
        _items(training_data, "Not recorded."),
        "## Model",
        _items([f"{key}: {value}" for key, value in sizes], "Not recorded."),
        "## Scores",
        _list([_score_line(score) for score in scores], "Not measured."),
        "## Limits",
        _LIMITS,
    ]
    return "\n\n".join(parts) + "\n"


def _use(sentence: str) -> str:
    return f"""Run these where this folder lies, as `MODEL`:

```sh
echo {shlex.quote(sentence)} | nmt translate MODEL
nmt translate MODEL -i input.txt -o output.txt
nmt repl MODEL
```

```python
import nmt

translator = nmt.load("MODEL")
print(translator.translate([{sentence!r}])[0].text)
```"""


def _front_matter(source_language: str, target_language: str, license_name: str | None) -> str:
    tree: dict[str, object] = {"language": [source_language, target_language], "library_name": "nmt"}
    if license_name:
        tree["license"] = license_name
    tree |= {"pipeline_tag": "translation", "tags": _TAGS}
    return f"---\n{strict_yaml.render(tree)}---"


def _score_line(score: CardScore) -> str:
    signature = _one_line(score.signature).replace("`", "") or "?"
    return f"{_plain(score.metric)} {score.value:.1f} on {_plain(score.data)} (`{signature}`)"


def _items(lines: Sequence[str], otherwise: str) -> str:
    return _list([_plain(line) for line in lines], otherwise)


def _list(items: Sequence[str], otherwise: str) -> str:
    return "\n".join(f"- {item}" for item in items) or otherwise


def _plain(text: str) -> str:
    """Returns the text on one line, without the marks of code, tags and links, and with the other marks escaped."""
    line = _one_line("".join(" " if mark in "`<>[]" else mark for mark in text))
    return _MARKS.sub(lambda match: match[0] + "\\" if match[0].isdigit() else "\\" + match[0], line) or "(no text)"


def _one_line(text: str) -> str:
    """Returns the text on one line, without what a terminal acts on; joiners, which Persian and emoji need, stay."""
    return " ".join(ACTIVE.sub(" ", text).split())
