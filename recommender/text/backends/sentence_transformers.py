"""Any model of the sentence-transformers library, which brings torch: more choice of models, a slower start."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...data.errors import ChoiceError, SettingsError
from ...data.settings import setting
from ..base import BaseEmbeddingBackend, Identity


class SentenceTransformersBackend(BaseEmbeddingBackend):
    """A model that sentence-transformers can load, downloaded at its first use unless it is a folder.

    Raises `SettingsError` at once where the library is not installed, `ChoiceError` at the first use where the model
    can't be loaded.
    """

    name = "sentence-transformers"

    @dataclass(frozen=True)
    class Settings:
        model: str = setting("BAAI/bge-base-en-v1.5", "sentence-transformers: name on the Hugging Face hub or folder")
        batch_size: int = setting(32, "sentence-transformers: texts at once", 1)

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._model: Any = None
        try:
            self._library = importlib.import_module("sentence_transformers")
        except ImportError:
            extra = "pip install 'tastevec[sentence-transformers]'"
            raise SettingsError(f"the sentence-transformers backend needs that library: run {extra}") from None

    @property
    def identity(self) -> Identity:
        return super().identity._replace(model=self.settings.model)

    def _raw_vectors(self, texts: Sequence[str]) -> np.ndarray:
        if self._model is None:
            try:
                self._model = self._library.SentenceTransformer(self.settings.model)
            except (OSError, ValueError, RuntimeError) as error:  # what it raises for names, networks and devices
                reason = " ".join(str(error).split())[:200]
                what = f"sentence-transformers cannot load {self.settings.model!r} ({reason})"
                raise ChoiceError(f"{what}: check the name and the network, or give a folder with the model") from None
        options = {"batch_size": self.settings.batch_size, "convert_to_numpy": True, "show_progress_bar": False}
        return np.asarray(self._model.encode(list(texts), **options))
