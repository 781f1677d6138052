"""Words in the session: where does the movie that somebody meant stand, and what do ten movies shown have of the words?

    python -m tests.benchmarks.words [--backend local] [--split test] [--dialogues REDIAL.jsonl]

Each request alone starts a session (`runsvd --like`), and all movies are ranked by its score:
    descriptions   tests/description_queries.csv: 150 movies described in other words
    dialogues      what the seekers of ReDial said before a movie that they liked was named (see embedding_quality.py)
    topics         short wishes; share of the first 10 movies that hold the word, and their ratings (median)
under these settings of the policy, which were chosen on --split val:
    popular        no words heard          taste     the bridge alone (words_fit_weight 0)
    fit            words_taste_weight 0    both      as shipped
and, for comparison, with `search`: movies by their fit alone, as Recommender.search_text lists them.
Means over requests (dialogues: over dialogues), with 95% bootstrap intervals.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from recommender.data.errors import ChoiceError
from recommender.evaluate.embedding_quality import Requests, descriptions, dialogue_requests
from recommender.evaluate.significance import resampled_means
from recommender.facade import Recommender
from recommender.session.engine import SessionEngine
from recommender.session.policy import PolicySettings
from recommender.text.dialogues import read_dialogues

TOPICS = {
    "heist": "heist",
    "zombies": "zombie",
    "a movie about chess": "chess",
    "samurai": "samurai",
    "boxing": "box",
    "movies with vampires": "vampire",
    "time travel": "time travel",
    "serial killer": "serial killer",
    "space war robots": "robot",
    "french romantic comedy in paris": "paris",
    "directed by hitchcock": "hitchcock",
    "prison escape": "prison",
    "dinosaurs": "dinosaur",
    "haunted house": "haunted",
    "high school comedy": "high school",
    "pirates": "pirate",
    "submarine": "submarine",
    "mafia family": "mafia",
    "alien invasion": "alien",
    "courtroom drama": "court",
}
FIT, TASTE = PolicySettings().words_fit_weight, PolicySettings().words_taste_weight
SETTINGS = {"popular": (0.0, 0.0), "taste": (0.0, TASTE), "fit": (FIT, 0.0), "both": (FIT, TASTE)}


def ranks(scores_of: Callable[[str], np.ndarray], requests: Requests, n_movies: int) -> np.ndarray:
    """Return the place of the movie that each request means, 1 = first; of equal scores, the middle place."""
    places = []
    for text, row in zip(requests.texts, requests.rows.tolist()):
        try:
            scores = scores_of(text)
        except ChoiceError:  # nothing known of it
            places.append(n_movies / 2)
            continue
        places.append(1 + (scores > scores[row]).sum() + ((scores == scores[row]).sum() - 1) / 2)
    return np.array(places)


def session_scores(engine: SessionEngine, text: str) -> np.ndarray:
    return engine.scores(engine.start([], words=[text]))


def line(name: str, label: str, requests: Requests, places: np.ndarray) -> str:
    values = ((places <= 10).astype(float), (places <= 20).astype(float), 1 / places)
    by_unit = np.column_stack([requests.by_unit(value) for value in values])
    low, high = np.quantile(resampled_means(by_unit, 2000, np.random.default_rng(0)), [0.025, 0.975], axis=0)
    said = (f"{m:.3f} ({a:.3f} - {b:.3f})" for m, a, b in zip(by_unit.mean(axis=0), low, high))
    return f"{name:<14}{label:<9}{'  '.join(said)}"


def topics(engine: SessionEngine) -> tuple[float, float]:
    """Return the mean share of the first 10 movies that hold the word, and the median of their ratings."""
    lines = [line.lower() for line in engine.catalog.lines()]
    shares, counts = [], []
    for wish, word in TOPICS.items():
        best = np.argsort(-engine.scores(engine.start([], words=[wish])), kind="stable")[:10]
        possible = min(10, sum(word in said for said in lines))
        shares.append(sum(word in lines[row] for row in best) / possible)
        counts.append(float(np.median(engine.catalog.n_ratings[best])))
    return float(np.mean(shares)), float(np.median(counts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="local")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--dialogues", type=Path)
    arguments = parser.parse_args()
    recommender = Recommender.load(backend=arguments.backend)
    catalog = recommender.catalog
    path = Path(__file__).resolve().parent.parent / "description_queries.csv"
    sets = [descriptions(path, catalog, arguments.split)]
    if arguments.dialogues:
        sets.append(dialogue_requests(read_dialogues(arguments.dialogues), catalog, arguments.split))
    bridge = recommender.free_text.bridge
    encode = functools.lru_cache(maxsize=None)(recommender.encode)  # the settings of the policy do not change it
    print(f"ridge {bridge.ridge:g}, residual variance {bridge.residual_variance.sum():.3f} on movies left out")
    print(f"{'':<14}{'':<9}{'Recall@10':<23}{'Recall@20':<23}MRR")
    for requests in sets:
        places = ranks(lambda text: encode(text).fit, requests, len(catalog))
        print(line(requests.name, "search", requests, places), flush=True)
    for label, (fit, taste) in SETTINGS.items():
        policy = dataclasses.replace(recommender.policy, words_fit_weight=fit, words_taste_weight=taste)
        engine = SessionEngine(catalog, recommender.rule, policy, encode=encode)
        for requests in sets:
            places = ranks(functools.partial(session_scores, engine), requests, len(catalog))
            print(line(requests.name, label, requests, places), flush=True)
        share, count = topics(engine)
        print(f"{'topics':<14}{label:<9}{share:.0%} of what 10 movies could hold; {count:.0f} ratings", flush=True)


if __name__ == "__main__":
    main()
