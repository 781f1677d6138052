"""Lists for everybody in the data, written to a file as they are made.

Users go through the model in blocks, so that memory does not grow with their number. What is written goes to
`.NAME.part` beside the file; `.NAME.json` says after how many users it had how many bytes, and of which request, so
that a run that was stopped goes on there. The part takes the file's name when all is done.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from .data.artifacts import need_file
from .data.catalog import Catalog
from .data.errors import ArtifactError, ChoiceError
from .data.files import dump_json, exclusive, flush, load_json, replace_file
from .data.interactions import Interactions
from .evaluate.report import need_parquet
from .learn.base import Ranker, best_unseen
from .linalg.engine import Engine

BLOCK = 128  # users scored at once
SAVED_EVERY = 1.0  # seconds
COLUMNS = ("userId", "rank", "movieId", "title", "score")
MARKS = {".csv": ",".join(COLUMNS), ".jsonl": COLUMNS[0], ".parquet": ",".join(COLUMNS)}  # of files of this program


def write_lists(
    path: Path,
    model: Ranker,
    history: Interactions,
    catalog: Catalog,
    users: Sequence[int],
    n: int,
    at: int,
    allowed: np.ndarray,
    asked: dict[str, Any],
    progress: Callable[[int, int], object],
    engine: Optional[Engine] = None,
) -> int:
    """Write the n best movies of each user to `path`, .csv, .jsonl or .parquet; return how many users were left to do.

    users: rows of `history`.  allowed: (n_movies,) bool, the movies that may be shown.  asked: the request, as JSON; a
    part of another one, or of other users, ratings, movies or another model, is written anew.
    progress: called with users done and all.  engine: where blocks of users are ranked, this process by default.
    Raises `ChoiceError` for another ending, `ArtifactError` while another process writes it.
    """
    if path.suffix not in MARKS:
        raise ChoiceError(f"{path}: give a file that ends in {', '.join(MARKS)}")
    need_file(path, "file", MARKS[path.suffix])
    need_parquet(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    engine, rows = engine or Engine(), np.asarray(users, dtype=np.int64)
    asked = {**asked, "made of": _digest(model, history, catalog, rows, allowed)}
    part, state = (path.with_name(f".{path.name}.{kind}") for kind in ("part", "json"))
    with exclusive(path.with_name(f".{path.name}.lock"), str(path)):
        done, size = _resumed(part, state, asked)
        with open(part, "r+b" if done else "wb") as file:
            file.truncate(size)
            file.seek(size)
            if not done and path.suffix != ".jsonl":
                file.write(f"{MARKS[path.suffix]}\n".encode())
            left, cells, saved = len(rows) - done, _cells(path.suffix, catalog), time.monotonic()

            def save() -> None:
                file.flush()
                os.fsync(file.fileno())
                with replace_file(state) as temporary:
                    dump_json({"asked": asked, "users": done, "bytes": size}, temporary)

            try:
                step = BLOCK * engine.grain
                blocks = (_of(history, rows[low : low + step]) for low in range(done, len(rows), step))
                shared = (model, cells, path.suffix, n, at, allowed)
                for lines in engine.map(lists_of, blocks, shared=shared):
                    file.write(lines)
                    done, size = min(done + step, len(rows)), file.tell()
                    if time.monotonic() - saved >= SAVED_EVERY:
                        save()
                        saved = time.monotonic()
                    progress(done, len(rows))
            except KeyboardInterrupt:
                if not done:
                    raise
                save()
                what = f"stopped after {done:,} of {len(rows):,} users: the same command goes on there"
                raise KeyboardInterrupt(what) from None
        if path.suffix == ".parquet":
            _to_parquet(part)
        state.unlink(missing_ok=True)
        flush(part)
        os.replace(part, path)
    return left


def _of(history: Interactions, rows: np.ndarray) -> Interactions:
    """Return the ratings of users, without a copy where their rows follow one another."""
    in_order = np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
    return history.block(rows[0], rows[0] + len(rows)) if in_order else history.select(rows)


def lists_of(
    history: Interactions, model: Ranker, cells: list[str], suffix: str, n: int, at: int, allowed: np.ndarray
) -> bytes:
    """Return the lines of all users in `history`, `BLOCK` scored at once.  cells: what `_cells` gives."""
    lines = []
    for low in range(0, history.n_users, BLOCK):
        block = np.arange(low, min(low + BLOCK, history.n_users))
        scores, _ = model.score_list(history, block, np.full(len(block), at), n, allowed)
        best = best_unseen(scores, history, block, n)
        values = np.take_along_axis(scores, np.maximum(best, 0), axis=1)
        lines.append(_lines(suffix, cells, history.user_ids[block], best, values))
    return b"".join(lines)


def _resumed(part: Path, state: Path, asked: dict[str, Any]) -> tuple[int, int]:
    """Return how many users are in a part that an earlier run left, and its bytes; 0, 0 for none of this request."""
    with contextlib.suppress(ArtifactError, OSError, KeyError, TypeError, ValueError):  # none, or another program's
        stored = load_json(state)
        if stored["asked"] == json.loads(json.dumps(asked)) and part.stat().st_size >= stored["bytes"]:
            return int(stored["users"]), int(stored["bytes"])
    return 0, 0


def _digest(model: Ranker, history: Interactions, catalog: Catalog, rows: np.ndarray, allowed: np.ndarray) -> str:
    """Return the SHA-256 of all that the lists are made of."""
    settings = [(one.name, one.settings) for one in (model, *model.parts.values())]
    learned = {name: getattr(*slot, np.empty(0)) for name, slot in model.slots().items()}  # a file may be optional
    digest = hashlib.sha256(repr((settings, sorted(learned), catalog.raw_titles)).encode(errors="replace"))
    known = (history.user_ids[rows], history.indptr, history.movie_rows, history.ratings, history.times)
    for array in (*known, catalog.movie_ids, allowed, *learned.values()):
        digest.update(np.ascontiguousarray(array).reshape(-1).data)
    return digest.hexdigest()


def _cells(suffix: str, catalog: Catalog) -> list[str]:
    """Return what a line says of each movie, by row, up to its score."""
    movies = list(zip(catalog.movie_ids.tolist(), catalog.raw_titles))
    if suffix == ".jsonl":
        return [json.dumps({"movieId": i, "title": title, "score": 0}, ensure_ascii=False)[:-2] for i, title in movies]
    out = io.StringIO()
    csv.writer(out, lineterminator=",\n").writerows(movies)
    return out.getvalue().split("\n")


def _lines(suffix: str, cells: list[str], user_ids: np.ndarray, rows: np.ndarray, values: np.ndarray) -> bytes:
    """Return the text of a block of lists; row -1 is left out."""
    lines = []
    for user_id, own, scores in zip(user_ids.tolist(), rows.tolist(), values.tolist()):
        found = [f"{cells[row]}{score:.6g}" for row, score in zip(own, scores) if row >= 0]
        if suffix == ".jsonl":
            lines.append(f'{{"userId": {user_id}, "movies": [{", ".join(movie + "}" for movie in found)}]}}')
        else:
            lines += [f"{user_id},{rank},{movie}" for rank, movie in enumerate(found, 1)]
    return "".join(f"{line}\n" for line in lines).encode()


def _to_parquet(part: Path) -> None:
    """Turn a part that is CSV into Parquet, by chunks."""
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    dtypes = dict(zip(COLUMNS, ("int64", "int64", "int64", "str", "float64")))
    with replace_file(part) as temporary, contextlib.ExitStack() as stack:
        writer = None
        for chunk in pd.read_csv(part, dtype=dtypes, chunksize=500_000, keep_default_na=False):
            table = pa.Table.from_pandas(chunk, preserve_index=False)
            writer = writer or stack.enter_context(pq.ParquetWriter(temporary, table.schema))
            writer.write_table(table)
