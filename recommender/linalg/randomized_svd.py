"""Truncated SVD of a large sparse matrix from a few passes over it: A ~ U diag(s) Vt.

    W                          random signs (+-1); Halko et al. 2011, Algorithm 4.1, draws Gaussian entries
    K = [Q_1 ... Q_q]          orthonormal, spans { (A'A)^j A' W : j < q }    Musco and Musco 2015, Algorithm 2
    V = K Z                    Z: leading eigenvectors of T = K' (A'A) K      Rayleigh-Ritz
    A V = U diag(s) R'         from the small Gram matrix (AV)'(AV)           as Halko et al., Algorithm 5.1

Power iteration (Halko et al., Algorithm 4.4) keeps only the last block (A'A)^q A' W. Keeping all blocks costs no
further pass and gives the best polynomial in A'A instead of one power, so fewer passes for the same error.

Halko, Martinsson and Tropp, "Finding Structure with Randomness"; Musco and Musco, "Randomized Block Krylov Methods for
Stronger and Faster Approximate Singular Value Decomposition", with three changes: the space is built on the movies'
side, where blocks are small; T is formed from the products A'A Q_j that extend the space, so it needs no further pass
over A; the start A' W takes half a pass.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Union

import numpy as np

from ..data.errors import DataError
from .block_matrix import BlockMatrix
from .sparse import SparseMatrix

DENSE_CELLS = 4_000_000  # up to this many cells the exact dense SVD is faster
BLOCK = 32
PASSES = 8
RELATIVE_TOLERANCE = 1e-5  # singular values below this fraction of the largest are rounding noise in float32

Matrix = Union[SparseMatrix, BlockMatrix]


class SVD(NamedTuple):
    """A ~ U diag(s) Vt: U (n_rows, k), s (k,) descending, Vt (k, n_cols), all float32.

    The entry of largest magnitude in each row of Vt is positive, which makes the signs deterministic.
    """

    U: np.ndarray
    s: np.ndarray
    Vt: np.ndarray


def randomized_svd(
    A: Matrix, rank: int, rng: np.random.Generator, n_passes: int = PASSES, block_size: int = BLOCK
) -> SVD:
    """Return the `rank` largest singular triplets of A, close to optimal; exact up to `DENSE_CELLS` cells.

    n_passes: products with A'A, each of `block_size` columns (more if the rank requires it). More passes are more
    accurate. K, (n_cols, n_passes block_size), is held in memory.
    Triplets past the rank of A have s = 0. Raises `DataError` for a rank outside 1 .. min(shape), and for a matrix
    that is all zero or not finite. Cost: n_passes sweeps of `block_size` columns, O(n_cols (n_passes block_size)^2).

    >>> A = SparseMatrix(np.array([0, 1, 2]), np.array([1, 0], np.int32), np.array([3, -2], np.float32), 2)
    >>> svd = randomized_svd(A, 1, np.random.default_rng(0))
    >>> svd.s.tolist(), (svd.U * svd.s @ svd.Vt).round(3).tolist()
    ([3.0], [[0.0, 3.0], [0.0, 0.0]])
    """
    if not 1 <= rank <= min(A.shape):
        users, movies = A.shape
        raise DataError(f"rank {rank} for {users} users and {movies} movies: give a rank from 1 to {min(A.shape)}")
    if not np.isfinite(A.energy()):
        raise DataError("the matrix has values that are not finite: remove ratings that are not numbers")
    if A.energy() == 0.0:
        raise DataError("the matrix is all zero: choose a signal that gives these ratings a value")
    if A.shape[0] * A.shape[1] <= DENSE_CELLS:
        return dense_svd(A.dense(), rank)
    width = max(block_size, math.ceil(1.5 * rank / n_passes))  # K has at least 1.5 x rank columns, as oversampling
    V = _leading_space(A, rank, rng, n_passes, width)
    U, s, rotation = _orthonormal_product(A.times(V))  # A V = U diag(s) R'
    return _fix_signs(U, s, (V @ rotation).T)


def dense_svd(A: np.ndarray, rank: int) -> SVD:
    """Return the exact truncated SVD of a dense array, computed in float64."""
    U, s, Vt = np.linalg.svd(A.astype(np.float64), full_matrices=False)
    return _fix_signs(U[:, :rank], s[:rank], Vt[:rank])


def captured_energy(A: Matrix, s: np.ndarray) -> float:
    """Return sum(s^2) / ||A||_F^2, the fraction of the squared Frobenius norm that the factors capture."""
    return float(np.sum(s.astype(np.float64) ** 2) / A.energy())


def spectral_error(A: Matrix, svd: SVD, rng: np.random.Generator, n_iterations: int = 10) -> float:
    """Estimate ||E||_2 by power iteration on E'E from a random start, where E = A - U diag(s) Vt.

    A lower bound that is close after 10 iterations; the best possible value for rank k is the (k+1)-th singular value
    of A.  Cost: `n_iterations` sweeps of one column.  Halko et al., section 4.3, bound it from single random vectors.
    """
    U, s, Vt = svd
    x = rng.standard_normal((A.shape[1], 1)).astype(np.float32)
    norm = 0.0
    for _ in range(n_iterations):
        length = np.linalg.norm(x)
        if length == 0.0:  # E'y underflows in float32
            break
        x /= length
        y = A.times(x) - U @ (s[:, None] * (Vt @ x))  # E x
        norm = float(np.linalg.norm(y))
        x = A.transposed_times(y) - Vt.T @ (s[:, None] * (U.T @ y))  # E' y
    return norm


def _leading_space(A: Matrix, rank: int, rng: np.random.Generator, n_passes: int, width: int) -> np.ndarray:
    """Return V (n_cols, rank), orthonormal: the leading Ritz vectors of A'A in the block Krylov space."""
    n_columns = A.shape[1]
    if n_passes * width >= n_columns:  # K would span everything, and A'A is no larger than T
        gram = A.gram_times(np.eye(n_columns, dtype=np.float32)).astype(np.float64)
        return np.linalg.eigh(gram)[1][:, ::-1][:, :rank].astype(np.float32)
    K = np.empty((n_columns, n_passes * width), dtype=np.float32, order="F")
    T = np.zeros((n_passes * width, n_passes * width))
    W = (rng.integers(2, size=(A.shape[0], width), dtype=np.int8) * 2 - 1).astype(np.float32)
    block = A.transposed_times(W)  # A' W
    for low in range(0, n_passes * width, width):
        high = low + width
        K[:, low:high] = _orthonormal_block(block, K[:, :low], rng)  # Q_j
        block = A.gram_times(np.ascontiguousarray(K[:, low:high]))  # A'A Q_j, which spans the next block
        T[:high, low:high] = K[:, :high].T @ block  # K' A'A Q_j for the blocks up to j; symmetry gives the rest
    T = np.triu(T) + np.triu(T, 1).T
    Z = np.linalg.eigh(T)[1][:, ::-1][:, :rank]
    return K @ Z.astype(np.float32)


def _orthonormal_block(block: np.ndarray, K: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an orthonormal basis of `block` after projecting out K; dependent directions are replaced by random ones.

    "SVQB" (Stathopoulos and Wu 2002), repeated three times because one round is accurate only up to rounding. A random
    direction does no harm: T is the projection on whatever K spans.
    """
    for _ in range(3):
        block = block / np.maximum(np.linalg.norm(block, axis=0), np.finfo(np.float32).tiny)
        block -= K @ (K.T @ block)
        eigenvalues, Z = np.linalg.eigh(_gram(block))
        independent = eigenvalues > RELATIVE_TOLERANCE**2 * eigenvalues[-1]
        basis = block @ (Z[:, independent] / np.sqrt(eigenvalues[independent])).astype(np.float32)
        random_columns = rng.standard_normal((len(block), int(np.count_nonzero(~independent))), dtype=np.float32)
        block = np.hstack((basis, random_columns))
    return block


def _gram(Y: np.ndarray) -> np.ndarray:
    """Return Y'Y in float64, a block of rows at a time."""
    gram = np.zeros((Y.shape[1], Y.shape[1]))
    for low in range(0, len(Y), 1 << 14):
        part = Y[low : low + (1 << 14)].astype(np.float64)
        gram += part.T @ part
    return gram


def _orthonormal_product(Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return U, s, R with Y = U diag(s) R', from the eigenvectors of Y'Y in float64; Y is tall."""
    values, R = np.linalg.eigh(_gram(Y))
    values, R = values[::-1], R[:, ::-1]
    s = np.sqrt(np.maximum(values, 0.0))
    negligible = s <= RELATIVE_TOLERANCE * s[0]
    s[negligible] = 0.0
    U = (Y @ R.astype(np.float32)) * np.where(negligible, 0.0, 1 / np.maximum(s, 1e-300)).astype(np.float32)
    if negligible.any():
        n = int(negligible.sum())
        padded = np.linalg.qr(np.hstack([U[:, ~negligible], np.eye(len(U), n, dtype=np.float32)]))[0]
        U[:, negligible] = padded[:, -n:]
    return U, s, R.astype(np.float32)


def _fix_signs(U: np.ndarray, s: np.ndarray, Vt: np.ndarray) -> SVD:
    largest = np.argmax(np.abs(Vt), axis=1)
    signs = np.where(Vt[np.arange(len(Vt)), largest] < 0, np.float32(-1), np.float32(1))
    contiguous = (np.ascontiguousarray(part, dtype=np.float32) for part in (U * signs, s, Vt * signs[:, None]))
    return SVD(*contiguous)
