"""Embedding backends by name: what `--backend` and stored vectors refer to.

A backend is imported when it is asked for. A new one is one line here.
"""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import ChoiceError
from .base import BaseEmbeddingBackend

_BACKENDS = {
    "local": ("local", "LocalBackend"),
    "http": ("http_backend", "HttpBackend"),
    "minilm": ("minilm", "MiniLmBackend"),
    "sentence-transformers": ("sentence_transformers_backend", "SentenceTransformersBackend"),
}
DEFAULT_BACKEND = "local"


def names() -> tuple[str, ...]:
    """Return the names of all backends, the default first."""
    return tuple(_BACKENDS)


def make_backend(name: str = DEFAULT_BACKEND, **settings: Any) -> BaseEmbeddingBackend:
    """Return backend `name` set by `settings`; raises `ChoiceError` for a name that does not exist."""
    if name not in _BACKENDS:
        raise ChoiceError(f"no embedding backend is called {name!r}: choose from {', '.join(_BACKENDS)}")
    module, attribute = _BACKENDS[name]
    found: type[BaseEmbeddingBackend] = getattr(importlib.import_module(f".{module}", __package__), attribute)
    return found(**settings)
