"""What a request states as a fact, and what is left of it for the text model.

    a slow french comedy from the 60s, no violence, like amelie
    -> tone slow, language French, genre Comedy, years 1960-1969, not tone violent or gory, like Amelie (2001)

Facts (request_facts.py) and "like TITLE" are read from left to right, the longest first, the same after no, not,
without. What follows a no and is no fact is unwanted text. What the data do not hold, such as running times, is said
and left out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, takewhile
from typing import NamedTuple, Optional

import numpy as np

from ..data.catalog import Catalog
from .everyday_words import ALSO, ASLEEP, LACKING
from .request_facts import LEAST, TOKEN, Fact, FactIndex, all_true
from .word_match import fold

_OPENING = re.compile(
    r"^(?:please |hi |hello )*(?:(?:id like|i would like|i want|i feel like|give me|show me|recommend(?: me)?|suggest"
    r"|find(?: me)?|(?:im |i am )?(?:looking for|in the mood for))\b ?)+(?:to (?:watch|see)\b)?"
)
_LACKING = [(re.compile(pattern), reason) for pattern, reason in LACKING.items()]
_NO = set(re.findall(r"\w+", """
no not without except nothing never less minus non nor neither avoid avoiding skip hate hates dislike
isnt arent dont doesnt didnt shouldnt wont
"""))  # fmt: skip
_NO_PAIRS = {"anything but", "everything but", "anything except", "other than", "rather than", "cant stand"}
_NO_PAIRS |= {"too much", "too many"}
_LISTED = {"avoid", "avoiding", "dont", "hate", "hates", "dislike", "except", "anything"}  # all of a list follows
_AFTER_NO = set(re.findall(r"\w+", """
a an any the too very so much all that as of is be really set want like need have love enjoy
contain contains include includes involve feature feel to watch see stand has with lot in anything another mood for
"""))  # fmt: skip
_STOPS = set(",;.!?")
_ENDS = {*_STOPS, "or", "and", "nor", "but", "please"}
_LIKE = [*map(str.split, ("like", "than", "similar to", "reminds me of", "in the style of", "in the vein of"))]
_AFTER_TITLE = {"but", "with", "only", "without", "not", "no", ";"}
_GRAMMAR = {*_NO, *_AFTER_NO, *_ENDS, *_AFTER_TITLE, *(word for words in _LIKE for word in words)}
_GRAMMAR |= {"since", "before", "after", "until", "between", "older", "newer", "later", "early", "late", "years"}
_MOST_IN_TITLE = 10  # words
_KNOWN = 50  # ratings that a movie needs to be a further title after a comma: "alien, slow" names one


class Like(NamedTuple):
    """A movie that others should be like, or unlike."""

    row: int
    name: str
    wanted: bool


class Request(NamedTuple):
    """text: without what was refused and without "like TITLE".  left: the words that are no fact.

    unwanted: words that are no fact.  unknown: sentences about what the data lack.
    """

    text: str
    left: str
    facts: tuple[Fact, ...]
    likes: tuple[Like, ...]
    unwanted: tuple[str, ...]
    unknown: tuple[str, ...]

    def contradictions(self, n_movies: int, of_tones: float = 1.0) -> np.ndarray:
        """Return how many facts each movie contradicts, (n_movies,) float32.

        A fact that leaves fewer than `LEAST` movies (a person: none) counts 1/8; a tone counts `of_tones`. Languages,
        years, people who share no movie, and facts that the request joins by "or" are alternatives; else all must hold.
        """
        groups, wanted = list[tuple[str, np.ndarray]](), list[tuple[str, np.ndarray]]()
        last: list[np.ndarray] = []  # of the phrase before
        for (is_wanted, _), phrase in groupby(self.facts, key=lambda fact: (fact.wanted, fact.at)):
            facts = list(phrase)
            kind, true = facts[0].kind, all_true(facts)
            same = [mask for other, mask in wanted if other == kind]
            if not is_wanted:
                groups.append((kind, ~true))  # no anime: nothing that is both Japanese and animated
            elif facts[0].either:
                for mask in last:
                    mask |= true
            elif same and (kind in ("language", "years") or (kind == "person" and not (same[-1] & true).any())):
                last = same[-1:]
                last[0] |= true
            else:
                kinds = dict.fromkeys(fact.kind for fact in facts)
                last = [all_true([fact for fact in facts if fact.kind == kind]) for kind in kinds]
                wanted += zip(kinds, last)
        order = ("person", "language", "years", "color", "fame", "genre", "tone")
        groups += sorted(wanted, key=lambda group: order.index(group[0]))
        remain, total = np.ones(n_movies, dtype=bool), np.zeros(n_movies, dtype=np.float32)
        for kind, mask in groups:
            enough = (remain & mask).sum() >= (1 if kind == "person" else LEAST)
            remain &= mask | (not enough)
            total[~mask] += (of_tones if kind == "tone" else 1) * (1 if enough else 1 / 8)
        return total

    def degrees(self, n_movies: int) -> np.ndarray:
        """Return how much each movie is of the genres and tones asked for, (n_movies,) float32.

        1 for each that is its only genre, or leads its tones; 1/2 for one of two genres, or the second tone.
        """
        asked = [fact.degree for fact in self.facts if fact.wanted and fact.kind in ("genre", "tone")]
        return np.asarray(sum(asked, start=np.zeros(n_movies, dtype=np.float32)))

    def read_as(self) -> str:
        """Return the facts in a few words, "" if there are none."""
        said = [("" if like.wanted else "not ") + f"like {like.name}" for like in self.likes]
        for fact in self.facts:
            same = [one.label for one in self.facts if (one.at, one.wanted) == (fact.at, False)]
            same = [one for one in same if f"for {one}".casefold() not in same]  # for children is Children too
            label = fact.label if fact.wanted else f"not {' '.join(same)}"
            if fact.either and label not in said[-1].split(" or "):
                said[-1] += f" or {label}"
            elif label not in said and label.casefold().replace("not ", "not for ") not in said:
                said.append(label)
        return "; ".join(dict.fromkeys([*said, *(f"not {words}" for words in self.unwanted)]))


class RequestReader:
    """Reads requests about the movies of one catalogue."""

    def __init__(
        self,
        catalog: Catalog,
        find_title: Callable[[str], Optional[int]],
        spelled: Callable[[str], Mapping[str, int]] = lambda word: {word: 1},
    ) -> None:
        """find_title: the row of the movie with exactly this name, or None.  spelled: as in `FactIndex`."""
        self.catalog, self._find_title, self._spelled = catalog, find_title, spelled
        self._facts = FactIndex(catalog, spelled)
        self._titles_text = " ".join(["", *re.findall(r"\w+", fold(" ".join(catalog.raw_titles))), ""])

    def read(self, text: str) -> Request:
        """Return what `text` says.

        Cost: look-ups for each word, ten for a title after like, and milliseconds for a word that is not known, which
        is compared with all that begin alike.
        """
        folded, unknown = self._without_lacking(ASLEEP.sub("not for children ;", _OPENING.sub("", fold(text))))
        spelled = [one if one in _GRAMMAR else self._facts.corrected(one) for one in TOKEN.findall(folded)]
        tokens = TOKEN.findall(fold(" ".join(spelled)))
        facts: list[Fact] = []
        likes: list[Like] = []
        kept: list[str] = []  # for the text model
        left: list[str] = []
        unwanted: list[str] = []
        i, refused, listed, end = 0, False, False, -1  # end: of the last fact
        while i < len(tokens):
            if n := self._no(tokens, i):
                refused, listed = True, tokens[i] in _LISTED
                i += n
                continue
            if tokens[i] in _STOPS or (tokens[i] == "but" and not refused):
                ends = _ENDS if listed else {"or", "nor"}  # no A, B: B is a wish; no A, B or C: all are refused
                listed = refused and tokens[i] == "," and self._is_item(tokens, i + 1, ends)
                i, refused = i + 1, listed
                continue
            n, titles = self._titles(tokens, i)
            likes += [Like(row, str(self.catalog.movie(row)), not refused) for row in titles]
            if not titles:
                n, found = self._facts.at(tokens, i)
                unknown += [f"no movie here is {one.label}" for one in found if not (refused or one.degree.any())]
                either = bool(facts) and facts[-1].wanted and not refused and tokens[end:i] == ["or"]
                facts += [one._replace(wanted=not refused, at=i, either=either) for one in found if one.degree.any()]
                end = i + n if found else end
                kept += tokens[i : i + n] if not refused else []
            if not n and refused:
                more = i + 1 < len(tokens) and tokens[i + 1] not in _ENDS and not self._facts.at(tokens, i + 1)[0]
                n = 1 + more
                unwanted.append(" ".join(tokens[i : i + n]))
            elif not n:
                n, name = self._nobody(tokens, i)
                unknown += [f"no movie and nobody here is called {name!r}"] if name else []
                kept += [] if name else tokens[i : i + n]
                left += [] if name else tokens[i : i + n]
            i += n
            if refused and tokens[i : i + 1] != [","]:
                refused = tokens[i : i + 1] in (["or"], ["and"], ["nor"])
                i += refused
                i = self._filled(tokens, i) if refused else i
        asked = {fact.label for fact in facts if fact.wanted}
        for place, fact in enumerate([fact for fact in facts if not fact.wanted], len(tokens)):
            others = [one for name in ALSO.get(fact.label, ()) for one in self._facts.phrase(name)]
            facts += [one._replace(wanted=False, at=place) for one in others if one.label not in asked]
        row = self._find_title(" ".join(tokens)) if left == tokens and self._is_title(tokens) else None
        if row is not None and not self._facts.is_keyword(" ".join(tokens)):
            kept, left, likes = [], [], [Like(row, str(self.catalog.movie(row)), True)]
        return Request(" ".join(kept), " ".join(left), tuple(facts), tuple(likes), tuple(unwanted), tuple(unknown))

    def is_filter(self, words: str) -> bool:
        """Return whether `words` name nothing but facts: western, scary movies, with Tom Hanks."""
        found = self.read(words)
        return bool(found.facts) and found.left in ("", "movie", "movies", "film", "films")

    def _without_lacking(self, text: str) -> tuple[str, list[str]]:
        """Return `text` without what the data lack, unless a title begins so, and what to say of it."""
        unknown: list[str] = []

        def take(match: re.Match[str], reason: str) -> str:
            title = match.groupdict().get("title")
            words = TOKEN.findall(text[match.start("title") :]) if title else []
            if any(self._is_title(words[:n]) for n in range(2, 6)):
                said = match.group().removeprefix("like ")
                return said if text[: match.start()].endswith("like ") else f"like {said}"
            unknown.append(f"{match.group().strip()!r}: {reason}")
            return f" {match.groupdict().get('kept', '')} "

        for pattern, reason in _LACKING:
            text = pattern.sub(functools.partial(take, reason=reason), text)
        return text, unknown

    def _no(self, tokens: Sequence[str], i: int) -> int:
        """Return how many tokens from i only say no, 0 where nothing is refused."""
        too = tokens[i] == "too" and (i > 0 or tokens[1:2] not in (["many"], ["much"]))  # too many zombies: no zombies
        n = 2 if " ".join(tokens[i : i + 2]) in _NO_PAIRS else too or tokens[i] in _NO
        if not n or any(self._is_title(tokens[i : i + words]) for words in range(3, 7)):
            return 0
        begin = i + n if too else self._filled(tokens, i + n)
        if begin == len(tokens) or tokens[begin] in _ENDS:
            return 0
        kinds = {fact.kind for fact in self._facts.at(tokens, begin)[1]} if too else {"tone"}
        return begin - i if kinds & {"genre", "tone", "years"} else 0  # too violent; not: funny too with Bill Murray

    def _filled(self, tokens: Sequence[str], i: int) -> int:
        """Return where what is refused begins, at i or later."""
        while i < len(tokens) and tokens[i] in _AFTER_NO:
            if self._titles(tokens, i)[1] or self._facts.at(tokens, i)[0] > 1:  # not like Alien; no love story
                break
            i += 1
        return i

    def _is_item(self, tokens: Sequence[str], i: int, ends: set[str]) -> bool:
        """Return whether what begins at i is one more of a list: a fact, or a word, and then one of `ends`."""
        n = max(1, self._facts.at(tokens, i)[0]) if i < len(tokens) else 0
        return n > 0 and (tokens[i + n] if i + n < len(tokens) else ",") in ends

    def _is_title(self, words: Sequence[str]) -> bool:
        name = re.sub("^(?:the|an?) ", "", " ".join(words))
        if len(words) < 2 or f" {name} " not in self._titles_text:
            return False  # before the title index is asked for, which takes a third of a second to build
        row = self._find_title(" ".join(words))
        return row is not None and re.findall(r"\w+", fold(self.catalog.movie(row).title)) == list(words)

    def _titles(self, tokens: Sequence[str], i: int) -> tuple[int, list[int]]:
        """Return how many tokens from i are "like TITLE", or several titles, and the rows of the movies."""
        rows: list[int] = []
        n = _head(tokens, i)
        end = next((j for j in range(i + n, len(tokens)) if tokens[j] in _AFTER_TITLE), len(tokens))
        at = i + n
        while n and at < end:
            n_title, row = self._title(tokens[at : min(end, at + _MOST_IN_TITLE)])
            n_fact, found = self._facts.at(tokens, at)
            if row is None or (n_title <= n_fact and found[0].kind != "years"):
                break
            if rows and tokens[at - 1] not in ("or", "meets") and self.catalog.n_ratings[row] < _KNOWN:
                break
            rows.append(row)
            n = at + n_title - i
            at += n_title + 1
            if at >= end or tokens[at - 1] not in ("or", "and", "meets", ","):
                break
        return n, rows

    def _title(self, words: Sequence[str]) -> tuple[int, Optional[int]]:
        """Return how many words are the longest title that begins here, and its row."""
        for n in range(len(words), 0, -1):
            row = self._find_title(" ".join(word for word in words[:n] if word not in _STOPS))
            if row is not None and words[n - 1] not in _STOPS:
                return n, row
        return 0, None

    def _nobody(self, tokens: Sequence[str], i: int) -> tuple[int, str]:
        """Return how many tokens from i say like, or by, somebody of whom nobody has heard here; and who that is."""
        n = _head(tokens, i) or (1 if tokens[i] in ("by", "starring") else 0)
        names = takewhile(lambda word: word not in _ENDS and word not in self._spelled(word), tokens[i + n :])
        name = " ".join(names) if n else ""
        return (n + len(name.split()), name) if name else (1, "")


def _head(tokens: Sequence[str], i: int) -> int:
    """Return how many tokens from i say that a title follows."""
    return next((len(words) for words in _LIKE if tokens[i : i + len(words)] == words), 0)
