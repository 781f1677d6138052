"""How much a person will like a movie: the rating predictor, a chat model, and their comparison."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from model import finetune_movie_pref, train_like_model
from recommender import Recommender
from recommender.chat import preferences
from recommender.chat.client import ChatClient
from recommender.chat.likes import SCALE, ChatLikes, LikePredictor, Likes, expected_digit
from recommender.data.catalog import Catalog
from recommender.data.errors import TastevecError
from recommender.data.interactions import Interactions
from recommender.learn.rating_predictor import RatingPredictor
from tests.fake_server import Reply, Server
from tests.tiny import FILMS, make_processed, planted_tastes


def catalog_of(n: int) -> Catalog:
    rows = [{"movieId": str(10 + i), "title": f"M{i} (1990)", "genres": "Drama" if i % 2 else "War"} for i in range(n)]
    return Catalog(rows)


def test_one_score_for_a_list_and_for_a_profile_cut_to_1_to_5():
    catalog = catalog_of(40)
    planted = planted_tastes(60, np.arange(40) % 2, 20, np.random.default_rng(0))
    likes = Likes(RatingPredictor(catalog).fit(planted), catalog)
    rated = [(10, 5.0), (12, 5.0), (11, 2.0), (13, 2.0)]
    profile = {"favorites": [], "answers": [], "ratings": [[movie, stars, ""] for movie, stars in rated]}
    first = likes.predict_like_score(rated, catalog.movie(4))
    assert first == likes.predict_like_score(profile, 14) > likes.predict_like_score(rated, 15) + 0.5
    named = {"favorites": [10, 12], "answers": []}
    assert likes.predict_like_score(named, 14) == likes.predict_like_score([(10, 4.5), (12, 4.5)], 14)
    both = {**named, "ratings": [[10, 5.0, ""], [12, 5.0, ""]]}
    assert likes.predict_like_score(both, 14) == likes.predict_like_score(rated[:2], 14), "a rating counts before"
    other = [(movie, 7 - stars) for movie, stars in rated]
    assert likes.predict_like_score(other, 14) < first - 0.5
    columns = zip(*((1, movie, stars, place) for place, (movie, stars) in enumerate(rated)))
    history = Interactions.from_columns(*columns, movie_vocabulary=catalog.movie_ids)
    expected = float(likes.model.score(history, [0])[0, 4])
    assert first == pytest.approx(min(max(SCALE[0] + SCALE[1] * expected, 1), 5), abs=1e-4)
    assert 1 <= likes.scores(rated).min() < likes.scores(rated).max() <= 5
    assert np.isfinite(likes.scores([])).all()
    likes.model.mean_ = likes.model.mean_ + 3
    assert likes.scores(other[:3]).max() == 5


def test_the_mean_of_digits_else_the_digit_said():
    some = {"4": math.log(0.5), "2": math.log(0.25), "x": math.log(0.25)}
    for first, text, expected in (
        (some, "4", 10 / 3), ({" 3": math.log(0.9), "3": math.log(0.1)}, "1", 3), ({"x": -0.1, "5": -9.0}, "2", 2),
        ({}, "Rating: 4/5", 4), ({}, "12 or 4.5", 4.5), ({}, "5.9", 5), ({}, "", 3), ({"٣": 0.0}, "1", 1),
    ):  # fmt: skip
        assert expected_digit(first, text) == pytest.approx(expected)


def test_a_chat_model_is_asked_with_the_profile_alone(server: Server):
    catalog, heard = catalog_of(40), []
    options = [{"token": "5", "logprob": math.log(0.5)}, {"token": "1", "logprob": math.log(0.5)}]
    said = {"message": {"content": "5"}, "finish_reason": "stop"}

    def answer(messages):
        heard.append(messages)
        return Reply(200, {"choices": [{**said, "logprobs": {"content": [{"top_logprobs": options}]}}]})

    server.chat = answer
    likes = ChatLikes(ChatClient.open(server.url, "tiny"), catalog)
    assert likes.predict_like_score([(10, 5.0), (11, 1.0)], 14) == pytest.approx(3)
    assert server.requests[0].body["logprobs"] is True
    asked = json.loads(heard[0][1]["content"])
    assert asked["movie"]["title"] == "M4 (1990)"
    assert asked["person"]["Top items"] == "M0 (1990) 5"
    server.chat = lambda messages: "4"
    server.refuses = {"logprobs": "logprobs is not supported"}
    assert likes.predict_like_score([(10, 5.0)], 14) == 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A processed folder without ratings, and 80 people who rated its nine movies, collected."""
    make_processed(tmp_path / "processed")
    ids = np.array([film[0] for film in FILMS])
    vectors = np.array([film[4] for film in FILMS])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rng, rows = np.random.default_rng(0), []
    for user in range(80):
        for place, movie in enumerate(rng.permutation(9)):
            stars = 4.5 if (vectors[movie, 0] > 0.6) == user % 2 else 1.5 + rng.integers(2)
            rows.append(f"{user + 1},{ids[movie]},{stars},{10**9 + place}\n")
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(rows))
    run(tmp_path, finetune_movie_pref, "collect", "--ratings", tmp_path / "ratings.csv", "--output", tmp_path / "pref")
    return tmp_path


def run(folder: Path, program, *words: object) -> None:
    program.main([str(word) for word in (*words, "--processed", folder / "processed")])


def train(folder: Path, *words: object) -> None:
    run(folder, train_like_model, "--examples", folder / "pref", *words)


def collected(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "pref" / "people.jsonl").read_text().splitlines()]


def test_models_are_compared_on_people_they_never_saw(folder, capsys):
    train(folder)
    told = capsys.readouterr().out.splitlines()
    people = collected(folder)
    learned, asked = (
        np.array([s for one in people if one["part"] == part for _, s in one["candidates"]])
        for part in ("train", "test")
    )
    measured = {line.split()[0]: [float(cell) for cell in line.split()[1:]] for line in told[-3:-1]}
    near = np.mean(abs(np.floor(learned.mean() + 0.5) - asked) <= 1)
    wanted = [near, np.sqrt(np.mean((asked - learned.mean()) ** 2))]
    assert [measured["mean"][0], measured["mean"][2]] == pytest.approx(wanted, abs=6e-4)
    assert measured["predictor"][2] < measured["mean"][2] - 0.05
    assert measured["predictor"][3] > measured["mean"][3] + 0.1
    stored = folder / "processed" / "artifacts" / "like"
    before = LikePredictor.load(stored).arrays()
    for one in people:
        if one["part"] == "test":
            one["candidates"] = [[movie, 6 - s] for movie, s in one["candidates"]]
            one["profile"] = [[movie, 5.5 - s] for movie, s in one["profile"]]
    (folder / "pref" / "people.jsonl").write_text("".join(json.dumps(one) + "\n" for one in people))
    train(folder)
    after = LikePredictor.load(stored).arrays()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_without_ratings_the_stored_predictor_is_used(folder):
    recommender = Recommender.load(folder / "processed")
    with pytest.raises(TastevecError, match="train_like_model"):
        Likes.open(recommender)
    train(folder)
    likes = Likes.open(recommender)
    assert isinstance(likes.model, LikePredictor)
    assert likes.predict_like_score([(1, 5), (5, 1)], 2) > likes.predict_like_score([(1, 1), (5, 5)], 2) + 0.5


def test_a_chat_model_answers_the_same_examples(folder, server, capsys):
    people = collected(folder)
    truth = [s for one in people if one["part"] == "test" for _, s in one["candidates"]]
    left = iter(truth)
    server.chat = lambda messages: str(next(left))
    train(folder, "--base-url", server.url, "--model", "tiny", "--most", 9)
    told = capsys.readouterr().out.splitlines()
    assert len(server.requests) == 8, "whole people, at most 9 examples"
    assert told[-1].split() == ["tiny,", "5", "shots", "1.000", "1.000", "0.000", "1.000"]


def test_shots_are_of_people_learned_from_and_as_even_as_can_be(folder, server):
    heard = []
    server.chat = lambda messages: heard.append(messages) or "4"
    flags = ["--base-url", server.url, "--model", "tiny", "--most", 4]
    train(folder, *flags, "--shots", 3)
    train(folder, *flags, "--shots", 0)
    shown, alone = heard[0], heard[-1]
    assert [message["role"] for message in shown] == ["system", *["user", "assistant"] * 3, "user"]
    stars = [int(message["content"]) for message in shown[2::2]]
    assert len({*stars}) == 3
    assert [message["role"] for message in alone] == ["system", "user"]
    assert alone[1] == heard[len(heard) // 2 - 1][-1]
    catalog = Catalog.load(folder / "processed")
    people = collected(folder)
    wanted = {
        (json.dumps(preferences.profile_of(one["profile"], catalog)), str(catalog.movie(catalog.row_of(m))), s)
        for one in people
        if one["part"] == "train"
        for m, s in one["candidates"]
    }
    for question, answer in zip(shown[1:-1:2], stars):
        asked = json.loads(question["content"])
        assert (json.dumps(asked["person"]), asked["movie"]["title"], answer) in wanted


def test_bad_input_is_one_line(folder, tmp_path):
    for words, said in (
        (["--base-url", "http://127.0.0.1:1/v1"], "together"),
        (["--examples", tmp_path], "collect first"),
        (["--output", tmp_path / "ratings.csv"], "ratings.csv"),
    ):
        with pytest.raises(TastevecError, match=said):
            train(folder, *words)
    path = folder / "pref" / "people.jsonl"
    path.write_text(path.read_text().replace('"test"', '"train"'))
    with pytest.raises(TastevecError, match="held out"):
        train(folder)
    assert not (folder / "processed" / "artifacts" / "like").exists()
