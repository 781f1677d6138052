"""The program that serves: how it starts, what it refuses, that it keeps what it answered, and what it promises."""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model import serve
from recommender.data.errors import TastevecError

from .serving import ROOT, Client, at_once, program

pytestmark = pytest.mark.dev
PROGRAM = [sys.executable, "-m", "model.serve"]


def run(*command: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, timeout=60)


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
        (["--store", f"{ROOT}/README.md"], "README.md"),  # no database, and longer than its header
        (["--token-file", f"{ROOT}/README.md"], "README.md"),
    ],
)
def test_what_makes_no_server_is_one_line(tmp_path, flags, said):
    with pytest.raises(TastevecError, match=re.escape(said)):
        serve.main(["--port=0", f"--store={tmp_path / 's.sqlite'}", *flags])


def test_a_port_that_is_taken_or_a_missing_extra_is_told_in_one_line_before_the_warm_up(tmp_path):
    with serve.listen("127.0.0.1", 0) as door:  # as of a server that warms up
        port = door.getsockname()[1]
        taken = run(*PROGRAM, "--store", tmp_path / "s.sqlite", "--port", port)
    code = "import sys; sys.modules['fastapi'] = None; from model import serve; serve.cli.run(serve.main)"
    for done, said in ((taken, f"port {port} of 127.0.0.1 is taken"), (run(sys.executable, "-c", code), "[serve]")):
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert said in done.stderr


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


def test_tokens_made_at_the_console_open_until_they_end_and_a_start_names_the_command(tmp_path):
    new = [*PROGRAM, "--store", tmp_path / "s.sqlite", "--new-token", "x"]
    made = [run(*new, "--user", "7", *more).stdout.strip() for more in ([], ["--days", "0.00001"])]
    time.sleep(1)
    with program(tmp_path / "s.sqlite") as (_, url, line):
        command = re.search(r"python (-m model\.serve .*)\)", line)[1]
        made.append(run(sys.executable, *shlex.split(command)).stdout.strip())
        statuses = [Client(url, token)("GET", "/movies/recommendations?user_id=7").status_code for token in made]
        assert statuses == [200, 401, 200]
        assert Client(url, made[2]).ok("GET", "/me") == {"user_id": None}


@pytest.mark.parametrize("n_signals", [1, 2])
def test_ctrl_c_ends_it_though_a_body_never_comes(tmp_path, n_signals):
    with program(tmp_path / "s.sqlite") as (process, url, token):
        host, port = re.search(r"//(.*):(\d+)/", url).groups()
        head = f"POST /sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json"
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(f"{head}\r\nContent-Length: 100\r\n\r\n{{".encode())
            Client(url, token).ok("GET", "/health")
            for _ in range(n_signals):
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(1)
            assert process.wait(20) == 130
            assert "Traceback" not in process.stdout.read()


def test_nothing_that_was_answered_is_lost_when_the_server_is_killed(tmp_path):
    token, session, said = "", None, []
    for n_answers in (4, 1, 2):
        with program(tmp_path / "s.sqlite") as (process, url, first):
            token = token or first
            client = Client(url, token)
            if session is None:
                session = client.ok("POST", "/sessions", {"favorites": [1, 296, 2571]})
            else:
                session = client.ok("GET", f"/sessions/{session['session_id']}")
                assert [one["movie"]["movie_id"] for one in session["answers"]] == said
            for _ in range(n_answers):
                said.append(session["movie"]["movie_id"])
                session = client.answer(session, "like")
            os.kill(process.pid, signal.SIGKILL)


def test_two_processes_share_a_store(tmp_path):
    store = tmp_path / "s.sqlite"
    with program(store) as (_, url, token), program(store) as (_, other, _):
        here, there = Client(url, token), Client(other, token)
        session = here.ok("POST", "/sessions", {"favorites": [1, 296, 2571]})
        for place in range(6):
            session = (here, there)[place % 2].answer(session, "like")
        path, given = f"/sessions/{session['session_id']}", {"movie_id": session["movie"]["movie_id"], "answer": "like"}
        assert len(here.ok("GET", path)["answers"]) == 6
        statuses = at_once(lambda at: Client(at, token)("POST", f"{path}/answer", given), [url, other] * 8)
        assert statuses == [200, *[409] * 15]
        assert there.as_(here.person("ana").token).ok("GET", "/users/ana/export")["user_id"] == "ana"


@pytest.mark.parametrize("with_token", [True, False])
def test_the_server_does_what_its_description_says(tmp_path, with_token):
    pytest.importorskip("schemathesis")
    with program(tmp_path / "s.sqlite", "--rate", "1e6") as (_, url, token):
        command = [Path(sys.executable).with_name("schemathesis"), "run", f"{url}openapi.json", "--checks", "all"]
        command += ["--max-examples", "5", "--seed", "1", "--continue-on-failure", "--suppress-health-check", "all"]
        command += ["-H", f"Authorization: Bearer {token}"] if with_token else []
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:]
