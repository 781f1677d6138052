"""A walk through the library on the shipped data: embeddings, similar movies, recommendations, explanations.

Each step prints the call, what it returned, and what that shows; all of it takes less than a minute.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from recommender import cli
from recommender.facade import Recommender

FAVORITES = ("Spirited Away", "Princess Mononoke", "Howl's Moving Castle", "My Neighbor Totoro")
RATED = [("Heat (1995)", 5.0), ("Fargo", 5.0), ("Seven (1995)", 4.5), ("Titanic (1997)", 1.5), ("Notting Hill", 2.0)]


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Print the walk."""
    parser = cli.Parser("model.demo", __doc__.partition("\n\n")[0])
    parser.add_common("processed", default=None, help="processed folder (default: the shipped data)")
    given = parser.parse_args(argv)
    started = time.perf_counter()
    print("1. Open the data.  recommender = Recommender.load()")
    recommender = Recommender.load(given.processed)
    catalog = recommender.catalog
    print(f"   {len(catalog):,} movies, {int(catalog.n_ratings.sum()):,} ratings\n")

    print("2. Embeddings: a vector for the text of each movie.  recommender.quality_metrics()")
    for name, value in recommender.quality_metrics().items():
        print(f"   {name.replace('_', ' ')}: {f'{value:.3f}' if isinstance(value, float) else value}")
    print("   The gap: how much nearer movies of one genre are to one another than to others.\n")

    print('3. Words meet texts.  recommender.search_text("a slow film about a lonely robot")')
    for fit in recommender.search_text("a slow film about a lonely robot", 3):
        print(f"   {fit.fit:5.1f}  {fit.movie}")
    print("   No title holds these words: the vectors know what the texts are about.\n")

    print("4. Similar movies.  recommender.similar_movies(2571)  # The Matrix")
    for similar in recommender.similar_movies(2571, 4):
        print(f"   {similar.similarity:5.1f}  {similar.movie}, by {similar.by}")
    print("   By what people like together, and by what is written about both.\n")

    print(f"5. A session learns from each answer.  recommender.session({list(FAVORITES)})")
    session = recommender.session(FAVORITES)
    for answer in ("like", "like", "dislike"):
        shown = session.next()
        assert shown is not None
        print(f"   {shown.movie}: {answer}")
        session.answer(answer)
    shown = session.next()
    assert shown is not None
    print(f"   {shown.movie}, because:")
    for reason in sorted((one for one in shown.because if one.movie), key=lambda one: -abs(one.value))[:4]:
        print(f"   {reason.value:+6.2f}  {reason.kind} {reason.movie}")
    print("   The terms are exact: all of them together are the score.\n")

    print(f"6. A list of ratings is enough.  recommender.recommend({RATED[:2]} + ..., method=...)")
    for method in ("popularity", "svd", "ease"):
        ranked = recommender.recommend(RATED, 3, method)
        print(f"   {method:<10}  {'; '.join(str(one.movie) for one in ranked)}")
    print("   Popularity knows nothing of you; the others start from what you rated.\n")

    best = ranked[0].movie
    print(f"7. Why?  recommender.explain(ratings, {best.movie_id})  # {best}")
    explained = recommender.explain(RATED, best)
    print(f"   {explained.explanation}")
    for movie, cosine in explained.similar_to_your_favorites:
        print(f"   {cosine:5.0%}  like your {movie}")

    people = {"Anna": list(FAVORITES[:2]), "Ben": ["Die Hard", "Predator"]}
    print(f'\n8. Two people tonight.  recommender.group_session({people}, "fair-share")')
    group = recommender.group_session(people, "fair-share")
    for _ in range(3):
        shown = group.next()
        assert shown is not None
        print(f"   {shown.movie}: {'; '.join(reason.text for reason in shown.because)}")
    print("   Each turn favors whoever got least so far.")
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    cli.run(main)
