"""How well a chat re-ranks: conversations replayed on people whose likes are known, and a chat model as the judge.

people      whole people held out, a fold at a time (evaluate/replay.py): they name favorites, and then answer the five
            first of the retrieval by their ratings, again and again; all other movies that they like are relevant
dialogues   of ReDial: the seeker's messages; relevant is the movie that comes up next, if the seeker liked it
logs        of model.chat: what was shown is measured, nothing is known to be relevant

    ndcg@5, recall@5   of the five chosen; a relevant movie not retrieved, or filtered out, is missed
    cosine             mean of u . v over the five: u the taste, v text vectors. The order of retrieval has u in it, and
                       so has an advantage; what counts is whether the people's likes are found
    variance           of u . v over the five
    repeats, shuffles  the share of the five that is chosen again: asked once more; with candidates in another order

A value is a mean over the moments of a person or dialogue, the unit of all intervals.

The judge marks two lists for one person, blind, from 1 to 5. Each pair is shown twice, the second time in the other
order, so that a liking for what comes first evens out; a pair with a mark missing in either answer is left out.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ..data.errors import ChoiceError, DataError
from ..evaluate.metrics import accuracy
from ..evaluate.replay import Fold
from ..facade import Recommender
from ..learn.rating_predictor import RatingPredictor
from ..linalg.rows import unit_rows
from ..people.store import Remembered
from ..session.fitted_rules import fit_session_rule
from ..text.dialogues import MENTION, SEEKER, Dialogue
from .chat import Chat
from .client import ChatClient
from .likes import Likes
from .preferences import read_lines
from .prompts import DATA, asked, clean, object_of
from .rerank import Candidate, LLMReranker, MMRReranker, Reranked, Reranker, ScoreReranker
from .turns import ChatState
from .understanding import Understood, read

TOP = 5
MARKS = {
    "relevance": "its movies fit what the person likes and asked for",
    "personalization": "it is made for this person, and would not do for anybody",
    "diversity": "its movies differ from each other",
    "clarity": "its reasons are clear, and true of person and movie",
    "satisfaction": "the person would be glad of it as a whole",
}
KEYS = [f"list_{number}_{mark}" for number in (1, 2) for mark in MARKS]
_MARK = re.compile(r"\blist_([12])_([a-z]+)\W{1,5}([1-5])(?:\.0)?(?![\d.]*\d)")

_MARKS_SCHEMA = object_of({key: {"type": "integer", "enum": [1, 2, 3, 4, 5]} for key in KEYS})


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


def of_log(path: Path, recommender: Recommender) -> dict[str, list[tuple[Moment, Reranked]]]:
    """Return the turns of a log that show movies and have a taste, by the name of the re-ranker.

    Raises `DataError` for the first line that is no turn, or has a taste of another text backend.
    """
    catalog, vectors = recommender.catalog, recommender.free_text.vectors
    chat, turns = Chat(recommender, MMRReranker()), dict[str, list[tuple[Moment, Reranked]]]()
    for where, turn in read_lines(path, "give a log of model.chat"):
        try:
            user, name, taste = str(turn["user"]), str(turn["reranker"]), np.array(turn["taste"] or [], np.float32)
            ids = [int(movie_id) for movie_id, _ in turn["candidates"]]
            order, counts = [ids.index(movie_id) for movie_id in turn["final"]], (int(turn["tokens"]), turn["seconds"])
            rows = [catalog.row_of(movie_id) for movie_id in ids]
        except (ValueError, TypeError, KeyError, ChoiceError):
            raise DataError(f"{where} is no turn of model.chat on these movies: give a log that it wrote") from None
        if len(taste) not in (0, vectors.shape[1]):
            raise DataError(f"{where}: the taste has not the width of texts here: give the --backend of the chat")
        if len(taste) and order:
            state = ChatState(Remembered(taste))
            candidates = [Candidate(row, catalog.movie(row), 0.0, vectors[row]) for row in rows]
            found = Moment(user, chat, state, candidates, {}, frozenset()), Reranked(order, [], turn["status"], *counts)
            turns.setdefault(name, []).append(found)
    if not turns:
        raise DataError(f"{path} has no turn with movies and a taste: talk to model.chat with --log first")
    return turns


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


def judge_messages(person: Mapping[str, Any], lists: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Return the question about two lists, each of lines."""
    rules = [
        "You judge two lists of movies suggested to one person. Mark each list from 1 (bad) to 5 (excellent):",
        *(f"- {mark}: {meaning}" for mark, meaning in MARKS.items()),
        DATA,
        "Answer with JSON alone: {" + ", ".join(f'"{key}": number' for key in KEYS) + "}",
    ]
    data = [f"{clean(name, 30)}: {clean(value, 500)}" for name, value in person.items()]
    for number, lines in enumerate(lists, 1):
        data += [f"List {number}:", *(f"- {clean(line, 300)}" for line in lines)]
    return asked(rules, data, "The marks, as JSON:")


def read_marks(text: str) -> Optional[np.ndarray]:
    """Return (2, 5) marks from what a model wrote, whatever is around them; None where one is missing.

    >>> read_marks(", ".join(f'"{key}": {i % 5 + 1}' for i, key in enumerate(KEYS))).tolist()
    [[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]]
    >>> read_marks('{"list_1_relevance": 7}') is None
    True
    """
    found = {f"list_{number}_{name}": float(mark) for number, name, mark in _MARK.findall(text)}
    return np.array([found[key] for key in KEYS]).reshape(2, -1) if found.keys() >= {*KEYS} else None


def judge(client: ChatClient, person: Mapping[str, Any], lists: Sequence[Sequence[str]]) -> Optional[np.ndarray]:
    """Return (2 runs, 2 lists, 5) marks of two lists, or None; raises `WebError` where there is no answer."""
    runs = []
    for order in ([0, 1], [1, 0]):
        answer = client.ask(judge_messages(person, [lists[i] for i in order]), _MARKS_SCHEMA, max_tokens=200)
        marks = None if answer.refused else read_marks(answer.text)
        if marks is None:
            return None
        runs.append(marks[order])
    return np.stack(runs)


def agreement(marks: np.ndarray) -> dict[str, float]:
    """Return how alike both runs are, of marks (n, 2 runs, 2 lists, 5).

    same mark, within one: shares of all marks.  same list: the share of the pairs in which the same list has the higher
    sum, or neither.  first: by how much a list is marked higher where it is shown first.
    """
    apart, sums = np.abs(marks[:, 0] - marks[:, 1]), marks.sum(axis=3)
    better = np.sign(sums[..., 1] - sums[..., 0])  # (n, 2 runs)
    first = (marks[:, 0, 0] - marks[:, 1, 0] + marks[:, 1, 1] - marks[:, 0, 1]).mean() / 2
    same = (better[:, 0] == better[:, 1]).mean()
    values = (apart == 0).mean(), (apart <= 1).mean(), same, first
    return dict(zip(("same mark", "within one", "same list", "first"), map(float, values)))
