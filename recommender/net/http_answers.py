"""What goes over the wire to an OpenAI-compatible `/v1/embeddings`, and the checks of what comes back.

    POST {"model": m, "input": [text, ...], "encoding_format": "float", "dimensions": d if set}
    <-   {"data": [{"index": i, "embedding": [x, ...]}, ...]}

The order is that of `index`, not of the list. An embedding may be base64 of little-endian float32: some servers send
that although floats were asked for, and it is a quarter of the bytes and a twentieth of the work where it is asked for.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from ..data.errors import ServiceError
from ..linalg.rows import unit_rows
from .error_messages import N_SHOWN, WebError, refusal_words
from .key import Key, hide

# Words of OpenAI, TEI, vLLM, llama.cpp, Ollama, Mistral, pydantic for one text too long, or too many texts or tokens.
_SIZE_WORDS = re.compile(
    r"too[ _](long|large|many|big)|maximum|exceed|at most|context[ _]length|batch size|less than|longer than",
    re.IGNORECASE,
)


def request_body(model: str, texts: Sequence[str], dimensions: int, encoding: str) -> dict[str, Any]:
    """Return the JSON to send; `dimensions` 0 is not sent; encoding: float or base64."""
    # Half of a surrogate pair is no text to any server.
    sent = [text.encode("utf-8", "replace").decode() for text in texts]
    body = {"model": model, "input": sent, "encoding_format": encoding}
    return {**body, "dimensions": dimensions} if dimensions else body


def is_too_large(error: WebError) -> bool:
    """Tell whether a request was refused for its size, so that a smaller one may pass."""
    if error.passing or error.status not in (400, 413, 422, 500):
        return False
    return error.status == 413 or bool(_SIZE_WORDS.search(error.detail))


def read_answer(answer: Any, n_texts: int, host: str, key: Optional[Key] = None) -> np.ndarray:
    """Return the vectors, (n_texts, d) float32 of length 1, in the order of the texts.

    Raises `ServiceError` for what can't be right, in whose text `key` is hidden.
    """

    def refuse(what: str) -> ServiceError:
        return ServiceError(f"{host} answered with {what}: this is no server of embeddings, or a broken one")

    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        # Some proxies pass errors on as success.
        words = hide(refusal_words(json.dumps(answer).encode())[0], key, N_SHOWN)
        raise refuse("no list of embeddings" + (f" ({words})" if words else ""))
    indices = [entry.get("index") for entry in data]
    if any(type(index) is not int or not 0 <= index < n_texts for index in indices):
        raise refuse("an embedding whose index is missing or wrong")
    if len(set(indices)) != len(indices):
        raise refuse("two embeddings for one text")
    if len(indices) != n_texts:
        raise refuse(f"{len(indices)} embeddings for {n_texts} texts")
    rows = [_numbers(entry.get("embedding")) for entry in sorted(data, key=lambda entry: int(entry["index"]))]
    if any(row is None or not row.size for row in rows):
        raise refuse("an embedding that is not a list of numbers")
    vectors = [row for row in rows if row is not None]
    if len({row.size for row in vectors}) > 1:
        raise refuse("embeddings of different lengths")
    stacked = np.stack(vectors)
    if not (np.abs(stacked) <= np.finfo(np.float32).max).all():  # not so for NaN either
        raise refuse("an embedding that holds NaN or infinity")
    return unit_rows(stacked)


def _numbers(value: object) -> np.ndarray | None:
    """Return one embedding as (d,) float64; None for what is none."""
    if isinstance(value, str):
        try:
            content = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return None
        return np.frombuffer(content, dtype="<f4").astype(np.float64) if len(content) % 4 == 0 else None
    if not isinstance(value, list):
        return None
    try:
        row = np.array(value)
    except ValueError:
        return None
    return row.astype(np.float64) if row.ndim == 1 and row.dtype.kind in "if" else None
