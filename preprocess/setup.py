"""All preprocessing steps in order: filter, split, transform, metadata.

Steps pass their results on in memory, so the ratings are read once. The files of all steps are written, or none.

    python -m preprocess.setup --data data/ml-25m.zip
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from preprocess import build_metadata, filter_data, split_data, transform_data
from preprocess.steps import run_steps
from recommender import cli

STEPS = {
    "filter": filter_data.step,
    "split": split_data.step,
    "transform": transform_data.step,
    "metadata": build_metadata.step,
}


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run all steps."""
    run_steps("setup", "Filter, split and transform a data set; collect metadata.", STEPS, argv)


if __name__ == "__main__":
    cli.run(main)
