"""README's path with other data, at the size of MovieLens 25M: CPU seconds and memory of each program.

    python -m tests.benchmarks.whole_path [--folder DIR] [--minilm]

Makes up ratings and tags once, in `--folder` if given, and runs the programs one after another, one thread each. CPU is
user and system time, GB the most that was resident. The session is given two favorites and ended. `--minilm` adds the
embeddings by the sentence model, which alone take longer than all else.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.benchmarks.preprocess_25m import write_data
from tests.benchmarks.synthetic import FULL
from tests.benchmarks.tools import flags, measure


def main() -> None:
    given = flags(__doc__, folder=Path, ratings=FULL[2], minilm=False)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        data, out = folder / "data", str(folder / "processed")
        write_data(data, given.ratings)
        programs = [
            ("preprocess.setup", "--data", str(data), "--output", out),
            ("model.train_svd_model", "--processed", out, "--all-ratings"),
            ("model.train_session_model", "--processed", out),
            ("model.generate_embeddings", "--processed", out, "--backend", "local"),
            *([("model.generate_embeddings", "--processed", out)] if given.minilm else []),
            ("model.runsvd", "--processed", out),
        ]
        print(f"{'program':<30}{'CPU s':>8}{'GB':>7}")
        found = []
        for program in programs:
            found.append(measure("-m", *program, typed="movie 4\nmovie 5\n\nq\n"))
            print(f"{program[0]:<30}{found[-1].busy:>8.1f}{found[-1].memory:>7.2f}", flush=True)
        busy, memory = sum(one.busy for one in found), max(one.memory for one in found)
        print(f"{'all, and the largest':<30}{busy:>8.1f}{memory:>7.2f}")


if __name__ == "__main__":
    main()
