"""Words and names that are nearly right: edit distance to many words at once, and an inverted index of words.

`edit_distances` is the optimal string alignment distance: the fewest insertions, deletions, substitutions and swaps of
two neighbours, no letter being edited twice (the restricted form of Damerau 1964). The recurrence, with `a` the query:

    D[i, j] = min(D[i-1, j] + 1, D[i, j-1] + 1, D[i-1, j-1] + (a_i != b_j), D[i-2, j-2] + 1 if a swap)

Its row runs over all words together: the term in j-1 is a running minimum of `D[i, j] - j`, so no loop over j is left.

A word within d edits has a length within d and a set of letters that differs in at most 2 d places. `NearWords` keeps
the words in order of length with their letters as bits, and measures only what passes both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_BITS = np.zeros(256, dtype=np.uint32)
for _i, _c in enumerate(b"abcdefghijklmnopqrstuvwxyz"):
    _BITS[_c] = 1 << _i
for _i, _c in enumerate(b"0123456789"):
    _BITS[_c] = 1 << (26 + _i % 6)
_ONES = np.array([bin(i).count("1") for i in range(1 << 8)], dtype=np.uint8)
_ONES = (_ONES[:, None] + _ONES[None, :]).ravel()  # (65536,) set bits of each 16-bit number


def edit_distances(query: Bytes, words: Bytes, lengths: Ints) -> Ints:
    """Return the edit distance of `query` (m,) to each of `words` (c, width), zero-padded; cost m * c * width.

    >>> edit_distances(*letters(["matirx"])[:1], *letters(["matrix", "mat"])).tolist()
    [1, 3]
    """
    query = np.atleast_1d(np.squeeze(query))
    n, width = words.shape
    j = np.arange(width + 1, dtype=np.int16)
    row = np.broadcast_to(j, (n, width + 1))
    before = row
    for i, letter in enumerate(query):
        new = np.empty((n, width + 1), dtype=np.int16)
        new[:, 0] = i + 1
        same = words == letter
        new[:, 1:] = np.minimum(row[:, 1:] + 1, row[:, :-1] + ~same)
        if i:
            swap = (words[:, 1:] == query[i - 1]) & same[:, :-1]
            new[:, 2:] = np.where(swap, np.minimum(new[:, 2:], before[:, :-2] + 1), new[:, 2:])
        new -= j
        np.minimum.accumulate(new, axis=1, out=new)
        new += j
        before, row = row, new
    return row[np.arange(n), lengths].astype(np.int64)


def letters(words: Sequence[str], width: int = 0) -> tuple[Bytes, Ints]:
    """Return words as (n, width) zero-padded bytes and their lengths, cut at `width` (0: the longest word)."""
    cells = "\n".join(words).encode("ascii", "replace").split(b"\n") if words else []
    width = width or max(map(len, cells), default=1) or 1
    table = np.array(cells, dtype=f"S{width}")
    lengths = np.minimum(np.fromiter(map(len, cells), dtype=np.int64, count=len(cells)), width)
    return table.view(np.uint8).reshape(len(cells), width), lengths


class NearWords:
    """Find the words of a fixed list within d edits; `width` cuts long ones."""

    def __init__(self, words: Sequence[str], width: int) -> None:
        """Keep `words`; results are positions in it. Cost linear in n * width."""
        table, lengths = letters(words, width)
        self.order = np.argsort(lengths, kind="stable")
        self.table, self.lengths, self.width = table[self.order], lengths[self.order], width
        self.start = np.searchsorted(self.lengths, np.arange(width + 2))  # (width + 2,) first word of each length
        self.masks = np.zeros(len(words), dtype=np.uint32)
        for column in range(width):
            self.masks |= _BITS[self.table[:, column]]

    def near(self, word: str, max_edits: int, limit: int = 600) -> tuple[Ints, Ints]:
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
            chosen = chosen[np.argsort(n_odd[chosen], kind="stable")[:limit]]
        chosen += begin
        distances = edit_distances(query, self.table[chosen, :high], self.lengths[chosen])
        close = distances <= max_edits
        return self.order[chosen[close]], distances[close]
