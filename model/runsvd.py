"""Movies for tonight: name favorites, get suggestions, answer, and watch it learn.

By default the session learns by a conditional Gaussian over the movies, whose vectors are a truncated SVD of who liked
what; --learning-rule moving-average takes the vectors of model.train_svd_model and moves a point among them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from model.online_user_model import run_session
from model.session_flags import backend_settings, build_parser, open_policy
from recommender import cli
from recommender.facade import Recommender


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one session and return its exit code."""
    given = build_parser("runsvd", __doc__ or "").parse_args(argv)
    settings = backend_settings(given)
    recommender = Recommender.load(given.processed, open_policy(given), given.backend, backend_settings=settings)
    return run_session(recommender, given)


if __name__ == "__main__":
    cli.run(main)
