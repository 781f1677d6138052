"""What OpenAI-style services do: vectors for texts, and answers to messages.

POST /embeddings        {"model": m, "input": [text, ...], "encoding_format": "float", "dimensions": d if set}
                    <-  {"data": [{"index": i, "embedding": [x, ...]}, ...]}        in the order of `index`
POST /chat/completions  {"model": m, "messages": [{"role": ..., "content": ...}, ...], ...}
                    <-  {"choices": [{"message": {"content": text}}]}
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from ..data.errors import DataError, ServiceError
from .key import hide
from .web import Client, WebError, at_once, words_of

# Words of OpenAI, TEI, vLLM, llama.cpp, Ollama, Mistral, pydantic for one text too long, or too many texts or tokens.
_SIZE_WORDS = re.compile(
    r"too[ _](long|large|many|big)|maximum|exceed|at most|context[ _]length|batch size|less than|longer than",
    re.IGNORECASE,
)


def chat(client: Client, model: str, messages: Sequence[Mapping[str, str]], **options: object) -> str:
    """Return what the model answers; options: temperature, max_tokens, ... as the service knows them.

    Raises `WebError` where the service fails, or its answer holds no text.
    """
    answer = client.read_json(client.post("chat/completions", {"model": model, "messages": list(messages), **options}))
    try:
        content = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        content = None
    if not isinstance(content, str):
        words = hide(words_of(json.dumps(answer).encode()), client.key)
        what = f"{client.host} answered with no message of an assistant" + (f" ({words})" if words else "")
        raise WebError(f"{what}: check that {client.base_url} is a chat endpoint", status=200)
    return content


def embed(
    client: Client, body: Mapping[str, Any], texts: Sequence[str], batch_size: int = 64, n_threads: int = 4
) -> Generator[tuple[list[int], np.ndarray], None, None]:
    """Yield (positions in `texts`, vectors (n, d) float64) for each batch, in the order of arrival.

    body: what each request says beside its texts: model, encoding_format, dimensions. An embedding may come as numbers
    or as base64 of little-endian float32, whatever was asked.  A batch that is refused for its size is halved, down to
    one text, and so are those still to come. After an error no request begins; what is under way is still yielded,
    because it is paid for. Closed early, it begins no more requests.
    Raises `WebError`, `ServiceError` for an answer that can't be right, and `DataError` for one text too long.
    """
    waiting, lock = deque(range(len(texts))), threading.Lock()

    def take() -> Optional[list[int]]:
        with lock:
            return [waiting.popleft() for _ in range(min(batch_size, len(waiting)))] or None

    def send(batch: list[int]) -> tuple[list[int], bytes]:
        nonlocal batch_size
        # Half of a surrogate pair is no text to any server.
        sent = [texts[position].encode("utf-8", "replace").decode() for position in batch]
        try:
            return batch, client.post("embeddings", {**body, "input": sent})
        except WebError as error:
            if not _is_too_large(error):
                raise
            if len(batch) == 1:
                what = f"{' '.join(sent[0][:200].split())[:60]!r}... ({len(sent[0]):,} characters)"
                raise DataError(
                    f"the text {what} is too long for {body['model']} ({error.detail}): shorten it"
                ) from None
        with lock:
            batch_size = min(batch_size, len(batch) // 2)
            waiting.extendleft(reversed(batch))
        return [], b""

    failure: Optional[ServiceError] = None
    for batch, content in at_once(n_threads, take, send, client.stop):
        try:  # here and not in the threads, which send the next requests meanwhile
            vectors = read_embeddings(client.read_json(content), len(batch), client) if batch else None
        except ServiceError as error:
            failure = failure or error
            client.stop.set()
        else:
            if vectors is not None:
                yield batch, vectors
    if failure is not None:
        raise failure


def _is_too_large(error: WebError) -> bool:
    """Tell whether a request was refused for its size, so that a smaller one may pass."""
    by_words = error.status in (400, 422, 500) and not error.retryable and _SIZE_WORDS.search(error.detail)
    return error.status == 413 or bool(by_words)


def read_embeddings(answer: Any, n_texts: int, client: Client) -> np.ndarray:
    """Return the vectors (n_texts, d) float64 in the order of the texts; raises `ServiceError` for a wrong answer."""
    data = answer.get("data") if isinstance(answer, dict) else None
    rows: list[np.ndarray] = []
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        # Some proxies pass errors on as success.
        fault = f"no list of embeddings ({hide(words_of(json.dumps(answer).encode()), client.key)})"
    elif any(type(entry.get("index")) is not int for entry in data):
        fault = "an embedding without its index"
    elif sorted(entry["index"] for entry in data) != list(range(n_texts)):
        fault = f"{len(data)} embeddings for {n_texts} texts, or not one for each"
    else:
        rows = [_numbers(entry.get("embedding")) for entry in sorted(data, key=lambda entry: int(entry["index"]))]
        fault = "embeddings of different lengths" if len({len(row) for row in rows}) > 1 else ""
        if not all(row.size and (np.abs(row) <= np.finfo(np.float32).max).all() for row in rows):  # nor NaN
            fault = "an embedding that is not a list of finite numbers"
    if fault:
        raise ServiceError(f"{client.host} answered with {fault}: this is no server of embeddings, or a broken one")
    return np.stack(rows)


def _numbers(value: object) -> np.ndarray:
    """Return one embedding as (d,) float64; nothing, (0,), for what is none."""
    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float64)
        row = np.array(value)
    except ValueError:
        row = np.zeros(0)
    return row.astype(np.float64) if row.ndim == 1 and row.dtype.kind in "if" else np.zeros(0)
