"""Conversations replayed on people whose likes are known: what each re-ranker makes of the same candidates.

people      whole people held out, a fold at a time (evaluate/replay.py): they name favorites, and then answer the five
            first of the retrieval by their ratings, again and again; all other movies that they like are relevant
dialogues   of ReDial: the seeker's messages; relevant is the movie that comes up next, if the seeker liked it

    ndcg@5, recall@5   of the five chosen; a relevant movie not retrieved, or filtered out, is missed
    cosine             mean of u . v over the five: u the taste, v text vectors. The order of retrieval has u in it, and
                       so has an advantage; what counts is whether the people's likes are found
    variance           of u . v over the five
    repeats, shuffles  the share of the five that is chosen again: asked once more; with candidates in another order

A value is a mean over the moments of a person or dialogue, the unit of all intervals.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ...data.errors import ChoiceError
from ...evaluate.metrics import accuracy
from ...evaluate.replay import Fold
from ...facade import Recommender
from ...learn.rating_predictor import RatingPredictor
from ...linalg.rows import unit_rows
from ...session.fitted_rules import fit_session_rule
from ...text.dialogues import MENTION, SEEKER, Dialogue
from ..chat import Chat
from ..likes import Likes
from ..rerank import Candidate, LLMReranker, MMRReranker, Reranked, Reranker, ScoreReranker
from ..turns import ChatState
from ..understanding import Understood, read

TOP = 5


class Moment(NamedTuple):
    """Where a conversation stands.

    unit: of whom.  likes: movie id of each candidate -> predicted rating, 1 to 5.  relevant: movie rows.
    """

    unit: str
    chat: Chat
    state: ChatState
    candidates: list[Candidate]
    likes: Mapping[int, float]
    relevant: frozenset[int]


def part_of(unit: str) -> str:
    """Return whether a person or dialogue is of the part val, a third of them, or test."""
    return "val" if zlib.crc32(unit.encode()) % 3 == 0 else "test"


def of_people(recommender: Recommender, folds: Iterable[Fold], part: str, n_turns: int) -> Iterator[Moment]:
    """Yield the moments of the people of a part, after their favorites and after each of their answers.

    Rules and predicted ratings are fitted on the people of the other folds; text vectors know of no people.
    """
    for fold in folds:
        chat = Chat(recommender, MMRReranker())
        rule = fit_session_rule(recommender.policy.learning_rule, fold.train, fold.catalog, recommender.policy)
        chat.engine = replace(chat.engine, catalog=fold.catalog, rule=rule)
        likes = Likes(RatingPredictor(fold.catalog).fit(fold.train), fold.catalog)
        for person in fold.people:
            if part_of(str(person.user_id)) != part:
                continue
            left, state = set(person.liked_left()), _hear(chat, ChatState(), likes=person.favorites)
            for turn in range(n_turns):
                if not (left and (candidates := chat.candidates(state))):
                    break
                yield _moment(str(person.user_id), chat, state, candidates, likes, left)
                shown = tuple(one.row for one in candidates[:TOP])
                left -= {*shown}
                if turn < n_turns - 1:
                    state = _hear(chat, state._replace(shown=shown), answers={r: person.answer(r) for r in shown})


def _hear(
    chat: Chat, state: ChatState, likes: tuple[int, ...] = (), answers: Mapping[int, str] | None = None
) -> ChatState:
    """Return the state after a message that was understood so, whatever its words."""
    reading = chat.recommender.free_text.reader.read("")
    return chat.hear(state, Understood(likes, (), dict(answers or {}), None, (), (), "", reading, ""), "")[0]


def of_dialogues(recommender: Recommender, dialogues: Iterable[Dialogue], part: str) -> Iterator[Moment]:
    """Yield the moments before each movie that the seeker liked, of the dialogues of a part."""
    chat, likes = Chat(recommender, MMRReranker()), Likes.open(recommender)
    for number, dialogue in enumerate(dialogues):
        if part_of(dialogue.dialog_id) == part:
            for state, target in moments(chat, dialogue):
                yield _moment(f"{number}", chat, state, chat.candidates(state), likes, {target})


def moments(chat: Chat, dialogue: Dialogue) -> Iterator[tuple[ChatState, int]]:
    """Yield the state before, and the row of, each movie that comes up and was liked, once another was liked."""
    state, named = ChatState(), set[str]()
    for turn in dialogue.turns:
        for key in MENTION.findall(turn.text):
            target, liked = chat.recommender.titles.resolve(dialogue.titles.get(key, ""))[0], state.session.favorites
            if key not in named and key in dialogue.liked and target is not None and liked and target not in liked:
                yield state, target
            named.add(key)
        if turn.role == SEEKER:
            text = MENTION.sub(lambda found: dialogue.titles.get(found[1], ""), turn.text)
            try:
                state = chat.hear(state, read(text, (), chat.recommender), text)[0]
            except ChoiceError:
                continue


def _moment(
    unit: str, chat: Chat, state: ChatState, candidates: list[Candidate], likes: Likes, relevant: set[int]
) -> Moment:
    about = chat.about(state, ScoreReranker.name)
    predicted = {one.movie.movie_id: likes.predict_like_score(about, one.movie) for one in candidates}
    return Moment(unit, chat, state, candidates, predicted, frozenset(relevant))


def by_likes(a: float = 0.5) -> ScoreReranker:
    """Return the re-ranker by score that takes `Moment.likes` for what is known of a person."""
    return ScoreReranker(lambda about, movie: about["likes"][movie.movie_id], a)


def choose(reranker: Reranker, moment: Moment, shuffle: int = 0) -> Reranked:
    """Return the five that a re-ranker of candidates chooses; shuffle: above 0 in another order of theirs."""
    order, candidates = [*range(len(moment.candidates))], moment.candidates
    about: dict[str, Any] = {"likes": moment.likes}
    if not isinstance(reranker, ScoreReranker):
        about = moment.chat.about(moment.state, reranker.name)
    if shuffle and isinstance(reranker, LLMReranker):  # which needs the order of retrieval where an answer says nothing
        reranker = replace(reranker, seed=reranker.seed + shuffle)
    elif shuffle:
        order = np.random.default_rng(shuffle).permutation(len(candidates)).tolist()
    found = reranker.rerank([candidates[i] for i in order], about, TOP)
    return found._replace(order=[order[i] for i in found.order])


def measure(moments: Sequence[Moment], orders: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    """Return the values of the chosen candidates of each moment, by name of the measure: (n_units,)."""
    hits = np.zeros((len(moments), TOP), dtype=bool)
    cosines = np.zeros((len(moments), 2))
    for line, (moment, order) in enumerate(zip(moments, orders)):
        chosen = [moment.candidates[i] for i in order]
        hits[line, : len(chosen)] = [one.row in moment.relevant for one in chosen]
        cosines[line] = alignment(moment.state.memory.vector, np.array([one.vector for one in chosen]))
    found = accuracy(hits, np.array([len(moment.relevant) for moment in moments]), TOP)
    values = {"ndcg@5": found["ndcg"], "recall@5": found["recall"], "cosine": cosines[:, 0], "variance": cosines[:, 1]}
    return {name: of_units(moments, each) for name, each in values.items()}


def alignment(taste: np.ndarray | None, vectors: np.ndarray) -> tuple[float, float]:
    """Return mean and variance of taste . v over the vectors (n, d); 0 without a taste or vectors."""
    if taste is None or not len(vectors):
        return 0.0, 0.0
    cosines = unit_rows(vectors) @ taste
    return float(cosines.mean()), float(cosines.var())


def of_units(moments: Sequence[Moment], values: np.ndarray) -> np.ndarray:
    """Return the mean of a value of each moment (n,) for each unit, in order of their first moments."""
    places = {unit: place for place, unit in enumerate(units(moments))}
    of_moment = np.array([places[moment.unit] for moment in moments])
    return np.asarray(np.bincount(of_moment, values) / np.bincount(of_moment))


def units(moments: Iterable[Moment]) -> list[str]:
    """Return the units, in order of their first moments."""
    return [*dict.fromkeys(moment.unit for moment in moments)]


def in_common(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the share of the first list that the second has, in whatever order; 1 for none.

    >>> in_common([1, 2, 3, 4], [4, 3, 9, 8])
    0.5
    """
    return len({*first} & {*second}) / len(first) if first else 1.0
