"""Vectors from any OpenAI-compatible `/v1/embeddings`: OpenAI, Ollama, vLLM, llama.cpp, TEI, Infinity.

    OPENAI_API_KEY=...  HttpBackend().embed_texts(texts)
    HttpBackend(base_url="http://localhost:11434/v1", model="all-minilm").embed_texts(texts)        # Ollama

Each different text is sent once, ever: vectors are kept on disk (cache.py) as they come. But one text is sent again,
and has to get nearly the same vector, whenever a process begins to send and whenever the model's name in the answers
changes. Blank texts are not sent, since OpenAI refuses them: their vectors are zeros.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Optional

import numpy as np

from ...data.errors import DataError, ServiceError, SettingsError
from ...data.settings import setting
from ...linalg.rows import unit_rows
from ...net.key import OPENAI_HOST, Key, hide, key_for, parse_address
from ..base import BaseEmbeddingBackend, Identity, check_texts, text_hash

if TYPE_CHECKING:  # imported on first use: they would slow every start
    from ...net.web import Client, WebError
    from .cache import VectorCache

Sent = tuple[list[str], np.ndarray, str]
SAME_MODEL = 0.99  # cosine; servers of one model differ by rounding and half precision


@dataclass(frozen=True)
class HttpSettings:
    """What `HttpBackend` needs to know; each is a flag of the programs."""

    base_url: str = setting(f"https://{OPENAI_HOST}/v1", "http: address of the service, up to /v1")
    model: str = setting("text-embedding-3-large", "http: name of the model there")
    key_variable: str = setting("", "http: variable with the key; empty: OPENAI_API_KEY at api.openai.com, else none")
    dimensions: int = setting(0, "http: length of vectors to ask for; 0: as the model gives them", 0, 100_000)
    batch_size: int = setting(64, "http: texts in one request", 1, 2048)
    concurrency: int = setting(4, "http: requests at the same time", 1, 64)
    timeout: float = setting(60.0, "http: seconds to wait for an answer", 0.01, 3600)
    attempts: int = setting(6, "http: attempts of each request", 1, 20)
    cache: str = setting("~/.cache/tastevec", "http: folder that keeps the vectors; empty: none")

    def __post_init__(self) -> None:
        if not self.model:
            raise SettingsError("no model: give the name of the model at the service with --model")
        parse_address(self.base_url)


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text has: a quarter of its bytes in UTF-8, rounded up.

    >>> estimate_tokens("A thief and a policeman.")
    6
    """
    return -(-len(text.encode("utf-8", "replace")) // 4)


class HttpBackend(BaseEmbeddingBackend):
    """Embeds with a service on the network.

    fields: of `HttpSettings`; None for the default.  key: in place of the environment's.  The client is made when the
    first text has to be sent, so that neither vectors from the cache nor an estimate need a key.
    """

    name, Settings = "http", HttpSettings
    extra: ClassVar[Mapping[str, str]] = {}  # what else each request says

    def __init__(self, *, key: Optional[Key] = None, **fields: Any) -> None:
        super().__init__(**{name: value for name, value in fields.items() if value is not None})
        self._key, self._width = key, self.settings.dimensions  # 0 where it is not known yet
        self._names: set[str] = set()  # of the model, in answers that were compared with the cache

    @property
    def identity(self) -> Identity:
        """The identity of the vectors; sends one short text where their length is not known."""
        if not self._width:
            with self._cache(write=False):
                pass
        if not self._width:
            self.embed_texts(["movie"])
        return Identity(self.name, self.settings.model, self._width)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32 with rows of length 1, or 0 for blank texts; sends what the cache does not hold.

        Raises `SettingsError` where the key is missing, `WebError` (a `ServiceError`) where the service fails for
        good, `DataError` for a text that it refuses. What came before an error is kept.
        """
        return self.embed_known(texts, strict=True)

    def embed_known(self, texts: Sequence[str], names: Sequence[str] = (), strict: bool = False) -> np.ndarray:
        """Return what `embed_texts` does, with zeros for refused texts, which stderr names, or by `names`."""
        hashes = _hashes(texts)
        refused: dict[int, WebError] = {}
        with self._cache() as cache:
            found = cache.find(hashes)
            missing = [text for hash_, text in hashes.items() if hash_ not in found]
            if missing and not self._names:
                self._compare(cache)
            with contextlib.closing(self._send(missing, refused)) as batches:
                for sent, vectors, name in batches:
                    if name not in self._names:
                        self._compare(cache, name)
                    cache.store(sent, vectors)
                    found.update(zip(map(text_hash, sent), vectors))
        if refused and not (found or self._names):  # whatever it says, perhaps
            raise next(iter(refused.values()))
        named = dict(zip(texts, names or texts))
        for position, error in refused.items():
            text = missing[position]
            what = f"the text {hide(named[text], None, 60)!r} ({len(text):,} characters) has no vector: {error}"
            if strict:
                raise DataError(what)
            print(f"tastevec: {what}; the next run asks again", file=sys.stderr)
        zeros = np.zeros(self.identity.dimension, np.float32)
        return np.array([found.get(text_hash(text), zeros) for text in texts], np.float32).reshape(-1, len(zeros))

    def estimate(self, texts: Sequence[str]) -> dict[str, int]:
        """Return what `embed_texts(texts)` would take, by what it is; makes no call and writes nothing."""
        hashes = _hashes(texts)
        with self._cache(write=False) as cache:
            found = cache.find(hashes)
        missing = [text for hash_, text in hashes.items() if hash_ not in found]
        return {
            "texts": len(texts),
            "in the cache": sum(text_hash(text) in found for text in texts),
            "different ones to send": len(missing),
            "requests": -(-len(missing) // self.settings.batch_size),
            "tokens, about": sum(map(estimate_tokens, missing)),
        }

    def _send(self, texts: Sequence[str], refused: Optional[dict[int, WebError]] = None) -> Generator[Sent, None, None]:
        """Ask for `texts`; yield some, their vectors (n, d) float32 and the model's name, as they come (`embed`)."""
        if not texts:
            return
        from ...net.openai import embed

        some, n_done = self.settings, 0
        client = copy.copy(self._client)  # shares the connections
        client.stop = threading.Event()
        body: dict[str, Any] = {"model": some.model, "encoding_format": "float", **self.extra}
        body |= {"dimensions": some.dimensions} if some.dimensions else {}
        how = (some.batch_size, some.concurrency, refused, bool(self._names))
        for batch, vectors, name in embed(client, body, texts, *how):
            self._check_width(vectors.shape[1])
            yield [texts[position] for position in batch], unit_rows(vectors), name
            n_done += len(batch)
            if len(texts) > 1 and sys.stderr.isatty():
                end = "\n" if n_done == len(texts) else ""
                print(f"\r{n_done:,} of {len(texts):,} texts embedded", end=end, file=sys.stderr, flush=True)

    def _compare(self, cache: VectorCache, *names: str) -> None:
        """Compare a vector of the service with the one in the cache; names: the model's new one, in an answer."""
        probe = cache.probe()[1]
        stored = cache.find([text_hash(probe)])  # empty where it is damaged
        self._names.update(names)
        for _, (vector,), now in self._send([probe]) if stored else ():
            if float(vector @ stored[text_hash(probe)]) < SAME_MODEL:
                what = f"{self._client.host} gives other vectors for {self.settings.model!r} (it calls it {now!r})"
                remedy = "it is another model of the same name, so give another cache folder"
                raise SettingsError(f"{what} than those in {cache.path}: {remedy}")
            self._names.add(now)

    def _check_width(self, width: int) -> None:
        """Take the length of the vectors; raises where `width`, of an answer or the cache, is another than before."""
        self._width = self._width or width
        if width != self._width:
            what = f"vectors of length {width} for {self.settings.model!r}, expected {self._width}"
            raise ServiceError(
                f"{what}: is it the same model? Else leave out --dimensions, or give another cache folder"
            )

    def _cache(self, write: bool = True) -> VectorCache:
        """Open the cache, and take the length of the vectors from it."""
        from .cache import VectorCache

        cache = VectorCache(self.settings.cache, self.settings.model, self.settings.dimensions, write)
        if width := cache.probe()[0]:
            self._check_width(width)
        return cache

    @functools.cached_property
    def _client(self) -> Client:
        from ...net.web import Client

        settings = self.settings
        key = self._key or key_for(settings.base_url, settings.key_variable)
        say = functools.partial(print, "tastevec:", file=sys.stderr, flush=True)
        return Client(settings.base_url, key, timeout=settings.timeout, attempts=settings.attempts, say=say)


def _hashes(texts: Sequence[str]) -> dict[str, str]:
    """Return hash -> text of each different text that is not blank, in the order of the texts."""
    return {text_hash(text): text for text in check_texts(texts) if text.strip()}
