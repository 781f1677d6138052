"""Embedding backends by name. A new one needs a name and two lines here; tests/test_backends.py tries it."""

from __future__ import annotations

from typing import Any

from ..data.errors import ChoiceError
from .base import BaseEmbeddingBackend

DEFAULT_BACKEND, HTTP, SENTENCE_TRANSFORMERS = "local", "http", "sentence-transformers"
_NAMES = (DEFAULT_BACKEND, HTTP, "minilm", SENTENCE_TRANSFORMERS)


def names() -> tuple[str, ...]:
    """Return the names of all backends, the default first."""
    return _NAMES


def make_backend(name: str = DEFAULT_BACKEND, **settings: Any) -> BaseEmbeddingBackend:
    """Return backend `name` with `settings`; raises `ChoiceError` for an unknown name or setting."""
    try:
        return backend_class(name)(**settings)
    except TypeError as error:  # an unknown setting
        raise ChoiceError(f"backend {name} does not accept {', '.join(settings)}: {error}") from error


def backend_class(name: str) -> type[BaseEmbeddingBackend]:
    """Import a backend on first use: the default one is quick to import, others need more."""
    found: type[BaseEmbeddingBackend]
    if name == DEFAULT_BACKEND:
        from .backends.local import LocalBackend as found
    elif name == HTTP:
        from .backends.http import HttpBackend as found
    elif name == "minilm":
        from .backends.minilm import MiniLmBackend as found
    elif name == SENTENCE_TRANSFORMERS:
        from .backends.sentence_transformers import SentenceTransformersBackend as found
    else:
        raise ChoiceError(f"no embedding backend is called {name!r}: choose from {', '.join(_NAMES)}")
    return found
