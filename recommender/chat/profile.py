"""What a model is told of a person, in three lines of facts, and the same in its own words.

    {"Genres": "Action 2, Drama 1", "Top items": "Heat (1995); Fargo (1996)", "Taste": "tense, dark; something slow"}

Facts come from ratings, or from the answers of a chat, which have no stars, and what was said there. What a model
writes of them is one capped line, and names no other movies than they do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Optional

from ..data.catalog import Catalog
from ..data.interactions import LIKED, NEUTRAL
from .client import ChatClient
from .prompts import DATA, asked, clean, sentence

Rated = Sequence[tuple[int, float]]  # movie id, stars; oldest first
N_TOP, N_NAMES = 10, 5  # movies; genres and tones
MOST_LETTERS = 400  # of what a model writes
_TASK = (
    "Describe to this person, in two short sentences, their taste in movies, from the facts given. Name no movies that"
    " are not there. Answer with the text alone."
)


def profile_of(rated: Rated, catalog: Catalog, said: Optional[Sequence[str]] = None) -> dict[str, str]:
    """Return {"Genres", "Top items", "Taste"}, "" for what is not known.

    said: what the person said in a chat; None: these are ratings, and their stars are named.
    """
    movies = [(catalog.movie(catalog.row_of(movie_id)), stars) for movie_id, stars in rated]
    liked = [movie for movie, stars in movies if stars >= LIKED]
    genres, tones = (
        Counter(one for names in lists for one in names).most_common(N_NAMES)
        for lists in ([movie.genres for movie in liked], [movie.tone for movie in liked])
    )
    best = sorted(reversed(movies), key=lambda one: -one[1])  # of equal stars the latest first
    top, worst = (
        [f"{movie} {stars:g}" if said is None else str(movie) for movie, stars in some[:N_TOP]]
        for some in ([one for one in best if one[1] >= NEUTRAL], [one for one in best[::-1] if one[1] < NEUTRAL])
    )
    taste = [", ".join(name for name, _ in tones), *(said or [])]
    if said is None:
        mean = sum(stars for _, stars in movies) / max(len(movies), 1)
        taste = [f"{len(movies)} ratings, {mean:.1f} stars on average"]
    taste += [f"disliked: {', '.join(worst)}"] if worst else []
    return {
        "Genres": ", ".join(f"{genre} {n}" for genre, n in genres),
        "Top items": "; ".join(top),
        "Taste": "; ".join(filter(None, taste)),
    }


def in_own_words(client: ChatClient, facts: Mapping[str, str]) -> str:
    """Return what a model writes of the facts, "" where it refuses; raises `WebError` where it does not answer."""
    data = [f"{name}: {clean(value, 1000)}" for name, value in facts.items()]
    answer = client.ask(asked([_TASK, DATA], data, "The text:"), max_tokens=MOST_LETTERS // 3)
    return "" if answer.refused else sentence(answer.text, MOST_LETTERS)
