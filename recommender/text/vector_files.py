"""Tables with a vector in each line: `.npz` for programs, `.csv` for people, `.parquet` with the extra.

Every form holds the same columns, the last of which is `embedding`. In the `.npz` a column is an array of texts; in the
CSV an embedding is a JSON list of numbers with six significant digits.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..data.artifacts import load_npz
from ..data.errors import ArtifactError, ChoiceError

FORMS = ("npz", "csv", "parquet")
DEFAULT_FORMS = FORMS[:2]
EMBEDDING = "embedding"


def check_forms(forms: Sequence[str]) -> None:
    """Raise `ChoiceError` for forms that can't be written, before any work is done."""
    if "npz" not in forms or set(forms) - set(FORMS):
        raise ChoiceError(f"files {','.join(forms)!r}: give npz, and beside it csv or parquet or both")
    if "parquet" in forms:
        _pyarrow()


def write_table(
    folder: Path,
    stem: str,
    columns: Mapping[str, Sequence[str]],
    embedding: np.ndarray,
    forms: Sequence[str] = DEFAULT_FORMS,
    half: bool = False,
    inside: Optional[Mapping[str, Sequence[str]]] = None,
) -> None:
    """Write `stem`.npz and the other `forms` to `folder`.

    columns: name -> one text for each line.  embedding: (n, d).  inside: further columns for the `.npz` alone.
    half: round vectors to 16 bits, in every form; that moves a cosine by less than 0.001.
    """
    vectors = embedding.astype(np.float16) if half else embedding
    every = {**columns, **(inside or {})}
    arrays: dict[str, Any] = {name: np.array(column, dtype=np.str_) for name, column in every.items()}
    np.savez_compressed(folder / f"{stem}.npz", **arrays, embedding=vectors)
    if "csv" in forms:
        with open(folder / f"{stem}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, EMBEDDING])
            for *cells, vector in zip(*columns.values(), vectors):
                writer.writerow([*cells, f"[{', '.join(f'{value:.6g}' for value in vector.tolist())}]"])
    if "parquet" in forms:
        pa, parquet = _pyarrow()
        table = {name: pa.array(list(column), pa.string()) for name, column in columns.items()}
        flat = pa.array(vectors.astype(np.float32).reshape(-1), pa.float32())
        table[EMBEDDING] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        parquet.write_table(pa.table(table), folder / f"{stem}.parquet")


def read_columns(path: Path, entry: Mapping[str, Any], names: Sequence[str], remedy: str) -> dict[str, Any]:
    """Read some columns of an `.npz` that `write_table` wrote.

    entry: what the manifest says of the file, with the widths of texts and vectors.  Raises `ArtifactError` where the
    file does not fit it.
    """
    listed = entry.get("arrays", {})
    dtypes = {}
    for name in names:
        said = listed.get(name, {}).get("dtype")
        if not isinstance(said, str) or np.dtype(said).kind != ("f" if name == EMBEDDING else "U"):
            raise ArtifactError(f"{path} is damaged ({name} is {said}): run {remedy}")
        dtypes[name] = said
    arrays = load_npz(path, dtypes)
    if len({len(array) for array in arrays.values()}) != 1:
        raise ArtifactError(f"{path} is damaged (its columns differ in length): run {remedy}")
    return arrays


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ChoiceError("a .parquet file needs pyarrow: pip install 'tastevec[parquet]', or leave it out") from None
