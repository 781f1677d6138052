"""The sound of movies as numbers: mel-frequency cepstral coefficients (MFCC), as librosa computes them by default.

    P_k   = |FFT(x w)_k|^2,   w_t = (1 - cos(2 pi t / N)) / 2     N = 2048 samples each 512, ends padded with zeros
    M_m   = sum_k F_mk P_k                                    128 triangles of equal width in mel, of equal area in Hz
    L_m   = 10 log10 max(M_m, 1e-10), not below max L - 80    decibels
    c_j   = s_j sum_m L_m cos(pi j (2 m + 1) / (2 n_mels))    s_0 = sqrt(1 / n_mels), s_j = sqrt(2 / n_mels)

Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition" (1980); the mel
scale is that of Slaney's Auditory Toolbox (1998): 3 f / 200 up to 1000 Hz, then 15 + 27 ln(f / 1000) / ln 6.4. A
movie's vector is the mean over time. The numbers depend on the sampling rate, and nothing is resampled here: WAV files
of other rates than 22,050 Hz are refused, with the ffmpeg command that makes such a file.
"""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np

from ..data.errors import DataError
from .vector_files import Progress, Vectors, read_vectors

RATE = 22_050  # samples a second
MAX_SECONDS = 600  # a sound is heard from its start for so long
N_FFT, HOP = 2048, 512  # samples in a frame, and from a frame to the next
N_MELS = 128  # bands, and coefficients
_BLOCK = 512  # frames at once
_REMEDY = f"make it again with ffmpeg -i FILM -ac 1 -ar {RATE} -c:a pcm_s16le ID.wav"


def read_audio(path: Path, progress: Progress = lambda done, n: None) -> Vectors:
    """Return the movies' sound vectors: (n, 128) from a folder of ID.wav, or (n, d) as stored (`read_vectors`).

    Cost: about 0.1 s for each minute of sound.
    """
    return read_vectors(path, [".wav"], lambda file: mfcc(read_wav(file)).mean(axis=0), progress)


def read_wav(path: Path) -> np.ndarray:
    """Return the mean of all channels (n,) float32, -1 to 1; no more than the first 600 seconds.

    Raises `DataError` for what is not a WAV file of whole numbers at 22,050 Hz, has no sample, or is cut short.
    """
    try:
        with wave.open(str(path), "rb") as file:
            n_channels, width, rate, n, *_ = file.getparams()
            n = min(n, MAX_SECONDS * RATE)
            content = file.readframes(n)
    except (wave.Error, EOFError, OverflowError) as error:
        raise DataError(f"{path} is not a WAV file that can be read ({error}): {_REMEDY}") from None
    if rate != RATE or n == 0 or width > 4 or len(content) < n * width * n_channels:
        what = f"{len(content):,} bytes of {n:,} samples of {8 * width} bits at {rate} Hz"
        raise DataError(f"{path} holds {what}: {_REMEDY}")
    raw = np.frombuffer(content, dtype=np.uint8).reshape(-1, width)  # little-endian
    whole = np.zeros((len(raw), 4), dtype=np.uint8)
    whole[:, 4 - width :] = raw ^ 128 if width == 1 else raw  # 8 bits alone have no sign: 128 is zero
    values = whole.view("<i4")[:, 0].astype(np.float32) / np.float32(1 << 31)
    return values.reshape(n, n_channels).mean(axis=1, dtype=np.float32)


def mfcc(signal: np.ndarray) -> np.ndarray:
    """Return (1 + n // 512, 128) coefficients of a signal (n,), -1 to 1, frame by frame.

    Cost O(n_frames (n_fft log n_fft + n_mels n_fft)).

    >>> mfcc(np.sin(np.arange(22050) * 2 * np.pi * 440 / 22050)).shape
    (44, 128)
    """
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    padded = np.pad(signal.astype(np.float64), N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]  # (n_frames, N_FFT), a view
    filters = _mel_filters()  # F
    bands = np.empty((len(frames), N_MELS))  # M
    for low in range(0, len(frames), _BLOCK):
        spectrum = np.fft.rfft(frames[low : low + _BLOCK] * window, axis=1)  # (block, N_FFT // 2 + 1)
        bands[low : low + _BLOCK] = (spectrum.real**2 + spectrum.imag**2) @ filters.T
    decibels = 10 * np.log10(np.maximum(bands, 1e-10))  # L
    decibels = np.maximum(decibels, decibels.max() - 80.0)
    j, m = np.arange(N_MELS)[:, None], np.arange(N_MELS)
    cosines = np.cos(np.pi * j * (2 * m + 1) / (2 * N_MELS)) * math.sqrt(2 / N_MELS)  # (N_MELS, N_MELS)
    cosines[0] /= math.sqrt(2)
    return np.asarray(decibels @ cosines.T)


def _mel_filters() -> np.ndarray:
    """Return F (N_MELS, N_FFT // 2 + 1): triangles from band to band, each of area 1 over frequency in Hz."""
    top = 15.0 + 27.0 * math.log(RATE / 2 / 1000.0) / math.log(6.4)
    mel = np.linspace(0.0, top, N_MELS + 2)
    edges = np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))  # Hz
    bins = np.arange(N_FFT // 2 + 1) * RATE / N_FFT
    left, middle, right = (edges[start : start + N_MELS, None] for start in range(3))
    triangles = np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle))
    return np.maximum(triangles, 0) * 2 / (right - left)
