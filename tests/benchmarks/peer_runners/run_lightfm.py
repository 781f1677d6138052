"""LightFM (the maintained fork lightfm-next): factorisation with the WARP loss, on likes.

A person's vector is the one learnt in training: no fold-in, so no strict time.
"""

import common
import numpy as np
from lightfm import LightFM


def warp(stage: common.Stage, alpha: float, epochs: int, **settings: object) -> np.ndarray:
    settings.update(loss="warp", random_state=0)
    model = LightFM(item_alpha=alpha, user_alpha=alpha, **settings)
    model.fit(stage.train.likes().csr().tocoo(), epochs=epochs, num_threads=1)
    _, users = model.get_user_representations()
    movie_biases, movies = model.get_item_representations()
    return users[stage.people] @ movies.T + movie_biases


if __name__ == "__main__":
    common.main({"warp": warp}, {})
