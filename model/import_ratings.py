"""Import what you rated elsewhere: a profile of exports of Letterboxd, IMDb, Trakt, TMDB, MovieLens and Netflix.

Any session starts from the profile with --profile NAME, and what was seen never comes back. A second run adds to it.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from recommender import cli
from recommender.data.artifacts import need_file
from recommender.data.catalog import Catalog
from recommender.data.errors import DataError, shown
from recommender.data.files import dump_json, exclusive, replace_file
from recommender.data.raw.cells import whole_number, year_of
from recommender.people import matching
from recommender.people.exports import SEEN, WATCHLIST, decoded, read_export, table
from recommender.people.matching import APPLIED, GUESS, MISSED, TV, Film, key_of
from recommender.session import profiles

MOST_LISTED = 20
Corrections = dict[tuple[str, int], tuple[str, int, Optional[int]]]  # key -> name, year, movie id: None = undecided


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Import, and return the exit code."""
    parser = cli.Parser("model.import_ratings", __doc__.partition("\n\n")[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="exports: .zip as it comes, .csv or .json")
    parser.add_argument("--profile", metavar="NAME", help="profile to make, or to add to")
    parser.add_argument("--preview", action="store_true", help="show what would be imported, and write nothing")
    corrections = "list of guesses: written for you to correct, and read by the next run"
    parser.add_argument("--corrections", type=Path, metavar="FILE.csv", help=corrections)
    parser.add_argument("--by-name", action="store_true", help="where there is no year, trust a name of one movie")
    parser.add_common("processed")
    parser.add_argument("--profiles", type=Path, metavar="DIR", help="folder of the profiles")
    given = parser.parse_args(argv)
    if not given.preview and given.profile is None:
        parser.error("no --profile NAME to import into, and no --preview")
    if not given.files and given.profile is None:
        parser.error("no FILE to import")
    folder = given.profiles or profiles.default_profiles_folder()
    path = None if given.profile is None else profiles.profile_path(folder, given.profile)
    with contextlib.ExitStack() as stack:
        if path and not given.preview:
            need_file(path, "--profiles")
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(exclusive(path.with_name(f".{path.stem}.lock"), f"profile {path.stem!r}"))
        import_into(path, given)
    return 0


def import_into(path: Optional[Path], given: argparse.Namespace) -> None:
    """Read and match the files, say what was found, and write profile and corrections."""
    catalog = Catalog.load(given.processed)
    corrections = read_corrections(given.corrections, catalog) if given.corrections else {}
    old = profiles.read_profile(path) if path and (path.exists() or not given.files) else matching.EMPTY
    entries = matching.missed_entries(old)
    for file in given.files:
        entries += read_export(file)
    ids = {key: row[2] for key, row in corrections.items() if row[2] is not None}
    films = matching.Matcher(catalog, ids, given.by_name).films(entries)
    nothing = given.files and not any(film.how in APPLIED for film in films)
    report(films, catalog, kept=not given.preview and not nothing)
    if given.preview:
        print("This is a preview: nothing was written.")
        return
    if given.corrections:
        n_rows = write_corrections(given.corrections, corrections, films, catalog)
        print(f"Wrote {n_rows:,} to {given.corrections}: correct its movieId, 0 for none, and import again.")
    if nothing and not films:
        raise DataError(f"no film is in {', '.join(map(str, given.files))}: export again, or give another file")
    if nothing:
        bare = not given.by_name and any(film.how == GUESS and not film.entry.year for film in films)
        remedy = "--by-name takes names without a year, " * bare + "--corrections FILE.csv lists them to correct"
        raise DataError(f"none of {len(films):,} films was matched: {remedy}")
    if path:
        profile = matching.with_films(old, films, catalog)
        with replace_file(path) as temporary:
            dump_json(profile, temporary)
        print(f"Saved as profile {path.stem}: start with python -m model.runsvd --profile {path.stem}")


def read_corrections(path: Path, catalog: Catalog) -> Corrections:
    """Return the rows of a table that `write_corrections` wrote and somebody edited; none if there is no file."""
    need_file(path, "--corrections")
    corrections: Corrections = {}
    if not path.exists() or not (data := path.read_bytes()):
        return corrections
    header, rows = table(decoded(data, str(path)), str(path))
    if not {"name", "year", "movieid"} <= {*header}:
        raise DataError(f"{path} is not of this program: move it, or give another --corrections")
    for where, row in rows:
        name, year, given = (row.get(column, "") for column in ("name", "year", "movieid"))  # the last may be cut off
        movie_id = whole_number(given)
        if given and (movie_id is None or (movie_id and movie_id not in catalog)):
            raise DataError(f"{where}: no movie {shown(given)} here: give a movieId, or 0 for none")
        corrections[key_of(name, year_of(year))] = (name, year_of(year), movie_id)
    return corrections


def write_corrections(path: Path, corrections: Corrections, films: Sequence[Film], catalog: Catalog) -> int:
    """Write the rows of before and what is guessed or missed, to be corrected; return the number of rows."""
    rows = dict(corrections)
    for film in films:
        if film.how in (GUESS, MISSED) and film.entry.names:
            guess = None if film.row is None else int(catalog.movie_ids[film.row])
            name, year = film.entry.names[0], film.entry.year
            rows.setdefault(key_of(name, year), (name, year, guess))
    with replace_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("name", "year", "movieId", "guess"))
        for name, year, guess in rows.values():
            movie = catalog.movie(catalog.row_of(guess)) if guess else ""
            writer.writerow((name, year or "", "" if guess is None else guess, movie))
    return len(rows)


def report(films: Sequence[Film], catalog: Catalog, kept: bool) -> None:
    """Print how many films were matched, and which were guessed and missed; kept: whether a profile keeps these."""
    matched = [film for film in films if film.how in APPLIED]
    hows = Counter(film.how for film in matched)
    how = ", ".join(f"{hows[name]:,} by {name}" for name in APPLIED if hows[name])
    rated = sum(film.entry.rating is not None for film in matched)
    n_seen, n_list = (sum(film.entry.kind == kind for film in matched) for kind in (SEEN, WATCHLIST))
    print(f"matched {len(matched):,}: {rated:,} rated, {n_seen - rated:,} seen without a rating, {n_list:,} for later")
    if how:
        print(f"   {how}")
    about_guesses = "not imported; --corrections FILE.csv lists them"
    for name, meaning in ((GUESS, about_guesses), (MISSED, "kept in the profile" * kept)):
        those = [film for film in films if film.how == name]
        print(f"{name} {len(those):,}" + (f": {meaning}" if those and meaning else ""))
        for film in those[:MOST_LISTED]:
            print(f"   {film.entry}" + ("" if film.row is None else f": is it {catalog.movie(film.row)}?"))
        if len(those) > MOST_LISTED:
            print(f"   and {len(those) - MOST_LISTED:,} more")
    if n_tv := sum(film.how == TV for film in films):
        print(f"left out: {n_tv:,} lines of TV")


if __name__ == "__main__":
    cli.run(main)
