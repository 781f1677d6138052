"""The HTTP client against a server on loopback that refuses, stalls, cuts, redirects and quotes keys."""

import gzip
import threading
import time
import traceback
from email.utils import formatdate

import pytest

from recommender.data.errors import SettingsError
from recommender.net.key import Key, hide, key_for, parse_address
from recommender.net.openai import chat
from recommender.net.web import Client, WebError
from tests.fake_server import Reply, Server

SECRET = "sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
GOOD = Reply(200, {"ok": 1})


def client(server: Server, **more) -> Client:
    return Client(server.url, **{"key": Key(SECRET, "MY_KEY"), "timeout": 5, **more})


def failure(call, *arguments) -> WebError:
    with pytest.raises(WebError) as caught:
        call(*arguments)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    return caught.value


def shows_key(text: str) -> bool:
    return any(SECRET[i : i + 8] in text for i in range(len(SECRET) - 7))


def test_a_request_carries_key_path_and_parameters_and_keeps_the_rate(server):
    server.faults = [GOOD] * 6
    assert client(server).get_json("movie/603", {"language": "en us"}) == {"ok": 1}
    assert client(server).post("chat", {"a": "é"}) == b'{"ok": 1}'
    assert client(server, key_parameter="api_key").get_json("movie", {"y": 2}) == {"ok": 1}
    (first, _, headers), (second, body, _), (third, _, bare) = server.requests
    assert (first, second, third) == ("/v1/movie/603?language=en+us", "/v1/chat", f"/v1/movie?api_key={SECRET}&y=2")
    assert (headers["Authorization"], bare.get("Authorization"), body) == (f"Bearer {SECRET}", None, {"a": "é"})
    some, start = client(server, rate=50), time.monotonic()
    assert [some.get_json("x") for _ in range(3)] == [{"ok": 1}] * 3
    assert time.monotonic() - start >= 2 / 50


PASSING = [
    *map(Reply, (408, 429, 500, 502, 503, 504, 529)),
    Reply(200, {"ok": 0}, cut=3),
    Reply(200, {"ok": 0}, {"Content-Length": "50"}, cut=3),
    Reply(200, {"ok": 0}, wait=0.3),
    Reply(200, b" " * 30 + b"1", wait_in_body=0.02),  # each byte within the timeout, the whole not
]


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_repeated_until_the_last_attempt(server, fault):
    some = client(server, timeout=0.15 if fault.wait or fault.wait_in_body else 5, attempts=2)
    server.faults = [fault, GOOD]
    assert some.get_json("x") == {"ok": 1}
    server.faults = [fault] * 9
    error = failure(some.get_json, "x")
    assert (error.retryable, len(server.requests)) == (True, 4)
    assert error.status == (fault.status if fault.status > 200 else 0)


LASTING = [
    (Reply(401, {"error": {"message": "No such\nkey"}}), ["HTTP 401 (No such key)", "key in MY_KEY"]),
    (Reply(403, {"error": "forbidden"}), ["HTTP 403 (forbidden)", "key in MY_KEY"]),
    (Reply(400, {"detail": [{"msg": "bad field", "loc": ["x"]}]}), ["HTTP 400 (bad field)"]),
    (Reply(404, {"status_message": "Invalid id"}), ["(Invalid id)", "check the address"]),
    (Reply(418, b"\xff\xfe"), ["HTTP 418"]),
    (Reply(404, "<!DOCTYPE html><html><title>Not\n here</title>" + "x" * 9999), ["(an HTML page, 'Not here')"]),
    (Reply(400, "\x1b[2Jhello\x07"), ["([2Jhello)"]),
    (Reply(429, {"error": {"message": "Exceeded.", "code": "insufficient_quota"}}), ["Exceeded.", "quota is used up"]),
    (Reply(200, "<html><title>Log in</title>"), ["an HTML page, 'Log in'", "check the address"]),
    (Reply(200, '{"a": "caf\xe9"}'.encode("latin-1")), ["no JSON"]),
    (Reply(200, b" " * 300_000), ["more than 0 MB"]),
    (Reply(302, headers={"Location": "/v2"}), ["give the address it moved to, /v2"]),
]


@pytest.mark.parametrize(("fault", "expected"), LASTING)
def test_what_will_not_pass_is_reported_at_once_in_the_words_of_the_server(server, fault, expected):
    server.faults = [fault, Reply(200, gzip.compress(b"1"), {"Content-Encoding": "gzip"})]
    some = client(server, max_bytes=200_000)
    error = failure(some.get_json, "x")
    assert all(words in str(error) for words in expected)
    assert (error.retryable, len(server.requests)) == (False, 1)
    assert some.get_json("x") == 1


RETRY_AFTER = [("7", 7, 7.7), ("0", 0, 0), ("86400", 60, 60), ("soon", 0.5, 1), ("-3", 0.5, 1)]


@pytest.mark.parametrize(("header", "low", "high"), [*RETRY_AFTER, (20, 18, 22), (-20, 0, 0)])
def test_retry_after_is_obeyed_in_seconds_and_as_a_date_and_a_stop_ends_pauses(server, monkeypatch, header, low, high):
    monkeypatch.setattr("recommender.net.web.LONGEST_PAUSE", 60.0)
    header = header if isinstance(header, str) else formatdate(time.time() + header, usegmt=True)
    said: list[str] = []
    some = client(server, say=lambda line: (said.append(line), threading.Timer(0.02, some.stop.set).start()))
    server.faults = [Reply(429, headers={"Retry-After": header})] * 9
    start = time.monotonic()
    failure(some.get_json, "x")
    assert low <= float(said[0].split()[-2]) <= high
    assert time.monotonic() - start < 5


def test_an_address_where_nobody_is_gets_one_attempt_and_one_that_answered_all(server):
    said: list[str] = []
    some, new = client(server, say=said.append), client(server, say=said.append)
    server.faults = [Reply(200, "1", {"Connection": "close"})]
    some.get_json("x")
    server.close()
    for one in (some, new):
        assert "refused" in str(failure(one.get_json, "x"))
        assert len(said) == 4


def test_this_machine_is_asked_without_proxy_and_netrc(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    server.faults = [GOOD, GOOD]
    some = client(server, key=None)
    some.get_json("x")
    some._session.trust_env = True  # as for other machines, for whose proxies it is
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    some.get_json("x")
    assert not any("Authorization" in request.headers for request in server.requests)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_neither_a_key_nor_a_text_follows_a_redirect(server, status):
    other = Server()
    other.faults = [GOOD]
    moved = Reply(status, headers={"Location": f"{other.url}/elsewhere?api_key={SECRET}"})
    server.faults = [moved] * 4
    with_key, without = [client(server), client(server, key_parameter="api_key")], client(server, key=None)
    errors = [failure(some.get_json, "x") for some in with_key]
    for error in errors + [failure(some.post, "x", {"text": "private"}) for some in (with_key[0], without)]:
        assert f"{other.url}/elsewhere" in str(error)
    assert not any(shows_key(str(error)) for error in errors)
    assert other.requests == []
    for location, n in (("/v1/x", 6), ("ftp://x/", 1), ("//[::1", 1)):
        server.requests, server.faults = [], [Reply(status, headers={"Location": location})] * 99
        assert not failure(without.get_json, "x").retryable
        assert len(server.requests) == n
    server.faults = [Reply(status, headers={"Location": f"{other.url}/elsewhere"})]
    assert without.get_json("x") == {"ok": 1}


ECHOES = [
    Reply(401, {"error": f"Incorrect: {SECRET[:20]}***{SECRET[-9:]}"}),
    Reply(500, f"{'x' * 190}{SECRET}"),
    Reply(200, f"<html><title>{SECRET}"),
    Reply(200, {"choices": None, "error": f"bad key {SECRET}"}),
    Reply(302, headers={"Location": f"http://127.0.0.1:1/{SECRET}"}),
    Reply(200, "", {"Content-Length": "9"}, cut=0),
    Reply(401),
]


@pytest.mark.parametrize("reply", ECHOES)
@pytest.mark.parametrize("parameter", ["", "api_key"])
def test_the_key_is_never_shown(server, reply, parameter, capsys):
    server.faults = [reply] * 2
    some = client(server, attempts=2, key_parameter=parameter, say=print)
    error = failure(chat, some, "m", [])
    shown = f"{error} {error!r} {error.detail} {some!r} {some.key!r} {vars(some)} {capsys.readouterr().out}"
    if SECRET[:8] not in str(reply):  # else the answer itself is one of the variables
        frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
        shown += str([frame.locals for frame in frames if "recommender" in frame.filename])
    assert not shows_key(shown)
    assert error.__context__ is None


def test_keys_come_from_the_environment_each_for_its_own_host_and_hiding_takes_nothing_else(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    assert key_for("https://api.openai.com/v1").value == SECRET
    assert key_for("http://localhost/v1") is None
    monkeypatch.setenv("A_KEY", " abc\n")
    assert key_for("http://localhost/v1", "A_KEY") == Key("abc", "A_KEY")
    assert "abc" not in repr(Key("abc", "A_KEY"))
    for value in ("two words", "broken\nline", "naïve", " "):
        monkeypatch.setenv("A_KEY", f" {value} ")
        with pytest.raises(SettingsError, match="A_KEY") as caught:
            key_for("http://localhost", "A_KEY")
        assert not value.strip() or value not in str(caught.value)
    assert hide(f"the key {SECRET}, and AbCdEfG", Key(SECRET)) == "the key *** and AbCdEfG"
    assert hide("an x is no secret", Key("x")) == "an x is no secret"
    assert hide("a+b/c== as a%2Bb%2Fc%3D%3D", Key("a+b/c==")) == "*** as ***"
    assert hide("long " * 99, None, 11) == "long long l..."


def test_addresses_that_are_none_and_a_key_unencrypted_on_the_open_network_are_refused():
    none = "localhost:8000/v1 ftp://x/v1 https:// http://x:99999/ //[::1 https://x?k=1 https://u:pw@host/v1"
    for url in (*none.split(), "https://a b/"):
        with pytest.raises(SettingsError) as caught:
            Client(url)
        assert "pw" not in str(caught.value)
    for near in ("http://localhost:1/v1", "http://[::1]:8/v1", "http://192.168.1.5:8000/v1"):
        Client(near, Key(SECRET))
    for far in ("http://8.8.8.8/v1", "http://localhost.evil.org/v1"):
        Client(far)
        assert not parse_address(far).loopback
        with pytest.raises(SettingsError, match="unencrypted"):
            Client(far, Key(SECRET))


def test_chat_sends_messages_and_options_and_returns_the_text(server):
    server.chat = lambda messages: messages[-1]["content"].upper()
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    assert chat(client(server), "m", messages, temperature=0) == ("HELLO", "stop")
    assert server.requests[0].path == "/v1/chat/completions"
    assert server.requests[0].body == {"model": "m", "messages": messages, "temperature": 0}
    parts = [{"type": "text", "text": "A"}, {"type": "thinking", "thinking": []}, " b"]
    for content, text in ((None, ""), (parts, "A b")):
        server.faults = [Reply(200, {"choices": [{"message": {"content": content, "refusal": None}}]})]
        assert chat(client(server), "m", messages) == (text, "")
    server.faults = [Reply(200, {"choices": [{"message": {"content": None, "refusal": "I can't."}}]})]
    assert chat(client(server), "m", messages) == ("", "refusal")
    for choices in (None, [], [{"text": "old style"}], *([{"message": {"content": odd}}] for odd in (5, [None]))):
        server.faults = [Reply(200, {"choices": choices})]
        assert "no message" in str(failure(chat, client(server), "m", messages))
