"""Title search: find the movie that a typed title means.

1. A dictionary from the folded, compact name (`title_text`) to movies: titles, alternative titles in brackets, and the
   parts of a title before or after `:` and ` - `.
2. Titles with all words of the query, the last one maybe a prefix, weighted by rarity (`title_words`).
3. If the dictionary has nothing: titles with some of the words, or with similar ones; and if no title has all of them,
   whole names within a few edits.
4. If nothing is near: initials and numbers of parts (`title_shortcuts`), and titles that begin with the query.

A year in the query lowers the score of movies of other years. Partial and fuzzy matches get up to 0.1 for popularity,
since many movies share a word and the well-known one is usually meant. Order: score (to 0.01), then number of ratings,
then movie id. `resolve` returns a movie only if the match is unambiguous.
"""

from __future__ import annotations

import collections
import re
from typing import NamedTuple, Optional

import numpy as np

from .catalog import Catalog, parse_title
from .title_shortcuts import Shortcuts
from .title_text import MAX_LENGTH, compact, compact_lines, fold, fold_lines, without_article
from .title_words import FUZZY, PARTIAL, Found, NameIndex

TITLE, ALTERNATIVE = "title", "alternative"
MIN_SCORE = 0.5  # matches with a lower score are dropped
MIN_GUESS = 0.6  # the same for a movie that lacks words of the query, or only sounds like it
NEAR, SURE = 0.93, 0.7  # below, a number at the end may be that of a part; initials and beginnings are looked up
FAME = 3  # with this many times the ratings, a movie outweighs a small difference in score
MOST_JOINED = 5  # parts of a line between commas that are tried as one title
LEAD_FAME = 20  # the same for a movie whose title only begins with the query

_SCORES = {TITLE: (0.97, 0.96), ALTERNATIVE: (0.95, 0.94), PARTIAL: (0.9, 0.9)}  # the name; without its article
_YEAR_AT_END = re.compile(r"^(.*?)[\s,]*(?:\(\s*(\d{4})\s*\)?|\b((?:18|19|20)\d\d))$")
_DIVIDER = re.compile(r": | - ")
_OR = re.compile(r",? or:?$", re.IGNORECASE)
_ARTICLE_BEHIND = re.compile(r"^(.*) (the|a|an)$")


class Match(NamedTuple):
    """A matching movie: catalogue row, score from 1.0 to 0.0, and kind of match."""

    row: int
    score: float
    kind: str


class Resolution(NamedTuple):
    """The row of the unambiguous match, or None and the candidates to choose from (empty: no match)."""

    row: Optional[int]
    candidates: list[Match]


class TitleIndex:
    """Title search over a catalogue."""

    def __init__(self, catalog: Catalog) -> None:
        """Index all titles, alternative titles and parts of titles; 1 s for 87,000 movies."""
        self._catalog, self._n_ratings = catalog, catalog.n_ratings
        names, parts = [], []
        for row, raw in enumerate(catalog.raw_titles):
            title, _, others = parse_title(raw)
            names += [(row, title, TITLE), *((row, other, ALTERNATIVE) for other in others)]
            for cut in _DIVIDER.finditer(title):
                parts += [(row, _OR.sub("", title[: cut.start()]), PARTIAL), (row, title[cut.end() :], PARTIAL)]
        folded = fold_lines([name for _, name, _ in names + parts])
        bare = compact_lines(list(map(without_article, folded)))
        self._called = collections.defaultdict(list)  # compact name -> (row, score, kind) of each movie of this name
        for (row, _, kind), key, other in zip(names + parts, compact_lines(folded), bare):
            self._called[key].append((row, _SCORES[kind][0], kind))
            if other != key:
                self._called[other].append((row, _SCORES[kind][1], kind))
        self._called.pop("", None)
        self._rows = np.array([row for row, _, _ in names], dtype=np.int64)
        rows = np.array([row for row, _, _ in names + parts], dtype=np.int64)
        self._shortcuts = Shortcuts(folded, bare, len(names), rows, catalog)
        fame = np.log1p(self._n_ratings.astype(np.float64))
        fame /= max(float(fame.max(initial=0.0)), 1.0)
        self._names = NameIndex(folded[: len(names)], bare[: len(names)], fame[self._rows])

    def search(self, text: str, n: int = 5) -> list[Match]:
        """Return the `n` best matches for `text`, best first; an empty list if there is none.

        Ties in score are broken by more ratings, then by the smaller movie id. Cost: a dictionary look-up and one pass
        over the names for each word of the query.
        """
        text = " ".join(text[: 2 * MAX_LENGTH].split())[:MAX_LENGTH]
        readings = [(text, 0)]
        if (split := _YEAR_AT_END.match(text)) and split.group(1):
            # digits without brackets may belong to the title: `Blade Runner 2049`
            readings = [(split.group(1), int(split.group(2) or split.group(3))), *readings[: not split.group(2)]]
        found: dict[int, Found] = {}
        for name, year in readings:
            for row, one in self._fits(name).items():
                away = abs(int(self._catalog.years[row]) - year) if year else 0
                score = one.score - (min(0.04 * away, 0.25) if away < 1000 else 0.05)  # year 0 of a movie: unknown
                _keep(found, row, one._replace(score=score))
        self._raise_famous(found)
        least = {FUZZY: MIN_GUESS}
        near = {row: one for row, one in found.items() if one.score >= least.get(one.kind, MIN_SCORE)}
        matches = [Match(row, round(one.score, 2), one.kind) for row, one in near.items()]
        matches.sort(key=lambda match: (-match.score, -int(self._n_ratings[match.row]), match.row))
        return matches[: max(n, 0)]

    def resolve(self, text: str) -> Resolution:
        """Return the movie that `text` clearly means, or the candidates, best first."""
        found = self.search(text, 8)
        return Resolution(found[0].row if found and self._is_clear(found, text) else None, found)

    def called(self, name: str) -> Optional[int]:
        """Return the row of the best-known movie of this title, or of a title that holds these words, two or more."""
        found = self.search(name, 1)
        least = 0.75 if found and found[0].kind == PARTIAL and " " in name else _SCORES[ALTERNATIVE][1]
        least = min(least, 0.9) if len(name) > 2 else least  # 2001 begins 2001: A Space Odyssey
        return found[0].row if found and found[0].score >= least else None

    def named(self, name: str) -> list[Match]:
        """Return the movies with exactly this title, then those with this part, the best known first; some look-ups."""
        folded = fold(name[:MAX_LENGTH])
        found = [one for key in _query_keys(folded) for one in self._called.get(key, ())] if folded else []
        matches = {row: Match(row, score, kind) for row, score, kind in sorted(found, key=lambda one: one[1])}
        return sorted(matches.values(), key=lambda one: (one.kind == PARTIAL, -int(self._n_ratings[one.row]), one.row))

    def too_new(self, text: str) -> str:
        """Return what to say of a title that ends in a year after the newest movie's, "" for any other."""
        split, newest = _YEAR_AT_END.match(text.strip()), int(self._catalog.years.max(initial=0))
        year = int(split.group(2) or split.group(3)) if split and split.group(1) else 0
        return f"is too new: the newest movies here are of {newest}" if year > newest > 0 else ""

    def split(self, text: str) -> list[str]:
        """Return the titles in a line, divided by `;`, or by commas if all parts, or two, name movies, the line none.

        Parts that are one title together stay so: paris, texas, heat are two.
        """
        if ";" in text:
            return [title for part in text.split(";") for title in self.split(part) if title]
        parts = [part for part in map(str.strip, text.split(",")) if part]
        if self._names_one(text):
            return [text.strip()]
        titles: list[str] = []
        while parts:
            joined = [", ".join(parts[:n]) for n in range(min(MOST_JOINED, len(parts)), 1, -1)]
            title = next((title for title in joined if self._kind(title) in (TITLE, ALTERNATIVE)), parts[0])
            titles.append(title)
            parts = parts[title.count(",") + 1 :]
        n_known = sum(map(self._names_one, titles))
        return titles if n_known > 1 or n_known == len(titles) else [text.strip()]

    def _names_one(self, text: str) -> bool:
        row, candidates = self.resolve(text)
        return row is not None or (bool(candidates) and candidates[0].kind != FUZZY)

    def _kind(self, text: str) -> str:
        found = self.search(text, 1)
        return found[0].kind if found else ""

    def _is_clear(self, found: list[Match], text: str) -> bool:
        """Return whether the best match is clear: no other scores as high, or has this name and is well known."""
        best, others = found[0], found[1:]
        if best.kind == FUZZY:
            return best.score >= 0.9 and all(other.score < best.score - 0.1 for other in others)
        if best.kind == PARTIAL:
            clear = best.score >= 0.75 and len(text.strip()) > 2  # one or two letters are not a partial title
            return clear and all(other.score < best.score - 0.15 for other in others)
        called = [other for other in others if other.score >= 0.85 and other.kind not in (PARTIAL, FUZZY)]
        known = max((int(self._n_ratings[other.row]) for other in called), default=0)
        tied = any(other.score >= best.score for other in others)
        return best.score >= 0.9 and not tied and int(self._n_ratings[best.row]) >= FAME * known

    def _fits(self, text: str, expand: bool = True) -> dict[int, Found]:
        """Return the movies that fit `text`, by row."""
        fits: dict[int, Found] = {}
        if not (folded := fold(text)):
            return fits
        for key, cost in _query_keys(folded).items():
            for row, score, kind in self._called.get(key, ()):
                _keep(fits, row, Found(score - cost, kind, True))
        best = max((one.score for one in fits.values()), default=0.0)
        part = self._shortcuts.part(folded) if best < NEAR else None
        if part is not None:
            _keep(fits, part, Found(0.95, ALTERNATIVE, True))
        for name, near in self._names.near(folded, guess=not fits):
            _keep(fits, int(self._rows[name]), near)
        best = max((one.score for one in fits.values() if one.kind != FUZZY), default=0.0)
        unsure = best < SURE or (len(folded) < 4 and best < NEAR)
        if expand and unsure and (longer := self._shortcuts.expand(folded)):
            fits.update(self._fits(longer, expand=False))
        elif best < SURE and len(folded) > 3:
            for row in self._shortcuts.beginning(folded)[:8]:
                _keep(fits, row, Found(0.78, PARTIAL, True))
        return fits

    def _raise_famous(self, found: dict[int, Found]) -> None:
        """Let `star wars` mean the series, or `shawshank` the movie, not a little-known movie of exactly this name.

        A movie with the query as an alternative title, a part or a prefix gets the top score if it has many times the
        ratings of the movies with that score; so it comes first, and `resolve` asks.
        """
        top = max((one.score for one in found.values()), default=0.0)
        if top < 0.9:
            return
        known = max(int(self._n_ratings[row]) for row, one in found.items() if one.score == top)
        for row, one in found.items():
            times = FAME if one.score >= 0.89 else LEAD_FAME
            if one.names_it and one.score >= 0.75 and self._n_ratings[row] > times * known + 10:
                found[row] = one._replace(score=top)


def _query_keys(folded: str) -> dict[str, float]:
    """Return the compact spellings to look up and their costs: as typed, article moved, article removed."""
    typed = [folded, _ARTICLE_BEHIND.sub(r"\2 \1", folded)]
    keys = dict.fromkeys((compact(without_article(form)) for form in reversed(typed)), 0.01)
    keys.update(dict.fromkeys(map(compact, typed), 0.0))
    keys.pop("", None)
    return keys


def _keep(found: dict[int, Found], row: int, new: Found) -> None:
    old = found.get(row)
    if old is None or new.score > old.score:
        found[row] = new
