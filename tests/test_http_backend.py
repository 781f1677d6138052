"""The http embedding backend against a server on loopback that misbehaves in the ways that real ones do; its cache."""

import os
import random
import re
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from recommender.data.errors import DataError, SettingsError, TastevecError
from recommender.net.key import Key
from recommender.net.openai import embed
from recommender.net.web import Client, WebError
from recommender.text.backends.cache import FILE_NAME, VectorCache
from recommender.text.backends.http import HttpBackend
from recommender.text.base import Identity, text_hash
from recommender.text.registry import make_backend
from tests.fake_server import Reply, unit
from tests.tiny import in_child

TEXTS = [f"{'a' * (i % 7)}{'b' * i}c" for i in range(30)]
SECRET = "sk-AbCdEfGhIjKlMnOpQrStUvWxYz"


def backend(server, cache="", **fields):
    given = {"model": "m", "key": Key(SECRET), "batch_size": 8, "concurrency": 2, "timeout": 5.0, **fields}
    return HttpBackend(base_url=server.url, cache=str(cache), **given)


def embeds_rightly(some, texts=TEXTS):
    got = some.embed_texts(texts)
    return got.dtype == np.float32 and np.allclose(got, [unit(text) for text in texts], rtol=0, atol=1e-6)


def failure(some, texts=TEXTS):
    with pytest.raises(TastevecError) as caught:
        some.embed_texts(texts)
    assert "\n" not in str(caught.value)
    assert SECRET not in f"{caught.value!r}{some!r}{vars(some)}"
    return caught.value


def test_requests_are_what_the_interface_asks_for_and_answers_are_read_in_any_order(server):
    server.faults = [lambda answer: random.Random(1).shuffle(answer["data"])] * 4
    assert embeds_rightly(backend(server, concurrency=1), [*TEXTS, TEXTS[0], "", " \n\t"])
    assert sorted(len(body["input"]) for _, body, _ in server.requests) == [6, 8, 8, 8]
    assert sorted(server.answered) == sorted(TEXTS), "each different text once, blank ones never"
    for path, body, headers in server.requests:
        assert (path, headers["Authorization"]) == ("/v1/embeddings", f"Bearer {SECRET}")
        assert body == {"input": body["input"], "model": "m", "encoding_format": "float"}
    backend(server).embed_texts(["x\ud83d", "\U0001f600 日本"])  # half a surrogate pair is no JSON
    assert server.requests[-1].body["input"] == ["x?", "\U0001f600 日本"]
    n_requests, some = len(server.requests), backend(server)
    assert some.embed_texts([]).shape == (0, 3)
    np.testing.assert_array_equal(some.embed_texts(["", " "]), np.zeros((2, 3)))
    assert some.identity == Identity("http", "m", 3)
    assert backend(server, dimensions=7).identity.dimension == 7
    assert len(server.requests) == n_requests + 1  # the width was not known


def entry(row, **changed):
    return lambda answer: answer["data"][row].update(changed)


NO_EMBEDDINGS = [
    *([1.0, float("nan"), 0], [1.0, 1e300, 0], [1.0, None, 0], [10**400, 1, 1], [0, 0, 0], [1e-200, 1e-200, -1e-200]),
    *(["1", "2", "3"], [[1.0, 2.0, 3.0]], [], None, "", "%%%", "AAAAAAA="),
]
WRONG = [
    *[(entry(3, index=index), "no list of 8") for index in (4, 8, -1, None, "3", True)],
    (lambda answer: answer["data"].pop(), "no list of 8"),
    (lambda answer: answer["data"].append(dict(answer["data"][0])), "no list of 8"),
    (lambda answer: [row.pop("index") for row in answer["data"]], "--batch-size 1"),
    (lambda answer: [row.update(embedding=[1, 2, 3]) for row in answer["data"]], "one vector for 8 different texts"),
    (entry(3, embedding=[1.0, 2.0]), "of one length"),
    (lambda answer: answer.update(data=[{"index": i, "embedding": []} for i in range(8)]), "no list of finite"),
    (lambda answer: answer.update(data=[[1.0, 2.0]] * 8), "no list of 8"),
    (Reply(200, [1, 2]), "no list of 8"),
    (Reply(200, {"error": {"message": f"no such model for {SECRET}"}}), "(no such model for ***)"),
    (Reply(200, '{"data": ['), "no JSON"),
    (Reply(401, {"error": {"message": f"Wrong key {SECRET}"}}), "(Wrong key ***): check the key"),
]


@pytest.mark.parametrize(("fault", "expected"), WRONG)
def test_an_answer_that_cannot_be_right_ends_it_and_what_came_before_is_kept(server, tmp_path, fault, expected):
    server.faults = [None, fault]
    error = failure(backend(server, tmp_path, concurrency=1), TEXTS[:16])
    assert (type(error), len(server.requests)) == (WebError, 2)
    assert expected in str(error)
    assert backend(server, tmp_path).estimate(TEXTS[:16])["different ones to send"] == 8
    assert embeds_rightly(backend(server, tmp_path))


@pytest.mark.parametrize("value", NO_EMBEDDINGS)
def test_a_text_without_a_vector_is_named_and_the_others_go_on(server, tmp_path, value):
    server.faults = [None, entry(3, embedding=value)]
    error = failure(backend(server, tmp_path, concurrency=1))
    assert (type(error), len(server.requests)) == (DataError, 4)
    assert f"{TEXTS[11]!r} (" in str(error)
    assert "gave zeros, or no list of finite numbers" in str(error)
    server.answered.clear()
    assert embeds_rightly(backend(server, tmp_path))
    assert server.answered == [TEXTS[0], TEXTS[11]], "the first shows that it is the same model"


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_text_that_a_service_refuses_is_found_by_halves(server, tmp_path, status, capsys):
    refusal = Reply(status, {"error": {"message": "odd"}}, {"Retry-After": "0"})
    server.check = lambda texts: refusal if TEXTS[3] in texts else None
    repeated = [8, 8, 4, 2, 1] if status == 500 else []  # all attempts for the batch, two for its parts
    for sizes in ([8, 4, 4, 2, 2, 1, 1, 8, 8, 6, *repeated], [1, 1, *[1] * (2 if status == 500 else 0)]):
        server.requests.clear()
        vectors = backend(server, tmp_path, concurrency=1, attempts=3).embed_known(TEXTS)
        assert re.search(rf"{TEXTS[3]!r} .*has no vector.*\(odd\)", capsys.readouterr().err)
        assert sorted(len(body["input"]) for _, body, _ in server.requests) == sorted(sizes)
        assert np.allclose(vectors, [unit(text) * (text != TEXTS[3]) for text in TEXTS], rtol=0, atol=1e-6)


def test_a_service_that_refuses_every_text_ends_it_soon_unless_it_answered_before(server, tmp_path):
    odd = Reply(400, {"error": {"message": "what is encoding_format?"}})
    for n_texts, n_requests in ((30, 12), (2, 3), (1, 1)):
        server.requests.clear()
        server.check = lambda texts: odd
        error = failure(backend(server, concurrency=1), TEXTS[:n_texts])
        assert (type(error), "what is encoding_format?" in str(error)) == (WebError, True)
        assert len(server.requests) <= n_requests
    server.check = lambda texts: odd if min(map(len, texts)) < 24 else None
    for _ in range(2):
        known = backend(server, tmp_path, concurrency=1, batch_size=4).embed_known(TEXTS[::-1]).any(axis=1)
        assert known.tolist() == [len(text) >= 24 for text in TEXTS[::-1]]
    server.answered.clear()
    server.check = lambda texts: Reply(500) if server.answered else None
    assert "HTTP 500" in str(failure(backend(server, concurrency=1, attempts=1)))
    assert len(server.answered) == 8


def test_batches_of_one_need_no_index_and_one_vector_for_all_texts_is_noticed(server):
    for change in (lambda row: row.pop("index"), lambda row: row.update(index=0)):
        server.faults = [lambda answer, change=change: change(answer["data"][0])] * 9
        assert embeds_rightly(backend(server, batch_size=1), TEXTS[:9])
    same = [lambda answer: answer["data"][0].update(embedding=[1.0, 0, 0])]
    server.faults = same * 4
    assert "one vector for 3 different texts" in str(failure(backend(server, batch_size=1, concurrency=1)))
    server.faults = same * 3
    assert backend(server, batch_size=1, concurrency=1).embed_texts(["Heat", "heat", "HEAT", "hear"]).shape == (4, 3)


def test_another_width_than_before_is_refused(server, tmp_path):
    some = backend(server, tmp_path)
    some.embed_texts(["a"])
    server.width = 4
    for wrong in (some, backend(server, tmp_path), backend(server, dimensions=3)):
        assert "length 4 for 'm', expected 3" in str(failure(wrong, ["b"]))
    assert server.requests[-1].body["dimensions"] == 3
    assert backend(server).embed_texts(["b"]).shape == (1, 4)
    server.width, server.faults = 3, [None, lambda answer: [row["embedding"].append(1.0) for row in answer["data"]]]
    assert "length 4 for 'm', expected 3" in str(failure(backend(server, batch_size=1, concurrency=1)))


@pytest.mark.parametrize("fault", [Reply(401), Reply(200, {"data": []})])
def test_requests_under_way_when_one_fails_are_kept(server, tmp_path, fault):
    server.latency = 0.12  # of each answer: time to notice the failure before the next one
    server.faults = [fault, lambda answer: time.sleep(0.15)]
    failure(backend(server, tmp_path))
    assert len(server.answered) <= 16
    left = backend(server, tmp_path).estimate(TEXTS)["different ones to send"]
    assert left == len(TEXTS) - len(server.answered)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_that_is_too_large_is_halved(server, status):
    server.check = lambda texts: Reply(status, "too large") if len(texts) > 3 else None
    assert embeds_rightly(backend(server, concurrency=1))
    sizes = [len(body["input"]) for _, body, _ in server.requests]
    assert sizes == [*[8, 4, 2, 2, 4, 2, 2] * 3, 6, 3, 3]
    assert embeds_rightly(backend(server, concurrency=3))


@pytest.mark.parametrize("status", [400, 413, 500])
def test_one_text_that_is_too_long_is_named_and_the_others_are_kept(server, tmp_path, status):
    refusal = Reply(status, {"error": {"message": "input is too large to process"}})
    server.check = lambda texts: refusal if sum(map(len, texts)) > 1000 else None
    error = failure(backend(server, tmp_path, concurrency=1), [*TEXTS[:5], "The long story. " * 100, *TEXTS[5:]])
    assert isinstance(error, DataError)
    assert re.search(r"'The long story\. .{,60}\(1,600 characters\)", str(error))
    assert len(server.answered) >= 5
    assert embeds_rightly(backend(server, tmp_path), TEXTS)
    assert sorted(server.answered) == sorted(TEXTS)


def test_threads_may_share_a_backend_and_no_more_requests_than_allowed_are_under_way(server, tmp_path):
    server.latency = 0.02
    for concurrency in (1, 3):
        assert embeds_rightly(backend(server, batch_size=3, concurrency=concurrency))
        assert server.most_at_once == concurrency
    some = backend(server, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda start: embeds_rightly(some, TEXTS[start : start + 9]), range(0, 24, 3)))


def test_no_more_is_asked_than_is_taken_and_nothing_once_closed(server):
    batches = embed(Client(server.url), {"model": "m"}, [str(i) for i in range(40)], 1, 2)
    next(batches)
    time.sleep(0.1)
    assert len(server.requests) <= 7, "what nobody takes would pile up in memory"
    batches.close()
    time.sleep(0.1)
    assert len(server.requests) <= 9


def test_the_estimate_counts_texts_tokens_and_cost_without_a_call(server, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    free = HttpBackend(cache=str(tmp_path / "none")).estimate(["abcd", "abcde", "abcd", "", "日本"])
    assert list(free.values()) == [5, 0, 3, 1, 1 + 2 + 2]
    assert not (tmp_path / "none").exists()
    backend(server, tmp_path).embed_texts(["abcd"])
    some = backend(server, tmp_path, batch_size=1)
    assert list(some.estimate(["abcd", "abcde", "abcd", ""]).values()) == [4, 2, 1, 1, 2]
    assert len(server.requests) == 1


def test_the_key_is_that_of_openai_only_at_openai_and_settings_are_checked(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    for variable in ("", "OPENAI_API_KEY"):
        make_backend("http", base_url=server.url, cache="", key_variable=variable).embed_texts(["a"])
        assert server.requests[-1].headers.get("Authorization") == (f"Bearer {SECRET}" if variable else None)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(SettingsError, match="OPENAI_API_KEY is not set"):
        HttpBackend(cache="").embed_texts(["a"])
    for name, value in {"base_url": "localhost:1", "model": "", "batch_size": 0, "api_key": 1}.items():
        with pytest.raises(TastevecError):
            make_backend("http", **{name: value})


MANY = [f"{'a' * (i % 7)}{'b' * i}c" for i in range(200)]


def test_a_second_run_makes_no_call_and_gives_the_same(server, tmp_path):
    first = backend(server, tmp_path / "new" / "folder", concurrency=1).embed_texts(TEXTS)
    n_requests, again = len(server.requests), backend(server, tmp_path / "new" / "folder")
    assert again.identity.dimension == 3
    np.testing.assert_array_equal(again.embed_texts(TEXTS[::-1])[::-1], first)
    assert len(server.requests) == n_requests
    assert embeds_rightly(again, [*TEXTS, "new"])
    assert server.answered[len(TEXTS) :] == [TEXTS[0], "new"], "one text shows that the model is the same"
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


def test_a_batch_is_stored_whole_and_a_cache_that_cannot_be_used_is_explained(server, tmp_path):
    with VectorCache(tmp_path, "m", 0) as cache:
        with pytest.raises(AttributeError):
            cache.store(["a", 5], np.ones((2, 3), np.float32))
        assert (cache.probe(), cache.find([text_hash("a")])) == ((0, ""), {})
    (tmp_path / FILE_NAME).write_bytes(b"not a database " * 100)
    assert "not a database" in str(failure(backend(server, tmp_path)))
    assert "give another cache folder" in str(failure(backend(server, tmp_path / FILE_NAME / "x")))


def test_another_model_of_the_same_name_is_noticed_when_a_process_begins_or_the_name_changes(server, tmp_path):
    def named(name, wrong=False):
        change = {"embedding": [-1.0, 0.0, 0.0]} if wrong else {}
        return lambda answer: [answer.update(model=name), *(row.update(change) for row in answer["data"])]

    with VectorCache(tmp_path, "m", 0) as cache:  # by whatever server
        cache.store(["probe", "other"], np.array([unit("probe"), unit("other")], np.float32))
    assert embeds_rightly(backend(server, tmp_path), ["probe", "other"])
    assert server.answered == []
    server.faults = [named("m", wrong=True)]
    assert "another model of the same name" in str(failure(backend(server, tmp_path), ["new"]))
    some = backend(server, tmp_path)
    server.answered.clear()
    for text, name, compared in (("b", "m", True), ("c", "m-2", True), ("d", "m-2", False), ("e", "m", False)):
        server.faults = [None] * (text == "b") + [named(name)]
        assert embeds_rightly(some, [text])
        assert ("probe" in server.answered) == compared
        server.answered.clear()
    server.faults = [named("m-3", wrong=True)] * 2
    assert "it calls it 'm-3'" in str(failure(some, ["f"]))
    assert backend(server, tmp_path).estimate(["probe", "b", "c", "d", "e", "f"])["different ones to send"] == 1


def embed_many(url, cache, result=None):
    some = HttpBackend(base_url=url, model="m", cache=str(cache), batch_size=4, concurrency=3)
    vectors = some.embed_texts(MANY)
    if result:
        np.save(result, vectors)


def test_killed_at_any_point_a_rerun_pays_only_for_what_was_not_stored(server, tmp_path):
    stored, server.latency = 0, 0.002
    for n_answers in (39, 17, 8, 22):
        goal, give_up = len(server.answered) + n_answers, time.monotonic() + 20
        process = in_child(embed_many, server.url, tmp_path)
        while len(server.answered) < goal and time.monotonic() < give_up:
            time.sleep(0.0005)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
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
    files = [tmp_path / f"{n}.npy" for n in range(3)]
    processes = [in_child(embed_many, server.url, tmp_path, file) for file in files]
    assert {os.waitpid(process, 0)[1] for process in processes} == {0}
    assert len({file.read_bytes() for file in files}) == 1
    server.answered.clear()
    assert embeds_rightly(backend(server, tmp_path), MANY)
    assert server.answered == []
