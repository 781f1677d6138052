"""Load on a server on loopback: clients that each mix recommendations, title search and answers of a session.

    python -m tests.benchmarks.serve_load [--seconds 60] [--clients 32]

Prints the start, requests a second, latencies, errors, and the memory of the server over the second half.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.tools import flags
from tests.serving import Client, program

N_PROCESSES = 4
FAVORITES, ANSWERS = [1, 6, 260, 296, 318, 527, 593, 1214, 2571], ["like", "dislike", "later", "skip"]
WORDS = ("matrix", "godfathr", "star w", "amelie", "lord of the", "toy", "alien", "seven samurai", "heat", "blade run")


def memory(pid: int) -> float:
    """Return the MB that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def client(number: int, port: int, token: str, until: float, found: Any) -> None:
    """Ask until the time is over; put latencies and errors."""
    rng, line = random.Random(number), http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    latencies: list[float] = []
    errors: list[str] = []

    def ask(method: str, path: str, body: Any = None) -> Any:
        started = time.perf_counter()
        line.request(method, path, None if body is None else json.dumps(body), headers)
        answer = line.getresponse()
        content = answer.read() or b"null"
        latencies.append(time.perf_counter() - started)
        if answer.status >= 300:
            errors.append(f"{answer.status} {path} {content[:200]!r}")
            return None
        return json.loads(content)

    session: Any = None
    while time.time() < until:
        kind = rng.randrange(3)
        if kind == 0:
            ask("GET", f"/movies/recommendations?user_id={rng.randint(1, 600)}")
        elif kind == 1:
            ask("GET", f"/movies/search?q={rng.choice(WORDS).replace(' ', '+')}&limit=8")
        elif session is None or len(session["answers"]) >= 30 or session["movie"] is None:
            if session:
                ask("DELETE", f"/sessions/{session['session_id']}")
            session = ask("POST", "/sessions", {"favorites": rng.sample(FAVORITES, 4)})
        else:
            given = {"movie_id": session["movie"]["movie_id"], "answer": rng.choice(ANSWERS)}
            session = ask("POST", f"/sessions/{session['session_id']}/answer", given) or session
    found.put((latencies, errors))


def several(numbers: range, *given: Any) -> None:
    """Run clients in the threads of one process: one each would take the processor from the server."""
    threads = [threading.Thread(target=client, args=(number, *given)) for number in numbers]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def main() -> None:
    given = flags(__doc__, seconds=60.0, clients=32)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with program(Path(folder, "serve.sqlite"), "--rate", "1e6") as (process, url, token):
            assert Client(url, token)("GET", "/ready").ok
            print(f"start to /ready {time.perf_counter() - started:.2f} s, {memory(process.pid):.0f} MB")
            found: Any = multiprocessing.Queue()
            began = time.time()
            until = began + given.seconds
            numbers = [range(start, given.clients, N_PROCESSES) for start in range(N_PROCESSES)]
            given_to = (int(url.rstrip("/").rpartition(":")[2]), token, until, found)
            clients = [multiprocessing.Process(target=several, args=(some, *given_to)) for some in numbers]
            for one in clients:
                one.start()
            held = []
            while time.time() < until:
                time.sleep(0.5)
                held.append(memory(process.pid))
            results = [found.get() for _ in range(given.clients)]
            for one in clients:
                one.join()
    latencies = sorted(latency for one, _ in results for latency in one)
    errors = [error for _, some in results for error in some]
    p50, p99 = (latencies[int(share * len(latencies))] * 1000 for share in (0.5, 0.99))
    print(f"{len(latencies) / given.seconds:.0f} requests/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(errors)} errors")
    print(*errors[:3], sep="\n")
    half = held[len(held) // 2 :]
    print(f"memory in the second half {min(half):.0f} to {max(half):.0f} MB ({max(half) / half[0] - 1:+.1%})")


if __name__ == "__main__":
    main()
