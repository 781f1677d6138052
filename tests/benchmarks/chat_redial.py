"""Movies that people name and like later in a dialogue of ReDial, from what they said so far: by chat, words, films.

python -m tests.benchmarks.chat_redial redial_valid.jsonl [first last]      dialogues, in a fixed random order

The seeker's turns are heard as messages, with the titles of the movies in them; each movie that they liked and that
comes up later, by whoever names it, is looked for among all movies but those named, once a movie was liked.
Chosen by it on the first 250 dialogues of the validation set: TEXT_WEIGHT, TASTE_WEIGHT of recommender/chat/chat.py.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from recommender.chat.chat import Chat
from recommender.chat.evaluation import moments
from recommender.chat.rerank import MMRReranker
from recommender.facade import Recommender
from recommender.session.state import SessionState
from recommender.text.dialogues import Dialogue, read_dialogues


def ranks_of(chat: Chat, dialogue: Dialogue, ranks: dict[str, list[int]]) -> None:
    """Add the rank of each movie to be found, by each way to score."""
    for state, target in moments(chat, dialogue):
        bare = chat.engine.points(SessionState(state.session.favorites, state.session.answers))
        words = " . ".join(said.text for said in state.session.utterances)
        for name, scores in {
            "words alone": chat.recommender.free_text.rank(words) if words else -np.arange(len(bare)) * 1.0,
            "named films alone": bare,
            "chat": chat.scores(state),
        }.items():
            scores[[event.row for event in state.session.events if event.row != target]] = -np.inf
            ranks[name].append(1 + int((scores > scores[target]).sum()))


def main() -> None:
    dialogues = read_dialogues(Path(sys.argv[1]))
    first, last = map(int, sys.argv[2:]) if sys.argv[2:] else (0, len(dialogues))
    chat, ranks = Chat(Recommender.load(), MMRReranker()), defaultdict(list)
    for place in np.random.default_rng(0).permutation(len(dialogues))[first:last]:
        ranks_of(chat, dialogues[place], ranks)
    for name, found in ranks.items():
        at = np.array(found)
        hits, mrr = [np.mean(at <= k) for k in (5, 20)], np.mean(1 / at)
        print(f"{name:<18} {len(at)} movies  Recall@5 {hits[0]:.3f}  Recall@20 {hits[1]:.3f}  MRR {mrr:.4f}")


if __name__ == "__main__":
    main()
