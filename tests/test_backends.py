"""The contract of every text backend of the registry, and the backend of sentence-transformers.

Services, weights and libraries have stand-ins; benchmarks/minilm.py uses sentence-transformers itself.
"""

import functools
import sys
import types
from typing import ClassVar

import numpy as np
import pytest

from recommender.data.errors import ChoiceError, SettingsError
from recommender.text.registry import backend_class, make_backend, names
from tests.test_minilm import tiny as tiny

HEAT = "Title: Heat (1995).\nGenres: Crime, Thriller.\nPlot: A thief and a policeman."
TEXTS = ["a heist gone wrong", HEAT, "love in space", "Amélie 日本", "a heist gone wrong", "x" * 3000, "", "a"]


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


@pytest.fixture(params=names())
def make(request):
    """Make the backend, ready to embed."""
    settings = {
        "http": lambda: {"base_url": request.getfixturevalue("server").url, "cache": "", "batch_size": 2},
        "minilm": lambda: {"folder": request.getfixturevalue("tiny")[0], "weights": "float32"},
        "sentence-transformers": lambda: request.getfixturevalue("stand_in") and {},
    }
    return functools.partial(make_backend, request.param, **settings.get(request.param, dict)())


def test_every_backend_gives_a_row_of_length_one_or_zero_for_each_text_in_order(make):
    backend = make()
    vectors, (name, model, dimension) = backend.embed_texts(TEXTS), backend.identity
    assert (name, vectors.dtype, vectors.shape) == (backend.name, np.float32, (len(TEXTS), dimension))
    assert isinstance(model, str)
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(lengths, lengths > 0, atol=1e-6)
    assert lengths[:3].all()
    np.testing.assert_allclose(vectors[0], vectors[4], atol=1e-6)  # equal texts
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    # the same again, by another one, in another order, one by one, and from a tuple
    np.testing.assert_array_equal(make().embed_texts(TEXTS), vectors)
    np.testing.assert_allclose(backend.embed_texts(TEXTS[::-1])[::-1], vectors, atol=1e-5)
    np.testing.assert_allclose([backend.embed_texts((text,))[0] for text in TEXTS], vectors, atol=1e-5)
    assert make().identity == backend.identity


def test_every_backend_takes_an_empty_list_and_refuses_what_is_no_list_of_texts(make):
    backend = make()
    for embed in (backend.embed_texts, backend.embed_movies):
        nothing = embed([])
        assert (nothing.dtype, nothing.shape) == (np.float32, (0, backend.identity.dimension))
        for texts in ("a heist", ["a heist", 3]):
            with pytest.raises(ChoiceError, match="not a list of texts"):
                embed(texts)
    with pytest.raises((ChoiceError, SettingsError), match="nonsense"):
        make(nonsense=1)


def test_settings_of_backends_can_be_flags():
    for name in names():
        settings = backend_class(name).Settings()  # every field has a default and a meaning
        assert all(field.metadata["meaning"] for field in settings.__dataclass_fields__.values())


def test_default_model_settings_and_length_1(stand_in):
    backend = make_backend("sentence-transformers", batch_size=7, device="cpu")
    assert stand_in.made == []  # loaded when first needed
    vectors = backend.embed_texts(("", "ab"))
    np.testing.assert_allclose(vectors, [[0, 1], [0.5**0.5, 0.5**0.5]], atol=1e-7)
    assert backend.identity == ("sentence-transformers", "BAAI/bge-base-en-v1.5", 2)
    assert stand_in.made == [("BAAI/bge-base-en-v1.5", "cpu")]
    assert set(stand_in.asked) == {7}


def test_what_cannot_be_used_is_refused(stand_in, monkeypatch):
    with pytest.raises(ChoiceError, match=r"cannot load 'wrong' .*not a local folder and is not a model.*: check"):
        _ = make_backend("sentence-transformers", model="wrong").identity
    with pytest.raises(SettingsError, match="batch_size: 0 is out of range"):
        make_backend("sentence-transformers", batch_size=0)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(SettingsError, match=r"pip install 'tastevec\[sentence-transformers\]'"):
        make_backend("sentence-transformers")
