"""Movies for tonight: name favorites, get suggestions, answer, and watch it learn.

By default the session learns by a conditional Gaussian over the movies, whose vectors are a truncated SVD of who liked
what; --learning-rule moving-average takes the vectors of model.train_svd_model and moves a point among them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from model.online_user_model import run_session
from recommender import cli


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one session and return its exit code."""
    return run_session("runsvd", __doc__ or "", argv)


if __name__ == "__main__":
    cli.run(main)
