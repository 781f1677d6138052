"""Backends compared: requests read as defined, figures against loops, stored vectors only where they fit."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from model import evaluate
from recommender.data.catalog import Catalog
from recommender.data.errors import DataError, SettingsError
from recommender.evaluate import embeddings, known_item, protocols
from recommender.evaluate.embeddings import LikedMean, RandomVectors, make_backend, movie_vectors
from recommender.evaluate.known_item import Requests, descriptions, dialogue_requests, find, ranks
from recommender.evaluate.run import Options, Spec
from recommender.linalg.rows import unit_rows
from recommender.text.base import BaseEmbeddingBackend, Identity, movie_text, text_hash
from recommender.text.dialogues import RECOMMENDER, SEEKER, Dialogue, Turn
from recommender.text.vectors import MOVIES, VectorTable

from .tiny import planted_tastes, rank

N_MOVIES, N_GENRES = 60, 4


def catalog() -> Catalog:
    """Film i has genre i % 4 and words of its own."""
    names = ("movieId", "title", "overview", "genres")
    about = "About thing{0} and thing{0}, with stuff{1}."
    cells = ((100 + i, f"Film {i} ({1950 + i})", about.format(i, i % 4), f"Genre{i % 4}") for i in range(N_MOVIES))
    return Catalog([dict(zip(names, map(str, row))) for row in cells])


TEXTS = [movie_text(catalog().movie(row)) for row in range(N_MOVIES)]


def source() -> protocols.Source:
    """Person u likes films of genre u % 4 and nothing else."""
    ratings = planted_tastes(50, np.arange(N_MOVIES) % N_GENRES, 30, np.random.default_rng(0))
    return protocols.Source.from_ratings(dataclasses.replace(ratings, movie_ids=ratings.movie_ids + 90), catalog())


class Oracle(BaseEmbeddingBackend):
    """Knows the number of a film from any text that holds `thing<number>`; all else is a row of zeros."""

    name, identity = "oracle", Identity("oracle", "1", N_MOVIES)

    def __init__(self):
        self.asked = []

    def embed_texts(self, texts):
        self.asked += texts
        vectors = np.zeros((len(texts), N_MOVIES), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row, [int(number) for number in re.findall(r"thing(\d+)", text)]] = 1
        return vectors


def requests(texts, rows, unit=None) -> Requests:
    return Requests("descriptions", list(zip(texts, rows, map(str, unit or range(len(rows))))), {})


def test_known_item_by_unit():
    backend, films = Oracle(), Oracle().embed_texts(TEXTS)
    asked = requests(["thing3", "thing4", "nothing", "thing5"], [3, 9, 7, 5], unit=[0, 0, 0, 1])
    found = find(backend, films, asked, (10, 31))
    values = found.values
    # thing4 is not the film meant: it shares the places after film 4 with the 58 others; "nothing" shares all places.
    assert found.ranks.tolist() == [1.0, 2 + 58 / 2, 1 + 59 / 2, 1.0]
    nearest = [found.nearest(request) for request in range(4)]
    assert nearest == [[3, 0, 1], [4, 0, 1], [0, 1, 2], [5, 0, 1]]  # equal ones by row
    assert (values["recall@10"].tolist(), values["recall@31"].tolist()) == ([1 / 3, 1.0], [1.0, 1.0])
    assert values["mrr"].tolist() == pytest.approx([(1 + 1 / 31 + 1 / 30.5) / 3, 1.0])


def recalls(films: np.ndarray, people) -> np.ndarray:
    return people.accuracy(rank(lambda: LikedMean(films), people, 20).rows, (20,))["recall@20"]


def test_lists_of_people_against_a_loop():
    everybody = protocols.Source.from_ratings(source().train).case()
    films = unit_rows(np.random.default_rng(1).standard_normal((N_MOVIES, 6)))
    people = embeddings.people_with_likes(everybody)
    found = recalls(films, people)
    indptr, relevant = people.relevant()
    for position, row in enumerate(people.user_rows.tolist()):
        mine = people.known.row(row)
        rated = people.known.movie_rows[mine].tolist()
        u = films[rated][people.known.ratings[mine] >= 4].sum(axis=0)
        order = sorted(set(range(N_MOVIES)) - set(rated), key=lambda movie: -float(films[movie] @ u))
        hits = np.isin(order, relevant[indptr[position] : indptr[position + 1]])
        assert found[position] == pytest.approx(hits[:20].sum() / hits.sum())
    for row in everybody.user_rows.tolist():
        assert (row in people.user_rows) == ((everybody.known.ratings[everybody.known.row(row)] >= 4).sum() >= 3)
    # those who have no vector have no hit
    assert not recalls(np.zeros((N_MOVIES, 6), dtype=np.float32), people).any()
    # tastes are found in vectors of genres, and not in shuffled ones
    people = embeddings.people_with_likes(source().case())
    films = np.tile(np.eye(N_GENRES, dtype=np.float32), (N_MOVIES // N_GENRES, 1))
    assert recalls(films, people).mean() == 1.0  # fewer than 20 unseen films of a genre, and they all come first
    assert recalls(np.random.default_rng(3).permutation(films), people).mean() < 0.75  # 20 of some 35 unseen films


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["movieId,part,query", *lines]), encoding="utf-8")
    return path


def test_descriptions_are_read_by_part(tmp_path):
    path = write(tmp_path / "q", "103,tune,three", '105,report,"five, or so"', "9,report,none", "107,report,seven")
    val, test = (descriptions(path, catalog(), part) for part in ("val", "test"))
    assert (val.texts, val.rows.tolist(), val.unit_names.tolist()) == (["three"], [3], ["103"])
    found = test.texts, test.rows.tolist(), test.unit_names.tolist()
    assert found == (["five, or so", "seven"], [5, 7], ["105", "107"])
    assert test.left_out == {"not in the catalogue": 1}
    path.write_bytes("movie_id;Query\n103.0;drei, ähnlich\n".encode("cp1252"))
    assert descriptions(path, catalog(), "val").texts == ["drei, ähnlich"]
    path.write_text("movieId,query\n103,three\n")
    assert [descriptions(path, catalog(), part).texts for part in ("val", "test")] == 2 * [["three"]]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (b"103,tune,a\nx,tune,b", "line 3 has no movieId and query"),
        (b"103,practice,a", "line 2: part 'practice' is not one of tune, report"),
        (b"9,report,a", "no request refers to a movie of the catalogue"),
        (None, "no descriptions at"),
    ],
)
def test_bad_descriptions_are_refused(lines, words, tmp_path):
    path = tmp_path / "q.csv"
    if lines is not None:
        path.write_bytes(b"movieId,part,query\n" + lines)
    with pytest.raises(DataError, match=words):
        descriptions(path, catalog(), "test")


def dialogue(ident: str) -> Dialogue:
    """The seeker likes films 1, 2, 4 and 5, not 3; film 4 is not in the catalogue, nothing is said before 5."""
    names = ("Film 7 (1957)", "Fílm 8  (1958)", "Film 9 (1959)", "Film 7 (1999)", "Film 11 (1961)")
    turns = [Turn(SEEKER, "s", text) for text in ("@5!", "Something sad, like film 9 or @1, please", "@4 was fun")]
    turns.insert(2, Turn(RECOMMENDER, "r", "Try @3 @2"))
    return Dialogue("redial", ident, tuple(turns), dict(zip("12345", names)), ("5", "1", "2", "4"))


def test_requests_of_dialogues_are_the_words_of_the_seeker_before_a_film_they_like():
    said = [dialogue(str(i)) for i in range(60)]
    val, test = (dialogue_requests(said, catalog(), part) for part in ("val", "test"))
    assert sorted([*val.unit_names, *test.unit_names]) == sorted(each.dialog_id for each in said)
    assert 8 <= len(val.unit_names) <= 32  # a third of 60, give or take 3.3 deviations
    assert test.rows.tolist() == [7, 8] * len(test.unit_names)
    assert set(test.texts[::2]) == {"!\nSomething sad, like or"}  # the name of film 9 is taken out too
    assert set(test.texts[1::2]) == {"!\nSomething sad, like or , please"}  # without what the recommender said
    assert test.left_out == {"not in the catalogue": len(test.unit_names), "nothing said before": len(test.unit_names)}
    films = [{"movieId": i, "title": "Film 7 (1957)", "genres": "Drama"} for i in "12"]
    with pytest.raises(DataError, match="no request refers to a movie"):  # a title of two films means none
        dialogue_requests(said, Catalog(films), "test")


def test_random_vectors_depend_on_the_text_alone_and_backends_are_set():
    backend, texts = RandomVectors(dimension=64), [f"text {i}" for i in range(300)]
    whole = backend.embed_texts(texts)
    assert backend.identity == ("random", "dimension=64,seed=0", 64)
    assert np.array_equal(whole[7:9], backend.embed_texts(texts[7:9]))
    assert not np.array_equal(whole, RandomVectors(dimension=64, seed=1).embed_texts(texts))
    cosines = (whole @ whole.T)[np.triu_indices(300, 1)]
    assert cosines.std() == pytest.approx(1 / np.sqrt(64), rel=0.02)  # of random directions
    assert make_backend(Spec("", "local", {"dimension": 3}), TEXTS).identity.dimension == 3
    for key, value in (("size", 2), ("dimension", 0), ("dimension", "wide")):
        with pytest.raises(SettingsError, match=key):
            make_backend(Spec("", "random", {key: value}), [])


def test_stored_vectors_and_checkpoints_are_taken_where_they_fit(tmp_path):
    ids, backend = catalog().movie_ids.astype(np.str_), Oracle()
    columns = {"movie_id": ids, "source": np.full(len(ids), "movielens"), "key": ids}
    columns["text_hash"] = np.array([text_hash(text) for text in TEXTS])
    VectorTable(MOVIES, columns, Oracle().embed_texts(TEXTS), backend.identity).save(tmp_path)
    for now, asked in ((TEXTS, []), ([*TEXTS[:5], "about thing9", *TEXTS[6:]], ["about thing9"])):
        vectors, n_embedded = movie_vectors(backend, now, tmp_path)
        assert (n_embedded, backend.asked) == (len(asked), asked)
        assert np.array_equal(vectors, Oracle().embed_texts(now))
    other = type("Other", (Oracle,), {"identity": Identity("oracle", "2", N_MOVIES)})()
    assert movie_vectors(other, TEXTS, tmp_path)[1] == N_MOVIES == len(other.asked)
    (checkpoint := tmp_path / "kept").mkdir()
    for damage, n_asked in ((0, N_MOVIES), (0, 0), (1, N_MOVIES)):
        for path in checkpoint.iterdir() if damage else ():
            path.write_bytes(b"nothing")
        backend = Oracle()
        assert np.array_equal(movie_vectors(backend, TEXTS, None, checkpoint)[0], Oracle().embed_texts(TEXTS))
        assert len(backend.asked) == n_asked
    assert np.array_equal(movie_vectors(backend, TEXTS[::-1], None, checkpoint)[0], Oracle().embed_texts(TEXTS[::-1]))


def test_backends_are_compared_on_the_same_units():
    case = source().case()
    asked = requests([f"stuff{i % 4} thing{i}" for i in range(0, 60, 3)], list(range(0, 60, 3)))
    local = Spec("local", "local", {"fewest_texts": 1, "most_texts": 0.5})
    specs = [Spec("random", "random"), local, Spec("other", "random", {"seed": 1})]
    options = Options(n_resamples=200)
    (separation, described, people), _ = embeddings.compare_backends(specs, catalog(), [asked], case, options)
    recall = [values["recall@10"].mean() for values in described.values.values()]
    assert recall[1] == described.overall[local.label]["recall@10"] > 0.7
    assert recall[0] < 0.5
    ratio, mrr = {**described.compared, **people.compared}, [x["mrr"].mean() for x in described.values.values()]
    assert ratio["local", "mrr"].value == pytest.approx(mrr[1] / mrr[0])
    assert ratio["local", "mrr"].low > 1
    assert not any(model == "random" for model, _ in described.compared)
    assert ratio["other", "recall@20"].low < 1 < ratio["other", "recall@20"].high
    _, found, _ = separation.overall.values()
    assert found["same"] > found["different"]
    other = Catalog([{"movieId": "1", "title": "A", "genres": "B"}])
    with pytest.raises(DataError, match="the ratings list other movies"):
        embeddings.compare_backends(specs, other, [asked], case, options)


def test_the_program_prints_and_writes_the_same_figures(tmp_path, monkeypatch, capsys):
    data = source()
    monkeypatch.setattr(protocols.Source, "load", lambda folder: data)
    lines = [f"{100 + i},{'tune' if i % 3 else 'report'},it is about thing{i}" for i in range(30)]
    flags = ["--embeddings", "local:dimension=30:fewest_texts=1,random", "--queries"]
    flags += [str(write(tmp_path / "q.csv", *lines)), "--resamples", "50", "--processed", str(tmp_path)]
    evaluate.main([*flags, "--samples", "4", "--csv", str(tmp_path / "rows.csv")])
    shown, key = capsys.readouterr().out, ["task", "model", "measure"]
    rows, averages = pd.read_csv(tmp_path / "rows.csv"), pd.read_csv(tmp_path / "rows-averages.csv").set_index(key)
    both = averages.join(rows.groupby(key).value.mean().rename("mean"), how="inner")
    assert len(both) == averages.n_units.count() == 2 * (3 + 3)  # backends, measures of descriptions and of people
    assert both["mean"].to_numpy() == pytest.approx(both.value.to_numpy())
    assert all(f"{value:.4f}" in shown for value in both.value)
    assert set(rows[rows.task == "descriptions"].unit) == set(range(100, 130, 3))
    samples = re.findall(r'"it is about thing(\d+)" -> (Film (\d+) .*)\n  local.*: place (\d+); nearest: (.*?);', shown)
    assert len(samples) == 4
    for asked, film, number, place, first in samples:
        assert asked == number
        assert (place == "1") == (first == film)


def directions(n=120):
    """Movies of 0 to 6 genres; a few vectors are rows of zeros."""
    rng = np.random.default_rng(0)
    genres, vectors = rng.random((n, 6)) < 0.25, rng.standard_normal((n, 9)) + 0.3
    vectors[::17] = 0
    return unit_rows(vectors), genres


def test_separation_against_all_pairs_and_by_chance():
    vectors, genres = directions()
    V, G = vectors[genres.any(axis=1)].astype(np.float64), genres[genres.any(axis=1)].astype(int)
    pairs = np.triu_indices(len(V), 1)
    cosines, share = (V @ V.T)[pairs], (G @ G.T)[pairs] > 0
    found = embeddings.separation_gap(vectors, genres)
    assert (found.n_same, found.n_different) == (share.sum(), (~share).sum())
    means = cosines[share].mean(), cosines[~share].mean(), cosines.mean()
    assert found[:3] == pytest.approx(means, abs=1e-12)
    assert found.gap == pytest.approx((means[0] - means[1]) / abs(means[2]))
    assert np.isnan(embeddings.separation_gap(vectors, genres & False)[:4]).all()  # no movie has a genre
    vectors, genres = directions(400)
    assert not np.isnan(embeddings.separation_gap(vectors, genres).gap)  # these lean to one side
    for seed in range(2):  # and these do not
        vectors = unit_rows(np.random.default_rng(seed).standard_normal((400, 16)))
        assert np.isnan(embeddings.separation_gap(vectors, genres).gap)


@pytest.mark.parametrize("cells", [1 << 22, 300])
def test_places_against_sorting(cells, monkeypatch):
    monkeypatch.setattr(known_item, "_CELLS", cells)
    rng = np.random.default_rng(2)
    vectors = unit_rows(rng.standard_normal((90, 7)))
    vectors[40:50] = vectors[30:40]  # twins: as near to anything
    queries, targets = unit_rows(rng.standard_normal((25, 7))), rng.integers(0, 90, 25)
    targets[:3] = [31, 41, 55]
    found = ranks(queries, vectors, targets)
    for query, target, place in zip(queries, targets.tolist(), found):
        order = np.argsort(-(vectors @ query), kind="stable").tolist()
        twin = {**{i: i + 10 for i in range(30, 40)}, **{i: i - 10 for i in range(40, 50)}}.get(target, target)
        assert place == pytest.approx((order.index(target) + order.index(twin)) / 2 + 1)
    assert ranks(np.zeros((2, 7)), vectors, np.array([0, 89])).tolist() == [45.5, 45.5]  # a request without a meaning
