"""The server: every endpoint, over HTTP on loopback, and what two servers of one store remember."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .fake_server import Server
from .serving import application, at_once, detail

pytestmark = pytest.mark.dev
STREAMED = {"Accept": "text/event-stream"}
HEAD = "Date,Name,Year,Letterboxd URI"
LETTERBOXD = f"{HEAD},Rating\n2020-01-01,Heat,1995,x,5\n2020-01-01,Zzyzx Qwr,1995,x,5\n2020-01-01,Alien,1981,x,4\n"


def test_movies_are_found_and_told_as_the_library_does(client, shipped):
    found = client.ok("GET", "/movies/search?q=matrx&limit=3")["movies"]
    assert [one["movie_id"] for one in found] == [one.movie_id for one in shipped.search("matrx", 3)]
    movie, known = client.ok("GET", "/movies/2571"), shipped.search("The Matrix", 1)[0]
    assert (movie["title"], movie["year"], movie["overview"]) == (known.title, known.year, known.overview)
    similar = client.ok("GET", "/movies/2571/similar?limit=4")["movies"]
    given = shipped.similar_movies(2571, 4)
    assert [(one["movie_id"], one["by"]) for one in similar] == [(one.movie.movie_id, one.by) for one in given]
    fits = client.ok("GET", "/movies/search/text?q=a+funny+french+movie&limit=2")
    assert [one["fit"] for one in fits["movies"]] == [one.fit for one in shipped.search_text("a funny french movie", 2)]
    assert "French" in fits["read_as"]


def test_recommendations_are_those_of_the_library(client, shipped):
    asked = "/movies/recommendations?user_id=7&limit=5"
    found = client.ok("GET", asked)
    assert found["method"] == shipped.models.name_of(None)
    known = [one.movie.movie_id for one in shipped.recommend(7, 5)]
    assert [one["movie_id"] for one in found["recommendations"]] == known
    assert client.ok("GET", f"{asked}&use_embeddings=true")["method"] == "embedding"
    old = client.ok("GET", f"{asked}&genre=western&year_to=1970&use_context=true&familiarity=0.1")["recommendations"]
    assert old
    assert all("Western" in one["genres"] and one["year"] <= 1970 for one in old)


def test_what_is_not_stored_is_refused_with_its_command(client):
    said = detail(client("GET", "/movies/recommendations?user_id=7&method=ease"), 409)
    assert "python -m model.train_ranking_model --method ease" in said
    said = detail(client("GET", "/movies/recommendations?user_id=7&method=popularity&use_embeddings=true"), 409)
    assert "popularity" in said
    detail(client("GET", "/movies/2571/", allow_redirects=False), 404)  # a redirect would believe any Host


def test_a_session_learns_explains_and_takes_back(client, shipped):
    session = client.ok("POST", "/sessions", {"favorites": ["The Matrix", "Alien", 296, 318]})
    ours = shipped.session(["The Matrix", "Alien", 296, 318])
    for answer in ("like", "dislike", "later", "seen", "not interested", "skip"):
        shown = ours.next()
        assert session["movie"]["movie_id"] == shown.movie.movie_id
        session = client.answer(session, answer)
        ours.answer(answer)
    path = f"/sessions/{session['session_id']}"
    why = client.ok("GET", f"{path}?why=true")
    assert why["score"] == pytest.approx(ours.next().score)
    assert sum(term["value"] for term in why["because"]) == pytest.approx(why["score"])
    assert [one["movie"]["movie_id"] for one in why["answers"] if one["answer"] == "later"] == [
        one["movie_id"] for one in why["watchlist"]
    ]
    steps = [session]
    steps.append(client.ok("POST", f"{path}/tell", {"text": "something funny and french"}))
    wanted = {"genres": ["Horror"], "exclude_genres": ["Comedy"], "year_from": 1980, "year_to": None}
    steps.append(client.ok("PATCH", path, {"filter": wanted}))
    assert "Horror" in steps[-1]["movie"]["genres"]
    assert steps[-1]["filter"] == wanted
    steps.append(client.ok("PATCH", path, {"familiarity": 0.9}))
    steps.append(client.ok("PATCH", path, {"add_favorite": "Amelie"}))
    steps.append(client.ok("PATCH", path, {"drop_favorite": 296}))
    assert len({step["movie"]["movie_id"] for step in steps}) > 2
    for before in reversed(steps[:-1]):
        assert client.ok("POST", f"{path}/undo") == before
    for _ in range(6):
        session = client.ok("POST", f"{path}/undo")
    assert session["answers"] == []
    assert "nothing to undo" in detail(client("POST", f"{path}/undo"), 409)


def test_a_movie_leaves_the_watchlist_and_comes_back_by_undo(client):
    mo = client.person("moritz")
    mo.ok(
        "POST", "/imports?filename=watchlist.csv&apply=true", data=f"{HEAD}\n2020-01-01,Heat,1995,x\n"
    )  # so it is of the person, not the session
    session = mo.ok("POST", "/sessions", {"favorites": ["Alien"]})
    session = mo.answer(session, "later")
    path, (heat, other) = f"/sessions/{session['session_id']}", session["watchlist"]
    assert heat["title"] == "Heat"
    off = mo.ok("POST", f"{path}/answer", {"movie_id": heat["movie_id"], "answer": "skip"})
    assert off["watchlist"] == [other]
    assert "later" not in [
        how for movie, how in mo.ok("GET", "/users/moritz/export")["profile"]["answers"] if movie == 6
    ]
    assert mo.ok("POST", f"{path}/undo") == session
    assert [6, "later"] in mo.ok("GET", "/users/moritz/export")["profile"]["answers"]
    loved = mo.ok("POST", f"{path}/answer", {"movie_id": heat["movie_id"], "answer": "like"})
    assert loved["watchlist"] == [other]
    said = detail(mo("POST", f"{path}/answer", {"movie_id": heat["movie_id"], "answer": "like"}), 409)
    assert "not on the table" in said


def test_one_answer_is_heard_once(client):
    session = client.ok("POST", "/sessions", {"favorites": [1, 2571]})
    path, given = f"/sessions/{session['session_id']}", {"movie_id": session["movie"]["movie_id"], "answer": "like"}
    ask = at_once(lambda _: client.as_(client.token)("POST", f"{path}/answer", given), [*range(8)])
    assert ask == [200, *[409] * 7]
    assert len(client.ok("GET", path)["answers"]) == 1


def test_a_token_finds_its_sessions_again(client):
    own = client.ok("POST", "/sessions", {"favorites": ["Heat (1995)"]})["session_id"]
    ida = client.person("ida")
    hers = ida.ok("POST", "/sessions", {"favorites": ["Heat (1995)"]})["session_id"]
    assert {"session_id": own, "user_id": None} in client.ok("GET", "/sessions")["sessions"]
    assert ida.ok("GET", "/sessions")["sessions"] == [{"session_id": hers, "user_id": "ida"}]


def test_a_session_that_is_deleted_is_gone(client):
    path = f"/sessions/{client.ok('POST', '/sessions', {'words': ['space']})['session_id']}"
    assert client("DELETE", path).status_code == 204
    detail(client("GET", path), 404)


def test_a_new_person_s_ratings_count_at_once(client):
    ana = client.person("ana")
    asked = "/movies/recommendations?user_id=ana&limit=20"
    assert ana.ok("GET", asked)["method"] == "popularity"
    assert "ana" in detail(client("POST", "/users", {"user_id": "ana"}), 409)
    detail(client("POST", "/users", {"user_id": "1"}), 409)  # who is in the data
    rated = [{"movie_id": 1, "rating": 5}, {"movie_id": 3114, "rating": 4.5, "timestamp": 10**9}]
    assert ana.ok("POST", "/users/ana/ratings", rated)["n_ratings"] == 2
    found = ana.ok("GET", asked)
    assert found["method"] != "popularity"
    assert not {1, 3114} & {one["movie_id"] for one in found["recommendations"]}
    why = ana.ok("GET", "/users/ana/explain/78499")  # Toy Story 3
    assert why["similar_to_your_favorites"][0]["movie_id"] in (1, 3114)
    assert sum(term["value"] for term in why["because"]) == pytest.approx(why["recommendation_score"])
    session = ana.ok("POST", "/sessions", {})
    assert session["user_id"] == "ana"
    shown = session["movie"]["movie_id"]
    ana.answer(session, "dislike")
    assert shown in [one[0] for one in ana.ok("GET", "/users/ana/export")["profile"]["answers"]]
    assert shown not in [one["movie_id"] for one in ana.ok("GET", f"{asked}&limit=100")["recommendations"]]


def test_ratings_join_those_of_the_data(client):
    best = client.ok("GET", "/movies/recommendations?user_id=9&limit=1")["recommendations"][0]["movie_id"]
    client.ok("POST", "/users/9/ratings", [{"movie_id": best, "rating": 1}])
    again = client.ok("GET", "/movies/recommendations?user_id=9&limit=100")["recommendations"]
    assert best not in [one["movie_id"] for one in again]
    profile = client.ok("GET", "/users/9/export")["profile"]
    assert len(profile["ratings"]) > 10


def test_an_export_is_matched_and_kept_when_asked(client):
    eve = client.person("eve")
    found = eve.ok("POST", "/imports?filename=ratings.csv", data=LETTERBOXD)
    assert [one["movie"]["title"] for one in found["matched"]] == ["Heat"]
    assert [one["movie"]["title"] for one in found["guessed"]] == ["Alien"]
    assert [one["title"] for one in found["missed"]] == ["Zzyzx Qwr"]
    assert found["applied"] == 0
    assert eve.ok("GET", "/users/eve/export")["profile"]["favorites"] == []
    assert eve.ok("POST", "/imports?filename=ratings.csv&apply=true", data=LETTERBOXD)["applied"] == 1
    assert eve.ok("GET", "/users/eve/export")["profile"]["favorites"] == [6]
    trakt = [{"rated_at": "2022-02-02", "rating": 9, "movie": {"title": "Fargo", "year": 1996}}]
    assert [one["title"] for one in client.ok("POST", "/imports?filename=t.json", trakt)["matched"]] == ["Fargo"]
    said = detail(client("POST", "/imports?filename=../x.csv", data=b"what"), 409)
    assert said.startswith("x.csv begins with")
    said = detail(client("POST", "/imports?filename=x.csv", data=b"a" * 140_000), 409)
    assert said.startswith("x.csv line 1: field larger")


def test_the_chat_remembers_and_streams(client):
    joe = client.person("joe")
    turn = joe.ok("POST", "/chat/joe", {"message": "I loved Heat, something funny and french"})
    assert turn["suggestions"]
    second = turn["suggestions"][1]["title"]
    assert second in joe.ok("POST", "/chat/joe", {"message": "who directed the second?"})["answer"]
    streamed = joe("POST", "/chat/joe", {"message": "older please"}, headers=STREAMED)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    *_, last = streamed.text.strip().split("\n\n")
    kind, data = last.split("\n")
    assert kind == "event: turn"
    assert json.loads(data.removeprefix("data: "))["suggestions"]
    export = joe.ok("GET", "/users/joe/export")
    assert export["chat"]["n_messages"] == 2  # a question is none
    assert export["chat"]["texts"] == []
    assert 6 in export["profile"]["favorites"]


def test_the_chat_keeps_nothing_of_a_session_that_is_taken_back(client):
    kim = client.person("kim")
    session = kim.ok("POST", "/sessions", {"favorites": ["Heat (1995)"]})
    kim.answer(session, "like")
    kim.ok("POST", "/chat/kim", {"message": "I loved Alien"})
    kim.ok("POST", f"/sessions/{session['session_id']}/undo")
    kim.ok("DELETE", f"/sessions/{session['session_id']}")
    kept = kim.ok("GET", "/users/kim/export")
    (alien,) = kept["profile"]["favorites"]
    assert kept["profile"]["answers"] == []
    assert kept["chat"]["answers"] == [[alien, "favorite"]]
    assert client.ok("GET", f"/movies/{alien}")["title"] == "Alien"


def test_one_person_talks_to_two_servers_at_once(client, served, shipped):
    max_ = client.person("max")
    with application(shipped, Path(served[1].path).parent) as (other, *_):
        done = at_once(lambda at: at("POST", "/chat/max", {"message": "something with robots"}), [max_, other] * 4)
        assert {*done} <= {200, 409}
        assert done.count(200) > 4
        n_messages = client.ok("GET", "/users/max/export")["chat"]["n_messages"]
    assert n_messages == done.count(200)


def test_a_person_is_deleted_down_to_the_bytes(served):
    client, tokens, _ = served
    zoe = client.person("zoe-to-be-deleted")
    session = zoe.ok("POST", "/sessions", {"words": ["unforgettable kangaroo"]})
    zoe.ok("POST", "/chat/zoe-to-be-deleted", {"message": "something funny"})
    files = [path for path in Path(tokens.path).parent.iterdir() if path.is_file()]
    assert any(b"kangaroo" in path.read_bytes() for path in files)
    assert zoe("DELETE", "/users/zoe-to-be-deleted").status_code == 204
    files = [path for path in Path(tokens.path).parent.iterdir() if path.is_file()]
    assert not any(b"kangaroo" in path.read_bytes() or b"zoe" in path.read_bytes() for path in files)
    detail(zoe("GET", f"/sessions/{session['session_id']}"), 401)
    detail(client("GET", "/users/zoe-to-be-deleted/export"), 404)


def test_a_chat_model_chooses_and_its_words_come_as_they_are_written(shipped, tmp_path):
    from recommender.chat.client import ChatClient
    from recommender.chat.rerank import LLMReranker

    fake = Server()
    numbers = ("first", "second", "third", "fourth", "fifth")
    fake.chat = lambda _: json.dumps(
        {"picks": [{"number": 3 + i, "reason": f"reason {n}"} for i, n in enumerate(numbers)]}
    )
    model = LLMReranker(ChatClient.open(fake.url, "m", attempts=1))
    with application(shipped, tmp_path, reranker=model) as (client, *_):
        streamed = client("POST", "/chat/me", {"message": "I loved Heat"}, headers=STREAMED)
    fake.close()
    kinds = [event.partition("\n")[0] for event in streamed.text.strip().split("\n\n")]
    assert kinds[-1] == "event: turn"
    assert "event: writing" in kinds
    assert json.loads(streamed.text.strip().split("\n")[-1].removeprefix("data: "))["reranker"] == "llm"


def test_the_server_says_how_it_is_without_a_token_and_counts(client):
    nobody = client.as_(None)
    assert nobody.ok("GET", "/health")["status"] == "ok"
    assert nobody.ok("GET", "/ready")["status"] == "ready"
    assert "/movies/search" in nobody.ok("GET", "/openapi.json")["paths"]
    docs = nobody("GET", "/docs")
    assert "/sessions/{session_id}/answer" in docs.text
    assert "//" not in docs.text.replace("http://", "")  # nothing from another host
    client.ok("GET", "/movies/search?q=a-secret-wish")
    counts = client("GET", "/metrics").text
    assert 'route="/movies/search",status="200"' in counts
    assert "secret" not in counts


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_examples_with_curl_run(client, tmp_path):
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"```sh\n(.*?)```", readme, flags=re.DOTALL) if "curl" in block)
    made, *commands = example.strip().split("\n")
    assert re.fullmatch(r"TOKEN=\$\(\.venv/bin/python -m model\.serve --new-token \w+\)", made)
    for command in commands:
        command = command.replace("http://127.0.0.1:8000", client.url)
        done = subprocess.run(
            ["bash", "-c", command], env={"TOKEN": client.token or ""}, capture_output=True, text=True
        )
        found = json.loads(done.stdout)
        assert "status" not in found or found["status"] == "ok", found
        assert found.get("movies") or found.get("recommendations") or found.get("movie") or found.get("suggestions")


@pytest.fixture
def both(shipped, tmp_path):
    """Two servers on one store, as clients with one token."""
    with application(shipped, tmp_path) as (here, *_), application(shipped, tmp_path) as (there, *_):
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
