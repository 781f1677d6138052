"""What a server remembers of a conversation that another server of the same store has heard or deleted."""

import pytest

from recommender.facade import Recommender

from .serving import application

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.dev


@pytest.fixture
def both(tmp_path):
    """Two servers on one store, as clients with one token."""
    recommender = Recommender.load()
    with application(recommender, tmp_path) as (here, *_), application(recommender, tmp_path) as (there, *_):
        yield here, there


def chat(client, message):
    return client.ok("POST", "/chat/lee", {"message": message})


def refused(client):
    return client.ok("GET", "/users/lee/export")["chat"]["refused"]


def test_what_is_refused_at_one_server_is_refused_at_all(both):
    here, there = both
    chat(here, "I loved Alien, no horror")
    said = refused(here)
    assert said
    found = chat(there, "something with robots")["suggestions"]
    assert refused(there) == said
    movies = [there.ok("GET", f"/movies/{one['movie_id']}") for one in found]
    assert not any("Horror" in movie["genres"] for movie in movies)


def test_who_comes_back_after_a_deletion_elsewhere_is_new_everywhere(both):
    here, there = both
    for message in ("I loved Alien, something funny, no horror", "from the 80s"):
        old = chat(here, message)["suggestions"]
    there.ok("DELETE", "/users/lee")
    chat(there, "something with robots")
    said = here("POST", "/chat/lee", {"message": "more like the second"})
    assert old[1]["title"] not in said.text
    assert refused(here) == []
    assert here.ok("GET", "/users/lee/export")["profile"]["favorites"] == []


def test_a_message_is_kept_whole_or_not_at_all(both, monkeypatch):
    here, _ = both
    chat(here, "I loved Alien")
    before = here.ok("GET", "/users/lee/export")
    with monkeypatch.context() as broken:
        broken.setattr("recommender.serve.database.Database.save_profile", lambda *_: 1 / 0)
        assert here("POST", "/chat/lee", {"message": "I loved Heat, no horror"}).status_code == 500
    assert here.ok("GET", "/users/lee/export") == before
    chat(here, "I loved Heat, no horror")
    assert here.ok("GET", "/users/lee/export")["chat"]["n_messages"] == 2


def test_what_leaves_the_watchlist_leaves_that_of_the_chat(both):
    here, _ = both
    chat(here, "I loved Heat, and I want to see Alien later")
    session = here.ok("POST", "/sessions", {"user_id": "lee"})
    (alien,) = session["watchlist"]
    given = {"movie_id": alien["movie_id"], "answer": "skip"}
    here.ok("POST", f"/sessions/{session['session_id']}/answer", given)
    chat(here, "something with robots")
    assert "later" not in dict(here.ok("GET", "/users/lee/export")["chat"]["answers"]).values()
