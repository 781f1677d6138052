"""Why a movie is for this person, and what it is, in words that can be checked.

What speaks for a movie are the largest of the terms that add up to its score in the session (engine.py): movies that
the person named or liked, with what both share, and the person's own words. A sentence of a language model takes their
place only if it names no movie but this one and those of the person's history.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from ..data.catalog import SPOKEN, Movie
from ..data.errors import one_line
from ..session.engine import SessionEngine
from ..session.state import DISLIKE, FAVORITE, LATER, LIKE, NOT_INTERESTED, SEEN, Reason

MOST_LETTERS, MOST_SAID = 240, 60  # of a description, of the person's own words
LEAST = 0.15  # points of a second term that is worth naming
LIKED = (FAVORITE, LIKE, LATER)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'])")
_QUOTED = re.compile(r"[\"“*_][A-Z0-9][^\"”*_]*[\"”*_]|\w['’]?\s*\((?:18|19|20)\d\d\)")  # or a title before its year
_CAPITAL = r"[A-Z0-9][\w'’&:-]*"
_RUN = re.compile(rf"{_CAPITAL}(?: (?:{_CAPITAL}|of|the|and|in|a|to|for)(?!\w))*")


def because(engine: SessionEngine, movie: Movie, reasons: Sequence[Reason], kept: Sequence[str]) -> str:
    """Return what of the person's own history speaks for `movie`, or else what it keeps to, and its stars.

    reasons: the terms of its score, as `Chat` makes them.  kept: the filters that it keeps to.
    """
    own = sorted((one for one in reasons if one.kind in ("words", SEEN, *LIKED)), key=lambda reason: -reason.value)
    telling = [one for one in own if one.value > (LEAST if one is not own[0] else 0)]
    liked = [_with_shared(movie, one.movie) for one in telling if one.movie][:2]
    words = [_with_facts(engine, movie, one.text) for one in telling if one.kind == "words"][:2]
    parts = [f"goes with {' and '.join(liked)}" * bool(liked), f"fits your words {' and '.join(words)}" * bool(words)]
    if own and not telling:
        nearest = _with_shared(movie, own[0].movie) if own[0].movie else f"“{own[0].text}”"
        parts = [f"the nearest that is left to {nearest}"]
    elif not own:
        disliked = [one.movie for one in reasons if one.movie and one.kind in (DISLIKE, NOT_INTERESTED)]
        parts = [_unlike(movie, other) for other in disliked[-2:]]
        parts += [f"as you asked: {', '.join(dict.fromkeys(kept))}" * bool(kept), stars(movie)]
    return "; ".join(filter(None, parts)) or "as good as any that is left"


def _unlike(movie: Movie, other: Movie) -> str:
    lacks = [f"no {genre}" for genre in other.genres if genre not in movie.genres]
    lacks += [f"not by {other.director}"] if other.director not in ("", movie.director) else []
    return f"unlike {other}: {', '.join(lacks[:2])}" if lacks else ""


def stars(movie: Movie) -> str:
    return f"{movie.mean_rating:.1f} of 5 stars from {movie.n_ratings:,} people" if movie.mean_rating else ""


def _with_facts(engine: SessionEngine, movie: Movie, words: str) -> str:
    own = {*movie.tone, *movie.genres, *SPOKEN.get(movie.original_language, "English").split(", ")}
    facts = [fact for fact in engine.signal(words).read_as.split("; ") if fact in own and fact not in words]
    return f"“{cut(words, MOST_SAID)}”" + (f" ({', '.join(facts)})" if facts else "")


def _with_shared(movie: Movie, other: Movie) -> str:
    shared = in_common(movie, other)
    return f"{other} ({', '.join(shared)})" if shared else str(other)


def in_common(movie: Movie, other: Movie, most: int = 3) -> list[str]:
    """Return what both movies have of director, cast, keywords and genres, the most telling first."""
    facts = [[(one.director,) if one.director else (), one.cast, one.keywords, one.genres] for one in (movie, other)]
    return list(dict.fromkeys(one for mine, theirs in zip(*facts) for one in mine if one in theirs))[:most]


def description(movie: Movie) -> str:
    """Return genres, director, and as many sentences of the overview as fit in one line."""
    facts = " by ".join(filter(None, (", ".join(movie.genres), movie.director))) or "genre unknown"
    told = ""
    for sentence in _SENTENCE.split(movie.overview):
        if told and len(told) + len(sentence) >= MOST_LETTERS:
            break
        told = f"{told} {sentence}".strip()
    return f"{facts}: {cut(told, MOST_LETTERS)}" if told else facts


def answer(movie: Movie, kind: str, why: str) -> str:
    """Return the answer to a question about `movie`: why, director, cast, about, year, rating, genre, language."""
    answers = {
        "why": why,
        "director": movie.director and f"directed by {movie.director}",
        "cast": movie.cast and f"with {', '.join(movie.cast)}",
        "year": movie.year and f"of {movie.year}",
        "rating": stars(movie),
        "genre": ", ".join((*movie.genres, *movie.tone)),
        "language": SPOKEN.get(movie.original_language, movie.original_language),
        "about": description(movie),
        "length": "running times are not in the data",
    }
    return f"{movie}: {answers[kind] or f'its {kind} is not in the data'}"


def checked(sentence: str, known: Iterable[Movie], is_title: Callable[[str], bool]) -> str:
    """Return what a model said as one printable line, "" if it names a movie that is not among those `known`.

    is_title: whether a name is exactly a title.
    """
    sentence = left = one_line(sentence)
    own = {name for one in known for name in (one.title, one.title.split(":")[0], *one.alternatives)}
    for name in sorted(own, key=len, reverse=True):
        left = re.sub(rf"(?<!\w)[\"“*_]*{re.escape(name)}(?!\w)[\"”*_]*", ",", left, flags=re.IGNORECASE)
    if _QUOTED.search(left):
        return ""
    for run in _RUN.finditer(left):
        words = run[0].split()
        for first in range(len(words)):
            for last in range(first + 1, len(words) + 1):
                name = " ".join(words[first:last])
                alone = last - first == 1  # a name of a person has several, and any sentence begins with one
                if alone and (len(words) > 1 or not left[: run.start()].strip(" ,")):
                    continue
                if is_title(name):
                    return ""
    return sentence


def cut(text: str, most: int) -> str:
    text = one_line(text)
    return text if len(text) <= most else f"{text[: most - 3].rstrip()}..."
