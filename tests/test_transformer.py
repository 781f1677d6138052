"""The BERT encoder against the same equations written out number by number in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recommender.text.minilm.transformer import BertEncoder, gelu

D, HEADS, F, LAYERS, WORDS, POSITIONS = 12, 3, 20, 2, 30, 16
EPS = 1e-3  # far from 0, to matter


def random_arrays(rng, scale=0.5):
    """Return the arrays of a small BERT under the original names."""
    arrays = {}

    def put(name, *shape, mean=0.0):
        arrays[name] = (mean + scale * rng.normal(size=shape)).astype(np.float32)

    def dense(name, n_in, n_out):
        put(f"{name}.weight", n_out, n_in)
        put(f"{name}.bias", n_out)

    def norm(name):
        put(f"{name}.weight", D, mean=1.0)
        put(f"{name}.bias", D)

    put("embeddings.word_embeddings.weight", WORDS, D)
    put("embeddings.position_embeddings.weight", POSITIONS, D)
    put("embeddings.token_type_embeddings.weight", 2, D)
    norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        start = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            dense(f"{start}.attention.self.{part}", D, D)
        dense(f"{start}.attention.output.dense", D, D)
        norm(f"{start}.attention.output.LayerNorm")
        dense(f"{start}.intermediate.dense", D, F)
        dense(f"{start}.output.dense", F, D)
        norm(f"{start}.output.LayerNorm")
    put("pooler.dense.weight", D, D)
    return arrays


def reference(arrays, ids, n_heads=HEADS, eps=EPS):
    """Return the token vectors of one text, (L, D) float64, one token and one head at a time."""
    w = {name: array.astype(np.float64) for name, array in arrays.items()}

    def dense(name, row):
        return w[f"{name}.weight"] @ row + w[f"{name}.bias"]

    def norm(name, row):
        mean = sum(row) / len(row)
        variance = sum((value - mean) ** 2 for value in row) / len(row)
        return w[f"{name}.weight"] * (row - mean) / math.sqrt(variance + eps) + w[f"{name}.bias"]

    def activation(row):
        return np.array([value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in row])

    rows = [
        norm(
            "embeddings.LayerNorm",
            w["embeddings.word_embeddings.weight"][word]
            + w["embeddings.position_embeddings.weight"][place]
            + w["embeddings.token_type_embeddings.weight"][0],
        )
        for place, word in enumerate(ids)
    ]
    size = len(rows[0]) // n_heads
    for layer in range(LAYERS):
        start = f"encoder.layer.{layer}"
        query, key, value = (
            [dense(f"{start}.attention.self.{part}", row) for row in rows] for part in ("query", "key", "value")
        )
        attended = []
        for q in query:
            heads = []
            for head in range(n_heads):
                part = slice(head * size, (head + 1) * size)
                scores = np.array([q[part] @ k[part] for k in key]) / math.sqrt(size)
                chances = np.exp(scores - scores.max())
                chances /= chances.sum()
                heads.append(sum(chance * v[part] for chance, v in zip(chances, value)))
            attended.append(dense(f"{start}.attention.output.dense", np.concatenate(heads)))
        rows = [norm(f"{start}.attention.output.LayerNorm", row + more) for row, more in zip(rows, attended)]
        inner = [activation(dense(f"{start}.intermediate.dense", row)) for row in rows]
        more = [dense(f"{start}.output.dense", row) for row in inner]
        rows = [norm(f"{start}.output.LayerNorm", row + add) for row, add in zip(rows, more)]
    return np.array(rows)


TEXTS = ([3], [1, 2, 3], [4, 5, 6], [7, 8, 9], [5, 4, 6], list(range(16)), [29, 0, 29, 0], [1, 2, 3])


@pytest.mark.parametrize("scale", [0.5, 6.0])  # the second sends scores beyond what exp can take
def test_encoder_is_the_equations(scale):
    arrays = random_arrays(np.random.default_rng(1), scale)
    for array in arrays.values():
        array.flags.writeable = False  # they are mapped from a file
    H, starts = BertEncoder(arrays, HEADS, EPS).encode(TEXTS)
    assert H.dtype == np.float32
    assert starts.tolist() == [0, 1, 4, 7, 10, 13, 29, 33]
    for start, ids in zip(starts, TEXTS):
        expected = reference(arrays, ids)
        np.testing.assert_allclose(H[start : start + len(ids)], expected, atol=2e-5 * np.abs(expected).max())
    with pytest.raises(ValueError, match="a text of 17 tokens: at most 16"):
        BertEncoder(arrays, HEADS).encode([[1] * 17])


def test_gelu_is_within_its_error():
    x = np.linspace(-12, 12, 60_003, dtype=np.float32).reshape(-1, 3)
    b = np.array([0.0, 0.5, -0.25], np.float32)
    found = x.copy()
    gelu(found, b)
    z = (x + b).astype(np.float64)
    expected = np.array([value * math.erfc(-value / math.sqrt(2)) / 2 for value in z.ravel()]).reshape(z.shape)
    assert (np.abs(found - expected) / np.maximum(1, np.abs(z))).max() < 3e-7
    x = np.array([[-1e30, -200, -0.0, 0, 200, 1e15]], np.float32)
    with np.errstate(over="ignore"):
        gelu(x, np.zeros(6, np.float32))
    np.testing.assert_allclose(x, [[0, 0, 0, 0, 200, 1e15]], rtol=1e-6, atol=1e-6)
