"""Ranking models by name: what `--models a,b,c` and stored settings refer to.

A new model is one file and one line here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from ..data.catalog import Catalog
from ..data.errors import ChoiceError
from .base import Ranker
from .biases import Biases
from .content import Content
from .directed_ease import DirectedEase
from .ease import Ease
from .ials import Ials
from .item_knn import ItemKnn
from .popularity import MostPopular
from .rating_predictor import RatingPredictor
from .stacker import Stacker
from .svd import SvdModel
from .text_ridge import TextBridge
from .trending import Trending
from .two_tower.model import TwoTower
from .two_tower_text import TextTwoTower

_MODELS: dict[str, type[Ranker]] = {
    "popularity": MostPopular,
    "biases": Biases,
    "trending": Trending,
    "item_knn": ItemKnn,
    "ease": Ease,
    "directed_ease": DirectedEase,
    "ials": Ials,
    "svd": SvdModel,
    "two_tower": TwoTower,
    "rating_predictor": RatingPredictor,
    "content": Content,
    "stacker": Stacker,
    "text_bridge": TextBridge,
    "two_tower_text": TextTwoTower,
}
_FOLDERS = {"two_tower": "twotower"}


def names() -> tuple[str, ...]:
    """Return the names of all models, simple ones first."""
    return tuple(_MODELS)


def model_class(name: str) -> type[Ranker]:
    """Return the class of model `name`; raises `ChoiceError` for a name that does not exist."""
    if name not in _MODELS:
        raise ChoiceError(f"no model is called {name!r}: choose from {', '.join(_MODELS)}")
    return _MODELS[name]


def folder_name(name: str) -> str:
    """Return the folder below `artifacts` in which the model is kept.

    >>> folder_name("ease"), folder_name("two_tower")
    ('ease', 'twotower')
    """
    return _FOLDERS.get(name, name)


def make(name: str, catalog: Optional[Catalog] = None, **settings: Any) -> Ranker:
    """Return an unfitted model; `catalog` reaches the models that rank by what movies are.

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
