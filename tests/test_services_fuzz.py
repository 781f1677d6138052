"""Whatever a service answers: one line of refusal, or values that the answer holds."""

import copy
import html
import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest

from preprocess.descriptions import read_all
from preprocess.enrich_metadata import TASK, UNKNOWN, description_in
from preprocess.fetch_tmdb_metadata import describe
from recommender.data.catalog import Movie
from recommender.net.openai import chat, read_embeddings
from recommender.net.web import Client, WebError

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies
pytestmark = pytest.mark.dev

PIECES = r"""<think> </think> ``` json\n {"plot":" "} ** \n\n . I \\ | &lt; <p> <|im_end|> UNKNOWN Gamma [a](b) " \0"""
PIECES = PIECES.split()
PIECES = [piece.replace(r"\n", "\n") for piece in PIECES]
PIECES += ["A quiet drama of the town.", "Here is a description:", " "]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=6).map("".join)
ODD = st.sampled_from([None, False, 0, 1, 7, "7", 34, 1e-200, 1e300])
KEYS = "id imdb_id index embedding text type name status_code data content"
JSON = st.recursive(
    ODD | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS.split()), inner, max_size=3),
    max_leaves=6,
)
CREDITS = {"cast": [{"name": "A;B", "order": 1}, {"name": "C", "order": 0}], "crew": [{"name": "D", "job": "Director"}]}
FILM = {"id": 7, "imdb_id": "tt0000009", "overview": " Plot. ", "original_language": "en", "runtime": 90}
FILM |= {"credits": CREDITS, "keywords": {"keywords": [{"name": "k"}]}, "vote_average": 7.5}
CHAT = {"choices": [{"message": {"content": "A quiet drama of the town."}, "finish_reason": "stop"}]}
ROWS = [{"index": i, "embedding": [float(i), 1.0, -2.5]} for i in range(3)]
MANY = hypothesis.settings(max_examples=200, deadline=None)


@st.composite
def nearly(draw, answer):
    """Return JSON, mostly `answer` with a few of its values replaced or gone."""
    answer = {"whole": copy.deepcopy(answer)}
    for _ in range(draw(st.integers(0, 3))):
        parent, key = answer, "whole"
        while (inner := parent[key]) and isinstance(inner, (dict, list)) and draw(st.integers(0, 4)):
            parent, key = inner, draw(st.sampled_from(list(inner) if isinstance(inner, dict) else range(len(inner))))
        if parent is answer or draw(st.booleans()):
            parent[key] = draw(JSON)
        else:
            del parent[key]
    return answer["whole"]


def client_of(*answers):
    client, left = Client("http://127.0.0.1:9/v1"), [json.dumps(answer).encode() for answer in answers]
    client.get = client.post = lambda *_: left.pop(0)
    return client


def letters(text):
    return "".join(filter(str.isalnum, text))


@MANY
@hypothesis.given(nearly(CHAT), TEXTS)
def test_a_description_is_in_the_answer(answer, text):
    for given in (answer, {"choices": [{"message": {"content": text}}]}):
        try:
            said, end = chat(client_of(given), "m", [])
        except WebError:
            continue
        found, reason = description_in(said, end, "Gamma", TASK, UNKNOWN)
        assert (bool(found), found.isprintable()) == (not reason, True)
        left = iter(letters(html.unescape(json.dumps(given, ensure_ascii=False))))
        assert all(letter in left for letter in letters(found)), "a part of the answer, in its order"


@MANY
@hypothesis.given(st.integers(1, 3).flatmap(lambda n: st.tuples(nearly({"data": ROWS[:n], "model": "m"}), st.just(n))))
def test_vectors_are_those_of_the_answer_in_the_order_of_its_indices(given):
    answer, n_texts = given
    try:
        vectors, name = read_embeddings(answer, n_texts, Client("http://127.0.0.1:9/v1"))
    except WebError:
        return
    assert (len(vectors), type(name)) == (n_texts, str)
    for position, vector in enumerate(vectors):
        (entry,) = [row for row in answer["data"] if n_texts == 1 or row["index"] == position]
        if vector is not None:
            assert 0 < np.abs(vector.astype(np.float32)).max() < np.inf
            assert isinstance(entry["embedding"], str) or vector.tolist() == list(map(float, entry["embedding"]))


@MANY
@hypothesis.given(nearly(FILM), nearly({"movie_results": [{"id": 7}]}), st.sampled_from(["7", ""]))
def test_what_is_stored_of_a_movie_is_what_tmdb_says_of_this_movie(details, found, tmdb_id):
    movie = Movie(1, "Gamma", 1993, (), tmdb_id=tmdb_id, imdb_id="0000009")
    try:
        fields = describe(client_of(*([] if tmdb_id else [found]), details), movie, "en")
    except WebError:
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "d").write_text(json.dumps({"movieId": 1, **fields}) + "\n")
        read_all([Path(folder, "d")])
    if "missing" in fields:
        return
    assert fields.pop("tmdbId") == str(details["id"])
    assert str(details["id"]) == (tmdb_id or str(next(entry for entry in found["movie_results"] if entry)["id"]))
    assert re.sub(r"\D", "", details.get("imdb_id") or "").lstrip("0") in ("", "9")
    said = json.dumps(details).replace(";", ",")
    for name in [*fields.pop("cast"), *fields.pop("keywords"), *fields.pop("director").split("; ")]:
        assert json.dumps(name)[1:-1] in said
    assert fields.pop("overview") == (details.get("overview") or "").strip()
    assert all(value == details[name] or value != value for name, value in fields.items())
