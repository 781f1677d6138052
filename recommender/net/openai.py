"""What OpenAI-style services do: vectors for texts, and answers to messages.

POST /embeddings        {"model": m, "input": [text, ...], "encoding_format": "float", "dimensions": d if set}
                    <-  {"data": [{"index": i, "embedding": [x, ...]}, ...]}        in the order of `index`
POST /chat/completions  {"model": m, "messages": [{"role": ..., "content": ...}, ...], ...}
                    <-  {"choices": [{"message": {"content": text}}]}
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from ..data.errors import DataError
from .key import hide
from .web import Client, WebError, at_once, words_of

# Words of OpenAI, TEI, vLLM, llama.cpp, Ollama, Mistral, pydantic for one text too long, or too many texts or tokens.
_SIZE_WORDS = re.compile(
    r"(?i)too[ _](long|large|many|big)|maximum|exceed|at most|context[ _]length|batch size|less than|longer than"
)
Batch = Sequence[int]  # positions of texts


def chat(client: Client, model: str, messages: Sequence[Mapping[str, str]], **options: object) -> str:
    """Return what the model answers; options: temperature, max_tokens, ... as the service knows them.

    Raises `WebError` where the service fails, or its answer holds no text.
    """
    answer = client.read_json(client.post("chat/completions", {"model": model, "messages": list(messages), **options}))
    with contextlib.suppress(KeyError, IndexError, TypeError):
        content = answer["choices"][0]["message"]["content"]
        if isinstance(content, str):
            return content
    raise _wrong(client, answer, "no message of an assistant")


def embed(
    client: Client, body: Mapping[str, Any], texts: Sequence[str], batch_size: int = 64, n_threads: int = 4
) -> Generator[tuple[Batch, np.ndarray], None, None]:
    """Yield (positions in `texts`, vectors (n, d) float64) for each batch, in the order of arrival.

    body: what each request says beside its texts: model, encoding_format, dimensions.  A batch that is refused for its
    size is halved, down to one text, and so are those to come. After an error no request begins; what is under way is
    still yielded, because it is paid for. Closed early, it begins no more requests.
    Raises `WebError`, also for an answer that can't be right, and `DataError` for one text too long.
    """

    def send(batch: Batch) -> Iterator[tuple[Batch, bytes]]:
        nonlocal batch_size
        while batch:
            part = batch[:batch_size]
            # Half of a surrogate pair is no text to any server.
            sent = [texts[position].encode("utf-8", "replace").decode() for position in part]
            try:
                content = client.post("embeddings", {**body, "input": sent})
            except WebError as error:
                by_words = error.status in (400, 422, 500) and not error.retryable and _SIZE_WORDS.search(error.detail)
                if error.status != 413 and not by_words:
                    raise
                if len(part) == 1:
                    what = f"{hide(sent[0], None, 60)!r} ({len(sent[0]):,} characters)"
                    what += f" is too long for {body['model']} ({error.detail})"
                    raise DataError(f"the text {what}: shorten it") from None
                batch_size = min(batch_size, len(part) // 2)
            else:
                yield part, content
                batch = batch[len(part) :]

    failure: Optional[WebError] = None
    batches = [range(len(texts))[start : start + batch_size] for start in range(0, len(texts), batch_size)]
    for part, content in at_once(n_threads, batches, send, client.stop):
        try:  # here and not in the threads, which send the next requests meanwhile
            vectors = read_embeddings(client.read_json(content), len(part), client)
        except WebError as error:
            failure = failure or error
            client.stop.set()
        else:
            yield part, vectors
    if failure is not None:
        raise failure


def read_embeddings(answer: Any, n_texts: int, client: Client) -> np.ndarray:
    """Return the vectors (n_texts, d) float64 in the order of the texts; raises `WebError` for a wrong answer.

    An embedding may come as numbers, or as base64 of little-endian float32, whatever was asked.
    """
    fault = "no list of embeddings"
    with contextlib.suppress(KeyError, TypeError, ValueError):
        data = sorted(answer["data"], key=lambda entry: entry["index"])
        fault = f"{len(data)} embeddings for {n_texts} texts, or not one for each"
        if [entry["index"] for entry in data] == list(range(n_texts)):
            fault = "an embedding that is not a list of finite numbers, or not as long as the others"
            vectors = np.stack([_numbers(entry["embedding"]) for entry in data])
            numbers = vectors.ndim == 2 and vectors.size and vectors.dtype.kind in "if"
            if numbers and (np.abs(vectors) <= np.finfo(np.float32).max).all():  # nor NaN
                return vectors.astype(np.float64)
    raise _wrong(client, answer, fault)


def _numbers(embedding: object) -> np.ndarray:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return np.array(embedding)


def _wrong(client: Client, answer: Any, what: str) -> WebError:
    """Return the error for an answer of another form; some proxies pass errors on as success."""
    words = hide(words_of(json.dumps(answer).encode()), client.key)
    what += f" ({words})" if words else ""
    return WebError(f"{client.host} answered with {what}: check the address {client.base_url} and the model", 200)
