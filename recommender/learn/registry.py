"""Ranking models by name: what `--models a,b,c` and stored settings refer to.

A model is imported when it is asked for, so that listing the names costs nothing. A new model is one line here.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Optional

from ..catalog import Catalog
from ..errors import ChoiceError
from .base import Ranker

_MODELS = {
    "popularity": ("most_popular", "MostPopular"),
    "biases": ("biases", "Biases"),
    "trending": ("trending", "Trending"),
    "item_knn": ("item_knn", "ItemKnn"),
    "ease": ("ease", "Ease"),
    "directed_ease": ("directed_ease", "DirectedEase"),
    "ials": ("ials", "Ials"),
    "svd": ("svd", "SvdModel"),
    "two_tower": ("two_tower", "TwoTower"),
    "rating_predictor": ("rating_predictor", "RatingPredictor"),
    "content": ("content", "Content"),
    "stacker": ("stacker", "Stacker"),
    "text_bridge": (".embed.text_bridge", "TextBridge"),
    "two_tower_text": (".embed.text_two_tower", "TextTwoTower"),
}
_FOLDERS = {"two_tower": "twotower"}


def names() -> tuple[str, ...]:
    """Return the names of all models, simple ones first."""
    return tuple(_MODELS)


def model_class(name: str) -> type[Ranker]:
    """Return the class of model `name`; raises `ChoiceError` for a name that does not exist."""
    if name not in _MODELS:
        raise ChoiceError(f"no model is called {name!r}: choose from {', '.join(_MODELS)}")
    module, attribute = _MODELS[name]
    found: type[Ranker] = getattr(importlib.import_module(f".{module}", __package__), attribute)
    return found


def folder_name(name: str) -> str:
    """Return the folder below `artifacts` in which the model is kept.

    >>> folder_name("ease"), folder_name("two_tower")
    ('ease', 'twotower')
    """
    return _FOLDERS.get(name, name)


def make(name: str, catalog: Optional[Catalog] = None, **settings: Any) -> Ranker:
    """Return an unfitted model; `catalog` reaches the models that rank by what films are.

    >>> make("ease", regularisation=200).settings.regularisation
    200.0
    """
    cls = model_class(name)
    return cls(**_parts(cls, catalog), **settings)


def load(name: str, folder: Path, catalog: Optional[Catalog] = None) -> Ranker:
    """Read a fitted model that `Ranker.save` wrote to `folder`."""
    cls = model_class(name)
    return cls.load(folder, **_parts(cls, catalog))


def _parts(cls: type[Ranker], catalog: Optional[Catalog]) -> dict[str, Any]:
    return {"catalog": catalog} if cls.takes_catalog and catalog is not None else {}
