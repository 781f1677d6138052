"""The movies that a message mentions: by title, or by their place in the list on the screen.

    the second one and Fargo   ->   [the second one], [Fargo]

A title counts where the writing or the words around it speak for one: capitals, a verb before it ("loved heat"), or
another title before it ("heat, fargo"). A long title of a well-known movie needs none of this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional

from ..data.catalog import Catalog
from ..data.title_words import PARTIAL
from ..data.titles import TitleIndex
from ..text.backends.word_features import fold
from .verdicts import any_of

MOST_IN_TITLE = 10  # tokens
KNOWN = 50  # ratings from which on a title needs less evidence
LONG = 9  # letters of a title of several words that needs none
_TOKEN = re.compile(r"#?[\w'’]+|[^\w\s]")
_ORDINALS = "last first second third fourth fifth sixth seventh eighth ninth tenth"
_NTH = {word: n for n, word in enumerate(_ORDINALS.split())} | {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5}
_COUNTS = {word: n for n, word in enumerate(("one", "two", "three", "four", "five"), 1)}
_N, _COUNT = any_of(", ".join(_NTH)), any_of(", ".join(_COUNTS))
_MANY = re.compile(rf"the (first|last) ({_COUNT}|[2-9]\b)")
_GOES_ON = any_of("is, was, looks?, sounds?, seems, and, or, but, on, to, for, because, please, again, about, any, not")
_NO_PLACE = any_of(
    "hours?, hrs?, minutes?, mins?, people, of us, years?, kids, children, stars?, more, other, movies, films"
)
_PLACE = re.compile(
    rf"(?:the )?(?:number|movie|film|nr) (?P<n>\d+|{_COUNT})\b"
    rf"|(?:the )?(?P<one>{_N}) (?:one|movie|film|suggestion|pick)\b(?! (?:i|we)\b)"
    rf"|the (?P<nth>{_N})(?= {_GOES_ON}| \W|$)|(?P<digit>\d+)\b(?! (?:{_NO_PLACE}|\d|%))"
)
_ALSO = re.compile(_N)  # the first and third
_ALL = re.compile(
    rf"(?:all|both|any|each)(?: of)? (?:them|these|those|{_COUNT}|the list)\b|(?:them|these|those) all\b"
    r"|(?:these|those)(?= (?:are|were|look)\b)"
)
_THEM = re.compile(r"(?:them|these|those)\b")  # none of these
_REST = re.compile(r"(?:the|all) (?:others|rest|other ones?)\b")
_WISH = any_of("should, shouldnt, must, has, needs, can, could, would, doesnt, be, to, if")
_IT = re.compile(rf"(?:that|this) (?:one|movie|film)\b|it\b(?! {_WISH})|its\b")
_NOT_BEFORE_IT = {"make", "making", "keep", "want", "need", "if", "as", "think", "call", "take"}
_ARTICLES = {"the", "a", "an"}
_JOINED = {",", "and", "or", ", and", "&", ";", "/", "+", ", or"}
_PLAIN = re.compile(
    any_of(
        "it, her, him, up, us, them, me, this, that, one, others?, i, you, he, she, they, we, what, movie, film, story"
    )
)
_TITLE_FOLLOWS = any_of(
    r"""lov(?:e|ed|es|ing), lik(?:e|ed|es), enjoy(?:ed|s)?, ador(?:e|ed|es), hat(?:e|ed|es), dislike[ds]?, saw, seen
    stand, (?:re)?watched, grew up with, fans? of, similar to, (?:style|vein|spirit) of, than, stars in, directed, made
    (?:what|how|tell me) about, (?:re)?watch(?:ing)?, try, recommend, suggest, heard of, called, prefer
    (?:favou?rites?|movies?|films?|ones?|faves?)(?: \w+)? (?:is|are|include|:)"""
)
_BEFORE = re.compile(rf"{_TITLE_FOLLOWS}(?: (?:movie|film|:))?$")
_SEQUEL = re.compile(r"-\w| ?: ?\w| (?:[2-9]|ii+|iv)\b", re.IGNORECASE)  # behind a title: another, not here
_VERDICT = re.compile(r"(?:is|was|were|are|looks?|sounds?|bored|scared|sucks|blew|and)\b|$|[,;]")


class Mention(NamedTuple):
    """start, end: tokens.  rows: of the movies.  listed: by the place in the list, or by a pronoun, not by title."""

    start: int
    end: int
    rows: tuple[int, ...]
    listed: bool


class Message:
    """The tokens of a message, as written and folded."""

    def __init__(self, text: str) -> None:
        self._text, self._spans = text, [match.span() for match in _TOKEN.finditer(text)]
        self.written = [text[start:end] for start, end in self._spans]
        self.folded = ["".join(fold(word.strip("#")).split()) or word for word in self.written]
        words = [word for word in self.written if word[0].isalpha() and word != "I"]
        self.has_case = any(word[0].isupper() for word in words) and any(word[0].islower() for word in words)

    def said(self, start: int, end: int) -> str:
        """Return tokens start to end as written."""
        return self._text[self._spans[start][0] : self._spans[end - 1][1]]

    def after(self, end: int) -> str:
        """Return what follows the tokens before `end`, as written."""
        return self._text[self._spans[end - 1][1] :]


def find_mentions(
    message: Message,
    shown: Sequence[int],
    last: Optional[int],
    titles: TitleIndex,
    catalog: Catalog,
    is_fact: Callable[[str], bool],
) -> list[Mention]:
    """Return the mentions from left to right.

    shown: rows of the list.  last: the row meant by "it".  is_fact: whether words name a filter, as western does.
    """
    found: list[Mention] = []
    i = 0
    while i < len(message.folded):
        listed = _listed(message, i, shown, last, found)
        titled = _titled(message, i, titles, catalog, is_fact, found)
        longer = titled if titled and (listed is None or titled.end > listed.end) else listed
        found += [longer] if longer else []
        i = longer.end if longer else i + 1
    return found


def _listed(
    message: Message, i: int, shown: Sequence[int], last: Optional[int], found: Sequence[Mention]
) -> Optional[Mention]:
    rest, before = " ".join(message.folded[i : i + 8]), message.folded[i - 1] if i else ""
    rows: Sequence[int] = ()
    if match := _MANY.match(rest):
        n = _COUNTS.get(match[2]) or int(match[2])
        rows = shown[:n] if match[1] == "first" else shown[-n:]
    elif match := _ALL.match(rest) or (_THEM.match(rest) if before == "of" else None):
        rows = shown
    elif match := _REST.match(rest):
        rows = [row for row in shown if all(row not in one.rows for one in found)]
    elif match := _PLACE.match(rest):
        place = next(filter(None, match.groups()))
        n = {**_NTH, **_COUNTS}[place] if place in _NTH or place in _COUNTS else int(place[:4])
        rows = shown[-1:] if place == "last" else shown[n - 1 : n] if n and before not in ("top", "part", "vol") else ()
    elif (match := _ALSO.match(rest)) and found and found[-1].listed and found[-1].end == i - 1 and before in _JOINED:
        rows = shown[_NTH[match.group()] - 1 :][:1]
    elif (match := _IT.match(rest)) and before not in _NOT_BEFORE_IT:
        rows = found[-1].rows if found else () if last is None else (last,)
    return Mention(i, i + len(match.group().split()), tuple(rows), True) if match and len(rows) else None


def _titled(
    message: Message,
    i: int,
    titles: TitleIndex,
    catalog: Catalog,
    is_fact: Callable[[str], bool],
    found: Sequence[Mention],
) -> Optional[Mention]:
    """Return the longest title that begins here and is meant as one."""
    before = " ".join(message.folded[max(i - 5, 0) : i])
    between = " ".join(message.folded[found[-1].end : i]) if found and not found[-1].listed else ""
    opens = not before or before[-1] in ".!?;,:"
    for end in range(min(len(message.folded), i + MOST_IN_TITLE), i, -1):
        ends = message.written[i][0].isalnum() and message.written[end - 1][-1].isalnum()
        named = titles.named(message.said(i, end)) if ends else []
        if not named or _SEQUEL.match(message.after(end)):
            continue
        year = re.match(r"(?:\( )?((?:19|20)\d\d)\b(?: \))?", " ".join(message.folded[end : end + 3]))
        of_year = [one.row for one in named if year and catalog.years[one.row] == int(year[1])]
        if year and of_year:
            return Mention(i, end + len(year.group().split()), (of_year[0],), False)
        judged = opens and bool(_VERDICT.match(" ".join(message.folded[end : end + 2])))
        slot = between in _JOINED or judged or bool(_BEFORE.search(before))
        known = bool(catalog.n_ratings[named[0].row] >= KNOWN)
        if _is_meant(message, i, end, slot, known, named[0].kind == PARTIAL, is_fact):
            return Mention(i, end, (named[0].row,), False)
    return None


def _is_meant(
    message: Message, i: int, end: int, slot: bool, known: bool, is_part: bool, is_fact: Callable[[str], bool]
) -> bool:
    """Return whether these tokens, which are a title, are meant as one.

    slot: the words around them want a title.  is_part: they are only a part of a title, as "The Movie" is.
    """
    words = [n for n in range(i, end) if message.folded[n] not in _ARTICLES and message.written[n][0].isalnum()]
    if not words:
        return False
    written, first = [message.written[n] for n in words], message.folded[words[0]]
    capital = message.has_case and written[0][0].isupper() and not any(w[0].islower() and len(w) > 3 for w in written)
    inside = capital and i > 0 and message.folded[i - 1] not in ".!?"  # not the capital of a sentence
    fact = is_fact(" ".join(message.folded[i:end]))
    if len(words) > 1:
        return capital or (not fact and (slot or (known and len("".join(written)) >= LONG)))
    if is_fact(" ".join(message.folded[i : end + 1])) and end < len(message.folded):
        return False  # Jack, but not Jack Nicholson
    if fact or is_part or _PLAIN.fullmatch(first) or first.isdigit():
        return inside and slot and known
    return (inside and slot) or (known and (slot or (inside and len(first) > 1)))
