"""A chat model judges two lists of movies for one person, blind: marks from 1 to 5, and how far to trust them.

Each pair is shown twice, the second time in the other order, so that a liking for what comes first evens out. The model
answers numbers only; a pair with a mark missing in either answer is left out, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

from ..client import ChatClient
from ..prompts import DATA, asked, clean, object_of

MARKS = {
    "relevance": "its movies fit what the person likes and asked for",
    "personalization": "it is made for this person, and would not do for anybody",
    "diversity": "its movies differ from each other",
    "clarity": "its reasons are clear, and true of person and movie",
    "satisfaction": "the person would be glad of it as a whole",
}
KEYS = [f"list_{number}_{mark}" for number in (1, 2) for mark in MARKS]
_MARK = re.compile(r"\blist_([12])_([a-z]+)\W{1,5}([1-5])(?:\.0)?(?![\d.]*\d)")


SCHEMA = object_of({key: {"type": "integer", "enum": [1, 2, 3, 4, 5]} for key in KEYS})


def messages(person: Mapping[str, Any], lists: Sequence[Sequence[str]]) -> list[dict[str, str]]:
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
        answer = client.ask(messages(person, [lists[i] for i in order]), SCHEMA, max_tokens=200)
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
