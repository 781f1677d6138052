"""What twenty people with a taste of their own are shown first: how much of it fits, how much everybody has seen.

The weights of the traits (recommender/session/policy.py) were chosen on these tastes, so the limits guard what was
reached; they do not measure it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from recommender import Recommender
from recommender.data.catalog import Movie

TASTES = yaml.safe_load((Path(__file__).parent / "tastes.yaml").read_text(encoding="utf-8"))
SHOWN = 10


def holds(movie: Movie, rule: dict[str, Any]) -> bool:
    genres, first_last = set(movie.genres), rule.get("years", [0, 9999])
    words = [f" {keyword} " for keyword in movie.keywords]
    return (
        (not rule.get("genres") or not genres.isdisjoint(rule["genres"]))
        and genres.issuperset(rule.get("all", ()))
        and genres.isdisjoint(rule.get("without", ()))
        and first_last[0] <= movie.year <= first_last[1]
        and movie.original_language in rule.get("languages", [movie.original_language])
        and any(name in movie.director for name in rule.get("directors", [""]))
        and (not rule.get("keywords") or any(f" {name} " in word for name in rule["keywords"] for word in words))
    )


@pytest.mark.slow
def test_the_first_ten_fit_the_taste_and_are_not_what_everybody_has_seen():
    recommender = Recommender.load()
    catalog, engine = recommender.catalog, recommender.engine()
    famous = set(np.argsort(-catalog.n_ratings, kind="stable")[:20].tolist())
    fit, known = [], []
    for name, taste in TASTES.items():
        rows = engine.best(engine.start([catalog.row_of(movie_id) for movie_id in taste["favorites"]]), SHOWN)
        fitting = [any(holds(catalog.movie(row), rule) for rule in taste["fits"]) for row in rows]
        fit.append(sum(fitting))
        known.append(len(famous.intersection(rows)))
        print(f"{name}: {fit[-1]} of {SHOWN} fit, {known[-1]} of the 20 most rated")
    assert len(TASTES) == 20
    assert np.mean(fit) >= 6.5
    assert np.mean(known) <= 1
