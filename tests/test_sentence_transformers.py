"""The sentence-transformers backend with a stand-in for the library; benchmarks/minilm.py uses the library itself."""

import sys
import types
from typing import ClassVar

import numpy as np
import pytest

from recommender.data.errors import ChoiceError, SettingsError
from recommender.text.registry import make_backend


class StandIn:
    """Gives (length of the text, 2) for each text; records how it was asked."""

    made: ClassVar[list] = []
    asked: ClassVar[list] = []

    def __init__(self, name, device=None):
        if name == "wrong":
            raise OSError("wrong is not a local folder\nand is not a model on the hub")
        self.made.append((name, device))

    def get_sentence_embedding_dimension(self):
        return 2

    def encode(self, texts, batch_size, convert_to_numpy, show_progress_bar):
        assert (type(texts), convert_to_numpy, show_progress_bar) == (list, True, False)
        self.asked.append(batch_size)
        return np.array([[len(text), 2] for text in texts], np.float64)


@pytest.fixture
def stand_in(monkeypatch):
    module = types.SimpleNamespace(SentenceTransformer=StandIn)
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    StandIn.made.clear()
    StandIn.asked.clear()
    return StandIn


def test_default_model_settings_and_length_1(stand_in):
    backend = make_backend("sentence-transformers", batch_size=7, device="cpu")
    assert stand_in.made == []  # loaded when first needed
    vectors = backend.embed_texts(("", "ab"))
    np.testing.assert_allclose(vectors, [[0, 1], [0.5**0.5, 0.5**0.5]], atol=1e-7)
    assert backend.identity == ("sentence-transformers", "BAAI/bge-base-en-v1.5", 2)
    assert backend.embed_texts([]).shape == (0, 2)
    assert stand_in.made == [("BAAI/bge-base-en-v1.5", "cpu")]
    assert stand_in.asked == [7]


def test_what_cannot_be_used_is_refused(stand_in, monkeypatch):
    with pytest.raises(ChoiceError, match=r"cannot load 'wrong' .*not a local folder and is not a model.*: check"):
        _ = make_backend("sentence-transformers", model_name="wrong").identity
    with pytest.raises(SettingsError, match="batch_size: 0 is out of range"):
        make_backend("sentence-transformers", batch_size=0)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(SettingsError, match=r"pip install 'tastevec\[sentence-transformers\]'"):
        make_backend("sentence-transformers")
