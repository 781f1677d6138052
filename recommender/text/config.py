"""Configuration of `TasteEmbeddingGenerator`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

from ..data.errors import ChoiceError, SettingsError
from ..data.settings import check_value, default_folder
from .backends.local import LocalSettings
from .movie_sources import MOVIELENS
from .people import UserVectorSettings
from .registry import DEFAULT_BACKEND, names
from .vectors import DEFAULT_FORMS, check_forms


@dataclass(frozen=True)
class TasteEmbeddingConfig:
    """What to embed, with which backend, and where to store it.

    project_root: folder with `processed/` and `data/`; None: the shipped ones.
    backend_type: a name of `registry.names()`.  model_name: the model of `sentence-transformers`, "" its default.
    openai_model: the model of `http`.  movie_sources: names or `name=path`, or a mapping from name to path; paths are
    relative to `project_root`, and `movielens` alone is the processed folder.  batch_size: texts in a call of a
    model or service.  rating_threshold, min_movies, alpha: see `people`.
    output: folder of the results, by default processed/artifacts/text/<backend_type>.  forms: of `vectors.FORMS`; by
    default, more than 50,000 users get no .csv.
    half: vectors in 16 bits.  with_texts: metadata and texts beside the vectors.
    backend_settings: more settings of the backend by name (`HttpSettings`, `LocalSettings`).

    Raises `ChoiceError` or `SettingsError` for unknown names and values out of range.
    """

    project_root: Union[str, Path, None] = None
    backend_type: str = DEFAULT_BACKEND
    model_name: str = ""
    openai_model: str = "text-embedding-3-large"
    movie_sources: Union[Sequence[str], Mapping[str, Union[str, Path]]] = (MOVIELENS,)
    batch_size: int = 64
    rating_threshold: float = 4.0
    min_movies: int = 3
    alpha: float = 0.7
    output: Union[str, Path, None] = None
    forms: Sequence[str] = DEFAULT_FORMS
    half: bool = False
    with_texts: bool = True
    backend_settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.backend_type not in names():
            raise ChoiceError(f"no embedding backend is called {self.backend_type!r}: choose from {', '.join(names())}")
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise SettingsError(f"batch_size: {self.batch_size!r} is not a whole number from 1: give for example 64")
        if isinstance(self.movie_sources, str) or not self.movie_sources:
            raise SettingsError(f"movie_sources: {self.movie_sources!r} is not a list of names: give (movielens,)")
        if self.backend_type == DEFAULT_BACKEND:
            for name, value in self.backend_settings.items():
                check_value(LocalSettings, name, value)
        UserVectorSettings(rating_threshold=self.rating_threshold, min_movies=self.min_movies, alpha=self.alpha)
        check_forms(self.forms)

    @property
    def processed(self) -> Path:
        return default_folder("processed") if self.project_root is None else Path(self.project_root) / "processed"

    @property
    def folder(self) -> Path:
        """Where results are stored."""
        return Path(self.output) if self.output else self.processed / "artifacts" / "text" / self.backend_type

    def sources(self) -> dict[str, Path]:
        """Return name -> path of the movie lists."""
        given = self.movie_sources
        pairs = given.items() if isinstance(given, Mapping) else [tuple(entry.split("=", 1)) for entry in given]
        root, default = Path(self.project_root or ""), {MOVIELENS: self.processed}
        found: dict[str, Path] = {}
        for name, *path in pairs:
            if name in found:
                raise ChoiceError(f"source {name!r} is given twice: use different names")
            found[name] = root / path[0] if any(path) else default.get(name, root / "data" / name)
        return found
