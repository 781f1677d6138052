"""A text as hashed features: its words, and the groups of three letters in them.

    "Title: Space Pirates (1999).\nKeywords: space pirate."   ->   space x2, <sp x2, spa x2, ... ce> x2, pirate x2, ...

Words are compared in lower case, without accents and the commonest endings. Groups of letters, which know where a word
begins (<) and ends (>), let words meet that are related or misspelt (Bojanowski et al. 2017, "Enriching word vectors
with subword information"). A feature is known by its CRC-32 alone, so no list of words has to be kept (Weinberger et
al. 2009, "Feature hashing for large scale multitask learning"). Names of lines (`LINES` in text/base.py) are none.
"""

from __future__ import annotations

import functools
import re
import unicodedata
import zlib
from collections.abc import Mapping

from ..base import LINES

_WORD = re.compile(r"\w+")
_APOSTROPHES = "'\u2019\u02bc`\u00b4"
_SCIENCE_FICTION = re.compile(r"\bsci(?:ence)?[\s-]?fi(?:ction)?\b")
_VOWEL = re.compile("[aeiouy]")
GROUP = 3  # letters


def features(text: str, weights: Mapping[str, float], letters_weight: float) -> dict[int, tuple[int, float]]:
    """Return the features of `text` by hash, 0 to 2^32 - 1: how often each occurs, and its weight.

    weights: of a line by its name ("Title"), 1 for other lines and a plain text; a feature of several lines has the
    largest.  letters_weight: of a group of letters, relative to its word.
    Cost: linear in the length of the text.

    >>> sorted(features("Ox! The ox.", {}, 0.5).values())
    [(1, 0.5), (1, 0.5), (1, 0.5), (1, 1.0), (2, 0.5), (2, 0.5), (2, 1.0)]
    """
    found: dict[int, tuple[int, float]] = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(": ")
        named = bool(colon) and name in LINES
        weight = weights.get(name, 1.0) if named else 1.0
        for word in _WORD.findall(fold(value if named else line)):
            own = weight
            for key in _hashes(word) if letters_weight else _hashes(word)[:1]:
                n_times, largest = found.get(key, (0, 0.0))
                found[key] = n_times + 1, own if own > largest else largest
                own = letters_weight * weight  # of all that follow the word itself
    return found


@functools.lru_cache(maxsize=1 << 16)
def _hashes(word: str) -> tuple[int, ...]:
    """Return the hash of the word, and of its groups of letters."""
    marked = f"<{word}>"
    groups = (f"#{marked[start : start + GROUP]}" for start in range(len(marked) - GROUP + 1))
    return tuple(zlib.crc32(feature.encode("utf-8", "surrogatepass")) for feature in (stem(word), *groups))


def fold(text: str) -> str:
    """Return `text` in lower case, without accents and apostrophes, all spellings of science fiction as `scifi`.

    >>> fold("Amélie's Sci-Fi")
    'amelies scifi'
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in text if not unicodedata.combining(letter))
    text = text.lower()
    for mark in _APOSTROPHES:  # quicker than a regular expression
        text = text.replace(mark, "")
    return _SCIENCE_FICTION.sub("scifi", text) if "sci" in text else text


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
