"""Embedding backends by name. A new one needs a name and two lines here; tests/test_backends.py tries it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data.artifacts import has_manifest
from ..data.errors import ChoiceError
from .base import BaseEmbeddingBackend

MINILM, LOCAL, HTTP, SENTENCE_TRANSFORMERS = "minilm", "local", "http", "sentence-transformers"
DEFAULT_BACKEND, *_ = _NAMES = (MINILM, LOCAL, HTTP, SENTENCE_TRANSFORMERS)


def names() -> tuple[str, ...]:
    """Return the names of all backends, the default first."""
    return _NAMES


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
    """Import a backend on first use: the default one is quick to import, others need more."""
    found: type[BaseEmbeddingBackend]
    if name == LOCAL:
        from .backends.local import LocalBackend as found
    elif name == HTTP:
        from .backends.http import HttpBackend as found
    elif name == MINILM:
        from .backends.minilm import MiniLmBackend as found
    elif name == SENTENCE_TRANSFORMERS:
        from .backends.sentence_transformers import SentenceTransformersBackend as found
    else:
        raise ChoiceError(f"no embedding backend is called {name!r}: choose from {', '.join(_NAMES)}")
    return found
