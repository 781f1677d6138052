"""A real chat model behind a real server on loopback: its answers are worth little, and the chat lives with that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recommender import Recommender
from recommender.chat.chat import Chat, ChatState
from recommender.chat.client import FORMS, ChatClient
from recommender.chat.rerank import STEPS, LLMReranker
from recommender.net.web import WebError
from tests.real_model import MODEL, serving
from tests.test_rerank import candidates

pytestmark = pytest.mark.slow
TYPED = ("I loved Heat and Fargo", "something funnier, from the 90s", "not 2")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address


@pytest.mark.parametrize("explain", [True, False])
def test_every_turn_ends_with_five_candidates_and_says_how(url, explain):
    reranker = LLMReranker(ChatClient.open(url, MODEL, timeout=900), explain)
    chat, state = Chat(Recommender.load(), reranker), ChatState()
    for message in TYPED:
        state, turn = chat.step(state, message)
        ids = {one.movie.movie_id for one in turn.suggestions}
        assert len(ids & {movie_id for movie_id, _ in turn.candidates}) == 5
        assert turn.status.split(",")[0] in STEPS
        assert turn.tokens > 300


@pytest.mark.parametrize("n_refused", [0, 1, 2])
def test_each_form_of_an_answer_leaves_five_candidates(url, n_refused):
    client = ChatClient.open(url, MODEL, timeout=900)
    client.refused = frozenset(FORMS[:n_refused])
    found = LLMReranker(client, explain=False).rerank(candidates(), {}, 5)
    assert len({*found.order} & {*range(20)}) == 5
    assert found.status.split(",")[0] in STEPS
    assert (found.status == "ok") == (n_refused == 0), "the server holds it to the schema alone"


def test_it_streams_counts_tokens_and_gives_log_probabilities(url):
    client, pieces = ChatClient.open(url, MODEL, timeout=900), []
    ask = [{"role": "user", "content": "Count from 1 to 9."}]
    answer = client.ask(ask, max_tokens=24, show=pieces.append)
    assert len(pieces) > 1
    assert pieces[-1] == answer.text
    assert 24 < answer.tokens < 100
    assert answer.end in ("stop", "length")
    first = client.ask(ask, max_tokens=1, n_first=20).first
    assert len(first) == 20
    assert max(first.values()) <= 0
    assert not client.refused


def test_what_does_not_fit_is_told_in_one_line(url):
    client = ChatClient.open(url, MODEL, timeout=900)
    with pytest.raises(WebError, match="context") as caught:
        client.ask([{"role": "user", "content": "movie " * 6000}])
    assert "\n" not in str(caught.value)
    assert caught.value.status == 400
