"""Several people at once: what is known of each becomes the state of a session; session/group.py joins them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .data.catalog import Catalog
from .data.errors import ChoiceError, shown
from .data.interactions import LIKED
from .session.group import Member
from .session.profiles import state_of
from .session.state import DISLIKE, FAVORITE, LIKE, SKIP, Event, SessionState

DISLIKED = 2.5  # stars, at most


def members(people: Any, catalog: Catalog, row_of: Callable[[Any], int]) -> list[Member]:
    """Return the members of a group.

    people: name -> a profile, as `session.profiles.read_profile` returns it, or a list of movies or (movie, stars);
    4 stars or more are a like, up to 2.5 a dislike, what lies between was seen.
    """
    if not isinstance(people, Mapping):
        raise ChoiceError(f"people {shown(people)}: give a dict, name -> profile or list of favorites")
    found = []
    for name, given in people.items():
        if isinstance(given, Mapping):
            found.append(Member(str(name), state_of(dict(given), catalog)))
            continue
        if not isinstance(given, (list, tuple)) or not given:
            raise ChoiceError(f"{shown(name)}: {shown(given)} is neither a profile nor a list of movies")
        events = [_event(entry, row_of) for entry in given]
        favorites = tuple(dict.fromkeys(event.row for event in events if event.answer == FAVORITE))
        answers = {event.row: event for event in events if event.row not in favorites}
        found.append(Member(str(name), SessionState(favorites, tuple(answers.values()))))
    return found


def _event(entry: Any, row_of: Callable[[Any], int]) -> Event:
    if not isinstance(entry, (list, tuple)):
        return Event(row_of(entry), FAVORITE)
    if len(entry) != 2 or isinstance(entry[1], bool) or not isinstance(entry[1], (int, float)) or not entry[1] > 0:
        raise ChoiceError(f"{shown(entry)}: give a movie, or (movie, stars)")
    stars = entry[1]
    return Event(row_of(entry[0]), LIKE if stars >= LIKED else DISLIKE if stars <= DISLIKED else SKIP)
