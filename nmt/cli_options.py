"""The arguments and options of the commands: how each is spelt, and what the help says of it. Nothing else.

An option of the search has no default here: what is not given is as the model was saved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand


class ManyWords(TyperCommand):
    """A command that reads `--metrics bleu chrf` as `--metrics bleu --metrics chrf`, and so for all that may repeat."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the words of the command line, the option repeated before each of its values."""
        repeatable = {name for one in self.params if getattr(one, "multiple", False) for name in one.opts}
        words: list[str] = []
        option = ""
        for word in args:
            if word.startswith("-"):
                option = word if word in repeatable else ""
            elif option and words[-1] != option:
                words.append(option)
            words.append(word)
        return super().parse_args(ctx, words)


Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model, or a run directory: then its best model.")]
Models = Annotated[
    list[Path],
    typer.Argument(
        metavar="MODEL",
        help="A model, or a run directory: then its best model. Several decode together, as an ensemble.",
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]
Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file; docs/configuration.md lists its keys.")]

# train
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the configuration; as often as needed."),
]
RunDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the run.", show_default="runs/ and the name of CONFIG"),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run from its last checkpoint.")]
AllowChanged = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="With --resume: what may differ from the run: a key, a section, a package, corpus, tokenizer; "
        "as often as needed.",
    ),
]
Replace = Annotated[bool, typer.Option("--replace", help="Delete the run that is there and start anew.")]

# translate
Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        "-i",
        metavar="FILE",
        help="Lines to translate; may end in .gz, .xz or .zst.",
        show_default="standard input",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Where the translations go, all of them or none.",
        show_default="standard output",
    ),
]
NBest = Annotated[
    int, typer.Option("--n-best", metavar="N", min=1, help="Translations of each line; at most the beam size.")
]
Format = Annotated[
    Literal["text", "jsonl", "moses"],
    typer.Option("--format", help="text: a line each. jsonl: an object each. moses: line number ||| text ||| score."),
]

# the search
_SEARCH = "Search (what is not given is as the model was saved)"
BeamSize = Annotated[
    int | None, typer.Option(metavar="K", help="Hypotheses kept at each step; 1: greedy.", rich_help_panel=_SEARCH)
]
LengthPenalty = Annotated[
    float | None, typer.Option(metavar="ALPHA", help="Higher: longer translations.", rich_help_panel=_SEARCH)
]
CoveragePenalty = Annotated[
    float | None, typer.Option(metavar="BETA", help="Higher: fewer words left out.", rich_help_panel=_SEARCH)
]
MaxLengthRatio = Annotated[
    float | None,
    typer.Option(metavar="RATIO", help="Longest output, in pieces, for each source piece.", rich_help_panel=_SEARCH),
]
MinLengthRatio = Annotated[
    float | None,
    typer.Option(metavar="RATIO", help="Shortest output, in pieces, for each source piece.", rich_help_panel=_SEARCH),
]
NoRepeatNgramSize = Annotated[
    int | None,
    typer.Option(metavar="N", help="No run of N pieces comes twice; 0: no limit.", rich_help_panel=_SEARCH),
]
BatchSize = Annotated[
    int | None, typer.Option(metavar="N", help="Lines a worker has at a time.", rich_help_panel=_SEARCH)
]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Batches worked on at a time.", show_default="one a processor core"),
]
Device = Annotated[
    Literal["cpu", "gpu"],
    typer.Option(help="Where to compute: cpu, with NumPy; gpu, with the backend that KERAS_BACKEND names."),
]

# score
ScoredSource = Annotated[Path, typer.Option("--source", metavar="FILE", help="Source lines.")]
ScoredTarget = Annotated[Path, typer.Option("--target", metavar="FILE", help="A translation of each.")]

# evaluate
_TEXT, _SCORES, _FILES = "Test set: two files, or a configuration", "Scores", "Files to write"
Source = Annotated[Path | None, typer.Option(metavar="FILE", help="Source lines.", rich_help_panel=_TEXT)]
Reference = Annotated[Path | None, typer.Option(metavar="FILE", help="What each should become.", rich_help_panel=_TEXT)]
TestConfig = Annotated[
    Path | None, typer.Option(metavar="CONFIG", help="Configuration that names the text.", rich_help_panel=_TEXT)
]
Split = Annotated[Literal["train", "dev", "test"], typer.Option(help="Which of its corpora.", rich_help_panel=_TEXT)]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME...",
        help="One or more of bleu, chrf and ter.",
        show_default="bleu chrf ter",
        rich_help_panel=_SCORES,
    ),
]
Tokenize = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="sacreBLEU's tokenizer; none: the text has been tokenized.", rich_help_panel=_SCORES
    ),
]
Lowercase = Annotated[bool, typer.Option("--lowercase", help="Ignore case.", rich_help_panel=_SCORES)]
Confidence = Annotated[
    bool, typer.Option(help="Give 95 % confidence intervals, by resampling.", rich_help_panel=_SCORES)
]
Baseline = Annotated[
    Path | None, typer.Option(metavar="MODEL", help="Test against another model.", rich_help_panel=_SCORES)
]
BaselineFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Test against another system's translations.", rich_help_panel=_SCORES),
]
Translations = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="The translations.", rich_help_panel=_FILES)
]
References = Annotated[
    Path | None,
    typer.Option(
        "--reference-output",
        metavar="FILE",
        help="The references, where they come from no such file.",
        rich_help_panel=_FILES,
    ),
]
JSON = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="The report as JSON; -: to standard output instead of the text.",
        rich_help_panel=_FILES,
    ),
]

# average
Averaged = Annotated[
    list[Path],
    typer.Argument(metavar="MODEL", help="Two models or more, of one architecture, or run directories."),
]
NewModel = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the new model.")]

# tokenizer
TrainingText = Annotated[
    list[Path],
    typer.Option("--input", "-i", metavar="FILE...", help="Text to train on, one sentence a line."),
]
TokenizerOutput = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="SentencePiece model to write.")]
VocabularySize = Annotated[int | None, typer.Option(metavar="N", help="Number of pieces.")]
ModelType = Annotated[
    Literal["unigram", "bpe"] | None, typer.Option(metavar="NAME", help="Kind of segmentation: unigram or bpe.")
]
CharacterCoverage = Annotated[
    float | None, typer.Option(metavar="SHARE", help="Share of the characters that get a piece of their own.")
]
Normalization = Annotated[
    Literal["identity", "nfkc", "nmt_nfkc"] | None,
    typer.Option(metavar="NAME", help="Of Unicode: identity, nfkc or nmt_nfkc."),
]
NoByteFallback = Annotated[
    bool, typer.Option("--no-byte-fallback", help="Leave rare characters unknown instead of spelling them as bytes.")
]
Seed = Annotated[int, typer.Option(metavar="N", help="Which lines are drawn, if there are too many.")]

# plot
Picture = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Picture to write; ends in .png.")]
Line = Annotated[str, typer.Option("--text", metavar="TEXT", help="A line to translate.")]
