"""The program that serves: how it starts and ends, and that it answers while others hold what it needs."""

import contextlib
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import threading

import pytest

from model import serve
from recommender.facade import Recommender

from .serving import ROOT, Client, application, program

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


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads as Linux tells them")
@pytest.mark.parametrize("command", ["model.serve", "model.terminal.tastevec serve"])
def test_a_start_says_what_takes_how_long_and_keeps_to_one_thread(tmp_path, command):
    flags = ["--port", "0", "--store", str(tmp_path / "s.sqlite")]
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    given = [sys.executable, "-m", *command.split(), *flags]
    with subprocess.Popen(given, cwd=ROOT, env=free, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = [process.stdout.readline() for _ in range(3)]
            n_threads = len(os.listdir(f"/proc/{process.pid}/task"))
        finally:
            process.kill()
    assert "warming up" in said[0]
    whole, steps = re.search(r"ready in (\S+) s \((.*)\)", said[1]).groups()
    parts = [float(step.split()[-1]) for step in steps.split(", ")]
    assert sum(parts) == pytest.approx(float(whole), abs=0.051 + 0.005 * len(parts))
    assert n_threads == 1


@pytest.mark.parametrize("n_signals", [1, 2])
def test_ctrl_c_ends_it_though_a_body_never_comes(tmp_path, n_signals):
    with program(tmp_path / "s.sqlite") as (process, url, token):
        host, port = re.search(r"//(.*):(\d+)/", url).groups()
        with socket.create_connection((host, int(port))) as slow:
            head = (
                f"POST /sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json"
            )
            slow.sendall(f"{head}\r\nContent-Length: 100\r\n\r\n{{".encode())
            Client(url, token).ok("GET", "/health")
            for _ in range(n_signals):
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1)
            assert process.wait(20) == 130
            assert "Traceback" not in process.stdout.read()


def test_a_port_that_another_start_has_is_told_before_the_warm_up(tmp_path):
    given = [sys.executable, "-m", "model.serve", "--store", str(tmp_path / "s.sqlite"), "--port"]
    with serve.listen("127.0.0.1", 0) as door:  # as of a server that warms up
        port = str(door.getsockname()[1])
        done = subprocess.run([*given, port], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "taken" in done.stderr
    assert not done.stdout


def test_a_start_with_tokens_names_the_command_that_makes_another(tmp_path):
    store, given = str(tmp_path / "s.sqlite"), [sys.executable, "-m", "model.serve", "--store"]
    subprocess.run([*given, store, "--new-token", "mine"], cwd=ROOT, capture_output=True, check=True)
    with subprocess.Popen([*given, store, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = next(line for line in process.stdout if "http://" in line)
            url, command = re.search(r"(http://\S+) .*python (-m model\.serve .*)\)", line).groups()
            made = subprocess.run(
                [sys.executable, *shlex.split(command)], cwd=ROOT, capture_output=True, text=True, check=True
            )
            assert Client(url, made.stdout.strip()).ok("GET", "/me") == {"user_id": None}
        finally:
            process.kill()
