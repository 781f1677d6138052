"""scikit-learn: PureSVD by TruncatedSVD, and NMF."""

import common
import numpy as np
from sklearn.decomposition import NMF, TruncatedSVD


def svd(stage: common.Stage, values: str, rank: int) -> np.ndarray:
    train, history = common.matrices(stage, values)
    model = TruncatedSVD(rank, algorithm="arpack", random_state=0).fit(train.csr().astype(np.float64))
    return model.transform(history.csr()[stage.people]) @ model.components_


def nmf(stage: common.Stage, values: str, rank: int, alpha: float) -> np.ndarray:
    train, history = common.matrices(stage, values)
    model = NMF(rank, init="nndsvd", random_state=0, alpha_W=alpha, max_iter=200).fit(train.csr())
    return model.transform(history.csr()[stage.people]) @ model.components_


if __name__ == "__main__":
    common.main({**common.both(svd, "svd"), **common.both(nmf, "nmf")}, {})
