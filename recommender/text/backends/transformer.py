"""The forward pass of a BERT encoder: token ids to one vector a token.

    h0 = LN(word[id] + position[0..L) + kind[0])                          embeddings
    Q, K, V = h Wq + bq, h Wk + bk, h Wv + bv                             split into heads of d columns
    a = concat over heads of softmax(Q K^T / sqrt(d)) V                   every token looks at every token
    h' = LN(h + a Wo + bo)
    h  = LN(h' + gelu(h' W1 + b1) W2 + b2)                                each layer in turn
    LN(x) = g (x - mean x) / sqrt(var x + eps) + b,    gelu(x) = x Phi(x), Phi the normal distribution function

Source: Vaswani et al. 2017, "Attention Is All You Need"; Devlin et al. 2019, "BERT"; gelu from Hendrycks and Gimpel
2016. Ours differs in the order of work: the tokens of many texts lie one after the other in one matrix, so that each
product with weights is one large product without padding; only attention takes the texts apart, by their length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

_SAFE = 80  # exp(88) is the largest that float32 holds, exp(-87) the smallest
_CACHED = 32768  # numbers; four arrays of this size are 512 KB
_ONE = np.float32(1)
_HALF = np.float32(0.5)
_P = np.float32(0.3275911 / math.sqrt(2))
_A = [np.float32(a) for a in (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)]


class _Layer(NamedTuple):
    """One layer's weights; products are `x @ W`."""

    W_qkv: np.ndarray  # (D, 3D), the queries scaled by 1 / sqrt(d)
    b_qkv: np.ndarray  # (3D,)
    W_o: np.ndarray  # (D, D)
    b_o: np.ndarray
    norm_1: tuple[np.ndarray, np.ndarray]  # g, b
    W_1: np.ndarray  # (D, F)
    b_1: np.ndarray
    W_2: np.ndarray  # (F, D)
    b_2: np.ndarray
    norm_2: tuple[np.ndarray, np.ndarray]


class BertEncoder:
    """A BERT encoder made of published arrays.

    arrays: by the names of the original, such as `encoder.layer.0.output.dense.weight`, float32, weights as
        (outputs, inputs) or `four_bits.Packed`; what more there is (a pooler) stays unused.  n_heads: attention heads.
        eps: of the norms.
    """

    def __init__(self, arrays: Mapping[str, Any], n_heads: int, eps: float = 1e-12) -> None:
        self.n_heads, self.eps = n_heads, np.float32(eps)
        self.word = arrays["embeddings.word_embeddings.weight"]  # (n_words, D), rows read when needed
        kind = arrays["embeddings.token_type_embeddings.weight"]  # (2, D)
        self.position = arrays["embeddings.position_embeddings.weight"] + kind[0]  # (n_positions, D)
        self.norm = _norm(arrays, "embeddings.LayerNorm")
        n_layers = sum(name.endswith(".attention.self.query.weight") for name in arrays)
        self.layers = [_layer(arrays, f"encoder.layer.{number}.", n_heads) for number in range(n_layers)]

    def encode(self, texts: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Return the token vectors of texts (T, D), one text after the other, and each text's first row.

        texts: token ids of each, at most n_positions; texts of equal lengths side by side are quicker.
        Cost: 12 D^2 multiply-adds a token and layer (D=384: 1.8 million), and 2 D L^2 a layer and text of L tokens.
        """
        lengths = np.array([len(ids) for ids in texts])
        starts = np.cumsum(lengths) - lengths
        position = np.arange(lengths.sum()) - np.repeat(starts, lengths)  # (T,), from 0 in each text
        h = self.word[np.concatenate([np.asarray(ids, np.int64) for ids in texts])]  # (T, D)
        h += self.position[position]
        layer_norm(h, *self.norm, self.eps)  # h0 = LN(word + position + kind)
        for layer in self.layers:
            a = self._attention(h, layer, lengths) @ layer.W_o  # (T, D)
            a += layer.b_o
            h += a
            layer_norm(h, *layer.norm_1, self.eps)  # h' = LN(h + a Wo + bo)
            f = h @ layer.W_1  # (T, F)
            gelu(f, layer.b_1)  # gelu(h' W1 + b1)
            a = f @ layer.W_2  # (T, D)
            a += layer.b_2
            h += a
            layer_norm(h, *layer.norm_2, self.eps)  # h = LN(h' + gelu(h' W1 + b1) W2 + b2)
        return h, starts

    def _attention(self, h: np.ndarray, layer: _Layer, lengths: np.ndarray) -> np.ndarray:
        """Return softmax(Q K^T / sqrt(d)) V of all heads side by side, (T, D)."""
        qkv = h @ layer.W_qkv  # (T, 3D)
        qkv += layer.b_qkv
        out = np.empty(h.shape, np.float32)
        row = 0
        for length, count in _runs(lengths):  # texts of one length, B = count, L = length
            block = slice(row, row + length * count)
            Q, K, V = qkv[block].reshape(count, length, 3, self.n_heads, -1).transpose(2, 0, 3, 1, 4)  # (B, H, L, d)
            weights = Q @ np.ascontiguousarray(K.swapaxes(2, 3))  # Q K^T / sqrt(d): (B, H, L, L)
            sums = softmax(weights)  # (B, H, L)
            merged = out[block].reshape(count, length, self.n_heads, -1).swapaxes(1, 2)  # (B, H, L, d)
            np.divide(weights @ V, sums[..., None], out=merged)
            row = block.stop
        return out


def _layer(arrays: Mapping[str, Any], name: str, n_heads: int) -> _Layer:
    """Return the layer whose arrays' names begin with `name`."""
    parts = (_dense(arrays, f"{name}attention.self.{part}") for part in ("query", "key", "value"))
    (W_q, b_q), (W_k, b_k), (W_v, b_v) = parts
    scale = np.float32(math.sqrt(len(b_q) // n_heads))  # sqrt(d)
    return _Layer(
        np.concatenate([W_q / scale, W_k, W_v], axis=1),
        np.concatenate([b_q / scale, b_k, b_v]),
        *_dense(arrays, f"{name}attention.output.dense"),
        _norm(arrays, f"{name}attention.output.LayerNorm"),
        *_dense(arrays, f"{name}intermediate.dense"),
        *_dense(arrays, f"{name}output.dense"),
        _norm(arrays, f"{name}output.LayerNorm"),
    )


def _dense(arrays: Mapping[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(arrays[f"{name}.weight"][:].T), arrays[f"{name}.bias"]  # (inputs, outputs), (outputs,)


def _norm(arrays: Mapping[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    return arrays[f"{name}.weight"], arrays[f"{name}.bias"]  # g, b: (D,)


def layer_norm(x: np.ndarray, g: np.ndarray, b: np.ndarray, eps: np.float32) -> None:
    """Replace each row of x (T, D) by g (x - mean) / sqrt(variance + eps) + b, the variance being that of all D."""
    x -= x.mean(axis=1, keepdims=True)  # (T, 1)
    variance = np.einsum("ij,ij->i", x, x) / np.float32(x.shape[1])
    x /= np.sqrt(variance + eps)[:, None]
    x *= g
    x += b


def softmax(scores: np.ndarray) -> np.ndarray:
    """Replace scores by their exponentials and return the sums over the last axis: softmax = exp(s) / sum exp(s).

    The division is the caller's, who has a smaller array. The largest is taken off only where float32 needs it.
    """
    if scores.max() > _SAFE or scores.min() < -_SAFE:
        scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    return scores @ np.ones(scores.shape[-1], np.float32)  # faster than `sum` along short rows


def gelu(x: np.ndarray, b: np.ndarray) -> None:
    """Replace x (T, F) by gelu(x + b).

    With z = |x|: gelu(x) = x Phi(x) = (x + z erf(z / sqrt 2)) / 2, and
    erf(y) = 1 - (a1 t + ... + a5 t^5) exp(-y^2), t = 1 / (1 + p y), with an error below 1.5e-7: Abramowitz and Stegun
    7.1.26, as numpy has no erf. Rows are done a few at a time, so that they stay in the processor's cache from one
    step to the next.
    """
    n_rows = max(1, _CACHED // x.shape[1])
    space = np.empty((3, min(n_rows, len(x)), x.shape[1]), np.float32)
    for begin in range(0, len(x), n_rows):
        rows = x[begin : begin + n_rows]
        z, t, e = space[:, : len(rows)]
        rows += b
        np.abs(rows, out=z)
        np.multiply(z, _P, out=t)
        t += _ONE
        np.reciprocal(t, out=t)  # t = 1 / (1 + p z / sqrt 2)
        np.multiply(t, _A[4], out=e)
        for a in _A[3::-1]:  # e = a1 t + ... + a5 t^5
            e += a
            e *= t
        np.multiply(rows, rows, out=t)
        t *= -_HALF
        np.exp(t, out=t)  # exp(-z^2 / 2)
        e *= t  # 1 - erf(z / sqrt 2)
        e *= z
        z -= e  # z erf(z / sqrt 2)
        rows += z
        rows *= _HALF


def _runs(lengths: np.ndarray) -> list[tuple[int, int]]:
    """Return (value, count) of each run of equal neighbours.

    >>> _runs(np.array([5, 5, 7, 5]))
    [(5, 2), (7, 1), (5, 1)]
    """
    edges = np.flatnonzero(np.diff(lengths, prepend=-1, append=-1))
    return [(int(lengths[begin]), int(end - begin)) for begin, end in zip(edges, edges[1:])]
