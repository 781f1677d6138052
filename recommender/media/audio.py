"""The sound of movies: a folder of ID.wav, or of ID.npy computed elsewhere, one for each movie, named by movie id.

A WAV file holds whole numbers of 8, 16, 24 or 32 bits at 22,050 samples a second, any number of channels. Everything
else (other rates, floats, compressed sound) is refused with the ffmpeg command that makes such a file.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Callable

import numpy as np

from ..data.errors import DataError
from .mfcc import RATE, mfcc
from .modalities import AUDIO, Modality, from_vectors, movie_files, read_modality

MAX_SECONDS = 600  # a sound is heard from its start for so long
_REMEDY = f"make it again with ffmpeg -i FILM -ac 1 -ar {RATE} -c:a pcm_s16le ID.wav"


def read_audio(path: Path, progress: Callable[[int, int], None] = lambda done, n: None) -> Modality:
    """Return the movies' sound vectors: (n, 128), the mean of `mfcc` over time, or (n, d) as stored otherwise.

    path: a folder of ID.wav files, or what `modalities.read_modality` reads.  progress: called with how many of how
    many files are done.  Raises `DataError`, naming the file, for one that can't be used.  Cost: about 0.1 s for each
    minute of sound.
    """
    if not path.is_dir() or not any(file.suffix.lower() == ".wav" for file in path.iterdir()):
        return read_modality(path, AUDIO, units_differ=True)
    files = movie_files(path, [".wav"])
    vectors = {}
    for done, (movie_id, file) in enumerate(files.items(), 1):
        vectors[movie_id] = mfcc(read_wav(file)).mean(axis=0).astype(np.float32)
        progress(done, len(files))
    return from_vectors(AUDIO, vectors, units_differ=True)


def read_wav(path: Path) -> np.ndarray:
    """Return the mean of all channels (n,) float32, -1 to 1; no more than the first 600 seconds.

    Raises `DataError` for what is not a WAV file of 22,050 Hz, holds no sample, or ends before its data does.
    """
    try:
        with wave.open(str(path), "rb") as file:
            n_channels, width, rate, n, *_ = file.getparams()
            n = min(n, MAX_SECONDS * RATE)
            content = file.readframes(n)
    except FileNotFoundError:
        raise DataError(f"no sound at {path}: give an existing file") from None
    except (wave.Error, EOFError, OverflowError) as error:
        raise DataError(f"{path} is not a WAV file that can be read ({error}): {_REMEDY}") from None
    if rate != RATE or n == 0 or width > 4:
        raise DataError(f"{path} holds {n:,} samples of {8 * width} bits at {rate} Hz: {_REMEDY}")
    if len(content) < n * width * n_channels:
        raise DataError(
            f"{path} is cut short: {len(content):,} of {n * width * n_channels:,} bytes are there: copy it again"
        )
    raw = np.frombuffer(content, dtype=np.uint8).reshape(-1, width)  # little-endian
    whole = np.zeros((len(raw), 4), dtype=np.uint8)
    whole[:, 4 - width :] = raw ^ 128 if width == 1 else raw  # 8 bits alone have no sign: 128 is zero
    values = whole.view("<i4")[:, 0].astype(np.float32) / np.float32(1 << 31)
    return values.reshape(n, n_channels).mean(axis=1, dtype=np.float32)
