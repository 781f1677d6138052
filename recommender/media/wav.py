"""WAV files read in numpy: whole numbers of 8, 16, 24 or 32 bits and floats of 32 or 64, any number of channels.

A file is `RIFF size WAVE` and then chunks `name size bytes`; `fmt ` says what the samples of `data` are. The standard
library's `wave` knows no floats, and before Python 3.12 not the longer `fmt ` that most programs write for 24 bits.
Compressed sound (MP3, AAC, and WAV files that hold it) needs a decoder, which tastevec has not.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ..data.errors import DataError

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_HIGHEST_RATE = 1_000_000  # Hz; a damaged header may say billions, and resampling would take all memory
_TO_THE_END = 0xFFFFFFFF  # what a program writes that can't go back to fill in the size
_REMEDY = "make it anew with ffmpeg -i FILM -ac 1 -ar 22050 -c:a pcm_s16le ID.wav"


def read_wav(path: Path, max_seconds: float = np.inf) -> tuple[np.ndarray, int]:
    """Return the mean of all channels (n,), -1 to 1, and the rate in samples a second.

    max_seconds: read no more than that from the start.  Raises `DataError` for what is not such a file, holds no
    sample, or ends before its data does.
    """
    try:
        with open(path, "rb") as file:
            content = memoryview(file.read())
    except FileNotFoundError:
        raise DataError(f"no sound at {path}: give an existing file") from None
    if bytes(content[:4]) != b"RIFF" or bytes(content[8:12]) != b"WAVE":
        raise DataError(f"{path} is not a WAV file: {_REMEDY}")
    form = b""
    place = 12
    while place + 8 <= len(content):
        name, size = bytes(content[place : place + 4]), struct.unpack_from("<I", content, place + 4)[0]
        place += 8
        if name == b"fmt ":
            form = bytes(content[place : place + size])
        elif name == b"data":
            if size == _TO_THE_END:
                size = len(content) - place
            if place + size > len(content):
                raise DataError(
                    f"{path} is cut short: {len(content) - place:,} of {size:,} bytes are there: copy it again"
                )
            return _samples(path, form, content[place : place + size], max_seconds)
        place += size + size % 2  # chunks begin at even places
    raise DataError(f"{path} holds no sound (no data chunk): {_REMEDY}")


def _samples(path: Path, form: bytes, data: memoryview, max_seconds: float) -> tuple[np.ndarray, int]:
    if len(form) < 16:
        raise DataError(f"{path} does not say what its samples are (no fmt chunk): {_REMEDY}")
    kind, n_channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", form)
    if kind == _EXTENSIBLE and len(form) >= 26:
        kind = struct.unpack_from("<H", form, 24)[0]
    dtype = {
        (_PCM, 8): "u1",
        (_PCM, 16): "<i2",
        (_PCM, 24): "u1",
        (_PCM, 32): "<i4",
        (_FLOAT, 32): "<f4",
        (_FLOAT, 64): "<f8",
    }
    if (kind, bits) not in dtype or n_channels == 0 or not 0 < rate <= _HIGHEST_RATE:
        raise DataError(f"{path} holds {n_channels} channels of {bits} bits, code {kind}, at {rate} Hz: {_REMEDY}")
    width = n_channels * bits // 8
    n = len(data) // width
    if np.isfinite(max_seconds):
        n = min(n, int(np.ceil(max_seconds * rate)))
    if n == 0:
        raise DataError(f"{path} holds no sample: {_REMEDY}")
    raw = np.frombuffer(data[: n * width], dtype=dtype[kind, bits])
    values: np.ndarray
    if kind == _FLOAT:
        values = raw.astype(np.float32)
    elif bits == 24:
        low, middle, high = raw.reshape(-1, 3).astype(np.int32).T
        values = ((low << 8 | middle << 16 | high << 24) >> 8).astype(np.float32) / (1 << 23)
    elif bits == 8:
        values = (raw.astype(np.float32) - 128) / 128  # the only one without a sign
    else:
        values = raw.astype(np.float32) / (1 << (bits - 1))
    if not np.isfinite(values).all():
        raise DataError(f"{path} holds samples that are not finite: {_REMEDY}")
    mixed = values.reshape(n, n_channels).mean(axis=1, dtype=np.float32)
    return mixed.astype(np.float32, copy=False), int(rate)
