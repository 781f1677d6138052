"""What OpenAI-style services do: vectors for texts, and answers to messages.

POST /embeddings        {"model": m, "input": [text, ...], "encoding_format": "float", "dimensions": d if set}
                    <-  {"data": [{"index": i, "embedding": [x, ...]}, ...]}        in the order of `index`
POST /chat/completions  {"model": m, "messages": [{"role": ..., "content": ...}, ...], ...}
                    <-  {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from .web import Client, WebError, at_once

MOST_REFUSED = 5  # texts, one after another
_OF_ONE_TEXT = (400, 413, 422, 500)  # may be said of one text of a batch, or of its size
Batch = Sequence[int]  # positions of texts
# Thoughts: <think>, <thinking>, [THINK], <seed:think>, <|START_THINKING|>, <|begin_of_thought|>, ◁think▷ ...
_WORD = r"(?:think|thinking|thoughts?|reasoning|reflection|analysis|scratchpad)\b[^<>\[\]◁▷]*[>\]▷]"
_OPEN, _CLOSE = rf"[<\[◁]\|?(?:start_|begin_of_|seed:)?{_WORD}", rf"[<\[◁](?:/|\|end_|\|end_of_|/seed:){_WORD}"
_THOUGHTS = re.compile(
    rf"(?is){_OPEN}(?:(?!{_OPEN}).)*?{_CLOSE}|^.*{_CLOSE}|{_OPEN}.*"
    r"|^.*<\|channel\|>\s*final\b[^<]*<\|message\|>|^\s*analysis.*assistantfinal|<\|channel\|?>.*"  # gpt-oss
)
_TURNS = re.compile(r"<\|[^<>|]{1,40}\|>(?:assistant\b)?|</?s>|<(?:start|end)_of_turn>(?:model\b)?")


def chat(client: Client, model: str, messages: Sequence[Mapping[str, str]], **options: object) -> tuple[str, str]:
    """Return what the model answers, without its thoughts, and why it ended: "stop", "length", "refusal", ...

    options: temperature, max_tokens, ... as the service knows them.  Raises `WebError` where the service fails, or its
    answer is no message; a message without text is "".
    """
    body = {"model": model, "messages": list(messages), **options}
    return read_message(client.read_json(client.post("chat/completions", body)), client)


def read_message(answer: Any, client: Client) -> tuple[str, str]:
    """Return the text and the end of an answer, as `chat` does; raises `WebError` where it is no message."""
    with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError):
        choice = answer["choices"][0]
        content = choice["message"]["content"]
        parts = content if isinstance(content, list) else [content or ""]
        texts = [{"text": part} if isinstance(part, str) else part for part in parts]
        text = "".join(part["text"] for part in texts if part.get("type", "text") in ("text", "output_text"))
        end = "refusal" if choice["message"].get("refusal") else str(choice.get("finish_reason") or "")
        return without_thoughts(text), end
    raise client.unexpected(answer, "no message of an assistant")


def without_thoughts(text: str) -> str:
    """Return the answer in what a model wrote: no thoughts, finished or not, no marks of turns, no turn after it.

    >>> without_thoughts("<think>A film of 1995 ...</think>\\nA thief.<|im_end|><|im_start|>user")
    'A thief.'
    """
    for _ in range(3):  # within each other
        text = _THOUGHTS.sub("", text)
    return next((turn.strip() for turn in _TURNS.split(text) if turn.strip()), "")


def embed(
    client: Client,
    body: Mapping[str, Any],
    texts: Sequence[str],
    batch_size: int = 64,
    n_threads: int = 4,
    refused: Optional[dict[int, WebError]] = None,
    answered: bool = False,
) -> Generator[tuple[Batch, np.ndarray, str], None, None]:
    """Yield (positions in `texts`, vectors (n, d) float64, the model's name) of each answer, in the order of arrival.

    body: what each request says beside its texts: model, encoding_format, dimensions.  A batch that is refused is
    halved, down to one text.  refused: gets the texts without a vector, by their position; five in a row end it, but
    not by what a service says that answered others, or before (answered).
    After an error no request begins; what is under way is still yielded, because it is paid for. Closed early, it
    begins no more requests. Raises `WebError`, also for an answer that can't be right.
    """
    refused, in_a_row = {} if refused is None else refused, 0
    hasty = copy.copy(client)
    hasty.attempts = min(2, client.attempts)
    unusable = WebError(f"{client.host} gave zeros, or no list of finite numbers in float32: check the model", 200)

    def send(batch: Batch) -> Iterator[tuple[Batch, bytes, WebError]]:
        parts, patient = [batch], client
        while parts:
            part = parts.pop()
            # Half of a surrogate pair is no text to any server.
            sent = [texts[position].encode("utf-8", "replace").decode() for position in part]
            try:
                yield part, patient.post("embeddings", {**body, "input": sent}), unusable
            except WebError as error:
                half = len(part) // 2
                if client.stop.is_set():
                    return
                if error.status not in _OF_ONE_TEXT and not error.filtered:
                    raise
                if half:
                    patient = hasty
                    parts += [part[half:], part[:half]]
                else:
                    yield part, b"", error

    failure: Optional[WebError] = None
    last, alike = np.zeros(0), set[str]()  # the only vector of the last answer, and the texts that had it in a row
    batches = [range(len(texts))[start : start + batch_size] for start in range(0, len(texts), batch_size)]
    for part, content, error in at_once(n_threads, batches, send, client.stop):
        try:  # here and not in the threads, which send the next requests meanwhile
            rows, name = read_embeddings(client.read_json(content), len(part), client) if content else ([None], "")
            known = {position: row for position, row in zip(part, rows) if row is not None}
            in_a_row = 0 if known else in_a_row + len(part)
            if in_a_row >= MOST_REFUSED and (error.retryable or error.status == 200 or not answered):
                raise error
            refused |= {position: error for position in part if position not in known}
            if not known:
                continue
            vectors, answered = np.stack(list(known.values())), True
            same = (vectors == vectors[0]).all()
            before = alike if same and np.array_equal(vectors[0], last) else set()
            alike, last = before | {texts[i].casefold() for i in known}, vectors[0] if same else np.zeros(0)
            if same and len(alike) > 2:
                raise client.unexpected({}, f"one vector for {len(alike)} different texts")
        except WebError as found:
            failure = failure or found
            client.stop.set()
        else:
            yield list(known), vectors, name
    if failure is not None:
        raise failure


def read_embeddings(answer: Any, n_texts: int, client: Client) -> tuple[list[Optional[np.ndarray]], str]:
    """Return the vectors (d,) float64 in the order of the texts, None for what is no vector, and the model's name.

    Where one text was sent, its embedding needs no index. Raises `WebError` for a wrong answer.
    """
    with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
        data = answer["data"] if n_texts == 1 else sorted(answer["data"], key=lambda entry: entry["index"])
        rows = [_numbers(entry.get("embedding")) for entry in data]
        complete = len(rows) == n_texts and (n_texts == 1 or [entry["index"] for entry in data] == list(range(n_texts)))
        if complete and len({len(row) for row in rows if row is not None}) < 2:
            return rows, str(answer.get("model") or "")
    what = f"no list of {n_texts} embeddings of one length, each with its index"
    raise client.unexpected(answer, f"{what} (--batch-size 1 helps where that is missing)")


def _numbers(embedding: object) -> Optional[np.ndarray]:
    """Return an embedding as (d,) float64; None where it is not one, or vanishes or overflows in float32."""
    with contextlib.suppress(TypeError, ValueError):
        row = np.array(embedding)
        limits = np.finfo(np.float32)
        if row.ndim == 1 and row.size and row.dtype.kind in "iuf" and limits.tiny <= np.abs(row).max() <= limits.max:
            return row.astype(np.float64)
    return None
