"""Find the film that a person means from what they typed.

Three rounds, each kept for what the one before cannot answer:

1. exact and normalised names: a dictionary from the folded, compact name (`title_text`) to films: titles, the other
   names in brackets, and the parts of a title before or behind `:` and ` - `;
2. words: with w the rarity of a word, log(1 + n / df), and s the likeness of the best word of the name (1 the same or
   its beginning, 1 - edits / length where spelled nearly so), coverage = sum w s / sum w over the words of the query;
3. whole names within a few edits, for words run together or split.

A year in the query lowers films of other years. The score is text alone, but partial and fuzzy matches get up to 0.1
for popularity, since many films share a word and the well-known one is usually meant. Order: score, then the number of
ratings, then movie id. Nothing is guessed: `resolve` names a film only where no other is a rival.
"""

from __future__ import annotations

import bisect
import functools
import re
from typing import NamedTuple, Optional

import numpy as np
import numpy.typing as npt

from .catalog import Catalog, article_in_front, parse_title
from .title_text import MAX_LENGTH, compact, compact_lines, fold, fold_lines, without_article
from .title_words import NearWords

EXACT, NORMALISED, ALTERNATIVE, PARTIAL, FUZZY = "exact", "normalised", "alternative", "partial", "fuzzy"

MIN_SCORE = 0.5  # below this a film has too little in common with the query to be offered
BEGINNING = 0.95  # likeness of a word of which the query has only the beginning
FAME = 3  # a series outranks a full title of the same name when it has this many times its ratings

_TITLE, _ALTERNATIVE, _PART = range(3)
_SCORES = {_TITLE: (0.97, NORMALISED), _ALTERNATIVE: (0.95, ALTERNATIVE), _PART: (0.9, PARTIAL)}
_YEAR_AT_END = re.compile(r"^(.*?)[\s,]*(?:\(\s*(\d{4})\s*\)?|\b((?:18|19|20)\d\d))\s*$", re.DOTALL)
_DIVIDER = re.compile(r": | - ")
_OR = re.compile(r",? or$", re.IGNORECASE)


class Match(NamedTuple):
    """A film that may be meant: its catalogue row, 1.0 (exact) down to 0.0, and how it was found."""

    row: int
    score: float
    kind: str


class Resolution(NamedTuple):
    """The row of the one film that is meant, or None and the candidates to ask about (none: nothing is near)."""

    row: Optional[int]
    candidates: list[Match]


class TitleIndex:
    """Title search over a catalogue; the tables are built at the first search that needs them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        fame = np.log1p(catalog.n_ratings.astype(np.float64))
        self._fame = fame / max(float(fame.max(initial=0.0)), 1.0)

    def search(self, text: str, n: int = 5) -> list[Match]:
        """Return the `n` films that fit `text` best, best first; an empty list where nothing is near."""
        best: dict[int, tuple[float, str]] = {}
        text = " ".join(text[: 2 * MAX_LENGTH].split())[:MAX_LENGTH]
        self._collect(text, 0, best)
        if (split := _YEAR_AT_END.match(text)) and split.group(1):
            self._collect(split.group(1), int(split.group(2) or split.group(3)), best)
        self._prefer_famous_series(best)
        found = [Match(row, round(score, 2), kind) for row, (score, kind) in best.items() if score >= MIN_SCORE]
        n_ratings = self._catalog.n_ratings
        found.sort(key=lambda match: (-match.score, -int(n_ratings[match.row]), match.row))
        return found[: max(n, 0)]

    def resolve(self, text: str) -> Resolution:
        """Return the one film that `text` clearly means, or the films to ask about."""
        found = self.search(text, n=8)
        if not found:
            return Resolution(None, [])
        best, rivals = found[0], found[1:]
        margin = 0.1 if best.kind != PARTIAL else 0.15
        sure = best.score >= (0.9 if best.kind == FUZZY else 0.75)
        if sure and all(self._no_rival(best, other, margin) for other in rivals):
            return Resolution(best.row, found)
        return Resolution(None, found)

    def _no_rival(self, best: Match, other: Match, margin: float) -> bool:
        if other.score <= best.score - margin:
            return True
        if best.kind == PARTIAL or other.kind == FUZZY:
            return best.kind in (EXACT, NORMALISED, ALTERNATIVE)
        n_ratings = self._catalog.n_ratings
        weaker = best.kind in (EXACT, NORMALISED) and other.kind in (ALTERNATIVE, PARTIAL)
        return bool(weaker and n_ratings[best.row] >= FAME * n_ratings[other.row])

    def _collect(self, text: str, year: int, best: dict[int, tuple[float, str]]) -> None:
        """Add the films that fit `text` to `best` (row -> score, kind); films of another year score less."""
        folded = fold(text)
        if not folded:
            return
        found: dict[int, tuple[float, str]] = {}
        for key in _query_keys(text, folded):
            for row, part in self._names.get(key, ()):
                _keep(found, row, *_SCORES[part])
        named = any(score >= 0.9 for score, _ in found.values())
        for row, score, as_spelled in self._spelled.near(folded, exact_only=named):
            _keep(found, row, score, PARTIAL if as_spelled else FUZZY)
        for row, (score, kind) in found.items():
            movie_year = int(self._catalog.years[row])
            if year:
                score -= 0.05 if not movie_year else min(0.04 * abs(movie_year - year), 0.25)
            if kind == NORMALISED and self._is_exact(row, text):
                score, kind = score + 0.03, EXACT
            _keep(best, row, score, kind)

    def _is_exact(self, row: int, text: str) -> bool:
        raw = self._catalog.raw_titles[row].strip()
        return text in (raw, raw[: raw.rfind("(")].strip(), parse_title(raw).title)

    def _prefer_famous_series(self, best: dict[int, tuple[float, str]]) -> None:
        """Let `star wars` mean the series rather than a little-known film that has just this title."""
        full = [row for row, (score, kind) in best.items() if kind in (EXACT, NORMALISED) and score >= 0.95]
        if not full:
            return
        n_ratings = self._catalog.n_ratings
        known = max(int(n_ratings[row]) for row in full)
        top = max(best[row][0] for row in full)
        for row, (score, kind) in best.items():
            if kind == PARTIAL and score >= 0.89 and n_ratings[row] > FAME * known + 10:
                best[row] = (top, kind)

    @functools.cached_property
    def _titles(self) -> tuple[list[str], list[int], list[int]]:
        """Return all names, the row of each, and whether it is a title, an alternative or a part."""
        names: list[str] = []
        rows: list[int] = []
        parts: list[int] = []
        for row, raw in enumerate(self._catalog.raw_titles):
            title, _, alternatives = parse_title(raw)
            names.append(title)
            rows.append(row)
            parts.append(_TITLE)
            for name in alternatives:
                names.append(name)
                rows.append(row)
                parts.append(_ALTERNATIVE)
        return names, rows, parts

    @functools.cached_property
    def _folded(self) -> list[str]:
        return fold_lines(self._titles[0])

    @functools.cached_property
    def _names(self) -> dict[str, list[tuple[int, int]]]:
        """Map each compact name, with and without its article, to (row, what the name is)."""
        names, rows, parts = self._titles
        pieces: list[str] = []
        piece_rows: list[int] = []
        for name, row in zip(names, rows):
            if ": " in name or " - " in name:
                for cut in _DIVIDER.finditer(name):
                    pieces += [_OR.sub("", name[: cut.start()]), name[cut.end() :]]
                    piece_rows += [row, row]
        folded = [*self._folded, *fold_lines(pieces)] if pieces else self._folded
        table: dict[str, list[tuple[int, int]]] = {}
        keys = compact_lines(folded)
        bare = compact_lines([without_article(line) for line in folded])
        everything = zip(keys, bare, [*rows, *piece_rows], [*parts, *([_PART] * len(pieces))])
        for key, other, row, part in everything:
            table.setdefault(key, []).append((row, part))
            if other != key:
                table.setdefault(other, []).append((row, part))
        table.pop("", None)
        return table

    @functools.cached_property
    def _spelled(self) -> _SpellingIndex:
        return _SpellingIndex(self._folded, np.array(self._titles[1], dtype=np.int64), self._fame)


class _SpellingIndex:
    """Names by their words and their letters: the second and the third round of `TitleIndex`."""

    def __init__(self, folded: list[str], rows: npt.NDArray[np.int64], fame: npt.NDArray[np.float64]) -> None:
        self.rows = rows
        self.fame = fame[rows]  # (n_names,)
        tokens = " ".join(folded).split()
        self.words = sorted(set(tokens))
        position = {word: i for i, word in enumerate(self.words)}
        ids = np.fromiter((position[token] for token in tokens), dtype=np.int64, count=len(tokens))
        counts = np.array([line.count(" ") + 1 if line else 0 for line in folded], dtype=np.int64)
        owner = np.repeat(np.arange(len(folded)), counts)
        df = np.bincount(ids, minlength=len(self.words))
        self.idf = np.log1p(len(folded) / np.maximum(df, 1))
        self.total = np.maximum(np.bincount(owner, weights=self.idf[ids], minlength=len(folded)), 1e-9)
        self.start = np.concatenate([[0], np.cumsum(df)])
        self.owner = owner[np.argsort(ids, kind="stable")]  # the names of word i: owner[start[i] : start[i + 1]]
        self.near_words = NearWords(self.words, 24)
        self.near_names = NearWords(compact_lines([without_article(line) for line in folded]), 48)

    def near(self, folded: str, exact_only: bool) -> list[tuple[int, float, bool]]:
        """Return (row, score, no word was guessed) of the films whose words or letters are near."""
        words = folded.split()[:16]
        matched = np.zeros(len(self.rows))
        as_spelled = np.ones(len(self.rows), dtype=bool)
        asked = 0.0
        for i, word in enumerate(words):
            likeness = np.zeros(len(self.rows))
            weight = self._likeness(word, i == len(words) - 1, exact_only, likeness)
            asked += weight
            as_spelled &= likeness >= BEGINNING
            likeness *= weight
            matched += likeness
        chosen = np.flatnonzero(matched >= max(0.6 * float(matched.max(initial=0.0)), 1e-9))
        coverage = matched[chosen] / max(asked, 1e-9)
        of_name = np.minimum(matched[chosen] / self.total[chosen], 1.0)
        score = coverage**1.5 * (0.7 + 0.1 * of_name + 0.1 * self.fame[chosen])
        top = np.argsort(-score, kind="stable")[:60]
        found = list(zip(self.rows[chosen[top]].tolist(), score[top].tolist(), as_spelled[chosen[top]].tolist()))
        if not exact_only:
            letters = compact(without_article(folded))
            length = len(letters)
            names, edits = self.near_names.near(letters, 0 if length <= 2 else 1 + (length > 4) + (length > 9))
            likeness = 0.88 * (1 - edits / max(length, 1)) + 0.08 * self.fame[names]
            found += list(zip(self.rows[names].tolist(), likeness.tolist(), [False] * len(names)))
        return found

    def _likeness(self, word: str, is_last: bool, exact_only: bool, out: npt.NDArray[np.float64]) -> float:
        """Write into `out` how like `word` the best word of each name is; return the weight of `word`."""
        low = bisect.bisect_left(self.words, word)
        high = bisect.bisect_left(self.words, word + "\U0010ffff")
        exact = low < len(self.words) and self.words[low] == word
        weights: list[float] = []
        if not exact_only and len(word) > 2 and word.isascii():
            near, edits = self.near_words.near(word, 1 + (len(word) > 4) + (len(word) > 9))
            for i, d in sorted(zip(near.tolist(), edits.tolist()), key=lambda pair: (-pair[1], pair[0])):
                out[self.owner[self.start[i] : self.start[i + 1]]] = min(1 - d / len(word), BEGINNING - 0.01)
                weights.append(float(self.idf[i]))
        if is_last and high > low and len(word) > 1:
            out[self.owner[self.start[low] : self.start[min(high, low + 3000)]]] = BEGINNING
            weights.append(float(self.idf[low:high].max()))
        if exact:
            out[self.owner[self.start[low] : self.start[low + 1]]] = 1.0
            return float(self.idf[low])
        return max(weights, default=float(np.log1p(len(self.rows))))


def _query_keys(text: str, folded: str) -> list[str]:
    """Return the compact spellings to look up: as typed, the article moved or taken off."""
    moved = fold(article_in_front(text)) if "," in text else folded
    behind = re.sub(r"^(.*) (the|a|an)$", r"\2 \1", folded)
    keys = [compact(form) for form in (folded, moved, behind, without_article(folded), without_article(moved))]
    return list(dict.fromkeys(key for key in keys if key))


def _keep(found: dict[int, tuple[float, str]], row: int, score: float, kind: str) -> None:
    if row not in found or found[row][0] < score:
        found[row] = (score, kind)
