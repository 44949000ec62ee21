"""Translates: as `nmt repl` at a terminal, as `nmt translate` in a pipe: `python scripts/translate.py MODEL`."""

import sys

from nmt.cli import main

if __name__ == "__main__":
    is_conversation = len(sys.argv) == 2 and not sys.argv[1].startswith("-") and sys.stdin.isatty()
    main(["repl" if is_conversation else "translate", *sys.argv[1:]])
