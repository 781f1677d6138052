"""Movies for tonight on the vectors of the two-tower network: the session of runsvd, with another idea of a movie.

The session learns by the moving average over the movie tower's vectors, which python -m model.train_twotower made.
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
from recommender.facade import TWO_TOWER, Recommender
from recommender.session.policy import MOVING_AVERAGE

OTHERS = ("learning_rule", "skip_weight", "vector_scaling")  # settings of the other rule and of the SVD's vectors


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one session and return its exit code."""
    given = build_parser("runtwotower", __doc__ or "", OTHERS).parse_args(argv)
    policy, settings = open_policy(given, MOVING_AVERAGE), backend_settings(given)
    return run_session(Recommender.load(given.processed, policy, given.backend, TWO_TOWER, settings), given)


if __name__ == "__main__":
    cli.run(main)
