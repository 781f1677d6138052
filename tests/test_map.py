"""The map of tastes: alike movies are near each other, and a person moves with what they say."""

from __future__ import annotations

import numpy as np
import pytest

from model import draw_map
from recommender.data.errors import ArtifactError, DataError
from recommender.serve.map import TasteMap, plane
from recommender.session.policy import MovieFilter


@pytest.fixture(scope="module")
def drawn(shipped):
    return TasteMap.load(shipped.folder, shipped.catalog)


def test_the_plane_keeps_the_two_largest_differences_of_both_halves():
    rng = np.random.default_rng(0)
    kinds = np.eye(3)[rng.integers(3, size=300)]  # three kinds of movies: two directions
    people, texts = kinds @ rng.normal(size=(3, 8)), kinds @ rng.normal(size=(3, 6))
    points = plane(people + 0.01 * rng.normal(size=people.shape), texts)
    centers = kinds.T @ points / kinds.sum(axis=0)[:, None]
    assert np.linalg.norm(points - kinds @ centers, axis=1).max() < 0.05
    assert min(np.linalg.norm(centers[i] - centers[j]) for i in range(3) for j in range(i)) > 0.5
    assert np.allclose(plane(7 * people, texts), plane(people, texts), atol=1e-5)  # the length of a row says nothing
    with pytest.raises(DataError, match="two"):
        plane(np.eye(2)[[0, 1, 0]], np.ones((3, 1)))


def test_the_shipped_map_is_made_by_its_command_and_refused_for_other_movies(tmp_path, shipped, drawn, capsys):
    draw_map.main([f"--output={tmp_path / 'map'}"])
    again = np.load(tmp_path / "map" / "points.npy")
    assert np.allclose(again, drawn.points, atol=1e-3)
    TasteMap(shipped.catalog, drawn.points[:-1]).save(tmp_path / "artifacts" / "map")
    with pytest.raises(ArtifactError, match="draw_map"):
        TasteMap.load(tmp_path, shipped.catalog)
    with pytest.raises(ArtifactError, match="draw_map"):
        TasteMap.load(tmp_path / "nothing", shipped.catalog)


def test_a_part_of_a_series_is_near_the_others(shipped, drawn):
    near = [[shipped.row_of(title) for title in pair] for pair in (("Toy Story", "Toy Story 2"), ("Alien", "Aliens"))]
    typical = np.linalg.norm(drawn.points - drawn.points.mean(axis=0), axis=1).mean()
    for one, other in near:
        assert np.linalg.norm(drawn.points[one] - drawn.points[other]) < 0.6 * typical


def test_a_person_stands_among_the_movies_that_fit_and_moves(shipped, drawn):
    noir = shipped.session(["Double Indemnity (1944)", "The Big Sleep (1946)"])
    family = shipped.session(["Toy Story", "Shrek"])
    places = {genre["name"]: (genre["x"], genre["y"]) for genre in drawn.as_dict()["genres"] if "x" in genre}

    def nearest(session, *genres):
        point = np.array(drawn.point_of(session.engine, session.state))
        return min(genres, key=lambda name: np.linalg.norm(point - places[name]))

    assert nearest(noir, "Crime", "Animation", "Action") == "Crime"
    assert nearest(family, "Crime", "Animation", "Action") == "Animation"
    before = drawn.point_of(family.engine, family.state)
    family.next()
    family.answer("dislike")
    assert drawn.point_of(family.engine, family.state) != before
    family.undo()
    assert drawn.point_of(family.engine, family.state) == before
    family.tell("a slow film noir")
    assert nearest(family, "Crime", "Animation") == "Crime"


def test_a_person_to_whom_nothing_is_allowed_is_nowhere(shipped, drawn):
    engine = shipped.engine(MovieFilter(first_year=2999))
    assert drawn.point_of(engine, engine.start([0])) is None
    few = shipped.engine(MovieFilter(genres=("Film-Noir",), last_year=1941))
    assert np.isfinite(drawn.point_of(few, few.start([0]))).all()


def test_what_the_page_gets_has_a_row_for_every_movie(shipped, drawn):
    data = drawn.as_dict()
    assert {len(data[key]) for key in ("movie_ids", "titles", "x", "y", "n_ratings")} == {len(shipped.catalog)}
    assert data["titles"][data["movie_ids"].index(2571)] == "The Matrix (1999)"
    assert "Film-Noir" in [genre["name"] for genre in data["genres"]]
