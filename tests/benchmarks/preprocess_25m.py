"""How long the preprocessing takes on 25 million ratings, and how much memory, beside plain pandas.

    python -m tests.benchmarks.preprocess_25m [--ratings N] [--repeats N] [--folder DIR]

Writes `ratings.csv` and `tags.csv` of the size and shape of MovieLens 25M, runs `preprocess.setup --format npy` on
them as a whole process and the same work in pandas, in turns; prints the medians of wall and processor seconds, the
peak resident memory, and the ratios. One thread each. The pandas program is what somebody writes who knows it: narrow
types when reading, times left as numbers, one `np.lexsort`, groups once, nothing row by row. Needs about 3 GB of disk;
`--folder` keeps the data for the next run.
"""

import shutil
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from tests.benchmarks.synthetic import FULL, N_TAGS, synthetic_ratings, synthetic_tags
from tests.benchmarks.tools import Spent, flags, measure, ratio

LARGEST_MOVIE_ID = 209_171

REFERENCE = """
import sys
import numpy as np, pandas as pd
data, out = sys.argv[1:]
types = {"userId": np.int32, "movieId": np.int32, "rating": np.float32, "timestamp": np.int64}
r = pd.read_csv(data + "/ratings.csv", dtype=types)
r = r[r["userId"].map(r["userId"].value_counts(sort=False)) >= 20]
r = r[r["movieId"].map(r["movieId"].value_counts(sort=False)) >= 50]
r = r.iloc[np.lexsort((r["movieId"], r["timestamp"], r["userId"]))]
groups = r.groupby("userId", sort=False)
i, n = groups.cumcount(), groups["movieId"].transform("size")
first, second = (n * 0.7).astype(int), (n * 0.85).astype(int)
train = r[i < first]
means = train.groupby("userId", sort=False)["rating"].mean()
counts = train["movieId"].value_counts(sort=False)
part = np.select([i < first, i < second], [0, 1], 2).astype(np.int8)
np.savez(out + "/history.npz", part=part, **{c: r[c].to_numpy() for c in r})
means.to_json(out + "/user_means.json")
counts.to_json(out + "/movie_popularity.json")
t = pd.read_csv(data + "/tags.csv", usecols=["userId", "movieId", "tag"])
t["tag"] = t["tag"].str.lower().str.replace("[;|]", " ", regex=True).str.split().str.join(" ")
n = t.drop_duplicates().groupby(["movieId", "tag"], sort=False).size().rename("n").reset_index()
n = n[n["n"] >= 2].sort_values(["movieId", "n", "tag"], ascending=[True, False, True])
keywords = n.groupby("movieId")["tag"].apply(lambda tags: "; ".join(tags[:10]))
m = pd.read_csv(data + "/movies.csv")
m = m[m["movieId"].isin(counts.index)]
m["year"] = m["title"].str.extract(r"\\((\\d{4})\\)$")[0]
m["keywords"] = m["movieId"].map(keywords)
m.to_csv(out + "/movie_metadata.csv", index=False)
"""


def write_data(folder: Path, n_ratings: int) -> None:
    """Write ratings, tags and movies of the size and shape of MovieLens 25M, unless the folder has them."""
    if (folder / "movies.csv").is_file():
        return
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


def main() -> None:
    given = flags(__doc__, ratings=FULL[2], repeats=3, folder=Path)
    with tempfile.TemporaryDirectory() as temporary:
        data, out = given.folder or Path(temporary) / "data", Path(temporary) / "out"
        write_data(data, given.ratings)
        own = ["-m", "preprocess.setup", "--data", str(data), "--output", str(out), "--format", "npy"]
        commands = {"preprocess.setup": own, "plain pandas": ["-c", REFERENCE, str(data), str(out)]}
        runs: dict[str, list[Spent]] = {name: [] for name in commands}
        for name, command in [*commands.items()] * given.repeats:
            out.mkdir()
            runs[name].append(measure(*command))
            shutil.rmtree(out)
    ours, pandas = (list(zip(*spent)) for spent in runs.values())  # wall, busy, memory
    for name, spent in zip(runs, (ours, pandas)):
        wall, busy, memory = map(median, spent)
        print(f"{name:<18} {wall:6.1f} s wall, {busy:6.1f} s of the processor, peak {memory:.2f} GB")
    ratios = [ratio(*both) for both in zip(ours, pandas)]
    print("ratio of the times {:.2f}, of processor time {:.2f}, of memory {:.2f}".format(*ratios))


if __name__ == "__main__":
    main()
