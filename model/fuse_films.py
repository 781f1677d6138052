"""The part of `model.generate_embeddings` that joins movies' texts with their pictures and sound."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

import numpy as np

from recommender.data.artifacts import load_json
from recommender.data.errors import ChoiceError
from recommender.data.settings import override
from recommender.media.audio import read_audio
from recommender.media.fused_embeddings import build_fused
from recommender.media.fusion import METHODS, FusionSettings
from recommender.media.mfcc import MfccSettings
from recommender.media.modalities import Modality
from recommender.media.visual import ImageService, read_visual
from recommender.text.config import TasteEmbeddingConfig

FUSION_FLAGS = ("n_components", "n_canonical", "text_weight", "regularisation", "shared_space")


def add_fusion_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of pictures, sound and fusion."""
    group = parser.add_argument_group("pictures and sound, of movies of the first source")
    add = group.add_argument
    add("--fusion", choices=METHODS, help="make one vector of what is known of a movie's text, pictures and sound")
    add(
        "--visual",
        type=Path,
        metavar="PATH",
        help=".npz with movie_ids and vectors, .npy with NAME_ids.npy beside it, or a folder of ID.npy (vectors or "
        "pixels) or of posters ID.jpg, ID.png, ID.webp",
    )
    add("--visual-url", metavar="URL", help="a service, up to /v1, that embeds the posters of --visual")
    add("--visual-model", metavar="NAME", help="its model, for example one of CLIP")
    add("--visual-key-variable", metavar="NAME", help="environment variable that holds its key, where it wants one")
    add("--audio", type=Path, metavar="PATH", help="a folder of ID.wav, or vectors in a form as for --visual")
    parser.add_settings(FusionSettings, FUSION_FLAGS, "settings of --fusion")


def modalities_of(arguments: argparse.Namespace, say: Callable[[str], None]) -> list[Modality]:
    """Read the pictures and sound that the flags name; in a dry run, look at the flags alone.

    Raises `ChoiceError` for flags that do not go together.
    """
    given = [name for name in ("visual", "audio") if getattr(arguments, name) is not None]
    service = {name: getattr(arguments, f"visual_{name}") for name in ("url", "model", "key_variable")}
    asked = any(value is not None for value in service.values())
    if asked and None in (service["url"], service["model"], arguments.visual):
        raise ChoiceError("a service for pictures needs all of --visual-url, --visual-model and --visual FOLDER")
    if arguments.fusion is None:
        unused = [name for name in (*given, *FUSION_FLAGS) if getattr(arguments, name) is not None]
        if unused:
            raise ChoiceError(f"--{unused[0].replace('_', '-')} is used by --fusion alone: give both, or leave it out")
        return []
    if not given:
        raise ChoiceError(f"--fusion {arguments.fusion} needs more than texts: give --visual or --audio or both")
    if arguments.dry_run:
        return []
    found = []
    if asked:
        pictures = ImageService(base_url=service.pop("url"), **service)
        found.append(pictures.embed_folder(arguments.visual))
    elif "visual" in given:
        found.append(read_visual(arguments.visual, _show_progress))
    if "audio" in given:
        found.append(read_audio(arguments.audio, MfccSettings(), _show_progress))
    for part in found:
        say("{}: {:,} movies, {:,} numbers each".format(part.name, *part.vectors.shape))
    return found


def fuse(
    arguments: argparse.Namespace,
    config: TasteEmbeddingConfig,
    others: Sequence[Modality],
    say: Callable[[str], None],
) -> None:
    """Fuse the stored texts with `others`, fitted on the movies that have ratings in train, where these are known."""
    counts = arguments.processed / "movie_popularity.json"
    rated = [int(movie_id) for movie_id, n in load_json(counts).items() if n] if counts.is_file() else []
    build_fused(
        config.folder,
        next(iter(config.sources())),
        others,
        override(FusionSettings(method=arguments.fusion), arguments),
        np.array(rated, dtype=np.int64) if rated else None,
        config.forms,
        config.half,
        say,
    )


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done:,} of {total:,} files", end="\n" if done == total else "", file=sys.stderr, flush=True)
