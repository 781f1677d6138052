"""Embedding backends by name: what `--backend` and stored vectors refer to. A new one is a function and a line here."""

from __future__ import annotations

from typing import Any

from ..data.errors import ChoiceError
from .base import BaseEmbeddingBackend

DEFAULT_BACKEND = "local"


# Each is imported when it is asked for: HTTP brings requests, which the default does not need.
def _local(**settings: Any) -> BaseEmbeddingBackend:
    from .backends.local import LocalBackend

    return LocalBackend(**settings)


def _http(**settings: Any) -> BaseEmbeddingBackend:
    from .backends.http import HttpBackend

    return HttpBackend(**settings)


def _minilm(**settings: Any) -> BaseEmbeddingBackend:
    from .backends.minilm import MiniLmBackend

    return MiniLmBackend(**settings)


def _sentence_transformers(**settings: Any) -> BaseEmbeddingBackend:
    from .backends.sentence_transformers import SentenceTransformersBackend

    return SentenceTransformersBackend(**settings)


_BACKENDS = {"local": _local, "http": _http, "minilm": _minilm, "sentence-transformers": _sentence_transformers}


def names() -> tuple[str, ...]:
    """Return the names of all backends, the default first."""
    return tuple(_BACKENDS)


def make_backend(name: str = DEFAULT_BACKEND, **settings: Any) -> BaseEmbeddingBackend:
    """Return backend `name` set by `settings`; raises `ChoiceError` for a name or a setting that does not exist."""
    if name not in _BACKENDS:
        raise ChoiceError(f"no embedding backend is called {name!r}: choose from {', '.join(_BACKENDS)}")
    try:
        return _BACKENDS[name](**settings)
    except TypeError as error:  # a setting that this backend does not have
        raise ChoiceError(f"backend {name} can't be set by {', '.join(settings)}: {error}") from error
