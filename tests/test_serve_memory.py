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
    for message in ("I loved Alien, something funny", "from the 80s"):
        old = chat(here, message)["suggestions"]
    there.ok("DELETE", "/users/lee")
    chat(there, "something with robots")
    said = here("POST", "/chat/lee", {"message": "more like the second"})
    assert old[1]["title"] not in said.text
    assert here.ok("GET", "/users/lee/export")["profile"]["favorites"] == []
