"""Trains a model: `python scripts/train.py CONFIG ...` is `nmt train CONFIG ...`."""

import sys

from nmt.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
