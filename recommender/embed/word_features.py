"""A text as hashed features: the words it holds and the pairs of words side by side.

    "Title: Space Pirates (1999).\nKeywords: space pirate."   ->   space x2, pirate x2, 1999, "space pirate" x2

Words are compared in lower case, without accents and without the commonest endings. A feature is known by its CRC-32
alone, so that no list of words has to be kept and nothing depends on the order in which words were met (Weinberger et
al. 2009, "Feature hashing for large scale multitask learning"; ours keeps the whole 32 bits and no random sign).

In the text of a film (`recommender.embed.movie_text`) the names of the lines are not words of it; a feature counts
as much as the line it stands in is worth.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_WORD = re.compile(r"\w+")
_APOSTROPHES = re.compile("['\u2019\u02bc`\u00b4]")
_LINE = re.compile(r"(Title|Genres|Plot|Cast|Keywords): ")
_SCIENCE_FICTION = re.compile(r"\bsci(?:ence)?[\s-]?fi(?:ction)?\b")
_VOWEL = re.compile("[aeiouy]")


class Feature(NamedTuple):
    """How often a feature stands in a text, and the largest worth of a line that it stands in."""

    n_times: int
    weight: float


def features(text: str, weights: Mapping[str, float]) -> dict[int, Feature]:
    """Return the features of `text` by their hash, 0 to 2^32 - 1, in the order of the text.

    weights: what a line is worth by its name ("Title"); a line not named there, and a plain text, is worth 1.
    Cost: linear in the length of the text.

    >>> [feature.n_times for feature in features("Space pirates! A space pirate.", {}).values()]
    [2, 2, 2, 1, 1, 1]
    """
    found: dict[int, Feature] = {}
    for weight, line in _lines(text, weights):
        before = ""
        for raw in _WORD.findall(line):
            word = stem(raw)
            for feature in (word, f"{before} {word}") if before else (word,):
                key = zlib.crc32(feature.encode("utf-8", "surrogatepass"))
                old = found.get(key)
                found[key] = Feature(old.n_times + 1, max(old.weight, weight)) if old else Feature(1, weight)
            before = word
    return found


def _lines(text: str, weights: Mapping[str, float]) -> Iterator[tuple[float, str]]:
    for line in text.split("\n"):
        name = _LINE.match(line)
        yield (weights.get(name.group(1), 1.0), fold(line[name.end() :])) if name else (1.0, fold(line))


def fold(text: str) -> str:
    """Return `text` in lower case, without accents and apostrophes, all spellings of science fiction as `scifi`.

    >>> fold("Amélie's Sci-Fi")
    'amelies scifi'
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return _SCIENCE_FICTION.sub("scifi", _APOSTROPHES.sub("", text.lower()))


def stem(word: str) -> str:
    """Take off a plural, `ing`, `ed` or `ly`, where a word with a vowel and three letters stays.

    Cruder than Porter (1980): what matters is only that forms of one word mostly meet, and that few words clash.

    >>> [stem(word) for word in ("cities", "heroes", "killing", "killed", "robbed", "slowly", "thing", "boss")]
    ['city', 'hero', 'kill', 'kill', 'rob', 'slow', 'thing', 'boss']
    """
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("oes", "sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and word[-2] not in "sui":
        word = word[:-1]
    for ending in ("ing", "ed", "ly"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) >= 3 and _VOWEL.search(rest):
            if ending != "ly" and rest[-1] == rest[-2] and rest[-1] not in "lsz":
                return rest[:-1]
            return rest
    return word[:-1] if len(word) > 3 and word.endswith("e") else word
