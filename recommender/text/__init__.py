"""Embed free text, movies and users as vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .generator import TasteEmbeddingConfig as TasteEmbeddingConfig
    from .generator import TasteEmbeddingGenerator as TasteEmbeddingGenerator

__all__ = ["TasteEmbeddingConfig", "TasteEmbeddingGenerator"]


def __getattr__(name: str) -> Any:
    """Import the generator on first use: a session without words does not need it."""
    if name in __all__:
        from . import generator

        return getattr(generator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
