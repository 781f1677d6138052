"""README's path with other data, at the size of MovieLens 25M: CPU seconds and memory of each program.

    python -m tests.benchmarks.whole_path [--folder DIR] [--minilm]

Makes up ratings and tags once, in `--folder` if given, and runs the programs one after another, one thread each. CPU is
user and system time, GB the most that was resident. The session is given two favorites and ended. `--minilm` adds the
embeddings by the sentence model, which alone take longer than all else.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.preprocess_25m import ROOT, write_data
from tests.benchmarks.synthetic import FULL

TYPED = "movie 4\nmovie 5\n\nq\n"  # in the session


def measure(program: list[str], typed: str) -> tuple[float, float]:
    """Return CPU seconds and peak resident GB of a program that is given `typed`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *program]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    process.stdin.write(typed.encode())  # type: ignore[union-attr]
    process.stdin.close()  # type: ignore[union-attr]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{program[0]} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, metavar="DIR")
    parser.add_argument("--ratings", type=int, default=FULL[2], metavar="N")
    parser.add_argument("--minilm", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        data, out = folder / "data", str(folder / "processed")
        if not (data / "movies.csv").is_file():
            write_data(data, given.ratings)
        programs = [
            ("preprocess.setup", "--data", str(data), "--output", out),
            ("model.train_svd_model", "--processed", out, "--all-ratings"),
            ("model.train_session_model", "--processed", out),
            ("model.generate_embeddings", "--processed", out, "--backend", "local"),
            *([("model.generate_embeddings", "--processed", out)] if given.minilm else []),
            ("model.runsvd", "--processed", out),
        ]
        found = []
        print(f"{'program':<30}{'CPU s':>8}{'GB':>7}")
        for program in programs:
            found.append(measure([*program], TYPED if program[0] == "model.runsvd" else ""))
            print(f"{program[0]:<30}{found[-1][0]:>8.1f}{found[-1][1]:>7.2f}", flush=True)
        seconds, sizes = zip(*found)
        print(f"{'all, and the largest':<30}{sum(seconds):>8.1f}{max(sizes):>7.2f}")


if __name__ == "__main__":
    main()
