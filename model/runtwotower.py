"""Movies for tonight on the vectors of the two-tower network: the session of runsvd, with another idea of a movie.

The session learns by the moving average over the movie tower's vectors, which python -m model.train_twotower made.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from model.online_user_model import run_session
from recommender import cli
from recommender.opening import TWO_TOWER


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one session and return its exit code."""
    return run_session("runtwotower", __doc__ or "", argv, TWO_TOWER)


if __name__ == "__main__":
    cli.run(main)
