"""Train a predictor of how much a person will like a movie, and compare it on held-out people.

Compared are the mean, the rating predictor fitted on the other people, and with --base-url and --model a chat model.
All answer the examples of `python -m model.finetune_movie_pref collect`: half stars rounded half up, 1 to 5.
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
from recommender.chat.likes import ChatLikes, LikePredictor, Likes
from recommender.chat.preferences import TEST, TRAIN
from recommender.data.catalog import Catalog
from recommender.data.errors import DataError
from recommender.data.interactions import LIKED, Interactions
from recommender.evaluate import metrics
from recommender.evaluate.report import table

K = 10  # of nDCG
SHOTS = "answers of training people that a chat model sees first, 0 for a model tuned on them (default: %(default)s)"


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fit on the training people, compare on the others, store the predictor."""
    description, _, more = (__doc__ or "").partition("\n\n")
    parser = cli.Parser("model.train_like_model", description, epilog=more)
    parser.add_folders(LikePredictor.name)
    add = parser.add_argument
    add("--examples", type=Path, default=Path("movie-pref"), metavar="DIR", help="folder that collect wrote")
    parser.add_common("base-url", "model")
    add("--key-variable", default="", metavar="NAME", help="environment variable with the key of the chat model")
    add("--most", type=cli.whole_number, default=200, metavar="N", help="examples that a chat model answers at most")
    add("--shots", type=cli.whole_number, default=5, metavar="N", help=SHOTS)
    given = parser.parse_args(argv)
    if bool(given.base_url) != bool(given.model):
        parser.error("--base-url and --model go together")
    output = cli.output_folder(given, LikePredictor.name)
    catalog = Catalog.load(given.processed)
    people = preferences.read_people(given.examples / "people.jsonl", catalog)
    train, test = ([one for one in people if one.part == part] for part in (TRAIN, TEST))
    if not train or not test:
        raise DataError(f"{given.examples}: nobody is left to learn from or held out: collect more people")
    data = history_of(train, catalog, True)
    predictor = LikePredictor(catalog).fit(data)
    actual = np.array([stars for one in test for _, stars in one.candidates], dtype=np.float64)
    mean = np.mean([stars for one in train for _, stars in one.candidates])
    found = {"mean": np.full(len(actual), mean), "predictor": predictions(Likes(predictor, catalog), test, catalog)}
    print(f"learned from {len(train):,} people, {data.n_ratings:,} ratings")
    print_table(test, actual, found)
    predictor.save(output, f"the training people of {given.examples}")
    print(f"stored in {output}")
    if given.base_url:
        sizes = np.cumsum([len(one.candidates) for one in test])
        few = test[: max(1, int(np.searchsorted(sizes, given.most, "right")))]
        client = ChatClient.open(given.base_url, given.model, given.key_variable)
        shots = preferences.shots_of(train, given.shots, catalog)
        name = f"{given.model}, {len(shots) // 2} shots"
        likes, show, said = ChatLikes(client, catalog, shots), cli.Progress(given.model, "examples"), list[float]()
        asked = [(one.profile, movie_id) for one in few for movie_id, _ in one.candidates]
        for profile, movie_id in asked:
            show(len(said), n := len(asked))
            said.append(likes.predict_like_score(profile, movie_id))
        show(n, n)
        found[name] = np.array(said)
        print_table(few, actual[:n], {name: values[:n] for name, values in found.items()})


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
