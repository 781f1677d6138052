"""Clients that are slow: who does not bring a request whole is cut off, who brings it bit by bit is not."""

import socket
import time
from urllib.parse import urlsplit

import pytest

from model.serve import listen
from recommender.facade import Recommender

from .serving import application

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.dev
HEAD = "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with application(Recommender.load(), tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture
def line(served, monkeypatch):
    """A connection to a server that waits .3 s."""
    monkeypatch.setattr("recommender.serve.gate.SECONDS", 0.3)
    address = urlsplit(served[0].url)
    with socket.create_connection((address.hostname, address.port)) as found:
        yield found


def ends_while_it_drips(line: socket.socket) -> bool:
    line.settimeout(0.02)
    for _ in range(500):
        try:
            line.sendall(b"1")
            if not line.recv(10_000):
                return True
        except socket.timeout:
            continue
        except ConnectionError:
            return True
    return False


@pytest.mark.parametrize("path", ["/sessions", "/imports?filename=x"])
@pytest.mark.parametrize("rest", ["X: ", "Content-Length: 9999\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nffff\r\n"])
@pytest.mark.parametrize("before", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_request_that_never_comes_whole_is_cut_off(served, line, path, rest, before):
    client, _, lines = served
    if before:  # on a connection that has served
        line.sendall(before)
        assert line.recv(10_000).startswith(b"HTTP/1.1 200")
    line.sendall((HEAD.format(path, client.token) + rest).encode())
    assert ends_while_it_drips(line)
    client.ok("GET", "/health")
    assert not any(" at " in said for said in lines)  # it is no fault


def test_who_says_nothing_is_cut_off(line):
    line.settimeout(20)
    assert line.recv(1) == b""


def test_a_refused_body_that_goes_on_is_cut_off(line):
    line.sendall((HEAD.format("/sessions", "x") + "Content-Length: 9999\r\n\r\n").encode())
    assert line.recv(10_000).startswith(b"HTTP/1.1 401")
    assert ends_while_it_drips(line)


def test_a_body_that_comes_slowly_but_comes_is_heard(served, line, monkeypatch):
    monkeypatch.setattr("recommender.serve.gate.RATE", 1.0)
    body = b'{"favorites": [1]}'
    line.sendall((HEAD.format("/sessions", served[0].token) + f"Content-Length: {len(body)}\r\n\r\n").encode())
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
    line.sendall((HEAD.format("/chat/me", served[0].token) + f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
    assert line.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
def test_who_reads_nothing_of_an_answer_is_cut_off_by_the_system():
    with listen("127.0.0.1", 0) as door:
        assert 0 < door.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 60_000
