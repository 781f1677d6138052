"""How a history should enter a session: `python -m tests.benchmarks.import_history`.

Of people whom the rule was not fitted on, the first 80% of the ratings are imported, and the 20 best movies of the
session that starts from them are compared with what they liked later (rating >= 4): nDCG@20, its difference from the
first line with its standard error, and the time to the first movie.
"""

import argparse
import time

import numpy as np

from recommender import Recommender
from recommender.data.interactions import LIKED
from recommender.data.splits import load_all
from recommender.evaluate.replay import make_folds
from recommender.people import matching
from recommender.people.exports import Entry
from recommender.people.matching import BY_ID, Film
from recommender.session.engine import SessionEngine
from recommender.session.fitted_rules import fit_session_rule
from recommender.session.profiles import state_of
from recommender.session.state import FAVORITE, LIKE, SEEN, SKIP

N = 20


def seen_as(answer: str, profile: dict) -> dict:
    """Return the profile as if nothing had been rated: all is `answer`."""
    ids = [*profile["favorites"], *(movie_id for movie_id, _ in profile["answers"])]
    if answer == FAVORITE:
        return {**profile, "favorites": ids, "answers": []}
    return {**profile, "favorites": [], "answers": [[movie_id, answer] for movie_id in ids]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, default=4, help="how many of ten folds of people")
    args = parser.parse_args()
    recommender = Recommender.load()
    data, catalog, policy = load_all(recommender.folder), recommender.catalog, recommender.policy
    ways = {f"{n} favorites": n for n in (matching.N_FAVORITES, 0, 4, 20, 10**6)}
    unrated = {f"no ratings: all {answer}": answer for answer in (SEEN, LIKE, FAVORITE, SKIP)}
    found = {way: [] for way in (*ways, *unrated)}
    for fold in make_folds(data, catalog, 10, policy.n_favorites, (0,))[: args.folds]:
        rule = fit_session_rule("conditional-gaussian", fold.train, fold.catalog, policy)
        engine = SessionEngine(fold.catalog, rule, policy)
        for person in fold.people:
            place = data.row(int(np.searchsorted(data.user_ids, person.user_id)))
            order = np.argsort(data.times[place], kind="stable")
            lines = list(zip(data.movie_rows[place][order].tolist(), data.ratings[place][order].tolist()))
            n = int(len(lines) * 0.8)
            later = [row for row, rating in lines[n:] if rating >= LIKED]
            if len(later) < 2:
                continue
            films = [
                Film(Entry(("",), rating=rating, date=f"{i:06}"), row, BY_ID)
                for i, (row, rating) in enumerate(lines[:n])
            ]
            for way in found:
                matching.N_FAVORITES = ways.get(way, 0)
                profile = matching.with_films(matching.EMPTY, films, catalog)
                profile = seen_as(unrated[way], profile) if way in unrated else profile
                begin = time.perf_counter()
                scores = engine.scores(state_of(profile, catalog))
                seconds = time.perf_counter() - begin
                gains = np.isin(np.argsort(-scores)[:N], later) / np.log2(np.arange(2, N + 2))
                found[way].append((gains.sum() / (1 / np.log2(np.arange(2, min(N, len(later)) + 2))).sum(), seconds))
    base = np.array(next(iter(found.values())))[:, 0]
    for way, each in found.items():
        ndcg, seconds = np.array(each).T
        gap = ndcg - base
        print(
            f"{way:<28} nDCG@20 {ndcg.mean():.4f}  {gap.mean():+.4f} +- {gap.std() / len(gap) ** 0.5:.4f}"
            f"   {1e3 * np.median(seconds):.1f} ms, at most {1e3 * seconds.max():.0f}   ({len(gap)} people)"
        )


if __name__ == "__main__":
    main()
