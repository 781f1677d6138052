"""How long the preprocessing takes on 25 million ratings, and how much memory, beside plain pandas.

    python -m tests.benchmarks.preprocess_25m [--ratings N] [--repeats N] [--folder DIR]

Writes `ratings.csv` and `tags.csv` of the size and shape of MovieLens 25M, runs `preprocess.setup
--format npz` on it as a whole process and the same work in pandas, in turns; prints the median wall seconds, the peak
resident memory, and the ratio. Needs about 3 GB of disk; `--folder` keeps the data for the next run.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from tests.benchmarks.synthetic import FULL, N_TAGS, synthetic_ratings, synthetic_tags

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # of the measured processes
ROOT = Path(__file__).resolve().parents[2]
LARGEST_MOVIE_ID = 209_171

REFERENCE = """
import sys
import numpy as np, pandas as pd
data, out = sys.argv[1:]
r = pd.read_csv(data + "/ratings.csv")
r["timestamp"] = pd.to_datetime(r["timestamp"], unit="s")
r = r[r.groupby("userId")["movieId"].transform("size") >= 20]
r = r[r.groupby("movieId")["userId"].transform("size") >= 50]
r = r.sort_values(["userId", "timestamp", "movieId"], kind="stable")
n = r.groupby("userId")["movieId"].transform("size")
i = r.groupby("userId").cumcount()
train, val, test = r[i < n * 0.7 // 1], r[(i >= n * 0.7 // 1) & (i < n * 0.85 // 1)], r[i >= n * 0.85 // 1]
means, counts = train.groupby("userId")["rating"].mean(), train["movieId"].value_counts()
np.savez(out + "/ratings_filtered.npz", **{c: r[c].to_numpy() for c in r})
for name, part in [("train", train), ("val", val), ("test", test)]:
    days = ((train["timestamp"].max() - part["timestamp"]).dt.total_seconds() / 86400).clip(lower=0)
    final = part["rating"] - part["userId"].map(means)
    final = final / part["movieId"].map(counts).fillna(1) ** 0.5 * np.exp(-np.log(2) * days / 365)
    np.savez(out + f"/{name}.npz", **{c: part[c].to_numpy() for c in part})
    np.savez(out + f"/{name}_transformed.npz", final_rating=final.to_numpy(np.float32))
"""


def write_data(folder: Path, n_ratings: int) -> None:
    rng = np.random.default_rng(25)
    scale = min(1.0, n_ratings / FULL[2])
    n_users, n_movies = int(FULL[0] * scale), int(FULL[1] * scale**0.5)
    users, movies, ratings, times = synthetic_ratings(n_users, n_movies, n_ratings, rng)
    ids = np.sort(rng.choice(np.arange(1, LARGEST_MOVIE_ID + 1), n_movies, replace=False))  # with gaps
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"userId": users, "movieId": ids[movies - 1], "rating": ratings, "timestamp": times})
    frame.to_csv(folder / "ratings.csv", index=False)
    users, movies, tags, times = synthetic_tags(users, movies, times, int(N_TAGS * scale), rng)
    frame = pd.DataFrame({"userId": users, "movieId": ids[movies - 1], "tag": tags, "timestamp": times})
    frame.to_csv(folder / "tags.csv", index=False)
    rows = [f'{i},"Movie {i}, The ({1930 + i % 90})",Genre {i % 7}|Genre {7 + i % 5}\n' for i in ids.tolist()]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "".join(rows), encoding="utf-8")


def measure(command: list[str]) -> tuple[float, float]:  # wall seconds, peak resident GB
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds, process.returncode = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[:2]} ended with {process.returncode}")
    return seconds, usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ratings", type=int, default=FULL[2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data, out = arguments.folder or Path(temporary) / "data", Path(temporary) / "out"
        if not (data / "movies.csv").is_file():
            write_data(data, arguments.ratings)
        flags = ["preprocess.setup", "--data", str(data), "--output", str(out), "--format", "npz"]
        commands = {"preprocess.setup": ["-m", *flags], "plain pandas": ["-c", REFERENCE, str(data), str(out)]}
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for name, command in [*commands.items()] * arguments.repeats:
            out.mkdir()
            runs[name].append(measure(command))
            shutil.rmtree(out)
    for name, measured in runs.items():
        seconds, memory = zip(*measured)
        print(f"{name:<18} {statistics.median(seconds):6.1f} s   peak {max(memory):.2f} GB   {np.round(seconds, 1)}")
    ratio = statistics.median(own[0] / other[0] for own, other in zip(*runs.values()))
    print(f"ratio of the times {ratio:.2f}")


if __name__ == "__main__":
    main()
