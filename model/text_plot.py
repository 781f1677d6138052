"""A curve in plain text, for a terminal or a log."""

from __future__ import annotations

import math
from collections.abc import Sequence

HEIGHT, WIDTH = 8, 60


def curve(values: Sequence[float], label: str, mark: int = -1) -> str:
    """Return the values as a plot of `HEIGHT` lines: a `*` for each, an `O` at index `mark`.

    More values than `WIDTH` share columns: the last of each stays. What is not finite is left out.

    >>> print(curve([3.0, 2.0, 1.5, 1.75], "loss", mark=2))
            3 |*
              |
              |
              |
              |
              |   *
              |         *
          1.5 |      O
              +-----------
               1        4   loss
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return f"{label}: no values"
    top, bottom = max(finite), min(finite)
    gap = max(1, min(3, WIDTH // len(values)))
    columns: dict[int, tuple[int, str]] = {}
    for place, value in enumerate(values):
        if math.isfinite(value):
            column = place * gap if len(values) * gap <= WIDTH else place * (WIDTH - 1) // (len(values) - 1)
            line = round((top - value) / (top - bottom) * (HEIGHT - 1)) if top > bottom else HEIGHT - 1
            sign = "O" if place == mark or columns.get(column, (line, ""))[1] == "O" else "*"
            columns[column] = (line, sign)
    width = max(columns) + 1
    lines = []
    for line in range(HEIGHT):
        name = {0: f"{top:.4g}", HEIGHT - 1: f"{bottom:.4g}"}.get(line, "")
        cells = (columns[c][1] if c in columns and columns[c][0] == line else " " for c in range(width))
        lines.append(f"{name:>9} |" + "".join(cells).rstrip())
    last = str(len(values))
    lines.append(" " * 10 + "+" + "-" * (width + 1))
    lines.append(
        " " * 11 + "1" + " " * max(1, width - 1 - len(last)) + (last if len(values) > 1 else "") + f"   {label}"
    )
    return "\n".join(lines)
