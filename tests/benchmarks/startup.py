"""From starting `python -m model.runsvd` to its first prompt, beside `python -c "import numpy"`.

    python -m tests.benchmarks.startup [--runs 15]

Goal: at most 3 times as long. Both are whole processes, in turn; medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def until(command: list[str], prompt: bytes) -> float:
    """Return the seconds from start until `prompt` was printed (or, when empty, until the end)."""
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        seen = b""
        while not prompt or prompt not in seen:
            piece = os.read(program.stdout.fileno(), 4096)
            if not piece:
                break
            seen += piece
        elapsed = time.perf_counter() - start
        program.communicate()
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    session = [sys.executable, "-m", "model.runsvd"]
    numpy = [sys.executable, "-c", "import numpy"]
    pairs = [(until(session, b"Favorite 1 of 4: "), until(numpy, b"")) for _ in range(runs + 1)][1:]
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"first prompt  {statistics.median(a for a, _ in pairs) * 1000:7.1f} ms")
    print(f"import numpy  {statistics.median(b for _, b in pairs) * 1000:7.1f} ms")
    print(f"ratio         {ratio:7.2f}      goal at most 3")


if __name__ == "__main__":
    main()
