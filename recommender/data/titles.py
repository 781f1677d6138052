"""Title search: find the movie that a typed title means.

Three stages, each used if the previous one finds nothing:

1. a dictionary from the folded, compact name (`title_text`) to movies: titles, alternative titles in brackets, and the
   parts of a title before or after `:` and ` - `;
2. common words, weighted by rarity; the last one may be a prefix (`title_words`);
3. misspelled words, and whole names within a few edits, if no well-known movie was found.

A year in the query lowers the score of movies of other years. Partial and fuzzy matches get up to 0.1 for popularity,
since many movies share a word and the well-known one is usually meant. Order: score (to 0.01), then number of ratings,
then movie id. `resolve` returns a movie only if the match is unambiguous.
"""

from __future__ import annotations

import collections
import functools
import re
from typing import NamedTuple, Optional

import numpy as np

from .catalog import Catalog, article_in_front, parse_title
from .title_text import MAX_LENGTH, compact, compact_lines, fold, fold_lines, without_article
from .title_words import NameIndex

EXACT, NORMALISED, ALTERNATIVE, PARTIAL, FUZZY = "exact", "normalised", "alternative", "partial", "fuzzy"
MIN_SCORE = 0.5  # matches with a lower score are dropped
FAME = 3  # with this many times the ratings, a movie outweighs a small difference in score
LEAD_FAME = 20  # the same for a movie whose title only begins with the query

_SCORES = {NORMALISED: (0.97, 0.96), ALTERNATIVE: (0.95, 0.94), PARTIAL: (0.9, 0.9)}  # the name; without its article
_YEAR_AT_END = re.compile(r"^(.*?)[\s,]*(?:\(\s*(\d{4})\s*\)?|\b((?:18|19|20)\d\d))$")
_DIVIDER = re.compile(r": | - ")
_OR = re.compile(r",? or:?$", re.IGNORECASE)
_ARTICLE_BEHIND = re.compile(r"^(.*) (the|a|an)$")


class Match(NamedTuple):
    """A matching movie: catalogue row, score from 1.0 (exact) to 0.0, and kind of match."""

    row: int
    score: float
    kind: str


class Resolution(NamedTuple):
    """The row of the unambiguous match, or None and the candidates to choose from (empty: no match)."""

    row: Optional[int]
    candidates: list[Match]


class _Found(NamedTuple):
    score: float
    kind: str
    names_it: bool  # the query is a whole name of the movie, a part of its title between dividers, or its beginning


class TitleIndex:
    """Title search over a catalogue; tables are built on first use."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._n_ratings = catalog.n_ratings

    def search(self, text: str, n: int = 5) -> list[Match]:
        """Return the `n` best matches for `text`, best first; an empty list if there is none.

        Ties in score are broken by more ratings, then by the smaller movie id. Cost: a dictionary look-up for a known
        name, else one pass over the names for each word of the query.
        """
        return self._ranked(text, names_only=False)[: max(n, 0)]

    def resolve(self, text: str) -> Resolution:
        """Return the movie that `text` clearly means, or the candidates, best first."""
        named = self._ranked(text, names_only=True)
        famous = named and self._n_ratings[named[0].row] * LEAD_FAME >= self._n_ratings.max(initial=0)
        if famous and self._is_clear(named, text):
            return Resolution(named[0].row, named)  # no longer title can score higher: skip the word search
        found = self._ranked(text, names_only=False)[:8]
        return Resolution(found[0].row if found and self._is_clear(found, text) else None, found)

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

    def _ranked(self, text: str, names_only: bool) -> list[Match]:
        text = " ".join(text[: 2 * MAX_LENGTH].split())[:MAX_LENGTH]
        found: dict[int, _Found] = {}
        if (split := _YEAR_AT_END.match(text)) and split.group(1):
            self._collect(split.group(1), int(split.group(2) or split.group(3)), names_only, found)
        if not split or not split.group(2):  # digits without brackets may belong to the title: `Blade Runner 2049`
            known = any(one.score >= 0.75 for one in found.values())
            self._collect(text, 0, names_only or known, found)
        self._raise_famous(found)
        matches = [Match(row, round(f.score, 2), f.kind) for row, f in found.items() if f.score >= MIN_SCORE]
        return sorted(matches, key=lambda match: (-match.score, -int(self._n_ratings[match.row]), match.row))

    def _collect(self, text: str, year: int, names_only: bool, found: dict[int, _Found]) -> None:
        """Add the movies that fit `text` to `found`; those of another year than `year` (0: any) score less."""
        folded = fold(text)
        if not folded:
            return
        fits: dict[int, _Found] = {}
        for key, cost in _query_keys(text, folded).items():
            for row, score, kind in self._tables[3].get(key, ()):
                _keep(fits, row, _Found(score - cost, kind, True))
        if not names_only:
            for near in self._spelled.near(folded, guess=not fits):
                kind = PARTIAL if near.as_spelled else FUZZY
                _keep(fits, int(self._tables[0][near.name]), _Found(near.score, kind, near.leads))
        for row, (score, kind, names_it) in fits.items():
            if kind == NORMALISED and self._is_exact(row, text):
                score, kind = 1.0, EXACT
            if year:
                away = abs(int(self._catalog.years[row]) - year)
                score -= min(0.04 * away, 0.25) if away < 1000 else 0.05  # year 0: unknown
            _keep(found, row, _Found(score, kind, names_it))

    def _is_exact(self, row: int, text: str) -> bool:
        raw = self._catalog.raw_titles[row].strip()
        return text in (raw, raw[: raw.rfind("(")].strip(), parse_title(raw).title, str(self._catalog.movie(row)))

    def _raise_famous(self, found: dict[int, _Found]) -> None:
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

    @functools.cached_property
    def _tables(self) -> tuple[np.ndarray, list[str], list[str], dict[str, list[tuple[int, float, str]]]]:
        """Return the row of each title and each alternative, the names folded, and bare: without spaces and article;
        and compact name -> (row, score, kind) of each movie of this name, parts of titles included."""
        names, parts = [], []
        for row, raw in enumerate(self._catalog.raw_titles):
            title, _, others = parse_title(raw)
            names += [(row, title, NORMALISED), *((row, other, ALTERNATIVE) for other in others)]
            for cut in _DIVIDER.finditer(title):
                parts += [(row, _OR.sub("", title[: cut.start()]), PARTIAL), (row, title[cut.end() :], PARTIAL)]
        n_whole, names = len(names), names + parts
        folded = fold_lines([name for _, name, _ in names])
        bare = compact_lines(list(map(without_article, folded)))
        called = collections.defaultdict(list)
        for (row, _, kind), key, other in zip(names, compact_lines(folded), bare):
            called[key].append((row, _SCORES[kind][0], kind))
            if other != key:
                called[other].append((row, _SCORES[kind][1], kind))
        called.pop("", None)
        return (
            np.array([row for row, _, _ in names[:n_whole]], dtype=np.int64),
            folded[:n_whole],
            bare[:n_whole],
            called,
        )

    @functools.cached_property
    def _spelled(self) -> NameIndex:
        rows, folded, bare, _ = self._tables
        fame = np.log1p(self._n_ratings.astype(np.float64))
        return NameIndex(folded, bare, (fame / max(float(fame.max(initial=0.0)), 1.0))[rows])


def _query_keys(text: str, folded: str) -> dict[str, float]:
    """Return the compact spellings to look up and their costs: as typed, article moved, article removed."""
    title = parse_title(text).title if text.endswith(")") else text
    typed = [folded, fold(article_in_front(title)), _ARTICLE_BEHIND.sub(r"\2 \1", folded)]
    keys = dict.fromkeys((compact(without_article(form)) for form in reversed(typed)), 0.01)
    keys.update(dict.fromkeys(map(compact, typed), 0.0))
    keys.pop("", None)
    return keys


def _keep(found: dict[int, _Found], row: int, new: _Found) -> None:
    old = found.get(row)
    if old is None or new.score > old.score:
        found[row] = new
