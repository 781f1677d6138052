"""The HTTP client against a server on loopback that refuses, stalls, cuts, redirects and quotes keys."""

from __future__ import annotations

import json
import ssl
import threading
import traceback
from email.utils import formatdate

import pytest

from recommender.data.errors import SettingsError
from recommender.net import web
from recommender.net.key import Key, hide, key_from_environment, parse_address
from tests.misbehaving_server import Reply, Server
from tests.test_download import make_certificate

SECRET = "sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
GOOD = Reply(200, {"ok": 1})


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


def client(server: Server, pauses: list[float] | None = None, **more) -> web.Client:
    """Return a client that notes its pauses and makes none; the jitter stands in the middle."""
    noted = [] if pauses is None else pauses
    given = {"sleep": noted.append, "jitter": lambda: 0.5, "clock": lambda: 1e9, "timeout": 5, **more}
    return web.Client(server.url, given.pop("key", Key(SECRET, "MY_KEY")), **given)


def failure(call, *arguments) -> web.WebError:
    with pytest.raises(web.WebError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_request_carries_key_path_and_parameters(server):
    server.faults = [GOOD, GOOD, GOOD]
    assert client(server).get_json("/movie/603", {"language": "en us"}) == {"ok": 1}
    assert client(server).post_json("chat", {"a": "é"}) == {"ok": 1}
    assert client(server, key_parameter="api_key").get_json("movie?x=1", {"y": 2}) == {"ok": 1}
    (first, _, headers), (second, body, _), (third, _, bare) = server.requests
    assert (first, second, third) == ("/v1/movie/603?language=en+us", "/v1/chat", f"/v1/movie?x=1&y=2&api_key={SECRET}")
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert body == {"a": "é"}
    assert "Authorization" not in bare


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_passing_refusals_are_repeated(server, status):
    server.faults = [Reply(status), Reply(status), GOOD]
    pauses: list[float] = []
    assert client(server, pauses).get_json("x") == {"ok": 1}
    assert pauses == [0.75, 1.5]  # 1 and 2 seconds less half of a half


def test_pauses_double_up_to_the_longest_and_then_it_gives_up(server):
    server.faults = [Reply(503, "busy")] * 9
    pauses: list[float] = []
    error = failure(client(server, pauses, attempts=6, longest_pause=5, jitter=lambda: 0.0).get_json, "x")
    assert pauses == [1, 2, 4, 5, 5]
    assert (error.status, error.detail, error.passing) == (503, "busy", True)
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("7", 7.35),  # a twentieth more: half of the tenth
        ("0.5", 0.525),
        ("0", 0.0),
        (formatdate(1e9 + 20, usegmt=True), 21.0),
        (formatdate(1e9 - 20, usegmt=True), 0.0),
        ("86400", 60.0),
        (formatdate(1e9 + 86400, usegmt=True), 60.0),
        ("soon", 0.75),
        ("-3", 0.75),
        ("", 0.75),
    ],
)
def test_retry_after_is_obeyed_in_seconds_and_as_a_date(server, header, pause):
    server.faults = [Reply(429, headers={"Retry-After": header}), GOOD]
    pauses: list[float] = []
    client(server, pauses).get_json("x")
    assert pauses == [pytest.approx(pause)]


def test_a_used_up_quota_is_not_asked_again(server):
    server.faults = [Reply(429, {"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}})]
    error = failure(client(server).get_json, "x")
    assert "You exceeded your quota." in str(error)
    assert "the quota is used up" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            401,
            {"error": {"message": "No such\nkey", "type": "invalid"}},
            "HTTP 401 (No such key): check the key in MY_KEY",
        ),
        (403, {"error": "forbidden"}, "HTTP 403 (forbidden): check the key in MY_KEY"),
        (404, {"message": "no model m"}, "HTTP 404 (no model m): check the address, and the model's name"),
        (400, {"detail": [{"msg": "bad field", "loc": ["x"]}]}, "HTTP 400 (bad field): change the request"),
        (404, {"status_message": "Invalid id"}, "(Invalid id)"),
        (402, "pay", "HTTP 402 (pay): see to the account's balance"),
        (418, b"\xff\xfe", "HTTP 418"),
        (404, "<!DOCTYPE html><html><title>Not\n here</title>" + "x" * 9999, "(an HTML page, 'Not here')"),
        (400, {"error": {"message": "word " * 500}}, "word..."),
        (400, {"error": {"code": 5}}, "HTTP 400: change the request"),
        (400, "\x1b[2Jhello\x07", "HTTP 400 ([2Jhello): change"),
    ],
)
def test_other_refusals_are_told_at_once_in_the_words_of_the_server(server, status, body, expected):
    server.faults = [Reply(status, body)]
    error = failure(client(server).get_json, "x")
    assert expected in str(error)
    assert str(error).isprintable()
    assert len(str(error)) < 400
    assert (error.status, error.passing, len(server.requests)) == (status, False, 1)


def test_an_html_page_or_broken_json_in_place_of_an_answer_is_told(server):
    server.faults = [Reply(200, "<html><title>Log in</title>"), Reply(200, '{"a": '), Reply(502, "<html>bad gateway")]
    assert "answered with an HTML page, 'Log in': check the address" in str(failure(client(server).get_json, "x"))
    assert "no JSON" in str(failure(client(server).get_json, "x"))
    assert "HTTP 502 (an HTML page)" in str(failure(client(server, attempts=1).get_json, "x"))


def test_cut_connections_and_timeouts_are_repeated(server):
    server.faults = [
        Reply(200, {"ok": 0}, cut=3),
        Reply(200, {"ok": 0}, {"Content-Length": "50"}, cut=3),
        Reply(200, {"ok": 0}, wait=0.8),
        Reply(200, b" " * 30_000, wait_in_body=0.8),
        GOOD,
    ]
    pauses: list[float] = []
    assert client(server, pauses, timeout=0.5).get_json("x") == {"ok": 1}
    assert len(pauses) == 4
    server.faults = [Reply(200, {"ok": 0}, wait=0.4)] * 2
    assert "no answer within 0.2 s" in str(failure(client(server, timeout=0.2, attempts=2).get_json, "x"))


@pytest.mark.parametrize(("size", "piece"), [(200_000, 20_000), (100, 1)])
def test_a_trickle_is_not_waited_for_without_end(server, size, piece):
    """Every piece comes well within the timeout, the whole does not."""
    server.faults = [Reply(200, b" " * size + b"1", wait_in_body=0.1, piece=piece), Reply(200, b"2")]
    assert client(server, timeout=0.4).get_json("x") == 2
    assert len(server.requests) == 2
    assert server.n_sent < size, "given up before the end came"


def test_an_address_where_nobody_is_gets_two_attempts_and_one_that_answered_all(server):
    pauses: list[float] = []
    some = client(server, pauses)
    server.faults = [GOOD]
    some.get_json("x")
    server.close()
    some.close()
    assert "refused" in str(failure(some.get_json, "x"))
    assert len(pauses) == 4
    pauses.clear()
    assert "refused" in str(failure(client(server, pauses).get_json, "x"))
    assert len(pauses) == 1


def test_this_machine_is_not_asked_for_through_a_proxy(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.faults = [GOOD]
    assert client(server).get_json("x") == {"ok": 1}


def test_too_much_is_not_read(server):
    server.faults = [Reply(200, b" " * 300_000), Reply(200, b" " * 100_000 + b"1")]
    small = client(server, max_bytes=200_000)
    assert "more than 0 MB" in str(failure(small.get_json, "x"))
    assert small.get_json("x") == 1


def test_a_stop_ends_the_repetitions(server):
    stop = threading.Event()
    server.faults = [Reply(503)] * 9
    said: list[str] = []
    patient = web.Client(server.url, first_pause=60, say=lambda line: (said.append(line), stop.set()))
    with pytest.raises(web.WebError):
        patient.post_json("x", {}, stop)
    assert len(server.requests) == 2
    assert "HTTP 503; attempt 2 of 5 in" in said[0]


def test_the_key_does_not_follow_a_redirect_to_another_host(server):
    other = Server()
    place = f"{other.url}/elsewhere"
    server.faults = [Reply(302, headers={"Location": place}), Reply(307, headers={"Location": "/v1/moved"}), GOOD]
    other.faults = [GOOD]
    assert client(server).get_json("x", {"a": 1}) == {"ok": 1}
    ((path, _, headers),) = other.requests
    assert path == "/v1/elsewhere"
    assert SECRET not in str(headers)
    assert client(server).get_json("x") == {"ok": 1}
    assert server.requests[-1][0] == "/v1/moved"
    assert server.requests[-1][2]["Authorization"] == f"Bearer {SECRET}"

    server.faults = [Reply(302, headers={"Location": f"{place}?api_key={SECRET}"})]
    assert "redirects, with the key" in str(failure(client(server, key_parameter="api_key").get_json, "x"))
    server.faults = [Reply(308, headers={"Location": place})]
    assert f"redirects to {place}" in str(failure(client(server).post_json, "x", {"text": "private"}))
    assert len(other.requests) == 1
    other.close()


@pytest.mark.parametrize(
    ("target", "expected"), [("/v1/x", "more than 5 times"), ("ftp://x/", "no address"), ("//[::1", "")]
)
def test_redirects_that_lead_nowhere_end(server, target, expected):
    server.faults = [Reply(302, headers={"Location": target})] * 20
    assert expected in str(failure(client(server).get_json, "x"))


def test_a_whole_address_elsewhere_gets_no_key(server):
    other = Server()
    other.faults = [Reply(200, b"\x89PNG")]
    assert client(server).get_bytes(f"{other.url}/poster.png") == b"\x89PNG"
    assert SECRET not in str(other.requests)
    other.close()


ECHOES = [
    Reply(401, {"error": {"message": f"Incorrect API key provided: {SECRET}."}}),
    Reply(401, {"error": {"message": f"Incorrect: {SECRET[:20]}***{SECRET[-9:]}"}}),
    Reply(400, f"<html><title>Bearer {SECRET}</title>"),
    Reply(500, f"{'x' * 190}{SECRET}"),
    Reply(200, f"Bearer {SECRET}"),
    Reply(200, f"<html><title>{SECRET}"),
    Reply(302, headers={"Location": f"ftp://x/{SECRET}"}),
    Reply(302, headers={"Location": f"http://127.0.0.1:1/{SECRET}"}),
    Reply(200, "", {"Content-Length": "9"}, cut=0),
    Reply(401),
]


@pytest.mark.parametrize("reply", ECHOES)
@pytest.mark.parametrize("parameter", ["", "api_key"])
def test_the_key_is_never_shown(server, reply, parameter, capsys):
    """Not in the message, the objects, the lines about repetitions, nor the variables that a traceback may list."""
    server.faults = [reply] * 2
    some = client(server, attempts=2, key_parameter=parameter, say=print)
    error = failure(some.get_json, "x")
    shown = [
        str(error),
        repr(error),
        error.detail,
        repr(some),
        repr(some.key),
        str(vars(some)),
        capsys.readouterr().out,
    ]
    if SECRET[:8] not in str(reply):  # else the answer itself is one of the variables
        frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
        shown += [str(frame.locals) for frame in frames if "recommender" in frame.filename]
        assert len(shown) > 9
    for text in shown:
        assert not [SECRET[i : i + 8] for i in range(len(SECRET) - 7) if SECRET[i : i + 8] in text]
    assert error.__context__ is None


def test_hiding_takes_nothing_else(server):
    key = Key(SECRET)
    assert hide(f"the key {SECRET}, and AbCdEfG", key) == "the key ***, and AbCdEfG"
    assert hide("model text-embedding-3-large", Key("ollama")) == "model text-embedding-3-large"
    assert hide("an x is no secret", Key("x")) == "an x is no secret"
    assert hide("a+b/c== as a%2Bb%2Fc%3D%3D", Key("a+b/c==")) == "*** as ***"
    assert hide("long " * 99, None, 11) == "long long l..."


@pytest.mark.parametrize("value", ["two words", "broken\nline", "naïve", "tab\there"])
def test_what_can_be_no_key_is_refused_unseen(value, monkeypatch):
    monkeypatch.setenv("A_KEY", f" {value} ")
    with pytest.raises(SettingsError, match="A_KEY holds characters") as caught:
        key_from_environment("A_KEY")
    assert value not in str(caught.value)


def test_a_key_comes_from_the_environment_without_its_spaces(monkeypatch):
    monkeypatch.setenv("A_KEY", " abc\n")
    key = key_from_environment("A_KEY")
    assert key is not None
    assert (key.value, repr(key)) == ("abc", "Key(A_KEY)")
    monkeypatch.setenv("A_KEY", "  ")
    assert key_from_environment("A_KEY") is None
    with pytest.raises(TypeError):
        json.dumps(key)


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://x/v1", "https://", "https://a b/", "http://x:99999/", "https://u:pw@host/v1"]
)
def test_addresses_that_are_none_are_refused(url):
    with pytest.raises(SettingsError) as caught:
        parse_address(url)
    assert "pw" not in str(caught.value)


def test_a_key_does_not_go_unencrypted_over_the_open_network():
    for near in ("http://localhost:1/v1", "http://127.0.0.1/v1", "http://[::1]:8/v1", "http://192.168.1.5:8000/v1"):
        web.Client(near, Key(SECRET))
    for far in ("http://api.openai.com/v1", "http://8.8.8.8/v1"):
        web.Client(far)
        with pytest.raises(SettingsError, match="unencrypted"):
            web.Client(far, Key(SECRET))
    with pytest.raises(SettingsError, match="more than a path"):
        web.Client("https://x/v1?key=1")


def test_a_false_certificate_is_refused_at_once(tmp_path):
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    pauses: list[float] = []
    some = web.Client(server.url.replace("http:", "https:"), Key(SECRET), sleep=pauses.append)
    assert "certificate verify failed" in str(failure(some.get_json, "x"))
    assert not server.requests
    assert not pauses
    server.close()
