"""Step 1: keep users and movies with enough ratings.

    raw ratings -> rows with a valid time -> latest rating of each (user, movie)
                -> users with >= min_user_ratings -> movies with >= min_movie_ratings

The two thresholds are applied once, in this order, so a user may end with fewer than min_user_ratings; `iterative`
repeats until both hold, `movies_first` turns the order round.

    python -m preprocess.filter_data --data data/
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from preprocess import program as common
from preprocess.pipeline_settings import FILTER, PipelineSettings
from recommender import command
from recommender.errors import DataError
from recommender.filtering import active_mask
from recommender.interactions import Interactions


class Movies(NamedTuple):
    """The filtered movie list: ids ascending, titles and genres as the raw data spells them."""

    ids: npt.NDArray[np.int64]
    titles: list[str]
    genres: list[str]


class Filtered(NamedTuple):
    """What the step hands on: ratings over the filtered users and movies, the movies, and the report."""

    ratings: Interactions
    movies: Movies
    report: list[str]


def filter_ratings(users, movies, ratings, times, settings: PipelineSettings) -> tuple[Interactions, list[str]]:
    """Return the ratings that stay, with a report line for each thing dropped.

    The four columns have one length: external ids (integers), ratings float32, times int64 seconds. The user and the
    movie vocabulary of the result are exactly the users and movies that still have a rating.
    """
    user_ids, user_rows = encode(users)
    movie_ids, movie_rows = encode(movies)
    n_read = len(user_rows)
    report = []
    keep = latest_of_pairs(user_rows, movie_rows, times, len(movie_ids))
    if keep is not None:
        user_rows, movie_rows, ratings, times = (part[keep] for part in (user_rows, movie_rows, ratings, times))
        n_twice = n_read - len(user_rows)
        report.append(f"{n_twice:,} ratings dropped: the same user rated the same movie again later")
    least = (settings.min_user_ratings, settings.min_movie_ratings)
    keep = active_mask(user_rows, movie_rows, *least, settings.movies_first, settings.iterative)
    n_before = len(user_rows)
    user_rows, movie_rows, ratings, times = (part[keep] for part in (user_rows, movie_rows, ratings, times))
    if not len(user_rows):
        raise DataError(
            f"no rating is left of {n_read:,} after min_user_ratings {settings.min_user_ratings} and "
            f"min_movie_ratings {settings.min_movie_ratings}: lower them, for example --min-movie-ratings 5"
        )
    data = Interactions.from_columns(user_ids[user_rows], movie_ids[movie_rows], ratings, times)
    report += [
        f"users:   {data.n_users:>10,} of {len(user_ids):,} kept",
        f"movies:  {data.n_movies:>10,} of {len(movie_ids):,} rated ones kept",
        f"ratings: {data.n_ratings:>10,} of {n_read:,} kept ({n_before - data.n_ratings:,} below the thresholds)",
    ]
    return data, report


def encode(ids: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.int32]]:
    """Return the distinct ids, ascending, and the place of each id among them."""
    largest = int(ids.max(initial=0))
    if largest > max(1 << 26, 4 * len(ids)):
        found, places = np.unique(ids, return_inverse=True)
        return found, places.reshape(-1).astype(np.int32)
    present = np.zeros(largest + 1, dtype=bool)
    present[ids] = True
    places = np.cumsum(present, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(present), places[ids]


def latest_of_pairs(
    user_rows: npt.NDArray[np.int32], movie_rows: npt.NDArray[np.int32], times: npt.NDArray[np.int64], n_movies: int
) -> Optional[npt.NDArray[np.bool_]]:
    """Return which ratings to keep so that each (user, movie) has one: the latest, of equal times the last.

    None where no pair occurs twice, which costs one pass on files that are sorted, as MovieLens' are.
    """
    pairs = user_rows.astype(np.int64) * n_movies
    pairs += movie_rows
    if (pairs[1:] > pairs[:-1]).all():
        return None
    ordered = np.sort(pairs)
    if not (ordered[1:] == ordered[:-1]).any():
        return None
    order = np.lexsort((times, pairs))
    last = np.ones(len(pairs), dtype=bool)
    last[:-1] = pairs[order[1:]] != pairs[order[:-1]]
    keep = np.zeros(len(pairs), dtype=bool)
    keep[order[last]] = True
    return keep


def run(data: Path, form: Optional[str], settings: PipelineSettings):
    """Read the raw data and filter it; returns the source without its ratings, and `Filtered`."""
    from preprocess.movies_table import untitled
    from preprocess.sources import read_source
    from recommender.catalog import NO_GENRES

    source = read_source(data, form)
    table, source.ratings = source.ratings, None
    report = [f"read {len(table.ratings) + table.n_dropped:,} ratings, {len(source.movies):,} movies ({source.form})"]
    if table.n_dropped:
        report.append(f"{table.n_dropped:,} ratings dropped: missing or invalid timestamp")
    columns = (table.users, table.movies, table.ratings, table.times)
    del table
    ratings, lines = filter_ratings(*columns, settings)
    ids = ratings.movie_ids.tolist()
    named = [source.movies.get(movie_id) for movie_id in ids]
    n_unnamed = sum(row is None for row in named)
    if n_unnamed:
        lines.append(
            f"{n_unnamed:,} kept movies are not in the movie list: they are called `Movie <id>`, without genres"
        )
    movies = Movies(
        ratings.movie_ids,
        [row.title if row else untitled(movie_id) for movie_id, row in zip(ids, named)],
        [row.genres if row else NO_GENRES for row in named],
    )
    return source, Filtered(ratings, movies, report + lines)


def write(filtered: Filtered, folder: Path, kinds: Sequence[str]) -> None:
    """Write `ratings_filtered` and `movies_filtered.csv`."""
    common.write_ratings(filtered.ratings, folder, "ratings_filtered", kinds)
    write_movies(filtered.movies, folder)


def write_movies(movies: Movies, folder: Path) -> None:
    """Write `movies_filtered.csv`: movieId, title, genres."""
    rows = list(zip(movies.ids.tolist(), movies.titles, movies.genres))
    common.write_rows(("movieId", "title", "genres"), rows, folder / "movies_filtered.csv")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone."""
    parser = common.make_parser("filter_data", "Keep users and movies with enough ratings.", FILTER, reads_raw=True)
    arguments = parser.parse_args(argv)
    settings = common.settings_of(arguments)
    common.need_folder(arguments.output)
    _, filtered = run(arguments.data, common.default_form(arguments.source_format), settings)
    with common.replace_step(arguments.output, "filter", settings) as stage:
        write(filtered, stage, common.forms(arguments.format, filtered.ratings.n_ratings))
    print("filter", *filtered.report, f"written to {arguments.output}", sep="\n  ")


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
