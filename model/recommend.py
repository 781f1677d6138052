"""Recommend movies: for a user of the data, a profile, favorites, words, a movie, a group, or everybody at once.

Favorites and words are ranked as the first page of a session, users and profiles by --method.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from model.terminal.answers import years
from recommender import cli, ranking
from recommender.data.artifacts import need_file
from recommender.data.catalog import Movie
from recommender.data.errors import ChoiceError, DataError, whole
from recommender.data.files import replace_file
from recommender.facade import Recommender
from recommender.ranking import Ranked
from recommender.session import profiles
from recommender.session.group import AVERAGE, STRATEGIES
from recommender.session.policy import MovieFilter
from recommender.session.session import Recommendation, Session

COLUMNS = ("rank", "movieId", "title", "year", "genres", "score", "why")
MOST_REASONS = 3
USER, PROFILE, FAVORITES, LIKE, SIMILAR, ALL, GROUP = (
    "--user", "--profile", "--favorites", "--like", "--similar-to", "--all", "a group",
)  # fmt: skip
ONE = (USER, PROFILE, FAVORITES)
TAKEN_BY = {  # flag -> the requests that take it; a flag that is not here goes with all
    "like": (LIKE,),
    **dict.fromkeys(("users", "engine", "scheduler"), (ALL,)),
    "method": (*ONE, ALL),
    "strategy": (GROUP,),
    "context": ONE,
    "familiarity": (*ONE, LIKE, GROUP),
    **dict.fromkeys(("exclude", "why", "json", "csv"), (*ONE, LIKE, GROUP, SIMILAR)),
}
LABELS = {
    "favorite": "your favorite {}", "like": "you like {}", "dislike": "you dislike {}", "words": 'your words "{}"',
    "text": 'people who like what "{}" describes',
}  # fmt: skip


class Row(NamedTuple):
    movie: Movie
    score: float
    why: str


def make_parser() -> cli.Parser:
    parser = cli.Parser("model.recommend", __doc__.partition("\n\n")[0])
    add, several = parser.add_argument, {"action": "append", "default": [], "metavar": "NAME"}
    file = {"type": file_name, "metavar": "FILE"}
    add("--user", type=int, metavar="ID", help="a user of the data")
    add("--profile", **several, help="a profile, saved or imported; several make a group")
    add("--favorites", **{**several, "metavar": "A;B"}, help="favorites, divided by ; ; several times for a group")
    add("--like", **{**several, "metavar": "WORDS"}, help="what you want, in your own words; repeatable")
    add("--similar-to", metavar="TITLE", help="movies like this one")
    add("--all", **file, help="lists of all users, to a .csv, .jsonl or .parquet file; resumable")
    add("--users", **file, help="with --all: only the user ids in this file, one a line")
    parser.add_engine()
    parser.add_common("method", help="ranking model (default: the best stored or quick one; of favorites a session)")
    add("--strategy", choices=STRATEGIES, help=f"of a group (default: {AVERAGE})")
    add("--genre", **several, help="only movies with this genre; repeatable, any of them")
    add("--exclude-genre", **several, help="no movie with this genre; repeatable")
    add("--year", metavar="YEAR", help="only movies of 1994, 1990s, 1990-1999, 1990- or -1970")
    add("--exclude", **{**several, "metavar": "TITLE"}, help="not this movie; repeatable")
    add("--familiarity", type=float, metavar="F", help="1: what everybody knows first; 0: what fits you alone")
    add("--context", action="store_true", help="weigh genres by the hour of the day, config/context.yaml")
    add("-n", type=int, default=10, metavar="N", help="how many (default: 10)")
    add("--why", action="store_true", help="say why")
    add("--json", action="store_true", help="print JSON")
    add("--csv", **file, help="also write a CSV file")
    parser.add_common("processed", default=None, help="processed folder (default: the shipped data)")
    add("--profiles", type=Path, metavar="DIR", help="folder of the profiles")
    return parser


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Recommend, print and write."""
    given = (parser := make_parser()).parse_args(argv)
    request = kind_of(given)
    for flag, takers in TAKEN_BY.items():
        if getattr(given, flag) != parser.get_default(flag) and request not in takers:
            raise ChoiceError(f"--{flag} does not go with {request}: it goes with {', '.join(takers)}")
    if given.csv:
        need_file(given.csv, "--csv", ",".join(COLUMNS))
    recommender = Recommender.load(given.processed)
    if given.all:
        return recommend_everybody(recommender, given)
    rows = answer(recommender, given, request)
    table = [as_line(place, row) for place, row in enumerate(rows, 1)]
    if given.csv:
        with replace_file(given.csv) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *table])
    if given.json:
        found = [dict(zip(COLUMNS, line)) for line in table]
        found = [{**one, "year": one["year"] or None, "genres": row.movie.genres} for one, row in zip(found, rows)]
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return None
    if given.similar_to:
        print(f"like {recommender.catalog.movie(recommender.row_of(given.similar_to))}:")
    for place, row in enumerate(rows, 1):
        print(f"{place:3}  {row.movie}  {', '.join(row.movie.genres)}".rstrip())
        if given.why and row.why:
            print(f"       {row.why}")
    if not rows:
        print("No movie is left: widen the filters.")
    return None


def kind_of(given: argparse.Namespace) -> str:
    """Return which request the flags make, as messages and `TAKEN_BY` call it."""
    n_people = len(given.profile) + len(given.favorites)
    one = PROFILE if given.profile else LIKE if given.like else FAVORITES
    kinds = {USER: given.user is not None, SIMILAR: given.similar_to is not None, ALL: given.all}
    kinds[GROUP if n_people > 1 else one] = n_people or given.like
    asked = [kind for kind, is_asked in kinds.items() if is_asked]
    if len(asked) != 1:
        raise ChoiceError("for whom? give one of --user, --profile, --favorites or --like, --similar-to, --all")
    return asked[0]


def file_name(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty: give a file")
    return Path(text)


def as_line(rank: int, row: Row) -> list[Any]:
    movie, score = row.movie, round(row.score, 4) + 0.0
    return [rank, movie.movie_id, movie.title, movie.year or "", "|".join(movie.genres), score, row.why]


def recommend_everybody(recommender: Recommender, given: argparse.Namespace) -> None:
    users = None if given.users is None else read_ids(given.users)
    progress, wanted = cli.Progress("recommending", "users"), wanted_of(given)
    asked = (given.all, given.n, given.method, users, wanted)
    with cli.open_engine(given) as engine:
        n_users = recommender.recommend_all(*asked, progress=progress, engine=engine)
    print(f"{n_users:,} users written to {given.all}, {given.n} movies each")


def read_ids(path: Path) -> list[int]:
    """Return the user ids of a file, one a line."""
    try:
        return [int(line) for line in path.read_text(encoding="utf-8").split()]
    except (ValueError, UnicodeDecodeError):
        raise DataError(f"{path} is no list of user ids: write one whole number a line") from None


def wanted_of(given: argparse.Namespace) -> MovieFilter:
    return MovieFilter(tuple(given.genre), tuple(given.exclude_genre), *(years(given.year) if given.year else ()))


def people_of(given: argparse.Namespace, wanted: MovieFilter) -> dict[str, Any]:
    """Return the profiles by name, and the lists of favorites; flags count before what a profile holds."""
    folder = given.profiles or profiles.default_profiles_folder()
    people = {name: profiles.read_profile(profiles.profile_path(folder, name)) for name in given.profile}
    for profile in people.values():
        if given.genre or given.exclude_genre or given.year:
            profile["filter"] = asdict(wanted)
        if given.familiarity is not None:
            profile["familiarity"] = given.familiarity
    return {**people, **{f"person {place}": titles(text) for place, text in enumerate(given.favorites, 1)}}


def answer(recommender: Recommender, given: argparse.Namespace, kind: str) -> list[Row]:
    """Return the movies that the flags ask for, best first, and why if that is asked for."""
    n, wanted, familiarity = whole("n", given.n), wanted_of(given), given.familiarity
    people = people_of(given, wanted)
    name, person = next(iter(people.items()), ("", None))
    excluded = [recommender.row_of(title) for title in given.exclude]
    if kind == SIMILAR:
        allowed, movie = ranking.allowed(recommender.catalog, wanted, excluded), recommender.row_of(given.similar_to)
        found = recommender.similar_movies(int(recommender.catalog.movie_ids[movie]), len(allowed))
        kept = [one for one in found if allowed[recommender.row_of(one.movie)]][:n]
        return [Row(one.movie, one.similarity, f"like {recommender.catalog.movie(movie)}, by {one.by}") for one in kept]
    if kind == GROUP:
        session = recommender.group_session(people, given.strategy or AVERAGE, 0, wanted, familiarity)
        return first_of(session, n, excluded, given.why)
    if kind == LIKE or (kind == FAVORITES and given.method is None and not given.context):
        session = recommender.session(person or (), 0, wanted, given.like, familiarity)
        return first_of(session, n, excluded, given.why)
    if kind == PROFILE:
        wanted, familiarity = MovieFilter(**person.get("filter", {})), person.get("familiarity")
        if person["words"]:
            print(f"tastevec: the words of profile {name} count in a session, and with --like", file=sys.stderr)
    user = given.user if person is None else person
    ranked = recommender.recommend(user, n, given.method, wanted, given.exclude, familiarity, context=given.context)
    return [Row(one.movie, one.score, why(recommender, user, one) if given.why else "") for one in ranked]


def first_of(session: Session, n: int, excluded: list[int], with_reasons: bool) -> list[Row]:
    """Return what a session shows first, where each movie is skipped."""
    found = list[Recommendation]()
    while len(found) < n and (one := session.next()) is not None:
        found += [one] if session.engine.catalog.row_of(one.movie.movie_id) not in excluded else []
    return [Row(one.movie, one.score, reasons(one.because) if with_reasons else "") for one in found]


def why(recommender: Recommender, user: Any, one: Ranked) -> str:
    explained = recommender.explain(user, one.movie)
    near = ", ".join(f"{movie} {cosine:.0%}" for movie, cosine in explained.similar_to_your_favorites)
    fits = explained.explanation[0].lower() + explained.explanation[1:]
    return f"ranked by {one.by}; beside that, {fits}" + (f"; near your {near}" if near else "")


def titles(text: str) -> list[str]:
    found = [title.strip() for title in text.split(";") if title.strip()]
    if not found:
        raise ChoiceError("--favorites: name at least one movie")
    return found


def reasons(because: Sequence[Any]) -> str:
    """Return the largest terms of a score in words."""
    if because[0].kind == "member":
        return "; ".join(reason.text for reason in because)
    said = sorted((one for one in because if one.kind in LABELS), key=lambda one: -abs(one.value))[:MOST_REASONS]
    return "; ".join(f"{LABELS[one.kind].format(one.movie or one.text)} {one.value:+.1f}" for one in said)


if __name__ == "__main__":
    cli.run(main)
