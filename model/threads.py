"""How many threads the matrix products use: decided by the environment before numpy is loaded, so by a new start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS")


def restart_with(n_threads: int, command: Sequence[str]) -> None:
    """Return at once where the environment asks for `n_threads` already; else start `command` anew with it.

    The BLAS libraries behind numpy read these variables when they are loaded, and numpy is loaded by the time flags
    are read. The process is replaced, so it keeps its id, its terminal and its signals (on Windows, which can't, it
    waits for a second one).
    """
    wanted = dict.fromkeys(VARIABLES, str(n_threads))
    if all(os.environ.get(name) == value for name, value in wanted.items()):
        return
    environment = {**os.environ, **wanted}
    sys.stdout.flush()
    if os.name == "nt":
        raise SystemExit(subprocess.call(list(command), env=environment))
    os.execve(command[0], list(command), environment)
