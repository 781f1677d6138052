"""Kill the server in the middle of answers, again and again: what was answered 2xx is there after the next start.

    python -m tests.benchmarks.serve_kill [--times 50] [--clients 4]

Each client answers the movies of its own session until the server is gone. Afterwards every answer that came back is in
its session, in order; at most the one that was under way is there too; and every session takes the next answer.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import requests

from tests.benchmarks.tools import flags
from tests.serving import Client, program


class Person:
    """A client with a session: `said` came back; `asked` was sent."""

    def __init__(self) -> None:
        self.id, self.said, self.asked = "", [], 0

    def talk(self, client: Client, rng: random.Random) -> None:
        """Answer until the server is gone."""
        try:
            path = f"/sessions/{self.id}"
            session = client.ok("GET", path)
            while session["movie"]:
                given = {"movie_id": session["movie"]["movie_id"], "answer": rng.choice(["like", "dislike", "skip"])}
                self.asked += 1
                session = client.ok("POST", f"{path}/answer", given)
                self.said.append([given["movie_id"], given["answer"]])
        except requests.RequestException:
            return

    def check(self, client: Client) -> int:
        """Return how many answers are lost; take over one that was stored and not told."""
        session: dict[str, Any] = client.ok("GET", f"/sessions/{self.id}")
        found = [[one["movie"]["movie_id"], one["answer"]] for one in session["answers"]]
        lost = sum(pair not in found for pair in self.said)
        assert found[: len(self.said)] == self.said or lost, "answers in another order"
        assert len(found) <= len(self.said) + 1, "answers that nobody gave"
        self.said = found
        return lost


def main() -> None:
    given = flags(__doc__, times=50, clients=4)
    people, rng, token, lost, untold = [Person() for _ in range(given.clients)], random.Random(0), "", 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(given.times + 1):
            with program(Path(folder, "serve.sqlite"), "--rate", "1e6") as (process, url, first):
                token = token or first
                for person in people:
                    if turn == 0:
                        favorites = rng.sample([1, 6, 260, 296, 318, 527, 593, 1214, 2571], 4)
                        person.id = Client(url, token).ok("POST", "/sessions", {"favorites": favorites})["session_id"]
                    before = len(person.said)
                    lost += person.check(Client(url, token))
                    untold += len(person.said) - before
                if turn == given.times:
                    break
                threads = [
                    threading.Thread(target=one.talk, args=(Client(url, token), random.Random(f"{turn} {place}")))
                    for place, one in enumerate(people)
                ]
                for thread in threads:
                    thread.start()
                time.sleep(rng.uniform(0.2, 1.2))
                os.kill(process.pid, signal.SIGKILL)
                for thread in threads:
                    thread.join()
    n_said = sum(len(person.said) for person in people)
    print(f"{given.times} kills: {n_said:,} answers, {lost} lost, {untold} stored that no answer had told yet")
    print(f"{len(people)} sessions go on")


if __name__ == "__main__":
    main()
