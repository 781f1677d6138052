"""Vectors kept on disk: a second run makes no call, a killed one loses nothing it stored, and damage is noticed."""

import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from recommender.text.backends.cache import FILE_NAME, VectorCache
from recommender.text.base import text_hash
from tests.fake_server import unit
from tests.test_http_backend import ROOT, TEXTS, backend, embeds_rightly, entry, failure

MANY = [f"{'a' * (i % 7)}{'b' * i}c" for i in range(200)]


def test_a_second_run_makes_no_call_and_gives_the_same(server, tmp_path):
    first = backend(server, tmp_path / "new" / "folder", concurrency=1).embed_texts(TEXTS)
    n_requests, again = len(server.requests), backend(server, tmp_path / "new" / "folder")
    assert again.identity.dimension == 3
    np.testing.assert_array_equal(again.embed_texts(TEXTS[::-1])[::-1], first)
    assert len(server.requests) == n_requests
    assert embeds_rightly(again, [*TEXTS, "new"])
    assert server.answered[len(TEXTS) :] == [TEXTS[0], "new"], "one text shows that the model is the same"


def test_model_dimensions_and_text_tell_vectors_apart(server, tmp_path):
    for model, dimensions, text in [("m", 0, "a"), ("n", 0, "a"), ("m", 3, "a"), ("m", 0, "a "), ("m", 0, "A")]:
        server.answered.clear()
        for _ in range(2):
            backend(server, tmp_path, model=model, dimensions=dimensions).embed_texts([text])
            assert server.answered in ([text], ["a", text])  # "a" shows that the model is the same


def test_a_vector_that_is_damaged_is_asked_for_again(server, tmp_path):
    backend(server, tmp_path, concurrency=1).embed_texts(TEXTS)
    with sqlite3.connect(tmp_path / FILE_NAME) as file:
        rows = file.execute("SELECT text_hash, vector FROM vectors ORDER BY text_hash").fetchall()
        torn, flipped = rows[0][1][:-1], bytes([rows[1][1][0] ^ 1]) + rows[1][1][1:]
        for content, (key, _) in zip((torn, flipped, rows[3][1]), rows):  # the third has the vector of another text
            file.execute("UPDATE vectors SET vector = ? WHERE text_hash = ?", (content, key))
    file.close()
    assert backend(server, tmp_path).estimate(TEXTS)["different ones to send"] == 3
    for _ in range(2):
        assert embeds_rightly(backend(server, tmp_path))
        assert len(server.answered) == len(TEXTS) + 3 + 1  # the one that is compared, or was damaged


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path):
    with VectorCache(tmp_path, "m", 0) as cache:
        with pytest.raises(AttributeError):
            cache.store(["a", 5], np.ones((2, 3), np.float32), "host")
        assert (cache.hosts(), cache.find([text_hash("a")])) == ({}, {})


def test_a_cache_that_cannot_be_used_is_explained_in_one_line(server, tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"not a database " * 100)
    assert "is damaged" in str(failure(backend(server, tmp_path)))
    assert "give another cache folder" in str(failure(backend(server, tmp_path / FILE_NAME / "x")))


def test_another_host_has_to_give_the_same_vectors(server, tmp_path):
    with VectorCache(tmp_path, "m", 0) as cache:
        cache.store(["the probe", "other"], np.array([unit("the probe"), unit("other")], np.float32), "far.example")
    assert embeds_rightly(backend(server, tmp_path), ["the probe", "other"])
    assert server.answered == []
    server.faults = [entry(0, embedding=[-1.0, 0.0, 0.0])]
    assert "another model of the same name" in str(failure(backend(server, tmp_path), ["new"]))
    server.answered.clear()
    assert all(embeds_rightly(backend(server, tmp_path), [text]) for text in ("new", "newer"))
    assert server.answered == ["the probe", "new", "the probe", "newer"]


def test_another_model_behind_the_same_address_is_noticed_when_a_process_begins_or_its_name_changes(server, tmp_path):
    def named(name, wrong=False):
        change = {"embedding": [-1.0, 0.0, 0.0]} if wrong else {}
        return lambda answer: [answer.update(model=name), *(row.update(change) for row in answer["data"])]

    backend(server, tmp_path).embed_texts(["a"])
    server.faults = [named("m", wrong=True)]
    assert "another model of the same name" in str(failure(backend(server, tmp_path), ["new"]))
    some = backend(server, tmp_path)
    server.answered.clear()
    for text, name, compared in (("b", "m", True), ("c", "m-2", True), ("d", "m-2", False), ("e", "m", False)):
        server.faults = [None] * (text == "b") + [named(name)]
        assert embeds_rightly(some, [text])
        assert ("a" in server.answered) == compared
        server.answered.clear()
    server.faults = [named("m-3", wrong=True)] * 2
    assert "it calls it 'm-3'" in str(failure(some, ["f"]))
    assert backend(server, tmp_path).estimate(["a", "b", "c", "d", "e", "f"])["different ones to send"] == 1


CHILD = """
import sys
from recommender.text.backends.http import HttpBackend
from tests.test_vector_cache import MANY
some = HttpBackend(base_url=sys.argv[1], model="m", cache=sys.argv[2], batch_size=4, concurrency=3)
print("ready", flush=True)
print(some.embed_texts(MANY).sum(), flush=True)
"""


def child(server, cache):
    command = [sys.executable, "-c", CHILD, server.url, str(cache)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_killed_at_any_point_a_rerun_pays_only_for_what_was_not_stored(server, tmp_path):
    stored, server.latency = 0, 0.002
    for n_answers in (39, 17, 8, 22):
        process = child(server, tmp_path)
        process.stdout.readline()
        goal, give_up = len(server.answered) + n_answers, time.monotonic() + 20
        while len(server.answered) < goal and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.0005)
        process.kill()
        process.communicate()
        time.sleep(0.02)  # for the requests that the server has still in hand
        before, stored = stored, len(MANY) - backend(server, tmp_path).estimate(MANY)["different ones to send"]
        assert stored >= before
    assert 0 < stored < len(MANY)
    paid = len(server.answered)
    assert paid - stored <= 4 * 48, "a kill loses what was under way: twelve batches of four at most"
    assert embeds_rightly(backend(server, tmp_path, batch_size=4), MANY)
    assert len(server.answered) - paid == len(MANY) - stored + 1  # the one that is compared


def test_processes_share_a_cache(server, tmp_path):
    server.latency = 0.005
    processes = [child(server, tmp_path) for _ in range(3)]
    results = {process.communicate(timeout=60)[0] for process in processes}
    assert (len(results), {process.returncode for process in processes}) == (1, {0})
    server.answered.clear()
    assert embeds_rightly(backend(server, tmp_path), MANY)
    assert server.answered == []
