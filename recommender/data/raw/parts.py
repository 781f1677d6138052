"""Read ratings that come in parts: a folder `ratings` beside `movies.csv`, with .csv, .csv.gz or .parquet files.

Every part has the columns of `ratings.csv`, as plain numbers; in Parquet a timestamp may be a date. An engine reads
them, each worker some of the parts, by their paths: on other machines these must be the same. The result is that of one
`ratings.csv` with the lines of all parts in the order of their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..errors import ChoiceError, DataError
from .cells import TIMES
from .csv_table import find_columns
from .ratings_table import COLUMNS, RatingsTable, in_range, read_header, read_numbers, table_of
from .raw_files import RawFiles
from .sources import FORMATS, PARTS, Source

Map = Callable[..., Iterable[Any]]  # the builtin, or that of an engine


def read_parts(source: Source, scale: Optional[tuple[float, float]] = None, each: Map = map) -> RatingsTable:
    """Read the ratings of `source.parts`; `each`: calls `read_part` for every one, here or elsewhere.

    Raises `DataError`, naming the part, for one that has other columns or is not of plain numbers in range. Memory here
    as `read_ratings`.
    """
    layout = FORMATS["csv"]
    low, high = scale or (layout.low, layout.high)
    n = len(source.parts)
    columns = [np.concatenate(column) for column in zip(*each(read_part, source.parts, [low] * n, [high] * n))]
    notes = [f"ratings are read from {n:,} parts"]
    if not len(columns[0]):
        raise DataError(f"{source.files.path / PARTS} has no ratings: give complete parts")
    return table_of(source.files.path / PARTS, columns, low, high, notes)


def read_part(path: Path, low: float, high: float) -> list[np.ndarray]:
    """Return users, movies, ratings and seconds since 1970 of one part, (n,) each."""
    if path.suffix == ".parquet":
        columns = _parquet(path, low, high)
    else:
        files = RawFiles(path)
        layout, _ = read_header(files, FORMATS["csv"]._replace(low=low, high=high))
        columns = None if -1 in layout.positions else read_numbers(files, layout)
    if columns is None:
        problem = f"is not of plain numbers in range: whole ids, ratings from {low:g} to {high:g}, times in seconds"
        raise DataError(f"{path} {problem}; join the parts as one ratings.csv, which may have other forms")
    return columns


def _parquet(path: Path, low: float, high: float) -> Optional[list[np.ndarray]]:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise ChoiceError(f"{path} needs pyarrow: pip install 'tastevec[parquet]', or give .csv parts") from None
    try:
        names = pq.read_schema(path).names
        _, _, found = find_columns(",".join(names), COLUMNS)
        if any(len(places) != 1 for places in found):
            raise DataError(f"{path} has the columns {', '.join(names)[:80]}: expected {','.join(COLUMNS)}")
        table = pq.read_table(path, columns=[names[places[0]] for places in found])
        columns = []
        for place, dtype in zip(table.itercolumns(), (np.int64, np.int64, np.float64, np.int64)):
            if pa.types.is_timestamp(place.type):
                place = place.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
            columns.append(place.cast(pa.from_numpy_dtype(dtype)).to_numpy())
            if place.null_count:
                return None
    except pa.ArrowException as error:
        raise DataError(f"{path} is damaged or no table of ratings ({error}): {TIMES}") from None
    users, movies, ratings, times = columns
    if len(users) and not in_range(users, movies, ratings, times, low, high):
        return None
    return [users, movies, ratings.astype(np.float32), times.astype(np.uint32)]
