"""Embedding backends by name: what `--backend` and stored vectors refer to.

A backend is imported when it is asked for. A new one is one line here.
"""

from __future__ import annotations

from typing import Any

from ..data.errors import ChoiceError
from .base import BaseEmbeddingBackend


def _local() -> type[BaseEmbeddingBackend]:
    from .backends.local import LocalBackend

    return LocalBackend


def _http() -> type[BaseEmbeddingBackend]:
    from .backends.http import HttpBackend

    return HttpBackend


def _minilm() -> type[BaseEmbeddingBackend]:
    from .backends.minilm import MiniLmBackend

    return MiniLmBackend


def _sentence_transformers() -> type[BaseEmbeddingBackend]:
    from .backends.sentence_transformers import SentenceTransformersBackend

    return SentenceTransformersBackend


# Imported when asked for: HTTP brings requests, which the default does not need.
_BACKENDS = {"local": _local, "http": _http, "minilm": _minilm, "sentence-transformers": _sentence_transformers}
DEFAULT_BACKEND = "local"


def names() -> tuple[str, ...]:
    """Return the names of all backends, the default first."""
    return tuple(_BACKENDS)


def make_backend(name: str = DEFAULT_BACKEND, **settings: Any) -> BaseEmbeddingBackend:
    """Return backend `name` set by `settings`; raises `ChoiceError` for a name that does not exist."""
    if name not in _BACKENDS:
        raise ChoiceError(f"no embedding backend is called {name!r}: choose from {', '.join(_BACKENDS)}")
    return _BACKENDS[name]()(**settings)
