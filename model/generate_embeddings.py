"""Embed movies, and users by their ratings or dialogues, and store both.

    python -m model.generate_embeddings                         # movies and keywords, by the shipped sentence model
    python -m model.generate_embeddings --backend local         # movies and users, who are better found by it
    python -m model.generate_embeddings --backend http --base-url http://localhost:11434/v1 --model all-minilm
    python -m model.generate_embeddings --source movielens --source movietweetings=data/movietweetings --dry-run
    python -m model.generate_embeddings --dialogues data/redial.jsonl --user-method weighted
    python -m model.generate_embeddings --fusion pca --visual data/resnet50.npz --audio data/trailers
    python -m model.generate_embeddings --output my-vectors --from-url https://example.org/vectors.zip --sha256 HEX

A second run embeds only new and changed texts.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

import numpy as np

from recommender import cli as command
from recommender.data.artifacts import has_manifest, read_manifest
from recommender.data.catalog import read_counts
from recommender.data.errors import ChoiceError
from recommender.data.files import load_json
from recommender.data.interactions import FILES
from recommender.data.settings import check_value, default_folder, override
from recommender.data.splits import KIND, REMEDY
from recommender.media import fusion
from recommender.media.audio import read_audio
from recommender.media.vector_files import Vectors, movie_files
from recommender.media.visual import MEDIA_TYPES, ImageService, read_visual
from recommender.models import cost
from recommender.text.backends.http import HttpBackend, estimate_tokens
from recommender.text.backends.minilm import pack_weights
from recommender.text.base import MOVIELENS
from recommender.text.dialogues import ENDINGS, read_dialogues
from recommender.text.generator import TasteEmbeddingConfig, TasteEmbeddingGenerator
from recommender.text.people import AVERAGE, METHODS, UserVectorSettings, read_people
from recommender.text.registry import DEFAULT_BACKEND, HTTP, MINILM, backend_class, names
from recommender.text.vectors import DEFAULT_FORMS, VectorTable, fetch_vectors

_SERVICE = ("base_url", "model", "concurrency")  # settings with flags in every program
_BACKENDS = {name: backend_class(name).Settings for name in names()}
_FUSION_SETTINGS = [name for name in fusion.FusionSettings.__dataclass_fields__ if name != "method"]
_USER_SETTINGS = ("rating_threshold", "min_movies", "alpha")
_VISUAL_SERVICE = ("visual_url", "visual_model", "visual_key_variable")
_SECONDS_A_TEXT = {"local": 0.0008, MINILM: 0.038}  # of a movie, one thread; its genres and keywords included
_say = functools.partial(print, flush=True)


def make_parser() -> command.Parser:
    """Return the parser of the flags."""
    renamed = {"--files": "--formats", "--concurrency": "--threads"}
    description, _, examples = (__doc__ or "").partition("\n\n")
    layout = argparse.RawDescriptionHelpFormatter
    parser = command.Parser("model.generate_embeddings", description, renamed, epilog=examples, formatter_class=layout)
    add = parser.add_argument
    add("--backend", choices=names(), default=DEFAULT_BACKEND, help="embedding backend (default: %(default)s)")
    parser.add_common("processed")
    parser.add_common("output", help="output folder (default: artifacts/text/BACKEND of --processed)")
    add("--source", action="append", metavar="NAME[=PATH]", help="movie list; repeatable (see --help-all)")
    add("--ratings", type=Path, metavar="PATH", help="another processed folder, or a .csv (default: --processed)")
    add("--dialogues", type=Path, nargs="+", default=(), metavar="FILE", help="dialogues of users (see --help-all)")
    add("--no-users", action="store_true", help="movies only; default of minilm without --ratings or --dialogues")
    add("--fusion", choices=fusion.METHODS, help="combine text, pictures and sound into one vector")
    add("--visual", type=Path, metavar="PATH", help="pictures of movies of the first source (see --help-all)")
    add("--audio", type=Path, metavar="PATH", help="a folder of ID.wav, or vectors")
    add("--force", action="store_true", help="refit and embed everything again")
    add("--dry-run", action="store_true", help="print what would be embedded, without embedding")
    parser.add_common("base-url", "model", "threads")
    group = parser.add_more("more")
    group.description = (
        f"--source: a processed folder, movies.dat of MovieTweetings, movie_database.tsv of INSPIRED, or a folder "
        f"with one; {MOVIELENS} alone is --processed. --dialogues: .json CCPE-M, .jsonl ReDial, .tsv INSPIRED, or "
        f".csv with dialog_id,speaker_id,text, speaker ids being user ids. --ratings: userId,movieId,rating,timestamp. "
        f"--visual, --audio: .npz with movie_ids and vectors, .npy with NAME_ids.npy beside it, a folder of ID.npy; or "
        f"posters ID.jpg, ID.png, ID.webp, or pixels ID.npy; or ID.wav"
    )
    add = group.add_argument
    add("--formats", metavar="LIST", help="npz, csv, parquet (default: npz,csv; no csv of more than 50,000 users)")
    add("--small", action="store_true", help="store vectors in 8 bits")
    add("--no-texts", action="store_true", help="omit metadata and texts")
    add("--user-method", choices=METHODS, default=AVERAGE, help="weighting of ratings (default: %(default)s)")
    add("--visual-url", metavar="URL", help="address, up to /v1, of a service that embeds the posters of --visual")
    add("--visual-model", metavar="NAME", help="model of this service, for example a CLIP model")
    add("--visual-key-variable", metavar="NAME", help="environment variable with its key, if it needs one")
    add("--pack-weights", action="store_true", help="only make minilm's 4-bit weights from the published ones")
    add("--from-url", metavar="URL", help="download a .zip of such a folder to --output")
    add("--sha256", metavar="HEX", help="expected SHA-256 of this file")
    parser.add_settings(UserVectorSettings, _USER_SETTINGS, "settings of users")
    parser.add_settings(fusion.FusionSettings, _FUSION_SETTINGS, "settings of --fusion")
    known = {*_SERVICE}
    for backend, cls in _BACKENDS.items():  # which may share a flag
        own = [name for name in cls.__dataclass_fields__ if name not in known]
        parser.add_settings(cls, own, f"settings of --backend {backend}")
        known.update(own)
    return parser


def config_of(arguments: argparse.Namespace) -> TasteEmbeddingConfig:
    """Return the configuration; raises `ChoiceError` for a flag of another backend."""
    chosen, own = arguments.backend, dict[str, Any]()
    for backend, cls in _BACKENDS.items():
        for name in cls.__dataclass_fields__:
            flag = "threads" if name == "concurrency" else name
            if (value := getattr(arguments, flag)) is None:
                continue
            said = "--" + flag.replace("_", "-")
            if name not in _BACKENDS[chosen].__dataclass_fields__:
                raise ChoiceError(f"{said} is a setting of --backend {backend}, not {chosen}: omit it")
            own[name] = check_value(_BACKENDS[chosen], name, value, said)
    movielens = f"{MOVIELENS}={arguments.processed.resolve()}"
    return TasteEmbeddingConfig(
        backend_type=chosen,
        movie_sources=[movielens if name == MOVIELENS else name for name in arguments.source or [MOVIELENS]],
        output=arguments.output or arguments.processed / "artifacts" / "text" / chosen,
        forms=[form.strip() for form in arguments.formats.split(",")] if arguments.formats else DEFAULT_FORMS,
        small=arguments.small,
        with_texts=not arguments.no_texts,
        backend_settings=own,
        **{name: value for name in _USER_SETTINGS if (value := getattr(arguments, name)) is not None},
    )


def check_fusion(arguments: argparse.Namespace) -> None:
    """Raise `ChoiceError` for invalid combinations of flags of pictures, sound and fusion."""
    service = [getattr(arguments, name) is not None for name in _VISUAL_SERVICE]
    if any(service) and not (all(service[:2]) and arguments.visual):
        raise ChoiceError("--visual-url, --visual-model and --visual FOLDER go together: give all three")
    given = any(getattr(arguments, name) is not None for name in ("visual", "audio"))
    unused = [name for name in _FUSION_SETTINGS if getattr(arguments, name) is not None]
    if bool(arguments.fusion) != given or (unused and not given):
        raise ChoiceError("--fusion and its settings go with --visual, --audio or both: give these too, or omit it")


def read_inputs(arguments: argparse.Namespace) -> tuple[dict[str, Vectors], Optional[np.ndarray]]:
    """Return the vectors of the other modalities, and the movies rated in train, on which fusion is fitted.

    What is needed after the first request is read here, so that a wrong input costs no request.
    """
    ratings = arguments.ratings or arguments.processed
    spoken = ratings.suffix.lower() in ENDINGS
    if not arguments.no_users and (arguments.dry_run or arguments.visual_url or arguments.backend == HTTP):
        for file in (*arguments.dialogues, *([ratings] if spoken else ())):
            read_dialogues(file)
        if not spoken:
            read_people(ratings)
    others = {}
    if arguments.visual_url:
        n = len(movie_files(arguments.visual, MEDIA_TYPES))
        _say(f"{fusion.VISUAL}: {n:,} pictures for {arguments.visual_url}")
    elif arguments.visual:
        others[fusion.VISUAL] = read_visual(arguments.visual, command.Progress("pictures", "files"))
    if arguments.audio:
        others[fusion.AUDIO] = read_audio(arguments.audio, command.Progress("sounds", "files"))
    for name, (_, vectors) in others.items():
        _say("{}: {:,} movies, dimension {:,}".format(name, *vectors.shape))
    path = arguments.processed / "movie_popularity.json"
    counts = load_json(path, convert=read_counts) if path.is_file() else {}
    rated = np.array([movie_id for movie_id, n in counts.items() if n], dtype=np.int64)
    return others, rated if len(rated) else None


def check_size(arguments: argparse.Namespace, with_users: bool) -> None:
    """Say what a run on a processed folder takes; raises `ChoiceError` if the free memory cannot hold it."""
    ratings = arguments.ratings or arguments.processed
    if not has_manifest(ratings):
        return  # dialogues, or a table whose rows nobody has counted
    files = read_manifest(ratings, KIND, REMEDY)["files"]
    if not files.keys() >= {*FILES}:
        return
    n_users, n_movies, _, n_ratings = (files[name]["shape"][0] for name in FILES[:4])
    n_ratings *= with_users
    data = SimpleNamespace(n_ratings=n_ratings, n_users=n_users * with_users, n_movies=n_movies, indptr=[0])
    seconds, size = cost("users", data, arguments.dimension or 384)
    takes = seconds + n_movies * _SECONDS_A_TEXT.get(arguments.backend, 0.0), size
    command.check_cost(arguments.backend, data, takes, "omit the users: --no-users")


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Embed movies, then users, then fuse; or download vectors."""
    arguments = make_parser().parse_args(argv)
    if arguments.pack_weights:
        folder = arguments.output or default_folder(MINILM)
        pack_weights(folder)
        print(f"{folder}: the weights of {MINILM} at 4 bits")
        return
    config = config_of(arguments)
    VectorTable.check_output(config.folder)
    if bool(arguments.from_url) != bool(arguments.sha256):
        raise ChoiceError("--from-url and --sha256 go together: give both, or neither")
    if arguments.from_url:
        found = fetch_vectors(arguments.from_url, arguments.sha256, config.folder, _say)
        print("{}: {:,} movies, by {} {}, dimension {}".format(config.folder, len(found), *found.identity))
        return
    check_fusion(arguments)
    settings = override(fusion.FusionSettings(method=arguments.fusion or fusion.METHODS[0]), arguments)
    others, train_ids = read_inputs(arguments)
    generator = TasteEmbeddingGenerator(config, arguments.force, _say, command.Progress("", "texts"))
    if arguments.dry_run:
        texts, backend = list(generator.plan()[1].values()), generator.backend()
        if isinstance(backend, HttpBackend):
            print(", ".join(f"{name}: {n:,}" for name, n in backend.estimate(texts).items()))
        else:
            n_tokens = sum(map(estimate_tokens, texts))
            print("about {:,} tokens, by {} {}, dimension {}".format(n_tokens, *backend.identity))
        print(f"nothing was embedded, nothing stored in {config.folder}")
        return
    of_people = bool(arguments.ratings or arguments.dialogues or arguments.backend != MINILM)
    with_users = of_people and not arguments.no_users
    check_size(arguments, with_users)
    generator.build_movie_embeddings()
    if with_users:
        ratings = arguments.ratings or arguments.processed
        generator.build_user_embeddings(ratings, arguments.dialogues, arguments.user_method)
    if arguments.fusion:
        if arguments.visual_url:
            url, model, key_variable = (getattr(arguments, name) for name in _VISUAL_SERVICE)
            pictures = ImageService(base_url=url, model=model, key_variable=key_variable)
            others = {fusion.VISUAL: pictures.embed_folder(arguments.visual), **others}
        first = next(iter(config.sources()))
        fusion.build_fused(config.folder, first, others, settings, train_ids, config.forms, config.small, _say)


if __name__ == "__main__":
    command.run(main)
