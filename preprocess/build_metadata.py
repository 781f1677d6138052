"""Step 4: `movie_metadata.csv`, the movie metadata: everything except ratings.

Title, year and genres come from the movie list; ids from `links.csv`; director, cast, keywords, overview and
original language from files of descriptions (descriptions.py). A movie without keywords gets its most frequent
tags of `tags.csv` instead.

    python -m preprocess.build_metadata --data data/ --descriptions descriptions.jsonl
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from preprocess.descriptions import FIELDS
from preprocess.steps import PipelineSettings, Run, run_steps, write_rows
from recommender import cli
from recommender.data.catalog import METADATA_COLUMNS, parse_title
from recommender.data.errors import DataError
from recommender.data.raw.sources import Source, csv_rows

# IMDb ids start with tt; pandas writes .0 after ids in columns with missing values.
_LINKS = {"imdbId": r"(tt)?[0-9]+(\.0)?", "tmdbId": r"[0-9]+(\.0)?"}


def read_links(source: Source, notes: list[str]) -> dict[int, tuple[str, str]]:
    """Read `links.csv` if it exists: movieId -> IMDb id (its digits, at least seven) and TMDB id, or "".

    `tt0114709` and `862.0` are read as 0114709 and 862.
    """
    links = {}
    for line, (movie_id, *texts) in csv_rows(source.files, "links.csv", ("movieId", *_LINKS), notes):
        for (column, pattern), text in zip(_LINKS.items(), texts):
            if text and not re.fullmatch(pattern, text):
                raise source.files.error("links.csv", f"{column} {text[:40]!r} is not a number: correct the line", line)
        imdb, tmdb = (re.sub(r"^tt|\.0$", "", text) for text in texts)
        links[source.movie_id("links.csv", line, movie_id)] = (imdb.zfill(7) if imdb else "", tmdb)
    return links


def read_tags(source: Source, settings: PipelineSettings, notes: list[str]) -> dict[int, str]:
    """Read `tags.csv` if it exists: movieId -> its tags given by at least `min_tag_users` users, joined by `; `.

    Tags are compared in lower case with single spaces; sorted by number of users, descending; ties alphabetical.
    """
    tag_events: set[tuple[str, str, str]] = set()
    first_line: dict[str, int] = {}
    for line, (user, movie_id, tag) in csv_rows(source.files, "tags.csv", ("userId", "movieId", "tag"), notes):
        first_line.setdefault(movie_id, line)
        # `;` and `|` separate the keywords of a movie.
        clean = " ".join(tag.lower().replace(";", " ").replace("|", " ").split())
        if clean:
            tag_events.add((movie_id, clean, user))
    tags_of: dict[int, list[str]] = {}
    counts = Counter((movie_id, tag) for movie_id, tag, _ in tag_events)
    for (movie_id, tag), n in sorted(counts.items(), key=lambda item: (-item[1], item[0][1])):
        if n >= settings.min_tag_users:
            tags_of.setdefault(source.movie_id("tags.csv", first_line[movie_id], movie_id), []).append(tag)
    return {movie_id: "; ".join(tags[: settings.max_tags]) for movie_id, tags in tags_of.items()}


def step(run: Run, stage: Path) -> list[str]:
    """Write `movie_metadata.csv` in the order of the filtered movies, for a bundle LICENSE; return the report."""
    source, notes, rows = run.source, [], []
    links = read_links(source, notes) if source.format == "csv" else {}
    tags = read_tags(source, run.settings, notes) if source.format == "csv" else {}
    n_tagged = 0
    for movie_id, (title, genres) in run.movies.items():
        if title != source.movie(movie_id)[0]:
            problem = f"does not match {run.arguments.output}: movie {movie_id} is titled {title!r} there"
            raise DataError(f"{source.files.path} {problem}; use the same --data for both steps")
        fields = run.described.get(movie_id, dict.fromkeys(FIELDS, ""))
        keywords = fields["keywords"] or tags.get(movie_id, "")
        n_tagged += keywords != fields["keywords"]
        imdb, tmdb = links.get(movie_id, ("", ""))
        if source.format == "movietweetings":  # its movie ids are IMDb's
            imdb = str(movie_id).zfill(7)
        values = {
            **fields,
            "movieId": movie_id,
            "title": title,
            "year": parse_title(title).year or "",
            "genres": genres,
        }
        values.update(keywords=keywords, imdbId=imdb, tmdbId=tmdb)
        rows.append([values[column] for column in METADATA_COLUMNS])
    write_rows(METADATA_COLUMNS, rows, stage / "movie_metadata.csv")
    if run.arguments.bundle:
        write_terms(source, stage)
    n_described, n_linked = len(run.movies.keys() & run.described.keys()), len(run.movies.keys() & links.keys())
    counts = f"{len(rows):,} movies, {n_described:,} with a description, {n_tagged:,} with tags as keywords"
    report = ["metadata", f"{counts}, {n_linked:,} with links", *notes]
    if len(run.described) > n_described:
        report.append(
            f"{len(run.described) - n_described:,} descriptions ignored: their movies were removed by the filter"
        )
    return report


def write_terms(source: Source, folder: Path) -> None:
    """Copy the README of the data, its terms of use, to `LICENSE`; raises `DataError` if there is none."""
    for name in ("README.txt", "README.html", "README", "README.md"):
        if name in source.files:
            with source.files.open(name) as file:
                (folder / "LICENSE").write_bytes(file.read())
            return
    problem = "has no README with its terms of use: put it beside the ratings, or omit --bundle"
    raise DataError(f"{source.files.path} {problem}")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone on the movies that `filter_data` kept."""
    run_steps("build_metadata", "Collect the metadata of each movie.", {"metadata": step}, argv)


if __name__ == "__main__":
    cli.run(main)
