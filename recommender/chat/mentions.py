"""The movies that a message mentions: by title, or by their place in the list on the screen.

    the second one and Fargo   ->   [the second one], [Fargo]

A title counts where the writing or the words around it speak for one: capitals, a verb before it ("loved heat"), or
another title before it ("heat, fargo"). A long title of a well-known movie needs none of this.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional

from ..data.title_words import PARTIAL
from ..data.titles import TitleIndex
from ..session.texts import FreeText
from ..text.word_match import fold
from .verdicts import any_of, verdict

MOST_IN_TITLE = 10  # tokens
KNOWN = 50  # ratings from which on a title needs less evidence
FAME = 5  # with this many times the ratings a series outweighs a movie of its name
SURE = 0.75  # score of a misspelt title
LONG = 9  # letters of a title of several words that needs none
_TOKEN = re.compile(r"#?[\w'’]+|[^\w\s]")
_ORDINALS = "last first second third fourth fifth sixth seventh eighth ninth tenth"
_NTH = {word: n for n, word in enumerate(_ORDINALS.split())} | {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5}
_COUNTS = {word: n for n, word in enumerate(("one", "two", "three", "four", "five"), 1)}
_N, _COUNT = any_of(", ".join(_NTH)), any_of(", ".join(_COUNTS))
_MANY = re.compile(rf"(?:the )?(first|last) ({_COUNT}|[2-9]\b)(?! (?:days|weeks|months|years|hours))")
_RANGE = re.compile(r"(\d)(?: ?[-–] ?| to | through )(\d)\b(?! (?:hours?|minutes?|years?))")
_THE_ONE = re.compile(r"(?:the |that )(?P<before>(?:\w+ ){1,3}?)ones?\b|the one (?P<after>(?:\w+ ?){2,5})")
_CUT = re.compile(r"\b(?:was|is|were|looks?|sounds?|seems|and|but|please)\b")
_AFTER_ONE = {"with", "by", "from", "in", "about", "set", "starring", "directed"}
_GOES_ON = any_of(
    """is, was, has, had, made, scared, bored, moved, similar, like, looks?, looked, sounds?, sounded, seems, and, or
    but, on, to, for, because, please, again, about, any, not, off, from, comes?, came, takes?, plays?, ends?, begins?
    starts?, gets?, got, released"""
)
_NO_PLACE = any_of(
    "hours?, hrs?, minutes?, mins?, people, of us, years?, kids, children, stars?, more, other, movies, films"
)
_PLACE = re.compile(
    rf"(?:the )?(?:number|movie|film|nr) (?P<n>\d+|{_COUNT})\b"
    rf"|(?:the )?(?P<one>{_N}) (?:one|movie|film|suggestion|pick)\b(?! (?:i|we)\b)"
    rf"|the (?P<nth>{_N})(?= {_GOES_ON}| \W|$)|(?P<bare>{_N})(?= (?:was|is|looks?|sounds?|seems)\b)"
    rf"|(?P<digit>\d+)\b(?! (?:{_NO_PLACE}|\d|%))"
)
_NTH_ALONE = re.compile(_N)  # the first and third; third boring
_ALL = re.compile(
    rf"(?:all|both|any|each)(?: of)? (?:them|these|those|{_COUNT}|the list)\b|(?:them|these|those) all\b"
    r"|(?:these|those)(?= (?:are|were|look)\b(?! too (?:violent|gory|bloody|scary|sad|dark|old|new|recent)\b))"
)
_THEM = re.compile(r"(?:them|these|those)\b")  # none of these, seen them
_BEFORE_THEM = {"of", "seen", "saw", "watched", "know", "all"}
_JUDGED = {"watched", "saw", "seen", "liked", "loved", "love", "hated", "skip", "not", "try", "except", "like", "than"}
_REST = re.compile(r"(?:the|all) (?:others|rest|other ones?)\b")
_WISH = any_of("should, shouldnt, must, has, needs, can, could, would, doesnt, be, to, if")
_IT = re.compile(rf"(?:that|this) (?:one|movie|film)\b|it\b(?! {_WISH})|its\b")
_MOVED = re.compile(r"it (?:off|from|for later|(?:on|to) (?:my|the))\b")  # take it off my list, keep it for later
_NOT_BEFORE_IT = {"make", "making", "keep", "want", "need", "if", "as", "think", "call", "take"}
_ARTICLES = {"the", "a", "an"}
_JOINED = {",", "and", "or", ", and", "&", ";", "/", "+", ", or"}
_DIVIDES = {*_JOINED, ".", "!", "?", "but", "so"}
_PLAIN = re.compile(
    any_of(
        """it, her, him, up, us, them, me, this, that, one, others?, i, you, he, she, they, we, what, movie, film, story
        help, thx"""
    )
)
_LINKS = {"about", "as", "for", "in", "some"}  # a movie about a boy
_OBJECTS = {"up", "her", "us", "him"}
_TITLE_FOLLOWS = any_of(
    r"""lov(?:e|ed|es|ing), lik(?:e|ed|es), enjoy(?:ed|s)?, ador(?:e|ed|es), hat(?:e|ed|es), dislike[ds]?, saw, seen
    stand, bear, out of, during, except, \d+ for, (?:re)?watched, grew up with, fans? of, similar to
    (?:style|vein|spirit) of, than, stars in, directed, made, (?:what|how|tell me) about, (?:re)?watch(?:ing)?, try
    recommend, suggest, heard of, called, prefer, add, remove, delete
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

    def __init__(self, text: str, is_word: Callable[[str], bool]) -> None:
        """is_word: whether a word is no slip of the pen."""
        self._text, self._spans = text, [match.span() for match in _TOKEN.finditer(text)]
        self.written = [text[start:end] for start, end in self._spans]
        self.folded = ["".join(fold(word.strip("#")).split()) or word for word in self.written]
        words = [word for word in self.written if word[0].isalpha() and word != "I"]
        self.has_case = any(word[0].isupper() for word in words) and not text.isupper()
        self.unknown = {word for word in self.folded if len(word) > 2 and word.isalpha() and not is_word(word)}

    def said(self, start: int, end: int) -> str:
        """Return tokens start to end as written."""
        return self._text[self._spans[start][0] : self._spans[end - 1][1]]

    def after(self, end: int) -> str:
        """Return what follows the tokens before `end`, as written."""
        return self._text[self._spans[end - 1][1] :]


class Finder:
    """Finds the mentions in one message.

    shown: rows of the list.  last: the row meant by "it".
    """

    def __init__(
        self, message: Message, shown: Sequence[int], last: Optional[int], titles: TitleIndex, text: FreeText
    ) -> None:
        self.message, self.shown, self.last, self.titles, self.text = message, shown, last, titles, text
        self.catalog, self.reader, self.found = text.catalog, text.reader, list[Mention]()

    def mentions(self) -> list[Mention]:
        """Return the mentions from left to right."""
        i = 0
        while i < len(self.message.folded):
            listed, titled = self._listed(i), self._titled(i)
            longer = titled if titled and (listed is None or titled.end > listed.end) else listed
            self.found += [longer] if longer else []
            i = longer.end if longer else i + 1
        return self.found

    def _listed(self, i: int) -> Optional[Mention]:
        message, shown, found = self.message, self.shown, self.found
        rest, before = " ".join(message.folded[i : i + 8]), message.folded[i - 1] if i else ""
        rows: Sequence[int] = ()
        if match := _RANGE.match(rest):
            rows = shown[max(int(match[1]) - 1, 0) : int(match[2])]
        elif match := _MANY.match(rest):
            n = _COUNTS.get(match[2]) or int(match[2])
            rows = shown[:n] if match[1] == "first" else shown[-n:]
        elif match := (_ALL.match(rest) if before not in ("", "are", "is") or not rest.startswith("any") else None) or (
            _THEM.match(rest) if before in _BEFORE_THEM and not found else None
        ):
            rows = shown
        elif match := _REST.match(rest):
            rows = [row for row in shown if all(row not in one.rows for one in found)]
        elif match := _PLACE.match(rest) or (re.match(rf"the ({_N})\b", rest) if before in _JUDGED else None):
            place = next(filter(None, match.groups()))
            n = {**_NTH, **_COUNTS}[place] if place in _NTH or place in _COUNTS else int(place[:4])
            rows = shown[n - 1 : n] if n and before not in ("top", "part", "vol") else ()
            rows = shown[-1:] if place == "last" else rows
        elif (match := _NTH_ALONE.match(rest)) and (
            (before in _JOINED and found and found[-1].listed and found[-1].end == i - 1)
            or (before in ("", *_DIVIDES) and verdict(" ".join(message.folded[i + 1 : i + 2])))
        ):
            rows = shown[_NTH[match.group()] - 1 :][:1]
        elif (match := _IT.match(rest)) and (before not in _NOT_BEFORE_IT or _MOVED.match(rest)):
            rows = found[-1].rows if found else () if self.last is None else (self.last,)
        elif shown and (match := _THE_ONE.match(rest)):
            return self._described(i, match)
        return Mention(i, i + len(match.group().split()), tuple(rows), True) if match and len(rows) else None

    def _described(self, i: int, match: re.Match[str]) -> Optional[Mention]:
        """Return the one of the list with these facts: the French one, the one with Al Pacino."""
        words = _CUT.split(match["before"] or match["after"])[0].split()
        if not words or (match["after"] and words[0] not in _AFTER_ONE):
            return None  # that was a good one
        for n in range(len(words), 0, -1) if match["after"] else [len(words)]:
            request = self.reader.read(" ".join(words[:n]))
            facts = [fact for fact in request.facts if fact.wanted and not request.left]
            if rows := [row for row in self.shown if facts and all(fact.rows[row] for fact in facts)]:
                return Mention(i, i + n + 2, tuple(rows if match.group().endswith("ones") else rows[:1]), True)
        return None

    def _titled(self, i: int) -> Optional[Mention]:
        """Return the longest title that begins here and is meant as one."""
        message, found = self.message, self.found
        before = " ".join(message.folded[max(i - 5, 0) : i])
        between = " ".join(message.folded[found[-1].end : i]) if found and not found[-1].listed else ""
        opens = not before or before[-1] in ".!?;,:"
        for end in range(min(len(message.folded), i + MOST_IN_TITLE), i, -1):
            ends = message.written[i][0].isalnum() and message.written[end - 1][-1].isalnum()
            places = all(word in _JOINED or (len(word) < 3 and word.isdigit()) for word in message.folded[i:end])
            named = self.titles.named(message.said(i, end)) if ends and not places else []
            if message.after(end)[:1] == "!":
                named.sort(key=lambda one: not self.catalog.movie(one.row).title.endswith("!"))
            if not named or _SEQUEL.match(message.after(end)):
                continue
            famous = max(named, key=lambda one: self.catalog.n_ratings[one.row])
            if self.catalog.n_ratings[famous.row] > FAME * self.catalog.n_ratings[named[0].row] and end > i + 1:
                named = [famous]  # The Lord of the Rings is not the cartoon
            year = re.match(r"(?:! )?(?:\( )?((?:19|20)\d\d)\b(?: \))?", " ".join(message.folded[end : end + 3]))
            of_year = [one.row for one in named if year and self.catalog.years[one.row] == int(year[1])]
            if year and of_year:
                return Mention(i, end + len(year.group().split()), (of_year[0],), False)
            judged = opens and bool(_VERDICT.match(" ".join(message.folded[end : end + 2])))
            slot = between in _JOINED or judged or bool(_BEFORE.search(before))
            known = bool(self.catalog.n_ratings[named[0].row] >= KNOWN)
            is_part = named[0].kind == PARTIAL and (len(named) > 1 or named[0] != famous)
            if self._is_meant(i, end, slot, known, is_part):
                return Mention(i, end, (named[0].row,), False)
        return self._misspelt(i) if between in _JOINED or _BEFORE.search(before) else None

    def _misspelt(self, i: int) -> Optional[Mention]:
        """Return the well-known title that is meant by words of which one, at least, is no word."""
        words = [*itertools.takewhile(lambda word: word not in _DIVIDES, self.message.folded[i : i + 6])]
        for end in range(i + len(words), i, -1):
            if self.message.unknown.intersection(said := self.message.folded[i:end]):
                best = next(iter(self.titles.search(" ".join(said), 1)), None)
                if best and best.score >= SURE and self.catalog.n_ratings[best.row] >= KNOWN:
                    return Mention(i, end, (best.row,), False)
        return None

    def _is_meant(self, i: int, end: int, slot: bool, known: bool, is_part: bool) -> bool:
        """Return whether these tokens, which are a title, are meant as one.

        slot: the words around them want a title.  is_part: they are only a part of a title, as "The Movie" is.
        """
        message, is_fact = self.message, self.reader.is_filter
        words = [n for n in range(i, end) if message.folded[n] not in _ARTICLES and message.written[n][0].isalnum()]
        if not words:
            return False
        written, first = [message.written[n] for n in words], message.folded[words[0]]
        capital = (
            message.has_case and written[0][0].isupper() and not any(w[0].islower() and len(w) > 3 for w in written)
        )
        inside = capital and i > 0 and message.folded[i - 1] not in ".!?"  # not the capital of a sentence
        fact = is_fact(" ".join(message.folded[i:end]))
        if len(words) > 1:
            clear = slot or (known and len("".join(written)) >= LONG)
            return capital or (clear and not fact and message.folded[i] not in _LINKS)
        if is_fact(" ".join(message.folded[i : end + 1])) and end < len(message.folded):
            return False  # Jack, but not Jack Nicholson
        if first in _OBJECTS and message.folded[end : end + 1] in (["is"], ["was"]):
            return known  # up was great
        if fact or is_part or _PLAIN.fullmatch(first) or first.isdigit():
            return inside and slot and known
        return (inside and slot) or (known and (slot or (inside and len(first) > 1)))
