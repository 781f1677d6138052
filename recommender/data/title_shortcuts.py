"""What people type instead of a title: initials (lotr, t2), and the number of a part (harry potter 3, rocky 6).

    initials   first letters of the words of a title, of a part of one, or of what several titles begin with, with or
               without the article, numbers whole; the best known movie has them
    part n     the n-th movie by year among those that begin with the words before the number, or have them before a
               divider; where parts have numbers of their own up to m < n, the (n - m)-th of those after part m

A movie with less than a tenth of the ratings of the best known one (a third, if it has the bare name itself) is no part
of the series, unless the bare name stands before a divider in its title.
"""

from __future__ import annotations

import bisect
import functools
import re
from collections.abc import Sequence
from typing import Optional

import numpy as np

from .title_text import compact, without_article

_NUMBER = re.compile(r"(.*\D)(\d\d?)$")
_STEM = re.compile(r"^(.+?) and the ")
KNOWN = 0.02  # share of the largest number of ratings from which initials stand for a movie


class Shortcuts:
    """names: folded, `n_titles` titles and other titles, then parts of titles; rows: of their movies, (n_names,)."""

    def __init__(
        self, names: Sequence[str], n_titles: int, rows: np.ndarray, n_ratings: np.ndarray, years: np.ndarray
    ) -> None:
        self.names, self.n_titles, self.rows, self.n_ratings, self.years = names, n_titles, rows, n_ratings, years

    @functools.cached_property
    def _initials(self) -> dict[str, str]:
        """Initials -> the text of the best known name that has them; made at the first such query."""
        counts = self.n_ratings[self.rows]
        least = KNOWN * counts.max(initial=0)
        found: dict[str, str] = {}
        for i in np.argsort(-counts, kind="stable").tolist():
            if counts[i] < least:
                break
            stem = _STEM.match(self.names[i])
            for text in (self.names[i], *([stem.group(1)] if stem else [])):
                for words in (text.split(), without_article(text).split()):
                    if len(words) > 1:
                        found.setdefault("".join(word if word.isdigit() else word[0] for word in words), text)
        return found

    def expand(self, folded: str) -> Optional[str]:
        """Return the query with its first word, initials, written out; None where it is none."""
        first, _, rest = folded.partition(" ")
        text = self._initials.get(first) if 1 < len(first) < 7 else None
        return text and f"{text} {rest}".strip()

    @functools.cached_property
    def _sorted(self) -> tuple[list[str], list[int]]:
        """The names without spaces and article, ascending, and which they are."""
        bare = [compact(without_article(name)) for name in self.names]
        order = sorted(range(len(bare)), key=bare.__getitem__)
        return [bare[i] for i in order], order

    def beginning(self, folded: str) -> list[int]:
        """Return the rows of movies with a name that begins with the query, spaces aside; the best known first."""
        start = compact(without_article(folded))
        bare, order = self._sorted
        low = bisect.bisect_left(bare, start)
        high = bisect.bisect_left(bare, start + "\U0010ffff", lo=low)
        rows = np.unique(self.rows[order[low:high]]) if start else np.zeros(0, np.int64)
        return rows[np.argsort(-self.n_ratings[rows], kind="stable")].tolist()

    def part(self, folded: str) -> Optional[int]:
        """Return the row of the n-th movie of a series, for a query that ends in n; one pass over the names."""
        match = _NUMBER.match(folded)
        stem = match.group(1).strip() if match else ""
        if not match or len(stem) < 2:
            return None
        n, start = int(match.group(2)), compact(without_article(stem))
        parts = self.names[self.n_titles :]
        called = {int(row) for row, part in zip(self.rows[self.n_titles :], parts) if f" {part}".endswith(f" {stem}")}
        rows = called.union(self.beginning(stem))
        known = max((self.n_ratings[row] for row in rows), default=0)
        last, after, titled = 0, -1, set()  # the highest number of its own that a part has, and its year
        for i in self._names_of(rows):
            row, words = int(self.rows[i]), self.names[i].split()
            if without_article(self.names[i]) == without_article(stem):
                titled.add(row)
            for at, word in enumerate(words):
                if word.isdigit() and compact(without_article(" ".join(words[: at + 1]))) == f"{start}{word}":
                    if int(word) == n:
                        return row
                    if last < int(word) < n:
                        last, after = int(word), int(self.years[row])
        rows = {r for r in rows if self.n_ratings[r] * (3 if r in titled else 10) >= known or r in called}
        later = sorted((r for r in rows if self.years[r] > after), key=lambda r: (self.years[r], r))
        return later[n - last - 1] if len(rows) > 1 and 0 < n - last <= len(later) else None

    def _names_of(self, rows: set[int]) -> list[int]:
        return np.flatnonzero(np.isin(self.rows, list(rows))).tolist()
