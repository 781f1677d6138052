"""Embed movies, and the people who rated or talked about them, and store both.

    python -m model.generate_embeddings
    python -m model.generate_embeddings --backend http --base-url http://localhost:11434/v1 --model all-minilm
    python -m model.generate_embeddings --source movielens --source movietweetings=data/movietweetings --dry-run
    python -m model.generate_embeddings --dialogues data/redial.jsonl --user-method weighted
    python -m model.generate_embeddings --fusion pca --visual data/resnet50.npz --audio data/trailers

A second run embeds only what is new or has changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from model.fuse_films import add_fusion_flags, fuse, modalities_of
from recommender import cli as command
from recommender.data.errors import ChoiceError
from recommender.data.settings import check_value, default_folder
from recommender.text.backends.http import HttpBackend, HttpSettings, estimate_tokens
from recommender.text.backends.local import LocalSettings
from recommender.text.config import HTTP, SENTENCE_TRANSFORMERS, TasteEmbeddingConfig
from recommender.text.generator import TasteEmbeddingGenerator
from recommender.text.mix import ALPHA
from recommender.text.movie_sources import MOVIELENS
from recommender.text.people import AVERAGE, METHODS
from recommender.text.registry import DEFAULT_BACKEND, names
from recommender.text.vector_files import DEFAULT_FORMS

SETTINGS_OF: dict[str, type[Any]] = {DEFAULT_BACKEND: LocalSettings, HTTP: HttpSettings}
USED_APART = ("model", "batch_size")  # settings of http that other backends have too


class Progress:
    """One line on a terminal, nothing elsewhere."""

    def __call__(self, done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done:,} of {total:,} texts", end="\n" if done == total else "", file=sys.stderr, flush=True)


def make_parser() -> command.Parser:
    """Return the parser of the flags."""
    parser = command.Parser(
        "model.generate_embeddings",
        __doc__ or "",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--backend", choices=names(), default=DEFAULT_BACKEND, help="what embeds (default: %(default)s)")
    add(
        "--processed",
        type=Path,
        default=default_folder("processed"),
        metavar="DIR",
        help="what python -m preprocess.setup wrote (default: %(default)s)",
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="where to store vectors (default: artifacts/text/BACKEND in the folder of --processed)",
    )
    add(
        "--source",
        action="append",
        metavar="NAME[=PATH]",
        help="a list of movies, once for each: a processed folder, movies.dat of MovieTweetings, movie_database.tsv of "
        f"INSPIRED, or a folder that holds one; {MOVIELENS} alone is the folder of --processed (default: {MOVIELENS})",
    )
    add("--files", default=",".join(DEFAULT_FORMS), metavar="LIST", help="npz, and csv, parquet (default: %(default)s)")
    add("--half", action="store_true", help="store vectors in 16 bits")
    add("--no-texts", action="store_true", help="store vectors without metadata and texts")
    add("--force", action="store_true", help="fit and embed everything anew, whatever is stored")
    add("--dry-run", action="store_true", help="say what would be embedded, then stop")
    people = parser.add_argument_group("people")
    people.add_argument("--no-users", action="store_true", help="movies only")
    people.add_argument(
        "--ratings",
        type=Path,
        metavar="PATH",
        help="another processed folder, or a .csv with userId,movieId,rating,timestamp (default: --processed)",
    )
    people.add_argument(
        "--dialogues",
        type=Path,
        nargs="+",
        default=(),
        metavar="FILE",
        help=".json CCPE-M, .jsonl ReDial, .tsv INSPIRED; .csv: dialog_id,speaker_id,text, with user ids as speaker_id",
    )
    people.add_argument("--user-method", choices=METHODS, default=AVERAGE, help="default: %(default)s")
    people.add_argument(
        "--rating-threshold",
        type=float,
        default=4.0,
        metavar="X",
        help="a movie is liked from here (default: %(default)s)",
    )
    people.add_argument(
        "--min-movies", type=int, default=3, metavar="N", help="leave out who likes fewer (default: %(default)s)"
    )
    people.add_argument(
        "--alpha", type=float, default=ALPHA, metavar="X", help="share of ratings beside words (default: %(default)s)"
    )
    add_fusion_flags(parser)
    for name, settings in SETTINGS_OF.items():
        parser.add_settings(settings, title=f"settings of --backend {name}")
    return parser


def config_of(arguments: argparse.Namespace) -> TasteEmbeddingConfig:
    """Return what the flags say; raises `ChoiceError` for a flag of a backend that was not chosen."""
    given: dict[str, Any] = {}
    for backend, settings in SETTINGS_OF.items():
        for name in settings.__dataclass_fields__:
            value = getattr(arguments, name)
            if value is None:
                continue
            flag = "--" + name.replace("_", "-")
            shared = name in USED_APART and arguments.backend == SENTENCE_TRANSFORMERS
            if backend != arguments.backend and not shared:
                raise ChoiceError(f"{flag} is a setting of --backend {backend}, not {arguments.backend}: leave it out")
            given[name] = check_value(settings, name, value, flag)
    apart = {name: given.pop(name) for name in USED_APART if name in given}
    model = {"openai_model" if arguments.backend == HTTP else "model_name": apart["model"]} if "model" in apart else {}
    size = {"batch_size": apart["batch_size"]} if "batch_size" in apart else {}
    sources = arguments.source or [MOVIELENS]
    return TasteEmbeddingConfig(
        backend_type=arguments.backend,
        movie_sources=[f"{name}={arguments.processed.resolve()}" if name == MOVIELENS else name for name in sources],
        rating_threshold=arguments.rating_threshold,
        min_movies=arguments.min_movies,
        alpha=arguments.alpha,
        output=arguments.output or arguments.processed / "artifacts" / "text" / arguments.backend,
        forms=[form.strip() for form in arguments.files.split(",")],
        half=arguments.half,
        with_texts=not arguments.no_texts,
        backend_settings=given,
        **model,
        **size,
    )


def tell_plan(generator: TasteEmbeddingGenerator) -> None:
    """Print what a run would embed."""
    work, backend = generator.plan()
    texts = [work.movies.texts[row] for row in work.missing]
    if isinstance(backend, HttpBackend):
        print(backend.estimate(texts))
    else:
        n_tokens = sum(map(estimate_tokens, texts))
        print("about {:,} tokens, by {} {}, dimension {}".format(n_tokens, *backend.identity))
    print(f"nothing was embedded, nothing stored in {generator.config.folder}")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Embed movies, then people."""
    arguments = make_parser().parse_args(argv)
    config = config_of(arguments)
    others = modalities_of(arguments, _say)
    generator = TasteEmbeddingGenerator(config, force=arguments.force, say=_say, progress=Progress())
    if arguments.dry_run:
        tell_plan(generator)
        return
    generator.build_movie_embeddings()
    if not arguments.no_users:
        ratings = arguments.ratings or arguments.processed
        generator.build_user_embeddings(ratings, arguments.dialogues, arguments.user_method)
    if others:
        fuse(arguments, config, others, _say)


def _say(line: str) -> None:
    print(line, flush=True)


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
