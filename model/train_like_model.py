"""Train the ridge that predicts how much a person will like a movie, and compare it on held-out people.

Compared are the mean, the ridge, the rating predictor (train_ranking_model), and with --base-url and --model a chat
model. All answer the examples of `python -m model.finetune_movie_pref collect`: half stars rounded half up, 1 to 5.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

import numpy as np

from recommender import cli
from recommender.chat import preferences
from recommender.chat.client import ChatClient
from recommender.chat.likes import ChatLikes, LikeRidge, Likes
from recommender.chat.preferences import TEST, TRAIN
from recommender.data.catalog import Catalog
from recommender.data.errors import DataError
from recommender.data.interactions import LIKED, Interactions
from recommender.evaluate import metrics
from recommender.evaluate.report import table
from recommender.learn.rating_predictor import RatingPredictor
from recommender.session.cold_start import load_texts
from recommender.text.registry import DEFAULT_BACKEND, names

K = 10  # of nDCG
SHOTS = "answers of training people that a chat model sees first, 0 for a model tuned on them (default: %(default)s)"


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fit on the training people, compare on the others, store the ridge."""
    description, _, more = (__doc__ or "").partition("\n\n")
    parser = cli.Parser("model.train_like_model", description, epilog=more)
    parser.add_folders(LikeRidge.name)
    add = parser.add_argument
    add("--examples", type=Path, default=Path("movie-pref"), metavar="DIR", help="folder that collect wrote")
    add("--backend", choices=names(), default=DEFAULT_BACKEND, help="text vectors (default: %(default)s)")
    parser.add_common("base-url", "model")
    add("--key-variable", default="", metavar="NAME", help="environment variable with the key of the chat model")
    add("--most", type=cli.whole_number, default=200, metavar="N", help="examples that a chat model answers at most")
    add("--shots", type=cli.whole_number, default=5, metavar="N", help=SHOTS)
    given = parser.parse_args(argv)
    if bool(given.base_url) != bool(given.model):
        parser.error("--base-url and --model go together")
    output = cli.output_folder(given, LikeRidge.name)
    catalog = Catalog.load(given.processed)
    people = preferences.read_people(given.examples / "people.jsonl", catalog)
    train, test = ([one for one in people if one.part == part] for part in (TRAIN, TEST))
    if not train or not test:
        raise DataError(f"{given.examples}: nobody is left to learn from or held out: collect more people")
    data = history_of(train, catalog, True)
    ridge = LikeRidge(catalog, load_texts(given.processed, catalog, given.backend)).fit(data)
    actual = np.array([stars for one in test for _, stars in one.candidates], dtype=np.float64)
    mean = np.mean([stars for one in train for _, stars in one.candidates])
    found = {"mean": np.full(len(actual), mean)}
    for model in (ridge, RatingPredictor(catalog).fit(data)):
        found[{LikeRidge.name: "ridge"}.get(model.name, model.name)] = predictions(Likes(model, catalog), test, catalog)
    print(f"learned from {len(train):,} people, {data.n_ratings:,} ratings")
    print_table(test, actual, found)
    ridge.save(output, f"the training people of {given.examples}")
    print(f"stored in {output}")
    if given.base_url:
        sizes = np.cumsum([len(one.candidates) for one in test])
        few = test[: max(1, int(np.searchsorted(sizes, given.most, "right")))]
        client = ChatClient.open(given.base_url, given.model, given.key_variable)
        shots = preferences.shots_of(train, given.shots, catalog)
        name = f"{given.model}, {len(shots) // 2} shots"
        found[name] = answers(ChatLikes(client, catalog, shots), few)
        n = len(found[name])
        print_table(few, actual[:n], {name: values[:n] for name, values in found.items()})


def answers(chat: ChatLikes, people: Sequence[preferences.Person]) -> np.ndarray:
    """Return what a chat model predicts of all candidates, person by person."""
    asked = [(one.profile, movie_id) for one in people for movie_id, _ in one.candidates]
    said, show = [], cli.Progress(chat.client.model, "examples")
    for place, (profile, movie_id) in enumerate(asked, 1):
        said.append(chat.predict_like_score(profile, movie_id))
        show(place, len(asked))
    return np.array(said)


def history_of(people: Sequence[preferences.Person], catalog: Catalog, whole: bool) -> Interactions:
    """Return the profiles of people as users 0, 1, ..., in their order of time; whole: with the candidates."""
    parts = [[*one.profile, *(one.candidates if whole else ())] for one in people]
    users = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    movies, stars = zip(*(pair for part in parts for pair in part))
    return Interactions.from_columns(users, movies, stars, np.arange(len(users)), catalog.movie_ids)


def predictions(likes: Likes, people: Sequence[preferences.Person], catalog: Catalog) -> np.ndarray:
    """Return the scores of all candidates, person by person."""
    found = []
    for one in people:
        rows = [catalog.row_of(movie_id) for movie_id, _ in one.candidates]
        found.append(likes.of_history(history_of([one], catalog, False))[0, rows])
    return np.concatenate(found).astype(np.float64)


def print_table(people: Sequence[preferences.Person], actual: np.ndarray, found: dict[str, np.ndarray]) -> None:
    """Print the measures of each model over the same examples."""
    ends = np.cumsum([len(one.candidates) for one in people])[:-1]
    liked = [part >= LIKED for part in np.split(actual, ends)]
    n_liked = np.array([part.sum() for part in liked])
    told = (n_liked > 0) & (n_liked < [len(part) for part in liked])
    rows = []
    for name, values in found.items():
        whole = np.clip(np.floor(values + 0.5), 1, 5)
        hits = np.zeros((len(people), max(K, *map(len, liked))), dtype=bool)
        for line, (scores, part) in enumerate(zip(np.split(values, ends), liked)):
            hits[line, : len(part)] = part[np.argsort(-scores, kind="stable")]
        ndcg = metrics.accuracy(hits, n_liked, K)["ndcg"][told]
        near, same = np.mean(np.abs(whole - actual) <= 1), np.mean(whole == actual)
        rows.append((name, f"{near:.3f}", f"{same:.3f}", f"{metrics.rmse(values, actual):.3f}", f"{ndcg.mean():.3f}"))
    print(
        f"held out: {len(people):,} people, {len(actual):,} examples; nDCG over {told.sum():,} who liked some, not all"
    )
    print(table(("", "within one", "exact", "RMSE", f"nDCG@{K}"), rows))


if __name__ == "__main__":
    cli.run(main)
