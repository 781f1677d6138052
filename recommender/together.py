"""Several people at once: what is known of each becomes the state of a session; session/group.py joins them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .data.catalog import Catalog
from .data.errors import ChoiceError, shown
from .ranking import rated
from .session.engine import SessionEngine
from .session.group import GroupEngine, Member
from .session.profiles import state_of
from .session.state import FAVORITE, Event, SessionState, answer_for

NEITHER = "is neither a profile, as read_profile returns it, nor a list of movies"


def group_engine(one: SessionEngine, people: Any, row_of: Callable[[Any], int], strategy: str) -> GroupEngine:
    """Return the engine of a group's session, made of that of one person; people: as in `members`."""
    given = (one.catalog, one.rule, one.policy, one.wanted, one.encode)
    return GroupEngine(*given, members(people, one.catalog, row_of), strategy)


def members(people: Any, catalog: Catalog, row_of: Callable[[Any], int]) -> list[Member]:
    """Return the members of a group.

    people: name -> a profile, as `session.profiles.read_profile` returns it, or a list of movies or (movie, stars),
    which `answer_for` reads.
    """
    if not isinstance(people, Mapping):
        raise ChoiceError(f"people {shown(people)}: give a dict, name -> profile or list of favorites")
    found = []
    for name, given in people.items():
        if isinstance(given, Mapping):
            try:
                found.append(Member(str(name), state_of(dict(given), catalog)))
            except (KeyError, TypeError, ValueError):
                raise ChoiceError(f"{shown(name)}: {shown(given)} {NEITHER}") from None
            continue
        if not isinstance(given, (list, tuple)) or not given:
            raise ChoiceError(f"{shown(name)}: {shown(given)} {NEITHER}")
        events = [_event(entry, row_of) for entry in given]
        favorites = tuple(dict.fromkeys(event.row for event in events if event.answer == FAVORITE))
        answers = {event.row: event for event in events if event.row not in favorites}
        found.append(Member(str(name), SessionState(favorites, tuple(answers.values()))))
    return found


def _event(entry: Any, row_of: Callable[[Any], int]) -> Event:
    if not isinstance(entry, (list, tuple)):
        return Event(row_of(entry), FAVORITE)
    movie, stars, *_ = rated(entry)
    return Event(row_of(movie), answer_for(stars))
