"""What the training programs share: where the processed data lie, where the model is stored."""

from __future__ import annotations

import argparse
from pathlib import Path

from recommender import artifacts, command
from recommender.settings import default_folder


def make_parser(module: str, description: str, stored: str) -> command.Parser:
    """Return the parser of `python -m model.<module>` with the flags that all have; `stored`: its default folder."""
    parser = command.Parser(prog=f"python -m model.{module}", description=description)
    parser.add_argument(
        "--processed",
        type=Path,
        default=default_folder("processed"),
        metavar="DIR",
        help="what python -m preprocess.setup wrote (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help=f"where to store the model (default: artifacts/{stored} in the folder of --processed)",
    )
    return parser


def output_folder(arguments: argparse.Namespace, stored: str) -> Path:
    """Return where to store the model; raises `ArtifactError` where that can't be a folder, before any work is done."""
    folder: Path = arguments.output or arguments.processed / "artifacts" / stored
    if arguments.output or not arguments.processed.is_file():  # a wrong --processed is told by who reads it
        artifacts.need_folder(folder)
    return folder
