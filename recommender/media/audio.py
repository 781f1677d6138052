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
from .modalities import AUDIO, Modality, Progress, read_modality

RATE = 22_050  # samples a second
MAX_SECONDS = 600  # a sound is heard from its start for so long
_BLOCK = 512  # frames at once
_LINEAR_TO, _LINEAR_MELS, _LOG_STEP = 1000.0, 15.0, math.log(6.4) / 27.0
_REMEDY = f"make it again with ffmpeg -i FILM -ac 1 -ar {RATE} -c:a pcm_s16le ID.wav"


def read_audio(path: Path, progress: Progress = lambda done, n: None) -> Modality:
    """Return the movies' sound vectors: (n, 128) from a folder of ID.wav, or (n, d) as stored (`read_modality`).

    Cost: about 0.1 s for each minute of sound.
    """
    makers = {".wav": lambda file: mfcc(read_wav(file)).mean(axis=0).astype(np.float32)}
    return read_modality(path, AUDIO, makers, units_differ=True, progress=progress)


def read_wav(path: Path) -> np.ndarray:
    """Return the mean of all channels (n,) float32, -1 to 1; no more than the first 600 seconds.

    Raises `DataError` for what is not a WAV file of whole numbers at 22,050 Hz, has no sample, or is cut short.
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
    expected = n * width * n_channels
    if len(content) < expected:
        raise DataError(f"{path} is cut short: {len(content):,} of {expected:,} bytes are there: copy it again")
    raw = np.frombuffer(content, dtype=np.uint8).reshape(-1, width)  # little-endian
    whole = np.zeros((len(raw), 4), dtype=np.uint8)
    whole[:, 4 - width :] = raw ^ 128 if width == 1 else raw  # 8 bits alone have no sign: 128 is zero
    values = whole.view("<i4")[:, 0].astype(np.float32) / np.float32(1 << 31)
    return values.reshape(n, n_channels).mean(axis=1, dtype=np.float32)


def mfcc(
    signal: np.ndarray, n_mfcc: int = 128, n_mels: int = 128, n_fft: int = 2048, hop: int = 512, rate: int = RATE
) -> np.ndarray:
    """Return (1 + n // hop, n_mfcc) coefficients of a signal (n,), -1 to 1, frame by frame.

    n_mfcc: at most n_mels, the bands of the mel scale.  n_fft: samples in a frame.  hop: from a frame to the next.
    Cost O(n_frames (n_fft log n_fft + n_mels n_fft)).

    >>> mfcc(np.sin(np.arange(22050) * 2 * np.pi * 440 / 22050)).shape
    (44, 128)
    """
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    padded = np.pad(signal.astype(np.float64), n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]  # (n_frames, n_fft), a view
    filters = _mel_filters(rate, n_fft, n_mels)  # F
    bands = np.empty((len(frames), n_mels))  # M
    for low in range(0, len(frames), _BLOCK):
        spectrum = np.fft.rfft(frames[low : low + _BLOCK] * window, axis=1)  # (block, n_fft // 2 + 1)
        bands[low : low + _BLOCK] = (spectrum.real**2 + spectrum.imag**2) @ filters.T
    decibels = 10 * np.log10(np.maximum(bands, 1e-10))  # L
    decibels = np.maximum(decibels, decibels.max() - 80.0)
    j, m = np.arange(n_mfcc)[:, None], np.arange(n_mels)
    cosines = np.cos(np.pi * j * (2 * m + 1) / (2 * n_mels)) * math.sqrt(2 / n_mels)  # (n_mfcc, n_mels)
    cosines[0] /= math.sqrt(2)
    return np.asarray(decibels @ cosines.T)


def _mel_filters(rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Return F (n_mels, n_fft // 2 + 1): triangles from band to band, each of area 1 over frequency in Hz."""
    top = float(_hz_to_mel(np.array(rate / 2)))
    edges = _mel_to_hz(np.linspace(0.0, top, n_mels + 2))  # (n_mels + 2,) Hz
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    left, middle, right = (edges[start : start + n_mels, None] for start in range(3))
    triangles = np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle))
    return np.maximum(triangles, 0) * 2 / (right - left)


def _hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Return mel: 3 f / 200 up to 1000 Hz, logarithmic above."""
    above = _LINEAR_MELS + np.log(np.maximum(hz, _LINEAR_TO) / _LINEAR_TO) / _LOG_STEP
    return np.where(hz < _LINEAR_TO, hz * _LINEAR_MELS / _LINEAR_TO, above)


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Return Hz; undoes `_hz_to_mel`."""
    above = _LINEAR_TO * np.exp(_LOG_STEP * (np.maximum(mel, _LINEAR_MELS) - _LINEAR_MELS))
    return np.where(mel < _LINEAR_MELS, mel * _LINEAR_TO / _LINEAR_MELS, above)
