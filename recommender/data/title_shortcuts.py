"""What people type instead of a title: initials (lotr, t2), and the number of a part (harry potter 3, rocky 6).

    initials   first letters of the words of a title, of a part of one, or of what several titles begin with, with or
               without the article, numbers whole or spelled; the name that goes on like the query, or the best known
    part n     the n-th movie by year among those that begin with the words before the number, or end in them, at a
               divider or as a whole; after parts with numbers of their own up to m < n, the (n - m)-th later one

A movie with less than a twentieth of the ratings of the best known one (a hundredth, if it has its own number) is no
part of the series. Of those with the bare name only the best known is one, with a third of the ratings or more; before
it came only what is better known.
"""

from __future__ import annotations

import bisect
import collections
import functools
import re
from collections.abc import Sequence
from typing import Optional

import numpy as np

from .catalog import Catalog
from .title_text import compact, without_article

_NUMBER = re.compile(r"(.*\D)(\d\d?)$")
_SPELLED = dict(zip("123456789", "ottffssen"))  # the first letters of one to nine
_STEM = re.compile(r"^(.+?) and the ")
KNOWN = 0.02  # share of the largest number of ratings from which initials stand for a movie
LISTED = KNOWN / 10  # the same for a movie whose title ends in the words before a number
LONGEST = 8  # letters of initials
# Part of a series: the best known one's ratings divided by this, or more; with its own number; with the bare name
RARE, RARE_NUMBERED, RARE_BARE = 20, 100, 3


class Shortcuts:
    """names: folded, `n_titles` titles and other titles, then parts before and after dividers, in turn.

    bare: the same, compact and without article; rows: of their movies, (n_names,).
    """

    def __init__(
        self, names: Sequence[str], bare: Sequence[str], n_titles: int, rows: np.ndarray, catalog: Catalog
    ) -> None:
        self.names, self.bare, self.n_titles, self.rows = names, bare, n_titles, rows
        self.n_ratings, self.years = catalog.n_ratings, catalog.years

    @functools.cached_property
    def _initials(self) -> dict[str, list[str]]:
        """Initials -> the names that have them, the best known first; made at the first such query."""
        counts = self.n_ratings[self.rows]
        least = KNOWN * counts.max(initial=0)
        found: dict[str, list[str]] = collections.defaultdict(list)
        for i in np.argsort(-counts, kind="stable").tolist():
            if counts[i] < least:
                break
            stem = _STEM.match(self.names[i])
            for text in (self.names[i], *([stem.group(1)] if stem else [])):
                for words in (text.split(), without_article(text).split()):
                    if len(words) > 1:
                        whole = "".join(word if word.isdigit() else word[0] for word in words)
                        spelled = "".join(_SPELLED.get(word, word[0]) for word in words)
                        for key in {whole, spelled} if len(spelled) > 2 else {whole}:
                            found[key].append(text)
        return dict(found)

    def expand(self, folded: str) -> Optional[str]:
        """Return the query with its first word, initials, written out; None where it is none."""
        first, _, rest = folded.partition(" ")
        texts = self._initials.get(first) if 1 < len(first) <= LONGEST and without_article(folded) == folded else None
        if not texts:
            return None
        rest = self._initials.get(rest, [rest])[0]
        names = (
            text for text in texts for i in self._beginning(compact(without_article(text))) if rest in self.names[i]
        )
        return f"{next(names, texts[0])} {rest}".strip()

    @functools.cached_property
    def _sorted(self) -> tuple[list[str], list[int]]:
        """The bare names, ascending, and which they are."""
        order = sorted(range(len(self.bare)), key=self.bare.__getitem__)
        return [self.bare[i] for i in order], order

    def beginning(self, folded: str) -> list[int]:
        """Return the rows of movies with a name that begins with the query, spaces aside; the best known first."""
        rows = np.unique(self.rows[self._beginning(compact(without_article(folded)))])
        return rows[np.argsort(-self.n_ratings[rows], kind="stable")].tolist()

    def _beginning(self, start: str) -> list[int]:
        bare, order = self._sorted
        low = bisect.bisect_left(bare, start)
        return order[low : bisect.bisect_left(bare, start + "\U0010ffff", lo=low)] if start else []

    @functools.cached_property
    def _lines(self) -> tuple[str, list[int], list[int]]:
        """Names of movies that are no rarities, none from behind a divider: a line each, their ends, their numbers."""
        counts = self.n_ratings[self.rows]
        chosen = np.flatnonzero(counts >= LISTED * counts.max(initial=0))
        kept = chosen[(chosen < self.n_titles) | ((chosen - self.n_titles) % 2 == 0)].tolist()
        lines = [f" {self.names[i]}\n" for i in kept]
        return "".join(lines), np.cumsum(list(map(len, lines))).tolist(), kept

    def _called(self, stem: str) -> set[int]:
        """Return the rows of movies with words before a divider that end in `stem`, or a title if it has two words."""
        text, ends, kept = self._lines
        rows, at = set(), text.find(f" {stem}\n")
        while at >= 0:
            if (i := kept[bisect.bisect_right(ends, at)]) >= self.n_titles or " " in stem:
                rows.add(int(self.rows[i]))
            at = text.find(f" {stem}\n", at + 1)
        return rows

    def part(self, folded: str) -> Optional[int]:
        """Return the row of the n-th movie of a series, for a query that ends in n."""
        match = _NUMBER.match(folded)
        stem = match.group(1).strip() if match else ""
        if not match or len(stem) < 2 or folded in self._initials:
            return None
        n, start = int(match.group(2)), compact(stem)
        rows, titled, numbers = self._called(stem), set(), {}
        for i in self._beginning(compact(without_article(stem))):
            row, name = int(self.rows[i]), self.names[i]
            rest = _rest(name, start)
            rest = _rest(without_article(name), start) if rest is None else rest
            if rest is None:
                continue
            rows.add(row)
            if not rest and i < self.n_titles and compact(name).endswith(start):
                titled.add(row)
            for number in (compact(" ".join(rest[:k])) for k in (1, 2)):
                if number.isdigit():
                    numbers[row] = int(number)
        known = max((self.n_ratings[row] for row in rows), default=0)
        numbers = {row: m for row, m in numbers.items() if self.n_ratings[row] * RARE_NUMBERED >= known}
        if n in numbers.values():
            return max((row for row in numbers if numbers[row] == n), key=lambda row: self.n_ratings[row])
        first = max(titled, key=lambda row: self.n_ratings[row], default=-1)
        fame, begin = (int(self.n_ratings[first]), self.years[first]) if first >= 0 else (0, 0)
        rows -= titled - ({first} if RARE_BARE * fame >= known else set())
        least = max(known / RARE, 1)
        rows = {row for row in rows if self.n_ratings[row] >= (least if self.years[row] >= begin else max(fame, least))}
        last, after = max(((m, int(self.years[row])) for row, m in numbers.items() if m < n), default=(0, -1))
        later = sorted((row for row in rows if self.years[row] > after), key=lambda row: (self.years[row], row))
        return later[n - last - 1] if len(rows) > 1 and 0 < n - last <= len(later) else None


def _rest(name: str, start: str) -> Optional[list[str]]:
    """Return the words of a name behind those that make up `start`, None if it does not begin with it."""
    words = name.split()
    for k in range(1, len(words) + 1):
        begun = compact(" ".join(words[:k]))
        if len(begun) >= len(start):
            return words[k:] if begun in (start, f"{start}s") else None  # Alien, Aliens
    return None
