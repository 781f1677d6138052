"""Fuzzy title matching: edit distance to many words at once, and an inverted index of words.

`NameIndex` scores all names against a query. With w = log(1 + n / df) the rarity of a word and s in 0..1 the likeness
of the nearest word of the name (1 if equal; 0.75 to 0.95 if the query ends in a prefix of it; 1 - edits / length if
misspelled),

    coverage = sum w s / sum w over the words of the query        of_name = sum w s / sum w over the words of the name
    score = max(coverage^1.5 (0.7 + 0.1 of_name + 0.1 fame),  0.4 + 0.42 coverage + 0.1 fame  where of_name >= 0.9)

so a name may lack words of the query at little cost only if the query has all of its words ("the movie Fight Club").

`edit_distances` is the optimal string alignment distance: the fewest insertions, deletions, substitutions and swaps of
two neighbours, no letter being edited twice (the restricted form of Damerau 1964). `NearWords` measures only words
whose length is within d and whose letters differ in at most 2 d places, which all words within d edits do.
"""

from __future__ import annotations

import bisect
import collections
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .title_text import compact, without_article

_BITS = np.zeros(256, dtype=np.uint32)  # a bit for each letter; digits share six
_BITS[ord("a") : ord("z") + 1] = 1 << np.arange(26)
_BITS[ord("0") : ord("9") + 1] = 1 << (26 + np.arange(10) % 6)
_ONES = np.array([bin(i).count("1") for i in range(1 << 8)], dtype=np.uint8)
_ONES = np.add.outer(_ONES, _ONES).ravel()  # (65536,) set bits of each 16-bit number
PARTIAL, FUZZY = "partial", "fuzzy"


def edit_distances(query: np.ndarray, words: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the edit distance of `query` (m,) to each of `words` (c, width), zero-padded; cost m * c * width.

    D[i, j] = min(D[i-1, j] + 1, D[i, j-1] + 1, D[i-1, j-1] + (a_i != b_j), D[i-2, j-2] + 1 if a swap), a the query.

    >>> edit_distances(letters(["matirx"])[0][0], *letters(["matrix", "mat"])).tolist()
    [1, 3]
    """
    n, width = words.shape
    dtype = np.int8 if len(query) + width < 127 else np.int32  # no entry of D, nor of D - j, is larger
    j = np.arange(width + 1, dtype=dtype)[:, None]
    columns = np.ascontiguousarray(words.T)  # (width, n): every step below runs over all words at once
    before = row = np.repeat(j, n, axis=1)  # (width + 1, n)
    for i, letter in enumerate(query):
        same = columns == letter
        new = np.empty_like(row)
        new[0] = i + 1
        np.minimum(row[1:] + 1, row[:-1] + ~same, out=new[1:])
        if i:
            swap = (columns[1:] == query[i - 1]) & same[:-1]
            np.minimum(new[2:], before[:-2] + 1, out=new[2:], where=swap)
        new -= j  # the term in D[i, j-1] is a running minimum of D[i, j] - j: no loop over j is left
        np.minimum.accumulate(new, axis=0, out=new)
        new += j
        before, row = row, new
    return row[lengths, np.arange(n)].astype(np.int64)


def letters(words: Sequence[str], width: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return words as (n, width) zero-padded bytes and their lengths, truncated to `width` (0: the longest word)."""
    cells = "\n".join(words).encode("ascii", "replace").split(b"\n") if words else []
    width = width or max(map(len, cells), default=1) or 1
    table = np.array(cells, dtype=f"S{width}")
    lengths = np.minimum(np.fromiter(map(len, cells), dtype=np.int64, count=len(cells)), width)
    return table.view(np.uint8).reshape(len(cells), width), lengths


class NearWords:
    """Find the words of a fixed list within d edits; long words are truncated to `width`."""

    def __init__(self, words: Sequence[str], width: int) -> None:
        """Keep `words`; results are positions in it. Cost linear in n * width."""
        table, lengths = letters(words, width)
        self.order = np.argsort(lengths, kind="stable")
        self.table, self.lengths, self.width = table[self.order], lengths[self.order], width
        self.start = np.searchsorted(self.lengths, np.arange(width + 2))  # (width + 2,) first word of each length
        self.masks = np.zeros(len(words), dtype=np.uint32)
        for column in range(width):
            self.masks |= _BITS[self.table[:, column]]

    def near(self, word: str, max_edits: int, limit: int = 300) -> tuple[np.ndarray, np.ndarray]:
        """Return positions and distances of the words within `max_edits`; at most `limit` are measured."""
        query = np.frombuffer(word.encode("ascii", "replace")[: self.width], dtype=np.uint8)
        low, high = max(len(query) - max_edits, 1), min(len(query) + max_edits, self.width)
        if low > high:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        begin, end = int(self.start[low]), int(self.start[high + 1])
        odd = self.masks[begin:end] ^ np.bitwise_or.reduce(_BITS[query])
        n_odd = _ONES[odd & 0xFFFF] + _ONES[odd >> 16]
        chosen = np.flatnonzero(n_odd <= 2 * max_edits)
        if len(chosen) > limit:
            chosen = chosen[np.argsort(n_odd[chosen], kind="stable")[:limit]]  # uint8: a radix sort
        chosen += begin
        distances = edit_distances(query, self.table[chosen, :high], self.lengths[chosen])
        close = distances <= max_edits
        return self.order[chosen[close]], distances[close]


class Found(NamedTuple):
    """How well a name fits a query, 0..1, by which kind of match."""

    score: float
    kind: str
    names_it: bool  # the query is a whole name of the movie, a part of its title between dividers, or its beginning


class NameIndex:
    """Folded names by their words and by their letters; `fame` (n_names,) in 0..1 breaks ties between similar names."""

    def __init__(self, folded: Sequence[str], bare: Sequence[str], fame: np.ndarray) -> None:
        """Index names; bare: without spaces and article. Cost about n words * log n, 0.3 s for 100,000 names."""
        self.folded, self.bare, self.fame = folded, bare, fame
        names_with = collections.defaultdict(list)
        for name, line in enumerate(folded):
            for word in line.split():
                names_with[word].append(name)
        self.words = sorted(names_with)
        self.names = [np.array(names_with[word]) for word in self.words]
        self.rarity = np.log1p(len(folded) / np.array([len(names) for names in self.names]))  # w of each word
        self.total = np.full(len(folded), 1e-9)  # sum of w over the words of each name
        for names, w in zip(self.names, self.rarity):
            np.add.at(self.total, names, w)
        self.near_words = NearWords(self.words, 24)
        self.near_names = NearWords(bare, 48)

    def near(self, folded: str, guess: bool) -> list[tuple[int, Found]]:
        """Return names with all words of a folded query; with `guess` also those with some, or with similar words."""
        words = folded.split()[:16]
        matched, asked = np.zeros(len(self.folded)), 1e-9  # sum of w s for each name; sum of w
        for i, word in enumerate(words):
            likeness, w = self._likeness(word, i == len(words) - 1, guess)
            matched += w * likeness
            asked += w
        chosen = np.flatnonzero(matched >= max(0.4 * float(matched.max(initial=0.0)), 1e-9))
        coverage = matched[chosen] / asked
        of_name = np.minimum(matched[chosen] / self.total[chosen], 1.0)
        fame = 0.1 * self.fame[chosen]
        score = coverage**1.5 * (0.7 + 0.1 * of_name + fame)
        score = np.where(of_name >= 0.9, np.maximum(score, 0.4 + 0.42 * coverage + fame), score)
        found = []
        for i in np.argsort(-score, kind="stable")[:60].tolist():
            line = f" {self.folded[chosen[i]]} "
            spelled = f" {words[-1]}" in line and all(f" {word} " in line for word in words[:-1])
            leads = any(name.startswith(f"{folded} ") for name in (line[1:], without_article(line[1:])))
            if guess or spelled:
                found.append((int(chosen[i]), Found(float(score[i]), PARTIAL if spelled else FUZZY, leads)))
        if guess and not any(one.kind == PARTIAL for _, one in found):
            found += self._by_letters(compact(without_article(folded)))
        return found

    def _likeness(self, word: str, is_last: bool, guess: bool) -> tuple[np.ndarray, float]:
        """Return for each name the likeness s of its best word to `word`, and the weight w."""
        found: dict[int, float] = {}  # word of the index -> s
        low = bisect.bisect_left(self.words, word)
        exact = low < len(self.words) and self.words[low] == word
        if guess and not exact and len(word) > 2 and word.isascii():
            near, edits = self.near_words.near(word, _max_edits(len(word)))
            found.update(zip(near.tolist(), (1 - edits / len(word)).tolist()))
        if is_last and len(word) > 1:
            high = min(bisect.bisect_left(self.words, word + "\U0010ffff", lo=low), low + 3000)
            found.update((i, 0.75 + 0.2 * len(word) / len(self.words[i])) for i in range(low, high))
        weight = max((self.rarity[i] for i in found), default=0.7 * np.log1p(len(self.folded)))
        if exact:
            found[low], weight = 1.0, self.rarity[low]
        likeness = np.zeros(len(self.folded))
        for i in sorted(found, key=found.__getitem__):  # the best word of a name last
            likeness[self.names[i]] = found[i]
        return likeness, float(weight)

    def _by_letters(self, letters: str) -> list[tuple[int, Found]]:
        """Return names within a few edits as a whole, regardless of spaces."""
        length = len(letters)
        names, edits = self.near_names.near(letters, _max_edits(length) if length > 2 else 0)
        same_digits = [_digits(letters) == _digits(self.bare[name]) for name in names.tolist()]
        score = 0.88 * (1 - edits / max(length, 1)) + 0.08 * self.fame[names] - np.where(same_digits, 0.0, 0.12)
        return [(name, Found(near, FUZZY, False)) for name, near in zip(names.tolist(), score.tolist())]


def _digits(text: str) -> str:
    """Return the digits of `text`: a different number is another movie of a series, not a typo."""
    return "".join(filter(str.isdigit, text))


def _max_edits(length: int) -> int:
    return 1 + (length > 6) + (length > 8)  # joker and loser are 2 apart
