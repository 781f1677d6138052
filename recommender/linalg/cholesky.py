"""The inverse of a symmetric positive definite matrix, in place, out of matrix products.

    G = L L'        M = inv(L)        inv(G) = M' M

n^3 operations in all, where `np.linalg.inv` factors without using the symmetry and then solves for n right-hand sides:
8 n^3 / 3. Only the diagonal blocks go through LAPACK, in float64; everything else is one large product, which is where
float32 gains. Source: Golub and Van Loan, Matrix Computations, 4th ed., section 4.2.6 (block Cholesky); the in-place
order of the last two parts follows LAPACK's `potri`.
"""

from __future__ import annotations

import numpy as np

from ..data.errors import SettingsError


def inverse(G: np.ndarray, block: int = 256) -> np.ndarray:
    """Replace the symmetric positive definite `G` (n, n), float32 or float64, by its inverse and return it.

    Works in the dtype of `G`: float32 keeps about 7 - log10(condition number) digits. Extra memory O(n block).
    Only the lower half of `G` is read. Raises `SettingsError` where `G` is not positive definite.

    >>> inverse(np.array([[4.0, 0.0], [2.0, 5.0]])).tolist()
    [[0.3125, -0.125], [-0.125, 0.25]]
    """
    n = len(G)
    blocks = [(k, min(k + block, n)) for k in range(0, n, block)]
    small = []  # inv(L_kk), float64 rounded to G's dtype
    for k, e in blocks:  # L_k = (G_k - L_<k L_k,<k') inv(L_kk)', block column by block column
        if k:
            G[k:, k:e] -= G[k:, :k] @ G[k:e, :k].T
        try:
            L_kk = np.linalg.cholesky(np.asarray(G[k:e, k:e], dtype=np.float64))
        except np.linalg.LinAlgError:
            what = f"a Gram matrix of {n} movies is not positive definite"
            raise SettingsError(f"{what}: raise the model's regularisation") from None
        small.append(np.linalg.inv(L_kk).astype(G.dtype))
        G[e:, k:e] = G[e:, k:e] @ small[-1].T
    for (i, e), inverse_ii in zip(blocks, small):  # M_ij = -inv(L_ii) (L_i,j..i M_j..i,j), block row by block row
        G[i:e, i:e] = np.tril(inverse_ii)
        for j in range(0, i, block):
            G[i:e, j : j + block] = -inverse_ii @ (G[i:e, j:i] @ G[j:i, j : j + block])
    for i, e in blocks:  # lower half of M' M; the diagonal block of M is already lower triangular
        G[i:e, :e] = G[i:, i:e].T @ G[i:, :e]
    for i, e in blocks:  # mirrored
        G[i:e, i:e] = np.tril(G[i:e, i:e]) + np.tril(G[i:e, i:e], -1).T
        G[i:e, e:] = G[e:, i:e].T
    return G
