"""What a request states as a fact, and what is left of it for the text model.

    a slow french comedy from the 60s, no violence, like amelie
    -> tone slow, language French, genre Comedy, years 1960-1969, not tone violent, like Amelie (2001)

Facts: people (by, with, or a name alone), years and decades, languages, genres and tones by their everyday names
(everyday_words.py), black and white, "like TITLE", and the same after no, not, without. What follows a no and is no
fact is unwanted text. Facts are read from left to right, the longest phrase first. What the data do not hold, such as
running times, is said and left out.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple, Optional

import numpy as np

from ..data.catalog import SPOKEN, Catalog
from .backends.word_features import fold
from .everyday_words import ALSO, GENRE_OF_TONE, GENRES, PLACES, SETTINGS, SEVERAL, TONES

LEAST = 5  # a fact is a filter while so many movies remain
_TOKEN = re.compile(r"\w+|,")
_NO = {"no", "not", "without", "except", "nothing", "never", "less", "minus", "non", "nor", "isnt"}
_AFTER_NO = {"a", "an", "any", "the", "too", "very", "so", "much", "all", "that", "of", "is", "be", "really", "set"}
_ENDS = {",", "or", "and", "nor", "but", "please"}
_BY, _WITH = {"by", "director"}, {"with", "starring", "featuring"}
_LIKE = re.compile(r"(?:like|similar to|reminds me of|in the style of|in the vein of) (.+)")
_LENGTH = re.compile(
    r"\b(?:(?:under|less than|at most|over|about|around|only|shorter than|longer than) )?"
    r"(?:\d+|one|two|three|an?)(?: and a half)? ?(?:hours?|hrs?|minutes?|mins?)\b(?: long)?"
    r"|\bnot (?:too|so|very) long\b|\bshort (?:movie|film)s?\b|\bnot (?:too|so|very) short\b"
)
_YEARS = {"twenties": 1920, "thirties": 1930, "forties": 1940, "fifties": 1950, "sixties": 1960, "seventies": 1970}
_YEARS.update({"eighties": 1980, "nineties": 1990})
_SPANS = {
    "old": (1, 1969),
    "silent": (1, 1930),
    "classic": (1, 1979),
    "recent": (2015, 9999),
    "new": (2015, 9999),
    "modern": (2000, 9999),
}
_MOVIES = (["movie"], ["movies"], ["film"], ["films"], ["cinema"])
_BEFORE, _SINCE = {"before", "until", "pre"}, {"after", "since", "post"}
_NOT_WAR = {"world", "cold", "civil", "star"}


class Fact(NamedTuple):
    """kind and label: for people.  degree: (n_movies,) from 0, not true, to 1.  wanted: False after a no."""

    kind: str
    label: str
    degree: np.ndarray
    wanted: bool

    @property
    def rows(self) -> np.ndarray:
        return self.degree > 0


class Request(NamedTuple):
    """text: without what was refused and without "like TITLE".  left: the words that are no fact.

    like: row and name of the movie meant, or None.  unwanted: words that are no fact.  unknown: what the data lack.
    """

    text: str
    left: str
    facts: tuple[Fact, ...]
    like: Optional[tuple[int, str]]
    unwanted: tuple[str, ...]
    unknown: str

    def contradictions(self, n_movies: int, of_tones: float = 1.0) -> np.ndarray:
        """Return how many facts each movie contradicts, (n_movies,) float32.

        One that leaves fewer than `LEAST` movies counts 1/8, a tone `of_tones`. Languages, and years, are joined by or,
        all else by and.
        """
        groups = [(fact.kind, ~fact.rows) for fact in self.facts if not fact.wanted]
        for kind in ("person", "language", "years", "color", "genre", "tone"):
            masks = [fact.rows for fact in self.facts if fact.wanted and fact.kind == kind]
            if kind in ("language", "years") and masks:
                masks = [np.logical_or.reduce(masks)]
            groups += [(kind, mask) for mask in masks]
        remain, total = np.ones(n_movies, dtype=bool), np.zeros(n_movies, dtype=np.float32)
        for kind, mask in groups:
            enough = (remain & mask).sum() >= LEAST
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
        said = [f"like {self.like[1]}"] if self.like else []
        said += [fact.label if fact.wanted else f"not {fact.label}" for fact in self.facts]
        return "; ".join(dict.fromkeys([*said, *(f"not {words}" for words in self.unwanted)]))


class RequestReader:
    """Reads requests about the movies of one catalogue; built in a tenth of a second for 6,000 movies."""

    def __init__(self, catalog: Catalog, find_title: Callable[[str], Optional[int]]) -> None:
        """find_title: the row of the movie with exactly this name, or None."""
        self.catalog, self._find_title = catalog, find_title
        self._phrases: dict[str, list[tuple[str, str, np.ndarray]]] = defaultdict(list)
        shares = catalog.genres / np.maximum(catalog.genres.sum(axis=1, keepdims=True), 1)  # of a movie's genres
        genre_of = dict(zip(catalog.genre_names, shares.T.astype(np.float32)))
        for name, rows in genre_of.items():
            self._add(f"{name}, {GENRES.get(name, '')}", "genre", name, rows)
        for phrase, names in SEVERAL.items():
            for name in filter(genre_of.__contains__, names):
                self._add(phrase, "genre", name, genre_of[name])
        for code, spoken in SPOKEN.items():
            self._add(f"{spoken}, {PLACES.get(code, '')}", "language", spoken.split(",")[0], catalog.languages == code)
        self._add(PLACES["en"], "language", "English", catalog.languages == "en")
        self._add("foreign, foreign language", "language", "not in English", (catalog.languages != "en"))
        told = [" ".join(cells) for cells in zip(catalog.column("keywords"), catalog.column("overview"))]
        for name, words in SETTINGS.items():
            there = re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
            rows = np.array([there.search(text) is not None for text in told])
            self._add(name, "language", name.title(), rows & (catalog.languages == "en"))
        if "Animation" in genre_of:
            self._add("anime", "genre", "Animation", genre_of["Animation"])
        for name, (_, others) in TONES.items():
            has_tone, of_genre = catalog.tones.get(name), genre_of.get(GENRE_OF_TONE.get(name, ""))
            if has_tone is not None:
                self._add(f"{name}, {others}", "tone", name, has_tone)
            if of_genre is not None and (has_tone is None or name == "funny"):
                self._add(f"{name}, {others}", "genre", GENRE_OF_TONE[name], of_genre)
        gray = (catalog.years > 0) & (catalog.years <= 1960) & (genre_of.get("Animation", np.zeros(1)) == 0)
        self._add("black and white, b w", "color", "black and white", gray)
        self._longest = max(phrase.count(" ") + 1 for phrase in self._phrases)
        self._find_people()

    def _add(self, phrases: str, kind: str, label: str, degree: np.ndarray) -> None:
        for phrase in phrases.split(","):
            if words := " ".join(_TOKEN.findall(fold(phrase))):
                known = {fact[:2]: fact[2] for fact in self._phrases[words]}
                known[kind, label] = np.maximum(known.get((kind, label), 0), degree)  # Chinese has two codes
                self._phrases[words] = [(*name, rows) for name, rows in known.items()]

    def _find_people(self) -> None:
        """Index directors and cast by their whole names, and by surnames that are no common word."""
        self._called: dict[str, dict[str, set[int]]] = {"by": defaultdict(set), "with": defaultdict(set)}
        self._names: dict[str, str] = {}  # folded -> as written
        texts = (" ".join(self.catalog.column(name)) for name in ("overview", "keywords"))
        common, self._subjects = (Counter(re.findall(r"\b[a-z]{2,}\b", text)) for text in texts)
        for role, column, between in (("by", "director", "[;,]"), ("with", "cast", "[;|]")):
            for row, names in enumerate(self.catalog.column(column)):
                for name in filter(None, map(str.strip, re.split(between, names))):
                    key = " ".join(_TOKEN.findall(fold(name)))
                    self._names[key] = name
                    self._called[role][key].add(row)
        self._surnames: dict[str, list[str]] = defaultdict(list)
        for key in self._names:
            surname = key.rsplit(" ", 1)[-1]
            if surname not in common and surname != key and len(surname) > 2:
                self._surnames[surname].append(key)

    def read(self, text: str) -> Request:
        """Return what `text` says; cost: a dictionary look-up for each word."""
        unknown = ", ".join(match.strip() for match in _LENGTH.findall(fold(text)))
        folded = _LENGTH.sub(" ", fold(text))
        folded, like = self._take_title(folded)
        tokens = _TOKEN.findall(folded)
        facts: list[Fact] = []
        kept: list[str] = []  # for the text model
        left: list[str] = []
        unwanted: list[str] = []
        i, refused = 0, False
        while i < len(tokens):
            token = tokens[i]
            if token in _NO:
                i, refused = i + 1, True
                while i < len(tokens) and tokens[i] in _AFTER_NO:
                    i += 1
                continue
            if token == "," or (token == "but" and not refused):
                i, refused = i + 1, False
                continue
            n, found = self._fact(tokens, i)
            if n:
                facts += [Fact(*one, wanted=not refused) for one in found]
                for kind, label, _ in found if refused else ():
                    more = [name for name in ALSO.get(label, ()) if name in self.catalog.tones]
                    facts += [Fact(kind, label, self.catalog.tones[name], wanted=False) for name in more]
                kept += [] if refused else tokens[i : i + n]
            elif refused:
                n = 1 + (i + 1 < len(tokens) and tokens[i + 1] not in _ENDS and not self._fact(tokens, i + 1)[0])
                unwanted.append(" ".join(tokens[i : i + n]))
            else:
                n = 1
                kept.append(token)
                left.append(token)
            i += n
            if refused:
                refused = tokens[i : i + 1] in (["or"], ["and"], ["nor"])
                i += refused
                while refused and i < len(tokens) and tokens[i] in _AFTER_NO:
                    i += 1
        return Request(" ".join(kept), " ".join(left), tuple(facts), like, tuple(unwanted), unknown)

    def _take_title(self, text: str) -> tuple[str, Optional[tuple[int, str]]]:
        """Return the text without "like TITLE", where the longest beginning of what follows is a title; and its row."""
        match = _LIKE.search(text)
        words = re.split(r"(?=,| but | with | only )", match.group(1))[0].split() if match else []
        for n in range(min(len(words), 10), 0, -1):
            row = self._find_title(" ".join(words[:n]))
            if row is not None and match:
                rest = match.group(1)[len(" ".join(words[:n])) :]
                return text[: match.start()] + rest, (row, str(self.catalog.movie(row)))
        return text, None

    def _fact(self, tokens: list[str], i: int) -> tuple[int, list[tuple[str, str, np.ndarray]]]:
        """Return how many tokens from i are one fact, and what it is; 0 and nothing where none begins."""
        n, years = self._years(tokens, i)
        if n:
            return n, years
        role = "by" if tokens[i] in _BY else "with" if tokens[i] in _WITH else ""
        n, person = self._person(tokens, i + bool(role), role)
        if n:
            return n + bool(role), person
        for n in range(self._longest, 0, -1):
            found = self._phrases.get(" ".join(tokens[i : i + n])) if i + n <= len(tokens) else None
            if found and not (tokens[i] == "war" and n == 1 and i and tokens[i - 1] in _NOT_WAR):
                return n, found
        return 0, []

    def _years(self, tokens: list[str], i: int) -> tuple[int, list[tuple[str, str, np.ndarray]]]:
        at = i + (tokens[i] in _BEFORE or tokens[i] in _SINCE)
        token = tokens[at] if at < len(tokens) else ""
        if match := re.fullmatch(r"(19|20)?(\d)0s", token):
            first = int(f"{match.group(1) or (20 if match.group(2) in '01' else 19)}{match.group(2)}0")
            last = first + 9
        elif token in _YEARS:
            first, last = _YEARS[token], _YEARS[token] + 9
        elif re.fullmatch(r"(18[89]|19\d|20[0-4])\d", token):
            first = last = int(token)
        elif at == i and token in _SPANS and self._names_movies(tokens, i + 1):
            first, last = _SPANS[token]
        else:
            return 0, []
        if at > i:
            first, last = (1, first - 1) if tokens[i] in _BEFORE else (first, 9999)
        years = self.catalog.years
        label = f"to {last}" if first <= 1 else f"from {first}" if last >= 9999 else f"{first}-{last}"
        label = str(first) if first == last else label
        return at + 1 - i, [("years", label, (years >= first) & (years <= last) & (years > 0))]

    def _names_movies(self, tokens: list[str], i: int) -> bool:
        """Return whether what begins at i is movies: old comedies, old samurai films; not old men, New York movies."""
        if tokens[i - 1] != "new" and tokens[i + 1 : i + 2] in _MOVIES:
            return True
        ends = range(i + 1, min(i + self._longest, len(tokens)) + 1)
        return tokens[i : i + 1] in _MOVIES or any(" ".join(tokens[i:end]) in self._phrases for end in ends)

    def _person(self, tokens: list[str], i: int, role: str) -> tuple[int, list[tuple[str, str, np.ndarray]]]:
        """Return a person whose whole name, or surname, begins at i; role: "by", "with", or "" for either."""
        for n in (3, 2):
            if i + n <= len(tokens) and (name := " ".join(tokens[i : i + n])) in self._names:
                return n, [self._of_person([name], role)]
        place = not role and tokens[max(i - 1, 0)] == "in"
        names = self._surnames.get(tokens[i], []) if i < len(tokens) and not place else []
        fame = {name: int((self.catalog.n_ratings + 1)[self._rows([name], role)].sum()) for name in names}
        names = [name for name in names if 2 * fame[name] >= max(fame.values()) > 0]
        # Washington is a place rather than Denzel: a quarter as many keywords as movies name it.
        if not names or (not role and self._rows(names, role).sum() < max(LEAST, 4 * self._subjects[tokens[i]] + 1)):
            return 0, []
        return 1, [self._of_person(names, role)]

    def _rows(self, names: Iterable[str], role: str) -> np.ndarray:
        rows = np.zeros(len(self.catalog), dtype=bool)
        for one in (role,) if role else ("by", "with"):
            for name in names:
                rows[list(self._called[one].get(name, ()))] = True
        return rows

    def _of_person(self, names: list[str], role: str) -> tuple[str, str, np.ndarray]:
        label = " or ".join(self._names[name] for name in names)
        rows = self._rows(names, role)
        return "person", f"{role} {label}".strip(), rows if rows.any() else self._rows(names, "")
