"""Step 4: `movie_metadata.csv`, what is known about each movie beside its ratings.

Title, year and genres come from the movie list; ids from `links.csv`; director, cast, keywords, overview and
original language from files of descriptions (descriptions.py); where a movie has no keywords, its most
frequent tags of `tags.csv` stand in.

    python -m preprocess.build_metadata --data data/ --descriptions descriptions.jsonl
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from preprocess import program as common
from preprocess.descriptions import FIELDS, read_all
from preprocess.filter_data import Movies
from preprocess.movies_table import Link, read_links, read_tags
from preprocess.pipeline_settings import METADATA, PipelineSettings
from preprocess.sources import Source, open_source
from recommender import cli
from recommender.data.catalog import METADATA_COLUMNS, parse_title
from recommender.data.errors import DataError
from recommender.data.splits import load_movies


def build(
    source: Source, movies: Movies, descriptions: Sequence[Path], settings: PipelineSettings
) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the rows of `movie_metadata.csv` in the order of `movies`, and the report."""
    links, tags = {}, {}
    if source.format == "csv":
        links = read_links(source.files, source.movies)
        tags = read_tags(source.files, source.movies, settings.min_tag_users, settings.max_tags)
    described = read_all(descriptions)
    rows = []
    n_tagged = 0
    for movie_id, title, genres in zip(movies.ids.tolist(), movies.titles, movies.genres):
        fields = described.get(movie_id, dict.fromkeys(FIELDS, ""))
        keywords = fields["keywords"]
        if not keywords and movie_id in tags:
            keywords = "; ".join(tags[movie_id])
            n_tagged += 1
        link = links.get(movie_id, Link())
        if source.format == "movietweetings":  # its movie ids are IMDb's
            link = Link(str(movie_id).zfill(7), "")
        year = parse_title(title).year
        values = {
            **fields,
            "movieId": str(movie_id),
            "title": title,
            "year": str(year) if year else "",
            "genres": genres,
            "keywords": keywords,
            "tmdbId": link.tmdb_id,
            "imdbId": link.imdb_id,
        }
        rows.append(tuple(values[column] for column in METADATA_COLUMNS))
    listed = set(movies.ids.tolist())
    n_described = len(listed & described.keys())
    report = [
        f"{len(rows):,} movies, {n_described:,} with a description, {n_tagged:,} with tags as keywords, "
        f"{len(listed & links.keys()):,} with links"
    ]
    if len(described) > n_described:
        report.append(f"{len(described) - n_described:,} descriptions are of movies that were not kept")
    return rows, report


def write(rows: Sequence[tuple[str, ...]], folder: Path) -> None:
    """Write `movie_metadata.csv`."""
    common.write_rows(METADATA_COLUMNS, rows, folder / "movie_metadata.csv")


def add_flag(parser: cli.Parser) -> None:
    """Add `--descriptions`."""
    parser.add_argument(
        "--descriptions",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=f"JSON lines: movieId and any of {', '.join(FIELDS)}; repeatable, the first that knows a field wins",
    )


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the step alone on the movies that `filter_data` kept."""
    parser = common.make_parser("build_metadata", "Collect what is known about each movie.", METADATA, reads_raw=True)
    add_flag(parser)
    arguments = parser.parse_args(argv)
    settings = common.settings_of(arguments)
    movies = Movies(*load_movies(arguments.output))
    source = open_source(arguments.data, arguments.source_format)
    for movie_id, title in zip(movies.ids.tolist(), movies.titles):
        if title != source.movies.row(movie_id).title:
            raise DataError(
                f"{source.files.path} is not what {arguments.output} was made from (movie {movie_id} is {title!r} "
                "there): give the same --data to both steps"
            )
    rows, report = build(source, movies, arguments.descriptions, settings)
    with common.replace_step(arguments.output, "metadata", settings) as stage:
        write(rows, stage)
    print("metadata", *report, f"written to {arguments.output}", sep="\n  ")


if __name__ == "__main__":
    cli.run(main)
