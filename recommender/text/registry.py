"""Embedding backends by name: what `--backend` and stored vectors refer to. A new one is a name and a case here."""

from __future__ import annotations

from typing import Any, Callable

from ..data.errors import ChoiceError
from .base import BaseEmbeddingBackend

DEFAULT_BACKEND, HTTP, SENTENCE_TRANSFORMERS = "local", "http", "sentence-transformers"
_NAMES = (DEFAULT_BACKEND, HTTP, "minilm", SENTENCE_TRANSFORMERS)


def names() -> tuple[str, ...]:
    """Return the names of all backends, the default first."""
    return _NAMES


def make_backend(name: str = DEFAULT_BACKEND, **settings: Any) -> BaseEmbeddingBackend:
    """Return backend `name` set by `settings`; raises `ChoiceError` for a name or a setting that does not exist."""
    if name not in _NAMES:
        raise ChoiceError(f"no embedding backend is called {name!r}: choose from {', '.join(_NAMES)}")
    try:
        return _backend_class(name)(**settings)
    except TypeError as error:  # a setting that this backend does not have
        raise ChoiceError(f"backend {name} can't be set by {', '.join(settings)}: {error}") from error


def _backend_class(name: str) -> Callable[..., BaseEmbeddingBackend]:
    """Import a backend when it is asked for: http brings requests, which the default does not need."""
    if name == DEFAULT_BACKEND:
        from .backends.local import LocalBackend

        return LocalBackend
    if name == HTTP:
        from .backends.http import HttpBackend

        return HttpBackend
    if name == "minilm":
        from .backends.minilm import MiniLmBackend

        return MiniLmBackend
    from .backends.sentence_transformers import SentenceTransformersBackend

    return SentenceTransformersBackend
