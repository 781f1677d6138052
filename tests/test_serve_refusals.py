"""What the server refuses, and how: tokens, limits, hostile text; and what it keeps when it is killed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from recommender.data.errors import ArtifactError
from recommender.facade import Recommender

from .serving import ROOT, Client, application, program
from .test_serve import detail, person

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.dev
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\u202etxt.exe \u2066heat",
    "funny \x00\x1b[31m film\x07",
    "🎬🍿 love 👩‍👩‍👧 مرحبا שלום",
    "'; DROP TABLE sessions; --",
    "\ud800 funny",
    "a" * 1000,
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with application(Recommender.load(), tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture
def client(served) -> Client:
    return served[0]


def test_every_token_that_is_not_valid_is_refused_alike(served):
    client, tokens, _ = served
    ana, ben = person(client, "ana"), person(client, "ben")
    right = ana.token
    expired = tokens.make("old", "ana", days=1e-9)
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    unknown = "tv_000000000000_" + "a" * 32
    path = "/users/ana/export"
    said = [ana.as_(token)("GET", path) for token in (None, wrong, unknown, expired, "x", "é" * 40, ben.token)]
    said += [client.as_(None)("GET", f"{path}?{name}={right}") for name in ("token", "access_token", "q")]
    said += [client.as_(None)("GET", path, headers={"Authorization": given}) for given in ("", f"Basic {right}", right)]
    said += [
        ben("GET", "/users/nobody/export"),
        ben("GET", "/movies/recommendations?user_id=1"),
        ben("GET", "/metrics"),
    ]
    said += [ben("POST", "/users", {"user_id": "x"}), ben("DELETE", "/users/ana"), client.as_(None)("GET", "/nothing")]
    assert {one.status_code for one in said} == {401}
    assert len({(one.text, one.headers["www-authenticate"]) for one in said}) == 1
    assert ana("GET", path).status_code == 200


def test_another_person_s_session_is_not_there(client):
    cat, dan = person(client, "cat"), person(client, "dan")
    path = f"/sessions/{cat.ok('POST', '/sessions', {'words': ['space']})['session_id']}"
    said = [dan("GET", path), dan("POST", f"{path}/undo"), dan("DELETE", path), dan("GET", "/sessions/none")]
    assert {one.status_code for one in said} == {404}
    assert len({one.text for one in said}) == 1
    assert client("GET", path).status_code == 200


def test_tokens_are_not_in_their_file_and_end_when_it_says(served, tmp_path):
    from recommender.serve.tokens import Tokens

    client, tokens, _ = served
    assert client.token.rpartition("_")[2] not in tokens.path.read_text()
    assert tokens.path.stat().st_mode & 0o077 == 0
    here, elsewhere = Tokens(tmp_path / "t.json"), Tokens(tmp_path / "t.json")
    made = [here.make("one", "ana"), elsewhere.make("two")]
    assert [here.caller(token).person for token in made] == ["ana", None]
    assert elsewhere.drop("ana")
    assert here.caller(made[0]) is None
    assert here.caller(made[1]).person is None


def test_too_much_is_refused(client, tmp_path):
    from recommender.serve.gate import Limits

    assert "bytes" in detail(client("POST", "/sessions", data=b"x" * (1 << 20)), 413)
    chunks = iter([b'{"words": ["', *[b"x" * 10_000] * 40])
    assert "bytes" in detail(client("POST", "/sessions", data=chunks), 413)
    assert "1000" in detail(client("POST", "/sessions", {"words": ["x" * 1001]}), 422)
    assert "100" in detail(client("GET", "/movies/search?q=heat&limit=101"), 422)
    limits = Limits(rate=3.0, sessions=2)
    with application(Recommender.load(), tmp_path, limits=limits) as (other, *_):
        statuses = [other("POST", "/sessions", {"favorites": [1]}).status_code for _ in range(3)]
        assert statuses == [201, 201, 429]
        answers = [other("GET", "/movies/1") for _ in range(20)]
        refused = next(one for one in answers if one.status_code == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert other.as_(other.token)("GET", "/health").status_code == 200  # an address has its own


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_as_text(client, text):
    for method, path, given in (
        ("POST", "/sessions", {"words": [text]}),
        ("POST", "/sessions", {"favorites": [text]}),
        ("POST", "/chat/me", {"message": text}),
    ):
        answer = client(method, path, given)
        assert answer.status_code in (200, 201, 409, 422), answer.text  # 422: half a pair of surrogates
        assert "json" in answer.headers["content-type"]
        answer.json()
    client("GET", "/movies/search", params={"q": text.encode(errors="replace")}).json()
    client("GET", "/movies/search/text", params={"q": text.encode(errors="replace")}).json()
    client("POST", "/imports", params={"filename": text.encode(errors="replace")}, data=b"Name,Year\n<b>,1995\n").json()
    assert client("GET", "/users/%3Cscript%3E/export").status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "says"),
    [
        ("POST", "/sessions", '{"favorites": ["zzz"]}', "application/json", 409, "zzz"),
        ("GET", "/movies/1234567", None, None, 404, "1234567"),
        ("POST", "/sessions", '{"favorites": [-1]}', "application/json", 422, "favorites.0 -1"),
        ("POST", "/sessions", "{broken", "application/json", 422, "no JSON"),
        ("POST", "/sessions", '{"favorites": [2571]}', "text/plain", 422, "application/json"),
        ("GET", "/movies/recommendations?user_id=1&use_embeddings=1", None, None, 422, "use_embeddings '1'"),
        ("GET", "/movies/2571/", None, None, 404, "/docs"),
        ("GET", "/movies/recommendations?user_id=1&genre=nogenre", None, None, 422, "nogenre"),
        ("GET", "/movies/recommendations?user_id=1&method=magic", None, None, 422, "magic"),
        ("POST", "/sessions", '{"favorites": [1], "filter": {"genres": ["x"]}}', "application/json", 422, "'x'"),
    ],
)
def test_refusals_speak_of_what_was_sent(client, method, path, body, kind, status, says):
    headers = {"Content-Type": kind} if kind else {}
    said = detail(client(method, path, data=body, headers=headers, allow_redirects=False), status)
    assert says in said
    assert not any(machinery in said for machinery in ("Recommender", "constrained", "dictionary", "Value error"))


def test_answers_carry_headers_that_keep_a_page_safe(client):
    for path in ("/docs", "/movies/1", "/nothing", "/health"):
        headers = client("GET", path).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert client("GET", "/movies/1").headers["cache-control"] == "no-store"


def test_other_origins_may_ask_only_where_they_are_named(tmp_path):
    with application(Recommender.load(), tmp_path, cors=["https://a.example"]) as (client, *_):
        for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            found = client.as_(None)("OPTIONS", "/movies/1", headers=asked)
            assert found.headers.get("access-control-allow-origin") == allowed


def test_the_log_holds_nothing_personal(served):
    client, _, lines = served
    client("GET", "/movies/search?q=mysecret")
    client("GET", "/users/mysecret/export")
    client("POST", "/chat/mysecret", {"message": "mysecret wish"})
    client("GET", "/mysecret")
    assert "/users/{user_id}/export" in "\n".join(lines)
    assert "mysecret" not in "\n".join(lines)


def test_a_fault_is_told_without_its_text(served, monkeypatch):
    client, _, lines = served

    def broken(*_: object) -> None:
        raise RuntimeError("mysecret")

    monkeypatch.setattr("recommender.serve.sessions.Sessions.view", broken)
    assert "fault" in detail(client("POST", "/sessions", {"favorites": [1]}), 500)
    assert any(line.startswith("RuntimeError at ") for line in lines)
    assert "mysecret" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("mysecret"), 500), (ArtifactError("mysecret.sqlite"), 503)]
)
def test_a_fault_in_a_stream_is_told_to_whoever_runs_the_server(served, monkeypatch, capfd, error, status):
    client, _, lines = served

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("recommender.serve.talks.Talks.say", broken)
    answer = client("POST", "/chat/ana", {"message": "war"}, headers={"Accept": "text/event-stream"})
    assert f'"status": {status}' in answer.text
    assert "mysecret" not in answer.text + capfd.readouterr().err
    assert any(line.startswith("RuntimeError at " if status == 500 else "mysecret.sqlite") for line in lines)


def test_nothing_that_was_answered_is_lost_when_the_server_is_killed(tmp_path):
    store, rng = tmp_path / "serve.sqlite", random.Random(0)
    token, session, said = "", None, []
    for _ in range(3):
        with program(store) as (process, url, first):
            token = first or token
            client = Client(url, token)
            if session is None:
                session = client.ok("POST", "/sessions", {"favorites": [1, 296, 2571]})
            else:
                session = client.ok("GET", f"/sessions/{session['session_id']}")
                assert [one["movie"]["movie_id"] for one in session["answers"]] == said
            for _ in range(rng.randint(1, 4)):
                said.append(session["movie"]["movie_id"])
                session = client.answer(session, "like")
            os.kill(process.pid, signal.SIGKILL)


def test_two_processes_share_a_store(tmp_path):
    store = tmp_path / "serve.sqlite"
    with program(store) as (_, url, token), program(store) as (_, other, second):
        assert token
        assert not second
        here, there = Client(url, token), Client(other, token)
        session = here.ok("POST", "/sessions", {"favorites": [1, 296, 2571]})
        for place in range(6):
            session = (here, there)[place % 2].answer(session, "like")
        assert len(here.ok("GET", f"/sessions/{session['session_id']}")["answers"]) == 6
        given = {"movie_id": session["movie"]["movie_id"], "answer": "like"}
        path, statuses = f"/sessions/{session['session_id']}/answer", []

        def ask(url: str) -> None:
            statuses.append(Client(url, token)("POST", path, given).status_code)

        threads = [threading.Thread(target=ask, args=((url, other)[place % 2],)) for place in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, *[409] * 15]
        made = here.ok("POST", "/users", {"user_id": "ana"})["token"]
        assert there.as_(made).ok("GET", "/users/ana/export")["user_id"] == "ana"


def run(*flags: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "model.serve", *flags], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--host", "0.0.0.0"], "--new-token"),
        (["--port", "99999"], "99999"),
        (["--port", "70000000000000"], "70000000000000"),
        (["--host", "no such host"], "no such host"),
        (["--method", "magic"], "magic"),
        (["--rate", "0"], "--rate"),
        (["--new-token", ""], "--new-token"),
        (["--new-token", "x", "--user", "a b"], "a b"),
        (["--processed", "/nowhere"], "/nowhere"),
    ],
)
def test_flags_that_make_no_server_are_one_line(tmp_path, flags, said):
    done = run("--store", str(tmp_path / "s.sqlite"), *flags)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "other").write_text("hello, this is no database, and much longer than a header of one" * 100)
    (tmp_path / "tokens").write_text("[]")
    for flags in (
        ["--store", str(tmp_path / "other")],
        ["--store", str(tmp_path / "s"), "--token-file", str(tmp_path / "tokens")],
    ):
        done = run(*flags, "--port", "0")
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1


def test_a_token_made_at_the_console_opens_for_its_person_until_it_ends(tmp_path):
    store = tmp_path / "s.sqlite"
    made = [
        run("--store", str(store), "--new-token", "x", "--user", "7", *more).stdout.strip()
        for more in ([], ["--days", "0.00001"])
    ]
    time.sleep(1)
    with program(store) as (_, url, first):
        assert not first
        statuses = [Client(url, token)("GET", "/movies/recommendations?user_id=7").status_code for token in made]
        assert statuses == [200, 401]


def test_without_the_extra_one_line_names_it():
    code = "import sys; sys.modules['fastapi'] = None; from model import serve; serve.cli.run(serve.main)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "tastevec[serve]" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_session_is_never_written_over_a_later_one(tmp_path):
    from recommender.serve.database import Database, Saved

    one, other = Database(tmp_path / "s"), Database(tmp_path / "s")
    read = Saved("a", "token x", None, 0, {"said": 0})
    one.add_session(read)
    assert one.replace_session(read._replace(content={"said": 1}))
    assert not other.replace_session(read._replace(content={"said": 2}))
    assert other.sessions("id", "a")[0].content == {"said": 1}
