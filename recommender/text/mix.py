"""One vector for a person from what they rated and what they said.

    u = a * rating_vec + (1 - a) * text_vec,  normalised          a = 0.7, both of length 1 before

Where one side is missing the other stands alone: a person of whom less is known is not pulled towards zero. Both sides
come from one embedding backend, so that their sum means something.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..data.errors import DataError
from ..linalg.rows import unit_rows

ALPHA = 0.7


class Mixed(NamedTuple):
    """People with their vectors and what they come from.

    ids: ascending.  vectors: (n, d) float32, rows of length 1.  origins: "both", "ratings" or "text", one for each.
    """

    ids: list[str]
    vectors: np.ndarray
    origins: list[str]


def mix(rating_vectors: np.ndarray, text_vectors: np.ndarray, alpha: float = ALPHA) -> np.ndarray:
    """Return the mix row by row, (n, d) float32; a row of zeros means that this side is missing.

    Rows of zeros on both sides, or sides that cancel out, give zeros.  alpha: share of the ratings, 0 to 1.
    Raises `DataError` for unequal shapes and for an alpha outside 0 to 1.

    >>> ratings, texts = np.array([[2.0, 0.0], [0.0, 0.0]], np.float32), np.array([[0.0, 5.0], [0.0, 5.0]], np.float32)
    >>> mix(ratings, texts, 0.5).tolist()
    [[0.7071067690849304, 0.7071067690849304], [0.0, 1.0]]
    """
    if rating_vectors.shape != text_vectors.shape:
        shapes = f"{rating_vectors.shape} and {text_vectors.shape}"
        raise DataError(f"vectors of ratings and of texts have shapes {shapes}: embed both with one backend")
    if not 0 <= alpha <= 1:
        raise DataError(f"alpha {alpha!r} is not from 0 to 1: give the share of the ratings")
    ratings, texts = unit_rows(rating_vectors), unit_rows(text_vectors)
    has_ratings, has_text = rating_vectors.any(axis=1), text_vectors.any(axis=1)
    of_ratings = np.where(has_text, alpha, 1.0)[:, None]  # (n, 1)
    of_texts = np.where(has_ratings, 1.0 - alpha, 1.0)[:, None]
    return unit_rows(of_ratings * ratings + of_texts * texts)


def mix_people(
    rating_ids: Sequence[object],
    rating_vectors: np.ndarray,
    text_ids: Sequence[object],
    text_vectors: np.ndarray,
    alpha: float = ALPHA,
) -> Mixed:
    """Return everybody who is on either side, by id; ids are compared as texts, so user 7 and speaker "7" are one.

    rating_vectors: (len(rating_ids), d).  text_vectors: (len(text_ids), d).  An id may occur once on each side.
    Raises `DataError` for an id given twice and for vectors of unequal width. Cost O(n log n + n d).
    """
    rows: list[dict[str, int]] = []
    for what, ids, vectors in (("ratings", rating_ids, rating_vectors), ("texts", text_ids, text_vectors)):
        names = [str(ident) for ident in ids]
        rows.append({name: row for row, name in enumerate(names)})
        if len(names) != len(vectors) or len(rows[-1]) != len(names):
            problem = f"{len(names)} ids ({len(rows[-1])} different) for {len(vectors)} vectors of {what}"
            raise DataError(f"{problem}: give each person once, with one vector")
    if len(rating_ids) and len(text_ids) and rating_vectors.shape[1] != text_vectors.shape[1]:
        widths = f"{rating_vectors.shape[1]} and {text_vectors.shape[1]}"
        raise DataError(f"vectors of ratings and of texts have widths {widths}: embed both with one backend")
    people = sorted(rows[0].keys() | rows[1].keys(), key=_by_number)
    width = rating_vectors.shape[1] if len(rating_ids) else text_vectors.shape[1]
    sides = []
    for places, vectors in zip(rows, (rating_vectors, text_vectors)):
        side = np.zeros((len(people), width), dtype=np.float32)
        known = [row for row, name in enumerate(people) if name in places]
        if known:
            side[known] = vectors[[places[people[row]] for row in known]]
        sides.append(side)
    has = [side.any(axis=1) for side in sides]
    origins = np.where(has[0] & has[1], "both", np.where(has[0], "ratings", np.where(has[1], "text", "neither")))
    found = origins != "neither"
    names = [name for name, keep in zip(people, found.tolist()) if keep]
    return Mixed(names, mix(sides[0][found], sides[1][found], alpha), origins[found].tolist())


def _by_number(name: str) -> tuple[int, int, str]:
    """Order numbers by value, before all other names."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
