"""Weights at 4 bits: codes from -8 to 7, and a scale for each group of neighbours in a row.

    w_j ~ s q_j,  q_j = round(w_j / s) within -8..7,  s: of those tried, the one with the least sum of (w_j - s q_j)^2

Two codes make a byte, the one of the even column in its low half; scales are float16, so a number
takes 4.5 bits in groups of 32.
Rounding uses no data: with GPTQ (Frantar et al. 2022, arXiv 2210.17323), which does, all-MiniLM-L6-v2 finds as many
movies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np

from ...data.artifacts import restore, store
from ...data.settings import NoSettings

FILE, KIND, REMEDY = "weights.npz", "weights-4bit", "python -m model.generate_embeddings --pack-weights"
_SCALES = ".scales"  # follows the name of an array
_STEPS = np.linspace(7, 12, 21)  # of a scale, from 0 to the number of a group that is farthest from 0
_VALUES = np.array([[(byte & 15) - 8, (byte >> 4) - 8] for byte in range(256)], np.float32)  # of the codes of a byte


@dataclass(frozen=True)
class Packed:
    """A matrix (n, d) of which rows are unpacked when needed: `packed[rows]` is (len(rows), d) float32.

    codes: (n, d / 2) uint8.  scales: (n, n_groups) float16.
    """

    codes: np.ndarray
    scales: np.ndarray

    def __getitem__(self, rows: Union[slice, np.ndarray]) -> np.ndarray:
        scales = self.scales[rows].astype(np.float32)
        values = _VALUES[self.codes[rows]].reshape(*scales.shape, -1)  # (len(rows), n_groups, group)
        values *= scales[:, :, None]
        return values.reshape(len(scales), -1)


def pack(W: np.ndarray, group: int) -> Packed:
    """Return W (n, d) at 4 bits, d being a multiple of `group`, which is even.

    >>> pack(np.array([[-8.0, 7, 0, 1, -0.5, 0, 0.25, 0]]), group=4)[:].round(2).tolist()
    [[-8.0, 7.0, 0.0, 1.0, -0.5, 0.0, 0.25, 0.0]]
    """
    w = W.reshape(len(W), -1, group).astype(np.float32)  # (n, n_groups, group)
    farthest = np.take_along_axis(w, np.abs(w).argmax(axis=2)[:, :, None], axis=2)  # (n, n_groups, 1)
    codes, scales = np.zeros(w.shape, np.int8), np.zeros(farthest.shape, np.float16)
    least = np.full(farthest.shape, np.inf, np.float32)
    for steps in (*_STEPS, *-_STEPS):  # a negative scale gives the farthest number the code -8
        s = (farthest / steps).astype(np.float16)
        exact = np.where(s == 0, 1, s).astype(np.float32)
        q = np.clip(np.rint(w / exact), -8, 7)
        error = ((w - exact * q) ** 2).sum(axis=2, keepdims=True)
        better = error < least
        least, scales, codes = np.where(better, error, least), np.where(better, s, scales), np.where(better, q, codes)
    halves = (codes.astype(np.int8) + 8).astype(np.uint8).reshape(len(W), -1, 2)
    return Packed(halves[:, :, 0] | halves[:, :, 1] << 4, scales[:, :, 0])


def save(folder: Path, arrays: Mapping[str, Any], **about: Any) -> None:
    """Write arrays, some of them packed, to `folder`; about: more entries of its manifest."""
    files: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        files |= {name: array.codes, name + _SCALES: array.scales} if isinstance(array, Packed) else {name: array}
    store(folder, KIND, NoSettings(), {FILE: files}, "pack", **about)


def load(folder: Path) -> dict[str, Any]:
    """Return the arrays by name, those that are not packed as float32, or as they are if they are of whole numbers.

    Raises `ArtifactError` for files that are missing or damaged.
    """
    stored = restore(folder, KIND, REMEDY, NoSettings, "pack")
    listed = stored.manifest["files"].get(FILE, {}).get("arrays", {})
    arrays = stored.read({FILE: {name: entry["dtype"] for name, entry in listed.items()}})
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        if name + _SCALES in arrays:
            found[name] = Packed(array, arrays[name + _SCALES])
        elif not name.endswith(_SCALES):
            found[name] = array.astype(np.float32) if array.dtype == np.float16 else array
    return found
