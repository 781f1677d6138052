"""From starting `python -m model.runsvd` to its first prompt, beside `python -c "import numpy"`.

    python -m tests.benchmarks.startup

Goal: at most 2.2 times as long. Both are whole processes, in turn; medians of 15. Compiled modules are cached, as they
are after the first start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from statistics import median

from tests.benchmarks.tools import ROOT, ratio


def until(command: list[str], prompt: bytes, environment: dict[str, str]) -> float:
    """Return the milliseconds from start to `prompt`, or to the end."""
    start, seen = time.perf_counter(), b""
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stdin=-1, stdout=-1) as program:
        while prompt not in seen and (piece := os.read(program.stdout.fileno(), 4096)):  # type: ignore[union-attr]
            seen += piece
        elapsed = 1000 * (time.perf_counter() - start)
        program.communicate()
    return elapsed


def main() -> None:
    commands = (["-m", "model.runsvd"], ["-c", "import numpy"])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as cache:
        environment["PYTHONPYCACHEPREFIX"] = cache
        rounds = [[until(command, b"Favorite 1 of 4: ", environment) for command in commands] for _ in range(16)]
    ours, numpy = zip(*rounds[1:])
    print(f"first prompt {median(ours):.1f} ms, import numpy {median(numpy):.1f} ms", end=", ")
    print(f"ratio {ratio(ours, numpy):.2f}: goal at most 2.2")


if __name__ == "__main__":
    main()
