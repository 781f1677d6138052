"""The program that serves: how it starts and ends, and that it answers while others hold what it needs."""

import sqlite3
import threading

import pytest

from recommender.facade import Recommender

from .serving import Client, application

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.dev


@pytest.mark.parametrize("ask", ["answer", "undo", "start", "change", "end"])
def test_a_writer_elsewhere_stops_nobody_but_who_writes(tmp_path, ask, served):
    client, folder = served
    session = client.answer(client.ok("POST", "/sessions", {"favorites": [1, 296]}), "like")
    path, given = f"/sessions/{session['session_id']}", {"movie_id": session["movie"]["movie_id"], "answer": "like"}
    method, address, body = {
        "answer": ("POST", f"{path}/answer", given),
        "undo": ("POST", f"{path}/undo", None),
        "start": ("POST", "/sessions", {"favorites": [1]}),
        "change": ("PATCH", path, {"familiarity": 0.9}),
        "end": ("DELETE", path, None),
    }[ask]
    other = sqlite3.connect(folder / "serve.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    done: list[int] = []
    writer = Client(client.url, client.token)
    thread = threading.Thread(target=lambda: done.append(writer(method, address, body).status_code))
    thread.start()
    for _ in range(20):  # while it waits
        assert client.ok("GET", "/health")["status"] == "ok"
        assert client("GET", path).status_code == 200
    thread.join(0.1)
    assert not done
    other.execute("ROLLBACK")
    other.close()
    thread.join()
    assert done[0] < 300


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    with application(Recommender.load(), folder) as (client, *_):
        yield client, folder
