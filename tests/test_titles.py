"""Title search: what is found, in which order, and what is asked rather than guessed."""

from __future__ import annotations

from recommender.catalog import Catalog
from recommender.titles import TitleIndex

FILMS = {
    1: ("Toy Story (1995)", 215),
    6: ("Heat (1995)", 102),
    7: ("Sabrina (1995)", 54),
    47: ("Seven (a.k.a. Se7en) (1995)", 203),
    260: ("Star Wars: Episode IV - A New Hope (1977)", 251),
    915: ("Sabrina (1954)", 30),
    1196: ("Star Wars: Episode V - The Empire Strikes Back (1980)", 211),
    1221: ("Godfather: Part II, The (1974)", 129),
    2571: ("Matrix, The (1999)", 278),
    4973: ("Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001)", 120),
    6365: ("Matrix Reloaded, The (2003)", 96),
    60069: ("WALL·E (2008)", 104),
}


def index(films: dict[int, tuple[str, int]]) -> tuple[Catalog, TitleIndex]:
    rows = [{"movieId": str(i), "title": title, "genres": "Drama"} for i, (title, _) in films.items()]
    catalog = Catalog(rows, {i: count for i, (_, count) in films.items()})
    return catalog, TitleIndex(catalog)


def first(text: str) -> int:
    catalog, titles = index(FILMS)
    return int(catalog.movie_ids[titles.search(text)[0].row])


def test_the_ways_to_write_one_title() -> None:
    for text in [
        "The Matrix",
        "Matrix, The",
        "matrix",
        "MATRIX (1999)",
        "matrix 1999",
        "the matirx",
        "martix",
        "matrx",
    ]:
        assert first(text) == 2571, text


def test_films_of_one_name_are_asked() -> None:
    _, titles = index(FILMS)
    resolution = titles.resolve("sabrina")
    assert resolution.row is None
    assert len(resolution.candidates) >= 2
    assert titles.resolve("sabrina 1954").row is not None
