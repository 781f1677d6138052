"""Any model of the sentence-transformers library, which brings torch: more choice of models, a slower start.

The library gives mean- or [CLS]-pooled vectors as each model wants them; we ask for length 1 and float32.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from ...data.errors import ChoiceError, SettingsError
from ...linalg.rows import unit_rows
from ..base import BaseEmbeddingBackend, Identity

DEFAULT_MODEL = "BAAI/bge-base-en-v1.5"


class SentenceTransformersBackend(BaseEmbeddingBackend):
    """A model that sentence-transformers can load, downloaded at its first use unless it is a folder.

    model_name: a name on the Hugging Face hub, or a folder; "" for the default.  batch_size: texts at once.
    device: such as `cpu` or `cuda`; by default the library's choice.
    Raises `SettingsError` at once where the library is not installed, `ChoiceError` at the first use where the model
    can't be loaded.
    """

    name = "sentence-transformers"

    def __init__(self, model_name: str = "", batch_size: int = 32, device: Optional[str] = None) -> None:
        if batch_size < 1:
            raise SettingsError(f"batch_size: {batch_size} is out of range: give at least 1")
        self.model_name, self.batch_size, self.device = model_name or DEFAULT_MODEL, batch_size, device
        self._model: Any = None
        try:
            self._library = importlib.import_module("sentence_transformers")
        except ImportError:
            extra = "pip install 'tastevec[sentence-transformers]'"
            raise SettingsError(f"the sentence-transformers backend needs that library: run {extra}") from None

    @property
    def identity(self) -> Identity:
        """Say which vectors these are; loads the model, which alone knows its dimension."""
        model = self._load()
        # The method was renamed in version 5.
        dimension = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
        return Identity(self.name, self.model_name, int(dimension()))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32 of length 1, in the order of `texts`."""
        if isinstance(texts, str):
            raise TypeError("embed_texts takes a list of texts, not one text")
        if not texts:
            return np.empty((0, self.identity.dimension), np.float32)
        options = {"batch_size": self.batch_size, "convert_to_numpy": True, "show_progress_bar": False}
        return unit_rows(np.asarray(self._load().encode(list(texts), **options), np.float32))

    def _load(self) -> Any:
        if self._model is None:
            try:
                self._model = self._library.SentenceTransformer(self.model_name, device=self.device)
            except (OSError, ValueError, RuntimeError) as error:  # what it raises for names, networks and devices
                reason = " ".join(str(error).split())[:200]
                raise ChoiceError(
                    f"sentence-transformers cannot load {self.model_name!r} ({reason}): "
                    "check the name and the network, or give a folder that holds the model"
                ) from None
        return self._model
