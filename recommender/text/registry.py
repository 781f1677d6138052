"""Embedding backends by name. A new one is one function like those below; tests/test_backends.py tries it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from ..data.artifacts import has_manifest
from ..data.errors import ChoiceError
from .base import BaseEmbeddingBackend

Backend = type[BaseEmbeddingBackend]
DEFAULT_BACKEND = MINILM = "minilm"
LOCAL, HTTP, SENTENCE_TRANSFORMERS = "local", "http", "sentence-transformers"
_IMPORTS: dict[str, Callable[[], Backend]] = {}  # on first use: the default one is quick to import, others need more


def _backend(imported: Callable[[], Backend]) -> None:
    _IMPORTS[imported.__name__.strip("_").replace("_", "-")] = imported


@_backend
def _minilm() -> Backend:
    from .backends.minilm import MiniLmBackend as found

    return found


@_backend
def _local() -> Backend:
    from .backends.local import LocalBackend as found

    return found


@_backend
def _http() -> Backend:
    from .backends.http import HttpBackend as found

    return found


@_backend
def _sentence_transformers() -> Backend:
    from .backends.sentence_transformers import SentenceTransformersBackend as found

    return found


def names() -> tuple[str, ...]:
    """Return the names of all backends, the default first."""
    return tuple(_IMPORTS)


def make_backend(name: str = DEFAULT_BACKEND, **settings: Any) -> BaseEmbeddingBackend:
    """Return backend `name` with `settings`; raises `ChoiceError` for an unknown name or setting."""
    try:
        return backend_class(name)(**settings)
    except TypeError as error:  # an unknown setting
        raise ChoiceError(f"backend {name} does not accept {', '.join(settings)}: {error}") from error


def stored_backend(folder: Path) -> str:
    """Return the default backend for a processed folder: `local` if it has movie vectors of this one alone."""
    stored = [name for name in (DEFAULT_BACKEND, LOCAL) if has_manifest(folder / "artifacts" / "text" / name)]
    return stored[0] if stored else DEFAULT_BACKEND


def backend_class(name: str) -> Backend:
    """Return the class of backend `name`; raises `ChoiceError` for an unknown one."""
    if name not in _IMPORTS:
        raise ChoiceError(f"no embedding backend is called {name!r}: choose from {', '.join(_IMPORTS)}")
    return _IMPORTS[name]()
