"""Ranking models by name: what `--models a,b,c` and stored settings refer to. A new one is a file and a line here."""

from __future__ import annotations

from typing import Any, Optional

from ..data.catalog import Catalog
from ..data.errors import ChoiceError
from .base import Ranker
from .baselines import Biases, MostPopular, Trending
from .content import Content, Embedding, TextRidge
from .directed_ease import DirectedEase
from .ease import Ease
from .ials import Ials
from .item_knn import ItemKnn
from .rating_predictor import RatingPredictor
from .stacker import Stacker
from .svd import SvdModel
from .two_tower.model import TwoTower

_CLASSES: tuple[type[Ranker], ...] = (  # simple ones first
    MostPopular,
    Biases,
    Trending,
    ItemKnn,
    Ease,
    DirectedEase,
    Ials,
    SvdModel,
    TwoTower,
    RatingPredictor,
    Content,
    Embedding,
    Stacker,
    TextRidge,
)
_MODELS = {model.name: model for model in _CLASSES}
OLD_NAMES = {"text_bridge": "text_ridge", "item_cf": "ease"}  # accepted, not shown


def names() -> tuple[str, ...]:
    """Return the names of all models, simple ones first."""
    return tuple(_MODELS)


def add(*models: type[Ranker]) -> None:
    """Add models that are made of others (recommender/hybrid.py)."""
    _MODELS.update({model.name: model for model in models})


def model_class(name: str) -> type[Ranker]:
    """Return the class of model `name`; raises `ChoiceError` for a name that does not exist."""
    found = _MODELS.get(OLD_NAMES.get(name, name)) if isinstance(name, str) else None
    if found is None:
        raise ChoiceError(f"no model is called {name!r}: choose from {', '.join(_MODELS)}")
    return found


def make(name: str, catalog: Optional[Catalog] = None, **settings: Any) -> Ranker:
    """Return an unfitted model; `catalog` reaches the models that rank by what movies are.

    >>> make("ease", regularisation=200).settings.regularisation
    200.0
    """
    return model_class(name)(catalog, **settings)
