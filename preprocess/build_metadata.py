"""Step 4: `movie_metadata.csv`, the movie metadata: everything except ratings.

Title, year and genres come from the movie list; ids from `links.csv`; director, cast, keywords, overview and
original language from files of descriptions (descriptions.py). A movie without keywords gets its most frequent
tags of `tags.csv` instead. Of several sets, the last that says something wins; tags are counted together.

    python -m preprocess.build_metadata --data data/ --descriptions descriptions.jsonl
"""

from __future__ import annotations

import collections
import itertools
import re
import sys
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

import numpy as np
import pandas as pd

from preprocess.descriptions import FIELDS
from preprocess.steps import PipelineSettings, Run, run_steps, write_rows
from recommender import cli
from recommender.data.catalog import METADATA_COLUMNS, parse_title
from recommender.data.errors import DataError
from recommender.data.raw.cells import link_id, unshared
from recommender.data.raw.csv_table import add_note, csv_rows
from recommender.data.raw.sources import Source

_LINKS = ("imdbId", "tmdbId")


def read_links(sources: Sequence[Source], notes: list[str]) -> dict[int, list[str]]:
    """Read `links.csv` where it exists: movieId -> IMDb id (its digits, at least seven) and TMDB id, or "".

    `tt0114709`, `862.0` and addresses are read; `nan`, `0` and the like are none. An id that movies of different titles
    share is left out for all of them; a movie that is listed twice under the same title may share it.
    """
    links: dict[int, list[str]] = {}
    read, shared = [], []
    for source in sources:
        own: dict[int, list[str]] = {}
        for line, (movie_id, *texts) in csv_rows(source.files, "links.csv", ("movieId", *_LINKS), notes):
            ids = []
            for column, text in zip(_LINKS, texts):
                given = link_id(column, text)
                if given is None:
                    problem = f"{column} {text[:40]!r} is not an id: correct the line"
                    raise source.files.error("links.csv", problem, line)
                if text and (not given or text.lstrip("0") != given.lstrip("0")):
                    read.append(f"{line}: {column} {text[:60]!r} is read as {given or 'no id'}")
                ids.append(given)
            if own.setdefault(source.movie_id("links.csv", line, movie_id), ids) is not ids:
                read.append(f"{line} lists a movie again and is left out")
        for number, ids in own.items():
            links[number] = [new or old for new, old in zip(ids, links.get(number, ids))]
    titles = [sources[0].movie(movie_id)[0] for movie_id in links]
    for at, column in enumerate(_LINKS):
        for ids, kept in zip(links.values(), unshared([ids[at] for ids in links.values()], titles)):
            shared += [f"{column} {ids[at]}"] * (kept != ids[at])
            ids[at] = kept
    add_note(notes, read, "links.csv line {}")
    add_note(notes, shared, "links.csv gives {} to several movies: it is left out")
    return links


def read_tags(sources: Sequence[Source], settings: PipelineSettings, notes: list[str]) -> dict[int, str]:
    """Read `tags.csv` where it exists: movieId -> its tags given by at least `min_tag_users` users, joined by `; `.

    Tags are compared in lower case with single spaces; sorted by number of users, descending; ties alphabetical.
    """
    movie_ids, tags, people = array("q"), array("q"), array("q")  # of each line: id, number of text and of person
    texts, n_people = collections.defaultdict[str, int](itertools.count().__next__), itertools.count()
    for source in sources:
        ids, numbers = dict[str, int](), collections.defaultdict[str, int](n_people.__next__)
        for line, (user, movie, tag) in csv_rows(source.files, "tags.csv", ("userId", "movieId", "tag"), notes):
            if movie not in ids:
                ids[movie] = source.movie_id("tags.csv", line, movie)
            movie_ids.append(ids[movie])
            tags.append(texts[tag])
            people.append(numbers[user.removesuffix(".0")])
    # `;` and `|` separate the keywords of a movie.
    clean = np.array([" ".join(re.sub("[;|]", " ", text.lower()).split()) for text in texts], dtype=object)
    said = pd.DataFrame({"movieId": np.asarray(movie_ids), "tag": clean[tags], "person": np.asarray(people)})
    counts = said[said["tag"] != ""].drop_duplicates().groupby(["movieId", "tag"]).size().reset_index(name="n")
    counts = counts[counts["n"] >= settings.min_tag_users].sort_values(["n", "tag"], ascending=[False, True])
    tags_of = collections.defaultdict[int, list[str]](list)
    for movie_id, tag in zip(counts["movieId"], counts["tag"]):
        tags_of[movie_id].append(tag)
    return {movie_id: "; ".join(tags[: settings.max_tags]) for movie_id, tags in tags_of.items()}


def step(run: Run, stage: Path) -> list[str]:
    """Write `movie_metadata.csv` in the order of the filtered movies, for a bundle LICENSE; return the report."""
    source, notes, rows = run.sources[0], [], []
    tables = [one for one in run.sources if one.format == "csv"]
    links, tags = read_links(tables, notes), read_tags(tables, run.settings, notes)
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
        values = {**fields, "movieId": movie_id, "title": title, "genres": genres, "keywords": keywords}
        values.update(year=parse_title(title).year or "", imdbId=imdb, tmdbId=tmdb)
        rows.append([values[column] for column in METADATA_COLUMNS])
    write_rows(METADATA_COLUMNS, rows, stage / "movie_metadata.csv")
    if run.arguments.bundle:
        (stage / "LICENSE").write_bytes(terms(run.sources))
    n_described = len(run.movies.keys() & run.described.keys())
    n_linked = sum(any(links.get(i, ())) for i in run.movies)
    counts = f"{len(rows):,} movies, {n_described:,} with a description, {n_tagged:,} with tags as keywords"
    report = ["metadata", f"{counts}, {n_linked:,} with links", *notes]
    if n_ignored := len(run.described) - n_described:
        report.append(f"{n_ignored:,} descriptions ignored: their movies were removed by the filter")
    return report


def terms(sources: Sequence[Source]) -> bytes:
    """Return the README of the data, its terms of use; of several sets all, each under the name of its set.

    Raises `DataError` for a set without one.
    """
    texts = []
    for source in sources:
        name = next((name for name in ("README.txt", "README.html", "README", "README.md") if name in source.files), "")
        if not name:
            problem = "has no README with its terms of use: put it beside the ratings, or omit --bundle"
            raise DataError(f"{source.files.path} {problem}")
        with source.files.open(name) as file:
            texts.append(file.read())
    if len(texts) == 1:
        return texts[0]
    names = [source.files.path.name for source in sources]
    heads = [f"{name}\n{'=' * len(name)}\n\n".encode() for name in names]
    return b"\n\n".join(head + text.strip() for head, text in zip(heads, texts)) + b"\n"


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone on the movies that `filter_data` kept."""
    run_steps("build_metadata", "Collect the metadata of each movie.", {"metadata": step}, argv)


if __name__ == "__main__":
    cli.run(main)
