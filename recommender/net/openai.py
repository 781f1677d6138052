"""What OpenAI-style services do: vectors for texts, and answers to messages.

POST /embeddings        {"model": m, "input": [text, ...], "encoding_format": "float", "dimensions": d if set}
                    <-  {"data": [{"index": i, "embedding": [x, ...]}, ...]}        in the order of `index`
POST /chat/completions  {"model": m, "messages": [{"role": ..., "content": ...}, ...], ...}
                    <-  {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from ..data.errors import DataError
from .key import hide
from .web import Client, WebError, at_once

# Words of OpenAI, TEI, vLLM, llama.cpp, Ollama, Mistral, pydantic for one text too long, or too many texts or tokens.
_SIZE_WORDS = re.compile(
    r"(?i)too[ _](long|large|many|big)|maximum|exceed|at most|context[ _]length|batch size|less than|longer than"
)
Batch = Sequence[int]  # positions of texts
# Thoughts as models mark them: <think>, <thinking>, [THINK], <seed:think>, <|START_THINKING|>, <|begin_of_thought|> ...
_WORDS = r"(?:think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad|internal_monologue)\b[^<>\[\]◁▷]*[>\]▷]"
_OPEN, _CLOSE = rf"[<\[◁]\|?(?:start_|begin_of_|seed:)?{_WORDS}", rf"[<\[◁](?:/|\|end_|\|end_of_|/seed:){_WORDS}"
_THOUGHTS = re.compile(rf"(?is){_OPEN}(?:(?!{_OPEN}).)*?{_CLOSE}|^.*{_CLOSE}|{_OPEN}.*")
# gpt-oss: <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>..., or without marks
_CHANNELS = re.compile(
    r"(?s)^.*<\|channel\|>\s*final\b[^<]*<\|message\|>|^\s*analysis.*assistantfinal|<\|channel\|?>.*"
)
# What separates turns; the first turn that is not blank is the answer.
_MARKS = re.compile(
    r"(?:<\|(?:im_start|start_header_id|start)\|>|<start_of_turn>)\s*(?:assistant|model)\b"
    r"|<\|[^<>|]{1,40}\|>|</?s>|<(?:bos|eos|start_of_turn|end_of_turn)>|\[/?INST\]"
)


class Message(NamedTuple):
    """What a model answered, and why it ended there: "stop", "length", "content_filter", "refusal", ..."""

    text: str
    end: str = "stop"


def chat(client: Client, model: str, messages: Sequence[Mapping[str, str]], **options: object) -> Message:
    """Return what the model answers, without its thoughts; options: temperature, ... as the service knows them.

    Raises `WebError` where the service fails, or its answer is no message; a message without text is "".
    """
    answer = client.read_json(client.post("chat/completions", {"model": model, "messages": list(messages), **options}))
    with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError):
        choice = answer["choices"][0]
        content = choice["message"]["content"]
        parts = content if isinstance(content, list) else [{"text": "" if content is None else content}]
        texts = [{"text": part} if isinstance(part, str) else part for part in parts]
        text = "".join(part["text"] for part in texts if part.get("type", "text") in ("text", "output_text"))
        end = "refusal" if choice["message"].get("refusal") else str(choice.get("finish_reason") or "")
        return Message(without_thoughts(text), end)
    raise client.unexpected(answer, "no message of an assistant")


def without_thoughts(text: str) -> str:
    """Return the answer in what a model wrote: no thoughts, finished or not, no marks of turns, no turn after it.

    >>> without_thoughts("<think>A film of 1995 ...</think>\\nA thief.<|im_end|><|im_start|>user")
    'A thief.'
    """
    text = _CHANNELS.sub("", text)
    for _ in range(3):  # within each other
        text = _THOUGHTS.sub("", text)
    return next((turn.strip() for turn in _MARKS.split(text) if turn.strip()), "")


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
    raise client.unexpected(answer, fault)


def _numbers(embedding: object) -> np.ndarray:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return np.array(embedding)
