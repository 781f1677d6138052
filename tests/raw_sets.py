"""Small raw data sets for the tests of the preprocessing, written in any of the published forms."""

import zipfile
from pathlib import Path

import numpy as np

from preprocess import setup
from recommender.data.interactions import Interactions

HEADER = "userId,movieId,rating,timestamp\n"
MOVIES = 'movieId,title,genres\n10,"Matrix, The (1999)",Action|Sci-Fi\n20,Amélie (2001),Comedy\n30,Heat (1995),Crime\n'
# Three users with three ratings each, in a shuffled order; user 2's first two share their second.
BASE = 10**9  # seconds: September 2001
LINES = (
    "1,10,4.0,100 1,20,3.5,50 1,30,2.0,200 2,20,5.0,70 2,10,1.0,70 2,30,0.5,90 3,30,4.5,1000 3,10,4.0,10 3,20,3.0,500"
)
LINES = "".join(f"{row},{BASE + int(time)}\n" for row, _, time in (row.rpartition(",") for row in LINES.split()))
TINY_FLAGS = ["--min-user-ratings", "3", "--min-movie-ratings", "3"]


def write_csv(folder: Path, lines: str = LINES, movies: str = MOVIES, header: str = HEADER) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ratings.csv").write_bytes((header + lines).encode())
    (folder / "movies.csv").write_bytes(movies.encode())
    return folder


def write_ratings(folder: Path, data: Interactions, *genres: str) -> Path:
    """Write the ratings in CSV form; movie row i gets genre i modulo their number. Return the folder."""
    rows = zip(data.user_ids[data.user_rows()], data.movie_ids[data.movie_rows], data.ratings, data.times + 10**9)
    lines = [f"{user},{movie},{rating:.1f},{time}\n" for user, movie, rating, time in rows]
    movies = [f"{m},Movie {i} (1990),{genres[i % len(genres)]}\n" for i, m in enumerate(data.movie_ids)]
    return write_csv(folder, "".join(lines), "movieId,title,genres\n" + "".join(movies))


def run_setup(data: Path, out: Path, *flags: str) -> Path:
    setup.main(["--data", str(data), "--output", str(out), *TINY_FLAGS, *flags])
    return out


def pack(folder: Path, archive: Path, inside: str = "ml-tiny/") -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.iterdir()):
            file.write(path, inside + path.name)
    return archive


def random_lines(seed: int, n_users: int = 50, n_movies: int = 40, n_twice: int = 25) -> str:
    """Return ratings in random order, with equal times, users of few ratings, and pairs that come twice."""
    rng = np.random.default_rng(seed)
    lines = []
    chances = 1.0 / np.arange(1, n_movies + 1)  # few movies that everybody rates
    for user in range(1, n_users + 1):
        movies = rng.choice(n_movies, int(rng.integers(1, n_movies)), replace=False, p=chances / chances.sum())
        start = int(rng.integers(800_000_000, 1_500_000_000))
        for movie in movies.tolist():
            time = start + int(rng.integers(0, 12)) * 86_400 * 30
            lines.append(f"{user * 7},{movie * 3 + 1},{rng.integers(1, 11) / 2},{time}\n")
    for index in rng.choice(len(lines), n_twice, replace=False):
        user, movie, _, time = lines[index].split(",")
        shift = int(rng.integers(-1, 2)) * 1000  # before, at, or after the other
        lines.append(f"{user},{movie},{rng.integers(1, 11) / 2},{int(time) + shift}\n")
    rng.shuffle(lines)
    return "".join(lines)


def random_movies(n_movies: int = 40) -> str:
    rows = [f'{i * 3 + 1},"Movie {i}, The ({1950 + i})",Drama|Comedy\n' for i in range(n_movies)]
    return "movieId,title,genres\n" + "".join(rows)
