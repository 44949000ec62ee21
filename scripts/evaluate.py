"""Scores a model on a test set: `python scripts/evaluate.py MODEL ...` is `nmt evaluate MODEL ...`."""

import sys

from nmt.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
