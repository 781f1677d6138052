"""Turns of chat with a real small model on loopback: how far down its ladder each answer had to be read, and its cost.

python -m tests.benchmarks.chat_real_model [--conversations 10]      needs what tests/real_model.py needs

Of three turns each; for every way to ask, printed are the share of turns at each step, tokens and seconds a turn, and
how many turns ended with other than five candidates. What the choices are worth is measured by model/evaluate_chat.py
with the address that `python -m tests.real_model` prints.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from recommender import Recommender
from recommender.chat.chat import Chat, ChatState
from recommender.chat.client import FORMS, ChatClient
from recommender.chat.rerank import LLMReranker
from tests.benchmarks.tools import flags
from tests.real_model import MODEL, serving

FAVORITES = ["Heat and Fargo", "Alien", "Amelie", "Toy Story and Up", "The Godfather", "Whiplash", "Blade Runner"]
FAVORITES += ["Titanic", "Rear Window", "The Big Lebowski"]
LATER = ["something funnier, from the 90s", "not 2"]
WAYS = {
    "reasons, schema": (True, 0),
    "reasons, json_object": (True, 1),
    "reasons, text": (True, 2),
    "numbers, schema": (False, 0),
    "numbers, json_object": (False, 1),
    "numbers, text": (False, 2),
}


def model(url: str, way: str) -> LLMReranker:
    """Return the re-ranker that asks in one of `WAYS`."""
    explain, n_refused = WAYS[way]
    client = ChatClient.open(url, MODEL, timeout=600)
    client.refused = frozenset(FORMS[:n_refused])
    return LLMReranker(client, explain)


def converse(recommender: Recommender, reranker: LLMReranker, n: int) -> str:
    """Hold n conversations; return a line about them."""
    chat, turns, wrong = Chat(recommender, reranker), [], 0
    for liked in FAVORITES[:n]:
        state = ChatState()
        for message in (f"I loved {liked}", *LATER):
            state, turn = chat.step(state, message)
            turns.append(turn)
            ids = {one.movie.movie_id for one in turn.suggestions}
            wrong += len(ids & {movie_id for movie_id, _ in turn.candidates}) != 5
    steps = Counter(turn.status.split(",")[0] for turn in turns)
    tokens, seconds = (np.mean([getattr(turn, name) for turn in turns]) for name in ("tokens", "seconds"))
    shares = ", ".join(f"{step} {count / len(turns):.0%}" for step, count in steps.most_common())
    return f"{len(turns)} turns, {wrong} wrong; {tokens:,.0f} tokens, {seconds:.1f} s a turn; {shares}"


def main() -> None:
    given, recommender = flags(__doc__, conversations=10), Recommender.load()
    with serving() as url:
        for way in WAYS:
            print(f"{way:<22}", converse(recommender, model(url, way), given.conversations), flush=True)


if __name__ == "__main__":
    main()
