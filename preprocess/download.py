"""Fetch a MovieLens data set by name, in one piece or not at all (fetching.py).

The MD5 is the published one for the data sets that never change; for the others it is read from `NAME.zip.md5`
beside the archive. Each mirror is tried in turn.

    python -m preprocess.download ml-latest-small
    python -m preprocess.setup --data data/ml-latest-small.zip
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from preprocess import program as common
from preprocess.fetching import Say, fetch
from recommender import cli as command
from recommender.data import artifacts
from recommender.data.errors import ChoiceError

MIRRORS = ("https://files.grouplens.org/datasets/movielens",)
# As GroupLens publishes them; None: the archive changes from time to time.
PUBLISHED_MD5: dict[str, Optional[str]] = {
    "ml-latest-small": None,
    "ml-latest": None,
    "ml-32m": "d472be332d4daa821edc399621853b57",
    "ml-25m": "6b51fb2759a8657d3bfcbfc42b592ada",
    "ml-20m": "cd245b17a1ae2cc31bb14903e1204af3",
    "ml-10m": "ce571fd55effeba0271552578f2648bd",
    "ml-1m": "c4d9eecfca2ab87c1945afe126590906",
    "ml-100k": "0e33842e24a9c977be4e0107933c0723",
}


def download(
    name: str,
    folder: Path,
    mirrors: Sequence[str] = MIRRORS,
    md5: Optional[str] = None,
    pause: float = 1.0,
    say: Say = print,
) -> Path:
    """Fetch `NAME.zip` into `folder` from the first of `mirrors` that has it right; return its path.

    md5: what it must have; None asks the mirror for `NAME.zip.md5`. The rest is as for `fetching.fetch`.
    """
    urls = [f"{mirror.rstrip('/')}/{name}.zip" for mirror in mirrors]
    return fetch(urls, folder / f"{name}.zip", "md5", md5, pause, say)


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fetch one data set."""
    parser = common.Parser("preprocess.download", "Fetch a MovieLens data set by name.")
    parser.add_argument("name", metavar="NAME", help=", ".join(PUBLISHED_MD5))
    parser.add_argument("--to", type=Path, default=Path("data"), metavar="DIR", help="where to put it (default: data)")
    parser.add_argument(
        "--mirror",
        action="append",
        default=[],
        metavar="URL",
        help=f"an https folder that holds NAME.zip; may be repeated; tried before {', '.join(MIRRORS)}",
    )
    arguments = parser.parse_args(argv)
    name = arguments.name.lower().removesuffix(".zip")
    if name not in PUBLISHED_MD5:
        near = difflib.get_close_matches(name, PUBLISHED_MD5, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(PUBLISHED_MD5)}"
        raise ChoiceError(f"no data set called {arguments.name!r}: {hint}")
    artifacts.need_folder(arguments.to, "--to")
    path = download(name, arguments.to, (*arguments.mirror, *MIRRORS), PUBLISHED_MD5[name])
    print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB\nnext: python -m preprocess.setup --data {path}")


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
