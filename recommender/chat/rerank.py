"""The best n of some twenty retrieved movies, by a chat model, by numbers, or for variety.

llm     (1 - b) the mean rank of a candidate over answers, each to another shuffle of the list, + b its rank in the
        retrieval; what an answer does not name shares the mean of the ranks left (arXiv 2310.07712)
score   a cosine01 + (1 - a) like01                        both 0..1 over the candidates
mmr     argmax  w score - (1 - w) max cos(candidate, taken)     again and again (Carbonell and Goldstein 1998)

A model only ever gives numbers, and a sentence for each: movies come from the candidates. Where it fails, the order of
retrieval stands.
"""

from __future__ import annotations

import functools
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from ..data.catalog import Movie
from ..data.errors import ChoiceError, whole
from ..net.web import WebError
from . import prompts
from .client import ChatClient

RETRIEVAL = "retrieval order"
STEPS = ("ok", "json_object", "text", "repaired", RETRIEVAL)  # of the ladder
About = Mapping[str, Any]


class Candidate(NamedTuple):
    """A retrieved movie.  score: of retrieval, 0..1.  vector: (d,) of length 1."""

    row: int
    movie: Movie
    score: float
    vector: np.ndarray


class Reranked(NamedTuple):
    """The chosen candidates.

    order: indexes of candidates, best first.  reasons: of a model, "" where none.  status: "ok", or how far down
    `STEPS` an answer had to be read, and how many numbers were dropped or filled: "text, 2 dropped, 2 filled".
    note: why a model was of no use.
    """

    order: list[int]
    reasons: list[str]
    status: str = "ok"
    tokens: int = 0
    seconds: float = 0.0
    note: str = ""


class Reranker(ABC):
    name = ""

    def rerank(self, candidates: Sequence[Candidate], about: About, n: int) -> Reranked:
        """Return the best n of `candidates`, which come in the order of retrieval; all where there are fewer.

        about: what is known of the person, by name: texts or lists of texts.
        """
        start, n = time.perf_counter(), min(whole("n", n), len(candidates))
        found = self._rank(candidates, about, n) if n else Reranked([], [])
        return found._replace(seconds=time.perf_counter() - start)

    @abstractmethod
    def _rank(self, candidates: Sequence[Candidate], about: About, n: int) -> Reranked: ...


class MMRReranker(Reranker):
    """weight: w, 1: the order of retrieval, 0: variety alone."""

    name = "mmr"

    def __init__(self, weight: float = 0.7) -> None:
        self.weight = _share("weight", weight)

    def _rank(self, candidates: Sequence[Candidate], about: About, n: int) -> Reranked:
        scores = np.array([candidate.score for candidate in candidates])
        vectors = np.stack([candidate.vector for candidate in candidates])
        nearest = np.zeros(len(candidates))  # cosine to the nearest of those taken
        order: list[int] = []
        for _ in range(n):
            values = self.weight * scores - (1 - self.weight) * nearest
            values[order] = -np.inf
            order.append(int(values.argmax()))
            cosines = vectors @ vectors[order[-1]]
            nearest = np.maximum(nearest, cosines) if len(order) > 1 else cosines
        return Reranked(order, [""] * n)


class ScoreReranker(Reranker):
    """like: (what is known of the person, movie) -> rating from 1 to 5.  a: the share of the cosine."""

    name = "score"

    def __init__(self, like: Callable[[About, Movie], float], a: float = 0.5) -> None:
        self.like, self.a = like, _share("a", a)

    def _rank(self, candidates: Sequence[Candidate], about: About, n: int) -> Reranked:
        likes = np.clip(np.nan_to_num([self.like(about, c.movie) for c in candidates], nan=3.0), 1, 5)
        # What was retrieved is liked much alike: stretched to 1..5, as the scores to 0..1, the differences count.
        likes = 1 + 4 * (likes - likes.min()) / (np.ptp(likes) or 1)
        scores = [combined_score(c.score, like, self.a) for c, like in zip(candidates, likes.tolist())]
        return Reranked(np.argsort(-np.array(scores), kind="stable")[:n].tolist(), [""] * n)


def combined_score(cosine01: float, like: float, a: float = 0.5) -> float:
    """Return a cosine01 + (1 - a) (like - 1) / 4; like: 1..5, what lies outside is cut, 3 where it is no number.

    >>> combined_score(0.5, 5.0, a=0.25)
    0.875
    """
    like = min(max(like, 1.0), 5.0) if math.isfinite(like) else 3.0
    return a * cosine01 + (1 - a) * (like - 1) / 4


class _Vote(NamedTuple):
    """What one answer says: index of a candidate -> reason, best first; step: of `STEPS`."""

    reasons: dict[int, str]
    step: str = RETRIEVAL
    dropped: int = 0
    tokens: int = 0
    note: str = ""


@dataclass
class LLMReranker(Reranker):
    """A chat model chooses.

    explain: it is told what is known of the person, and says why; else ("ids") it gets the candidates with their
    scores alone, nothing that the person said or saw.  shuffles: answers to differently shuffled candidates, asked for
    at once; 0: one answer, in the order of retrieval.  blend: share of the order of retrieval; up to .29 the five of
    20 that an answer names stay, in another order.  show: gets what a single answer says last, while it comes, and ""
    at the end.
    """

    client: ChatClient
    explain: bool = True
    shuffles: int = 1
    seed: int = 0
    blend: float = 0.25
    show: Optional[Callable[[str], object]] = None
    name = "llm"

    def _rank(self, candidates: Sequence[Candidate], about: About, n: int) -> Reranked:
        k, rng = len(candidates), np.random.default_rng(self.seed)
        orders = [rng.permutation(k).tolist() for _ in range(self.shuffles)] or [[*range(k)]]

        ask = functools.partial(self._ask, candidates=candidates, about=about, n=n)
        with ThreadPoolExecutor(len(orders)) as pool:  # one is asked for in this thread, which Ctrl-C stops
            votes = [*(pool.map if len(orders) > 1 else map)(ask, orders)]
        used = [vote for vote in votes if vote.reasons]
        ranks = np.zeros(k)
        for vote in used:
            own = np.full(k, (len(vote.reasons) + k - 1) / 2)  # the mean rank of the others
            own[[*vote.reasons]] = range(len(vote.reasons))
            ranks += own
        blended = (1 - self.blend) * ranks / max(len(used), 1) + self.blend * np.arange(k)
        order = np.argsort(blended, kind="stable")[:n].tolist()
        named = [next((vote.reasons[i] for vote in used if i in vote.reasons), None) for i in order]
        status = max((vote.step for vote in used), key=STEPS.index, default=RETRIEVAL)
        counts = {"dropped": sum(vote.dropped for vote in votes), "filled": named.count(None)}
        if used:
            status = ", ".join([status, *(f"{count} {what}" for what, count in counts.items() if count)])
        if 0 < len(used) < len(votes):
            status += f", {len(used)} of {len(votes)} answers"
        note = next((vote.note for vote in votes if vote.note), "")
        return Reranked(order, [reason or "" for reason in named], status, sum(v.tokens for v in votes), 0.0, note)

    def _ask(self, order: list[int], candidates: Sequence[Candidate], about: About, n: int) -> _Vote:
        """Return the vote of one answer to `candidates` in `order`, or of the answer to a second request."""
        given = [candidates[i] for i in order]
        movies, scores = [c.movie for c in given], [c.score for c in given]
        messages, tokens = prompts.messages(movies, scores, about if self.explain else None, n), 0
        schema = prompts.schema(len(order), n, self.explain)
        show = self.show if self.shuffles < 2 else None
        live = show and (lambda text: show(prompts.being_written(text, movies) or "..."))
        (self.show or str)("...")
        try:
            for step in ("", "repaired"):
                answer = self.client.ask(
                    messages, None if step else schema, n * (80 if self.explain else 16) + 40, show=live
                )
                tokens += answer.tokens
                picks = prompts.read_picks(answer.text, len(order))
                if picks.reasons and not answer.refused:
                    form = "ok" if answer.form == "json_schema" else answer.form
                    chosen = {order[number - 1]: reason for number, reason in picks.reasons.items()}
                    return _Vote(chosen, step or (form if picks.whole else "text"), picks.dropped, tokens)
                if answer.refused:
                    return _Vote({}, tokens=tokens, note="the model refused to answer")
                messages += prompts.repair(answer.text, n)
        except WebError as error:
            return _Vote({}, tokens=tokens, note=str(error))
        finally:
            (self.show or str)("")
        return _Vote({}, tokens=tokens, note="the model named no number of a candidate")


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ChoiceError(f"{name} = {value!r}: give a number from 0 to 1")
    return float(value)
