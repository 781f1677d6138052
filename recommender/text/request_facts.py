"""What the words of a request can name in a catalogue: people, years, languages, genres, tones, black and white.

A fact gives every movie a degree: 1 where it is true, 0 where it is not, and between for one of several genres or
tones (everyday_words.py has their everyday names).
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..data.catalog import SPOKEN, Catalog
from .everyday_words import EVER, GENRE_OF_TONE, GENRES, NAMES, PLACES, SETTINGS, SEVERAL, TONES, WITH_GENRE, read_years
from .word_match import STOP_WORDS, fold

LEAST = 5  # a fact is a filter while so many movies remain
TOKEN = re.compile(r"\w+|[,;.!?]")
_BY, _WITH = {"by", "director"}, {"with", "starring", "featuring"}
_SPANS = {"old": (1, 1969), "silent": (1, 1930), "classic": (1, 1979), "recent": (2015, 9999), "new": (2015, 9999)}
_SPANS["modern"] = (2000, 9999)
_BEFORE_LONE = ["something"], ["anything"], ["but"], ["too"]
_LONE = [","], ["but"], ["and"]  # after something old
_MOVIES = (["movie"], ["movies"], ["film"], ["films"], ["cinema"])
_NOT_WAR = {"world", "cold", "civil", "star"}
_INSIDE = {"in", "of", "about", "to", "near", "across", "around"}  # before a place, it is where a movie is set
_SURNAME = re.compile(r"((?:de|del|di|da|la|le|van|von) )?\w+$")
FEW, WELL_LIKED = 0.7, 3.8  # of the movies, those rated least; average stars of what is well liked
_CAREER = {"early": (0, 1 / 3), "late": (2 / 3, 1)}  # of a director's movies, by year
_A_CHILD = 12  # years old, at most
_TIED = 0.05  # of two words that are as alike the more frequent is meant
_MISSPELT = (4, 0.8)  # letters of a word at least, and how alike it is to the one meant


class Fact(NamedTuple):
    """kind and label: to be shown.  degree: (n_movies,) from 0, not true, to 1.  wanted: False after a no.

    at: the place of its phrase in the request.  either: it, or the phrase before it, as in comedy or horror.
    """

    kind: str
    label: str
    degree: np.ndarray
    wanted: bool = True
    at: int = 0
    either: bool = False

    @property
    def rows(self) -> np.ndarray:
        return self.degree > 0


def all_true(facts: Sequence[Fact]) -> np.ndarray:
    """Return where all facts of one phrase hold, (n_movies,) bool: of its languages any, as of Scandinavian."""
    languages = [fact.rows for fact in facts if fact.kind == "language"]
    masks = [fact.rows for fact in facts if fact.kind != "language"]
    return np.logical_and.reduce(masks + ([np.logical_or.reduce(languages)] if languages else []))


class FactIndex:
    """The phrases that name facts of one catalogue; built in a tenth of a second for 6,000 movies."""

    def __init__(self, catalog: Catalog, spelled: Callable[[str], Mapping[str, int]]) -> None:
        """spelled: a word -> the words of movies' texts that begin with its first letter, and in how many they are."""
        self.catalog, self._spelled = catalog, spelled
        self._phrases: dict[str, list[Fact]] = defaultdict(list)
        shares = catalog.genres / np.maximum(catalog.genres.sum(axis=1, keepdims=True), 1)  # of a movie's genres
        genre_of = dict(zip(catalog.genre_names, shares.T.astype(np.float32)))
        for name, rows in genre_of.items():
            self._add(f"{name}, {GENRES.get(name, '')}", "genre", name, rows)
        for phrase, names in SEVERAL.items():
            for name in filter(genre_of.__contains__, names):
                self._add(phrase, "genre", name, genre_of[name])
        for code, spoken in {**SPOKEN, "en": "English"}.items():
            self._add(f"{spoken}, {PLACES.get(code, '')}", "language", spoken.split(",")[0], catalog.languages == code)
        self._places = {fold(place).strip() for places in PLACES.values() for place in places.split(",")}
        abroad = "foreign, foreign language, subtitles, subtitled"
        self._add(abroad, "language", "foreign", catalog.languages != "en")
        rated = catalog.n_ratings[catalog.n_ratings > 0]
        few = catalog.n_ratings <= (np.quantile(rated, FEW) if len(rated) else 0)
        gems = "hidden gem, hidden gems, underrated, overlooked, lesser known, little known, obscure"
        self._add(gems, "fame", "little known and well liked", few & (catalog.mean_ratings >= WELL_LIKED))
        told = [" ".join(cells) for cells in zip(catalog.column("keywords"), catalog.column("overview"))]

        def tells(words: str) -> np.ndarray:
            pattern = re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
            return np.array([pattern.search(text) is not None for text in told], dtype=bool)

        for name, words in SETTINGS.items():
            self._add(name, "language", name.title(), tells(words) & (catalog.languages == "en"))
        early = (catalog.years > 0) & (catalog.years <= 1960) & (genre_of.get("Animation", np.zeros(1)) == 0)
        self._add("black and white, b w", "color", "black and white", early | tells("black.and.white"))
        if "Animation" in genre_of:
            self._add("anime", "genre", "Animation", genre_of["Animation"])
        for name, others in TONES.items():
            has_tone, of_genre = catalog.tones.get(name), genre_of.get(GENRE_OF_TONE.get(name, ""))
            if has_tone is not None:
                self._add(f"{name}, {others}", "tone", name, has_tone)
            if of_genre is not None and (has_tone is None or name in WITH_GENRE):
                self._add(f"{name}, {others}", "genre", name if has_tone is not None else GENRE_OF_TONE[name], of_genre)
        self._longest = max(phrase.count(" ") + 1 for phrase in self._phrases)
        self._find_people()

    def _add(self, phrases: str, kind: str, label: str, degree: np.ndarray) -> None:
        for phrase in phrases.split(","):
            if words := " ".join(TOKEN.findall(fold(phrase))):
                known = {fact[:2]: fact.degree for fact in self._phrases[words]}
                two = (kind, label) in known  # Chinese has two codes
                known[kind, label] = np.maximum(known[kind, label], degree) if two else degree
                self._phrases[words] = [Fact(*name, rows) for name, rows in known.items()]

    def _find_people(self) -> None:
        """Index directors and cast by their whole names, and by surnames that are no common word."""
        self._called: dict[str, dict[str, list[int]]] = {"by": defaultdict(list), "with": defaultdict(list)}
        self._names: dict[str, str] = {}  # folded -> as written
        overviews, self._keywords = (" ".join(self.catalog.column(name)) for name in ("overview", "keywords"))
        common, self._subjects = (Counter(re.findall(r"\b[a-z]{2,}\b", text)) for text in (overviews, self._keywords))
        for role, column, between in (("by", "director", "[;,]"), ("with", "cast", "[;|]")):
            for row, names in enumerate(self.catalog.column(column)):
                for name in filter(None, map(str.strip, re.split(between, names))):
                    key = " ".join(re.findall(r"\w+", fold(name)))
                    self._names[key] = name
                    self._called[role][key].append(row)
        self._surnames: dict[str, list[str]] = defaultdict(list)
        for key in self._names:
            surname = _SURNAME.search(key).group()  # type: ignore[union-attr]
            if surname not in common and surname != key and len(surname) > 2:
                self._surnames[surname].append(key)

    def phrase(self, words: str) -> list[Fact]:
        """Return what exactly `words` name, [] for nothing."""
        return self._phrases.get(" ".join(TOKEN.findall(fold(words))), [])

    def is_keyword(self, words: str) -> bool:
        """Return whether `words` stand in the keywords of any movie, as road trip does, which is a title too."""
        return words in self._keywords

    def corrected(self, token: str) -> str:
        """Return `token`, or the name or phrase that it must mean where no movie's text holds it."""
        shortest, alike = _MISSPELT
        if token in self._phrases or token in self._surnames or len(token) < shortest or not token.isalpha():
            return token
        words = self._spelled(token)
        if token in words or token in STOP_WORDS:
            return token
        own = [word for word in (*self._phrases, *self._surnames, *NAMES, *STOP_WORDS) if word[0] == token[0]]
        near = difflib.get_close_matches(token, {*own, *words}, n=5, cutoff=alike)
        ratios = [difflib.SequenceMatcher(None, word, token).ratio() for word in near]
        alike_most = [word for word, ratio in zip(near, ratios) if ratio > max(ratios) - _TIED]
        return max(alike_most, key=lambda word: words.get(word, 0), default=token)

    def at(self, tokens: Sequence[str], i: int) -> tuple[int, list[Fact]]:
        """Return how many tokens from i are one fact, and what it is; 0 and nothing where none begins."""
        n, years = self._years(tokens, i)
        if n:
            return n, years
        role = "by" if tokens[i] in _BY else "with" if tokens[i] in _WITH else ""
        n, person = self._person(tokens, i + bool(role), role)
        if n:
            return n + bool(role), person
        n, person = self._person(tokens, i + 1, "by") if tokens[i] in _CAREER else (0, [])
        if n:
            released = self.catalog.years
            own = released[person[0].rows & (released > 0)]
            first, last = np.quantile(own, _CAREER[tokens[i]]).astype(int).tolist() if len(own) else EVER
            return n + 1, [*person, Fact("years", f"{first}-{last}", (released >= first) & (released <= last))]
        if tokens[i].isdecimal() and " ".join(tokens[i + 1 : i + 3]) in ("year old", "year olds"):
            return 3, self.phrase("for children") if int(tokens[i][:3]) <= _A_CHILD else []
        before = tokens[i - 1] if i else ""
        for n in range(min(self._longest, len(tokens) - i), 0, -1):
            words = " ".join(tokens[i : i + n])
            inside = (before in _INSIDE and words in self._places) or (before in _NOT_WAR and words == "war")
            if words in self._phrases and not inside:
                return n, self._phrases[words]
        return 0, []

    def _years(self, tokens: Sequence[str], i: int) -> tuple[int, list[Fact]]:
        n, first, last = read_years(" ".join(tokens[i : i + 10]), int(self.catalog.years.max(initial=0)))
        lone = tokens[max(i - 1, 0) : i] in ([], *_BEFORE_LONE) and tokens[i + 1 : i + 2] in ([], *_LONE)
        if not n and tokens[i] in _SPANS and (lone or self._names_movies(tokens, i + 1)):
            n, (first, last) = 1, _SPANS[tokens[i]]
        if not n:
            return 0, []
        years = self.catalog.years
        label = f"to {last}" if first <= EVER[0] else f"from {first}" if last >= EVER[1] else f"{first}-{last}"
        label = str(first) if first == last else label
        return n, [Fact("years", label, (years >= first) & (years <= last) & (years > 0))]

    def _names_movies(self, tokens: Sequence[str], i: int) -> bool:
        """Return whether what begins at i is movies: old comedies, old samurai films; not old men, New York movies."""
        if tokens[i - 1] != "new" and tokens[i + 1 : i + 2] in _MOVIES:
            return True
        ends = range(i + 1, min(i + self._longest, len(tokens)) + 1)
        return tokens[i : i + 1] in _MOVIES or any(" ".join(tokens[i:end]) in self._phrases for end in ends)

    def _person(self, tokens: Sequence[str], i: int, role: str) -> tuple[int, list[Fact]]:
        """Return a person whose whole name, or surname, begins at i; role: "by", "with", or "" for either."""
        for n in (3, 2):
            if i + n <= len(tokens) and (name := " ".join(tokens[i : i + n])) in self._names:
                return n, [self._of_person([name], role)]
        place = not role and tokens[max(i - 1, 0)] == "in"
        surname = next((said for n in (2, 1) if (said := " ".join(tokens[i : i + n])) in self._surnames), "")
        names = self._surnames[surname] if surname and not place else []
        fame = {name: int((self.catalog.n_ratings + 1)[self._rows([name], role)].sum()) for name in names}
        names = [name for name in names if 2 * fame[name] >= max(fame.values()) > 0]
        # Washington is a place rather than Denzel: a quarter as many keywords as movies name it.
        if not names or (not role and self._rows(names, role).sum() < max(LEAST, 4 * self._subjects[surname] + 1)):
            return 0, []
        return surname.count(" ") + 1, [self._of_person(names, role)]

    def _rows(self, names: Iterable[str], role: str) -> np.ndarray:
        rows = np.zeros(len(self.catalog), dtype=bool)
        for one in (role,) if role else ("by", "with"):
            for name in names:
                rows[self._called[one].get(name, [])] = True
        return rows

    def _of_person(self, names: list[str], role: str) -> Fact:
        label = " or ".join(self._names[name] for name in names)
        rows = self._rows(names, role)
        return Fact("person", f"{role} {label}".strip(), rows if rows.any() else self._rows(names, ""))
