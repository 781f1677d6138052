"""What the server refuses, and how: tokens, limits, hostile text, faults, slow clients, other writers."""

import socket
import sqlite3
import threading
import time
from urllib.parse import urlsplit

import pytest

from model.serve import listen
from recommender.data.errors import ArtifactError

from .serving import application, detail

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


def test_every_token_that_is_not_valid_is_refused_alike(served):
    client, tokens, _ = served
    ana, ben = client.person("ana"), client.person("ben")
    right = ana.token
    expired = tokens.make("old", "ana", days=1e-9)
    wrong = right[:-1] + ("A" if right[-1] != "A" else "B")
    unknown = "tv_000000000000_" + "a" * 32
    path = "/users/ana/export"
    said = [ana.as_(token)("GET", path) for token in (None, wrong, unknown, expired, "x", "é" * 40, ben.token)]
    said += [client.as_(None)("GET", f"{path}?{name}={right}") for name in ("token", "access_token", "q")]
    said += [client.as_(None)("GET", path, headers={"Authorization": given}) for given in ("", f"Basic {right}", right)]
    said += [ben("GET", of) for of in ("/users/nobody/export", "/movies/recommendations?user_id=1", "/metrics")]
    said += [ben("POST", "/users", {"user_id": "x"}), ben("DELETE", "/users/ana"), client.as_(None)("GET", "/nothing")]
    assert {one.status_code for one in said} == {401}
    assert len({(one.text, one.headers["www-authenticate"]) for one in said}) == 1
    assert ana("GET", path).status_code == 200


def test_another_person_s_session_is_not_there(client):
    cat, dan = client.person("cat"), client.person("dan")
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


def test_too_much_is_refused(shipped, client, tmp_path):
    from recommender.serve.gate import Limits

    assert "bytes" in detail(client("POST", "/sessions", data=b"x" * (1 << 20)), 413)
    chunks = iter([b'{"words": ["', *[b"x" * 10_000] * 40])
    assert "bytes" in detail(client("POST", "/sessions", data=chunks), 413)
    assert "1000" in detail(client("POST", "/sessions", {"words": ["x" * 1001]}), 422)
    assert "100" in detail(client("GET", "/movies/search?q=heat&limit=101"), 422)
    limits = Limits(rate=3.0, sessions=2)
    with application(shipped, tmp_path, limits=limits) as (other, *_):
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


def test_answers_carry_headers_that_keep_a_page_safe_and_other_origins_out(shipped, client, tmp_path):
    for path in ("/docs", "/movies/1", "/nothing", "/health"):
        headers = client("GET", path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert client("GET", "/movies/1").headers["cache-control"] == "no-store"
    with application(shipped, tmp_path, cors=["https://a.example"]) as (other, *_):
        for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
            asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            found = other.as_(None)("OPTIONS", "/movies/1", headers=asked)
            assert found.headers.get("access-control-allow-origin") == allowed


def test_the_log_holds_nothing_personal(served):
    client, _, lines = served
    for path in ("/movies/search?q=mysecret", "/users/mysecret/export", "/mysecret"):
        client("GET", path)
    client("POST", "/chat/mysecret", {"message": "mysecret wish"})
    assert "/users/{user_id}/export" in "\n".join(lines)
    assert "mysecret" not in "\n".join(lines)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
@pytest.mark.parametrize(
    ("error", "status", "logged"),
    [(RuntimeError("mysecret"), 500, "RuntimeError at "), (ArtifactError("mysecret.sqlite"), 503, "mysecret.sqlite")],
)
def test_a_fault_is_told_to_whoever_runs_the_server(served, monkeypatch, capfd, accept, error, status, logged):
    def broken(*_: object) -> None:
        raise error

    client, _, lines = served
    lines.clear()
    monkeypatch.setattr("recommender.serve.talks.Talks.say", broken)
    answer = client("POST", "/chat/ana", {"message": "war"}, headers={"Accept": accept})
    assert f'"status": {status}' in answer.text
    assert "mysecret" not in answer.text + capfd.readouterr().err
    assert any(line.startswith(logged) for line in lines)


def test_a_session_is_never_written_over_a_later_one(tmp_path):
    from recommender.serve.database import Database, Saved

    one, other = Database(tmp_path / "s"), Database(tmp_path / "s")
    read = Saved("a", "token x", None, 0, {"said": 0})
    one.add_session(read)
    assert one.replace_session(read._replace(content={"said": 1}))
    assert not other.replace_session(read._replace(content={"said": 2}))
    assert other.sessions("id", "a")[0].content == {"said": 1}


@pytest.mark.parametrize("ask", ["answer", "undo", "start", "change", "end"])
def test_a_writer_elsewhere_stops_nobody_but_who_writes(served, ask):
    client, tokens, _ = served
    session = client.answer(client.ok("POST", "/sessions", {"favorites": [1, 296]}), "like")
    path, given = f"/sessions/{session['session_id']}", {"movie_id": session["movie"]["movie_id"], "answer": "like"}
    method, address, body = {
        "answer": ("POST", f"{path}/answer", given),
        "undo": ("POST", f"{path}/undo", None),
        "start": ("POST", "/sessions", {"favorites": [1]}),
        "change": ("PATCH", path, {"familiarity": 0.9}),
        "end": ("DELETE", path, None),
    }[ask]
    other = sqlite3.connect(tokens.path.with_name("serve.sqlite"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    done: list[int] = []
    writer = client.as_(client.token)
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


REQUEST = "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n"


@pytest.fixture
def line(served, monkeypatch):
    """A connection to a server that waits .3 s."""
    monkeypatch.setattr("recommender.serve.gate.SECONDS", 0.3)
    address = urlsplit(served[0].url)
    with socket.create_connection((address.hostname, address.port)) as found:
        yield found


@pytest.mark.parametrize(
    ("head", "answered"),
    [
        ("", b""),
        ("POST /sessions HTTP/1.1\r\nX: ", b""),
        ("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200"),  # and then a second head
        (REQUEST.format("/sessions", "x") + "Content-Length: 9999\r\n\r\n", b"HTTP/1.1 401"),
        (REQUEST + "Content-Length: 9999\r\n\r\n", b""),
        (REQUEST + "Transfer-Encoding: chunked\r\n\r\nffff\r\n", b""),
    ],
)
@pytest.mark.parametrize("path", ["/sessions", "/imports?filename=x"])
def test_who_brings_no_whole_request_is_cut_off(served, line, head, answered, path):
    client, _, lines = served
    lines.clear()
    line.sendall(head.format(path, client.token).encode())
    if answered:
        assert line.recv(10_000).startswith(answered)
    line.settimeout(0.02)
    for _ in range(500):  # byte by byte
        try:
            line.sendall(b"1" * bool(head))
            if not line.recv(10_000):
                break
        except socket.timeout:
            continue
        except ConnectionError:
            break
    else:
        pytest.fail("the connection is still open")
    client.ok("GET", "/health")
    assert not any(" at " in said for said in lines)  # it is no fault


def test_a_body_that_comes_slowly_but_comes_is_heard(served, line, monkeypatch):
    monkeypatch.setattr("recommender.serve.gate.RATE", 1.0)
    body = b'{"favorites": [1]}'
    line.sendall((REQUEST.format("/sessions", served[0].token) + f"Content-Length: {len(body)}\r\n\r\n").encode())
    for byte in body:
        line.sendall(bytes([byte]))
        time.sleep(0.04)
    assert line.recv(100).startswith(b"HTTP/1.1 201")


def test_an_answer_may_take_its_time(served, line, monkeypatch):
    def slow(*_: object) -> dict[str, str]:
        time.sleep(0.8)
        return {}

    monkeypatch.setattr("recommender.serve.talks.Talks.say", slow)
    body = '{"message": "war"}'
    line.sendall((REQUEST.format("/chat/me", served[0].token) + f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
    assert line.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
def test_who_reads_nothing_of_an_answer_is_cut_off_by_the_system():
    with listen("127.0.0.1", 0) as door:
        assert 0 < door.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 60_000
