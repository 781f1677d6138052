"""Embedding backends by name. A new one needs a name and a case here."""

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
    """Return backend `name` with `settings`; raises `ChoiceError` for an unknown name or setting."""
    if name not in _NAMES:
        raise ChoiceError(f"no embedding backend is called {name!r}: choose from {', '.join(_NAMES)}")
    try:
        return _backend_class(name)(**settings)
    except TypeError as error:  # an unknown setting
        raise ChoiceError(f"backend {name} does not accept {', '.join(settings)}: {error}") from error


def _backend_class(name: str) -> Callable[..., BaseEmbeddingBackend]:
    """Import a backend on first use: http needs requests, the default does not."""
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
