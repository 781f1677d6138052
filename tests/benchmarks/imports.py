"""How many movies of an import are found: `python -m tests.benchmarks.imports`.

From the catalogue are taken out 300 movies drawn at random and three that title search confuses with others; of what is
left, 300 others are spelled as each service would, without ids:

    Letterboxd   article in front, nothing in brackets behind, typographic quotes, "&" and "and" exchanged, with a year
    IMDb         the same in plain quotes, and the original title where the catalogue has one
    Netflix      as Letterboxd, without a year; names that several movies have are drawn like others

One year in eight is one too high or too low. A guess is listed and not imported; wrong is another movie than the one
meant, and, for the movies that are not there, any movie. The alternative takes the first answer of title search to name
and year.
"""

import re

import numpy as np

from recommender import Recommender
from recommender.data.catalog import Catalog, parse_title
from recommender.data.titles import TitleIndex
from recommender.people.exports import Entry
from recommender.people.matching import APPLIED, GUESS, Matcher

CONFUSED = ("Mission: Impossible - Fallout (2018)", "Spider-Man: Into the Spider-Verse (2018)", "Roma (2018)")


def spelled(raw: str, service: str, rng: np.random.Generator) -> Entry:
    """Return the movie as an entry without an id."""
    title, year, others = parse_title(raw)
    year += int(rng.choice([-1, 1])) * int(year > 0 and rng.random() < 1 / 8)
    if " and " in title or " & " in title:
        title = re.sub(" (and|&) ", " & " if rng.random() < 0.5 else " and ", title)
    if service == "IMDb":
        return Entry((title, others[-1]) if others and rng.random() < 0.5 else (title,), year)
    if others and rng.random() < 0.2:
        title = others[-1]
    title = title.replace("'", "’").replace(" - ", " – ").replace("...", "…")
    return Entry((title,), 0 if service == "Netflix" else year)


def main() -> None:
    rng, whole = np.random.default_rng(0), Recommender.load().catalog
    drawn = rng.permutation(np.argsort(-whole.n_ratings, kind="stable"))[:600]
    absent = {*drawn[:300].tolist(), *(whole.raw_titles.index(title) for title in CONFUSED)}
    asked = [row for row in drawn[300:].tolist() if row not in absent]
    left = [row for row in range(len(whole)) if row not in absent]
    names = ("movieId", "title", "genres", "imdbId", "tmdbId")
    columns = [whole.movie_ids.astype(str).tolist(), whole.raw_titles, *map(whole.column, names[2:])]
    rows = [dict(zip(names, (column[row] for column in columns))) for row in left]
    counts = dict(zip(whole.movie_ids.tolist(), whole.n_ratings.tolist()))
    catalog = Catalog(rows, counts)
    titles, matcher, by_name = TitleIndex(catalog), Matcher(catalog), Matcher(catalog, by_name=True)

    def search(entry: Entry) -> tuple:
        found = titles.search(str(entry), 1)
        return (found[0].row, APPLIED[0]) if found else (None, "missed")

    for service in ("Letterboxd", "IMDb", "Netflix"):
        for those, what in ((asked, "there"), (sorted(absent), "not there")):
            entries = [(spelled(whole.raw_titles[row], service, rng), row) for row in those]
            print(f"{service}, {len(entries)} {what}")
            ways = [("import", matcher.match), ("first of title search", search)]
            for way, match in [*ways, ("import --by-name", by_name.match)][: 2 + (service == "Netflix")]:
                n = dict.fromkeys(("right", "wrong", "guess right", "guess wrong", "nothing"), 0)
                for entry, row in entries:
                    found, how = match(entry)
                    right = found is not None and catalog.movie_ids[found] == whole.movie_ids[row]
                    verdict = "right" if right else "wrong"
                    kind = "nothing" if found is None else f"guess {verdict}" if how == GUESS else verdict
                    n[kind] += 1
                figures = "   ".join(f"{kind} {number / len(entries):.1%}" for kind, number in n.items())
                print(f"   {way:<22} {figures}")


if __name__ == "__main__":
    main()
