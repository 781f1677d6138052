"""What the benchmarks share: flags, work timed in turns, processes measured from outside. All run on one thread.

The thread is set in `tests/__init__.py`, before numpy is imported; processes that are started inherit it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Callable, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


def flags(about: str | None, **defaults: Any) -> argparse.Namespace:
    """Read the command line: a flag for each default, of its type. False is a switch, a type has no default."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        flag, kind = "--" + name.replace("_", "-"), type(default)
        if default is False:
            parser.add_argument(flag, action="store_true")
        elif kind is type:
            parser.add_argument(flag, type=default)
        else:
            parser.add_argument(flag, type=kind, default=default, help="default: %(default)s")
    return parser.parse_args()


def timed(call: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """Return the CPU seconds that `call(*given)` took, and its result."""
    start = time.process_time()
    result = call(*given)
    return time.process_time() - start, result


def in_turns(ways: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each way, in turns so that a busy machine slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            seconds[name].append(timed(way)[0])
    return seconds


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of each turn."""
    return median(a / b for a, b in zip(ours, theirs))


class Spent(NamedTuple):
    """What a process took: seconds from start to end, user and system seconds, and GB that were resident at most."""

    wall: float
    busy: float
    memory: float


def measure(*command: str, typed: str = "") -> Spent:
    """Run Python with these arguments and what is typed; exits where it fails."""
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as run:
        run.stdin.write(typed.encode())  # type: ignore[union-attr]
        run.stdin.close()  # type: ignore[union-attr]
        _, status, usage = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode:
        sys.exit(f"{command[:2]} ended with {run.returncode}")
    return Spent(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9)
