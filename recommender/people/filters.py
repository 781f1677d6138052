"""The filters of a chat: what holds in later turns, and what of it when a person comes back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from ..session.texts import MOST_LETTERS
from ..text.request_facts import LEAST, Fact
from ..text.requests import Request, RequestReader
from ..text.word_match import content_words

_WISH = ("genre", "person", "language")


def tells(request: Request) -> bool:
    """Return whether a request says more than years and languages, which are no taste."""
    kinds = {fact.kind for fact in request.facts if fact.wanted}
    return bool(kinds - {"years", "language", "fame"} or request.likes or content_words(request.left))


def filters_after(old: Sequence[Fact], new: Sequence[Fact], cleared: Sequence[str], n: int) -> tuple[Fact, ...]:
    """Return the filters in force after a message, the n-th.

    Years asked for take the place of years, languages of languages; a new genre or person is a new wish, for which
    genre, person and language of the last are dropped. Wishes that leave hardly a movie for the newest are dropped too.
    What was refused stays, until it is asked for or cleared.
    """
    kinds, labels = {fact.kind for fact in new if fact.wanted}, {fact.label for fact in new}
    kinds |= set(_WISH) if kinds & {"genre", "person"} else set()
    kept = [fact for fact in old if fact.label not in labels and not (fact.wanted and fact.kind in kinds)]
    kept = [fact for fact in kept if not {fact.kind, "all"} & {*cleared}]
    wishes: dict[str, np.ndarray] = {}
    for fact in (one for one in (*kept, *new) if one.wanted and one.kind != "tone"):
        join = np.logical_and if fact.kind == "genre" else np.logical_or  # French or Italian, from either decade
        wishes[fact.kind] = join(wishes.get(fact.kind, fact.rows), fact.rows)
    if kinds and wishes and np.logical_and.reduce([*wishes.values()]).sum() < LEAST:
        kept = [fact for fact in kept if not fact.wanted]
    return (*kept, *(fact._replace(at=fact.at + n * MOST_LETTERS) for fact in new))


def refusals(filters: Sequence[Fact]) -> tuple[str, ...]:
    """Return the labels of what is refused for good: no horror, but not years and tones, which are for one evening.

    Each is one refusal, "Japanese; Animation" that of anime.
    """
    lasting = [fact for fact in filters if not fact.wanted and fact.kind not in ("years", "tone")]
    found: list[str] = []
    for _, phrase in groupby(lasting, key=lambda fact: fact.at):
        labels = [fact.label for fact in phrase]
        found += ["; ".join(labels)] if len(labels) > 1 else labels[0].split(" or ")  # of one name several people
    return tuple(dict.fromkeys(found))


def restored(refused: Sequence[str], reader: RequestReader) -> tuple[Fact, ...]:
    """Return the filters of what `refusals` returned."""
    facts = [(place, fact) for place, labels in enumerate(refused, 1) for fact in reader.read(labels).facts]
    return tuple(fact._replace(wanted=False, at=-place) for place, fact in facts)
