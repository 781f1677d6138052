"""Embedding backends by name. A new one is imported and listed here; tests/test_text_backends.py tries it.

All are imported with this module, at the start of a session: each imports what is slow where it first needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data.artifacts import has_manifest
from ..data.errors import ChoiceError
from .backends.http import HttpBackend
from .backends.local import LocalBackend
from .backends.minilm import MiniLmBackend
from .backends.sentence_transformers import SentenceTransformersBackend
from .base import BaseEmbeddingBackend

_LISTED = (MiniLmBackend, LocalBackend, HttpBackend, SentenceTransformersBackend)  # the default first
BACKENDS: dict[str, type[BaseEmbeddingBackend]] = {backend.name: backend for backend in _LISTED}
DEFAULT_BACKEND, LOCAL, HTTP, SENTENCE_TRANSFORMERS, *_ = BACKENDS
MINILM = DEFAULT_BACKEND


def names() -> tuple[str, ...]:
    """Return the names of all backends, the default first."""
    return tuple(BACKENDS)


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


def backend_class(name: str) -> type[BaseEmbeddingBackend]:
    """Return the class of backend `name`; raises `ChoiceError` for an unknown one."""
    if name not in BACKENDS:
        raise ChoiceError(f"no embedding backend is called {name!r}: choose from {', '.join(BACKENDS)}")
    return BACKENDS[name]
