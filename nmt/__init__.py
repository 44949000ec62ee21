"""Small neural machine translation models that people own: GRU encoder-decoders with attention in Keras 3.

    import nmt

    translator = nmt.load("runs/quickstart")
    print(translator.translate(["Where is the station?"])[0].text)

The public names are resolved when they are first used: `import nmt` alone imports neither Keras nor anything slow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nmt.config import Config
    from nmt.decoding.hypothesis import Counts, Hypothesis, Score
    from nmt.decoding.translator import Translator
    from nmt.errors import NMTError
    from nmt.loading import load
    from nmt.model import Seq2Seq
    from nmt.text.tokenizer import Tokenizer

    __version__: str

__all__ = [
    "Config",
    "Counts",
    "Hypothesis",
    "NMTError",
    "Score",
    "Seq2Seq",
    "Tokenizer",
    "Translator",
    "__version__",
    "load",
]

_HOMES = {
    "Config": "nmt.config",
    "Counts": "nmt.decoding.hypothesis",
    "Hypothesis": "nmt.decoding.hypothesis",
    "NMTError": "nmt.errors",
    "Score": "nmt.decoding.hypothesis",
    "Seq2Seq": "nmt.model",
    "Tokenizer": "nmt.text.tokenizer",
    "Translator": "nmt.decoding.translator",
    "load": "nmt.loading",
}


def __getattr__(name: str) -> Any:
    value: Any
    if name == "__version__":
        value = _version()
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # the next use finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib import metadata  # here: it takes longer to import than all else above

    try:
        return metadata.version("nmt")
    except metadata.PackageNotFoundError:  # run from its source without being installed
        return "unknown"
