"""Sound as numbers: mel-frequency cepstral coefficients (MFCC), as librosa computes them by default.

    x_t  <- x_t - a x_(t-1)                                   pre-emphasis, off by default (a = 0)
    P_k   = |FFT(x w)_k|^2,   w_t = (1 - cos(2 pi t / N)) / 2     N = 2048 samples each 512, ends padded with zeros
    M_m   = sum_k F_mk P_k                                    128 triangles of equal width in mel, of equal area in Hz
    L_m   = 10 log10 max(M_m, 1e-10), not below max L - 80    decibels
    c_j   = s_j sum_m L_m cos(pi j (2 m + 1) / (2 n_mels))    s_0 = sqrt(1 / n_mels), s_j = sqrt(2 / n_mels)

and a movie's vector is the mean of c over time: 128 numbers. Davis and Mermelstein, "Comparison of parametric
representations for monosyllabic word recognition" (1980); the mel scale is that of Slaney's Auditory Toolbox (1998):
3 f / 200 up to 1000 Hz, then 15 + 27 ln(f / 1000) / ln 6.4.

The numbers depend on the sampling rate, so every sound is brought to one rate first (`resample`): exactly for a sound
that repeats for ever, which is how the Fourier transform sees it. Real ones have ends, where it rings a little. This
is not librosa's resampler (soxr), which fades out below half the lower rate: a broad test sound of 44,100 Hz gave
coefficients that differ by 1.5 (root mean square, where the largest are about 100), one of 16,000 Hz by 4, since
the bands above 8,000 Hz then hold next to nothing in either. Files of 22,050 Hz give librosa's numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..data.errors import DataError
from ..data.settings import check_settings, setting

_BLOCK = 512  # frames at once
_FLOOR = 1e-10  # power
_LINEAR_TO, _LINEAR_MELS, _LOG_STEP = 1000.0, 15.0, math.log(6.4) / 27.0


@dataclass(frozen=True)
class MfccSettings:
    """How a sound becomes numbers."""

    n_mfcc: int = setting(128, "numbers for each sound", 1)
    n_mels: int = setting(128, "bands of the mel scale, at least n_mfcc", 1)
    n_fft: int = setting(2048, "samples in a frame", 2)
    hop: int = setting(512, "samples from a frame to the next", 1)
    rate: int = setting(22_050, "samples a second; sounds of another rate are resampled", 1)
    pre_emphasis: float = setting(
        0.0, "how much of the sample before is taken off; speech recognition takes 0.97", 0, 1
    )
    range_db: float = setting(80.0, "what lies further below the loudest band is raised to that", 0.1)
    max_seconds: float = setting(600.0, "a sound is heard from its start for so long", 0.1)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.n_mfcc > self.n_mels:
            raise DataError(f"{self.n_mfcc} coefficients of {self.n_mels} mel bands: give at least as many bands")


def mfcc(signal: np.ndarray, settings: MfccSettings) -> np.ndarray:
    """Return (1 + n // hop, n_mfcc) coefficients of a signal (n,) of `settings.rate`, -1 to 1, frame by frame.

    Raises `DataError` for a signal that is empty or not finite. Cost O(n_frames (n_fft log n_fft + n_mels n_fft)).

    >>> tone = np.sin(np.arange(22050) * 2 * np.pi * 440 / 22050)
    >>> mfcc(tone, MfccSettings()).shape
    (44, 128)
    """
    if signal.ndim != 1 or len(signal) == 0 or not np.isfinite(signal).all():
        raise DataError(f"a signal of shape {signal.shape}: give one channel of finite samples, at least one")
    decibels = log_mel(emphasised(signal.astype(np.float64), settings.pre_emphasis), settings)
    decibels = np.maximum(decibels, decibels.max() - settings.range_db)
    coefficients = decibels @ cosines(settings.n_mfcc, settings.n_mels).T
    return coefficients


def mfcc_vector(signal: np.ndarray, settings: MfccSettings) -> np.ndarray:
    """Return the mean of `mfcc` over time, (n_mfcc,) float32: what stands for a movie."""
    mean = mfcc(signal, settings).mean(axis=0).astype(np.float32)
    return mean


def emphasised(signal: np.ndarray, a: float) -> np.ndarray:
    """Return x_t - a x_(t-1); the first sample stays."""
    return np.concatenate((signal[:1], signal[1:] - a * signal[:-1])) if a else signal


def log_mel(signal: np.ndarray, settings: MfccSettings) -> np.ndarray:
    """Return the power of every mel band in decibels, (n_frames, n_mels)."""
    n_fft, hop = settings.n_fft, settings.hop
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    padded = np.pad(signal, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]  # a view: no copy of every sample
    filters = mel_filters(settings.rate, n_fft, settings.n_mels)
    bands = np.empty((len(frames), settings.n_mels))
    for low in range(0, len(frames), _BLOCK):
        spectrum = np.fft.rfft(frames[low : low + _BLOCK] * window, axis=1)
        bands[low : low + _BLOCK] = (spectrum.real**2 + spectrum.imag**2) @ filters.T
    return 10 * np.log10(np.maximum(bands, _FLOOR))


def mel_filters(rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Return F (n_mels, n_fft // 2 + 1): triangles from band to band, each of area 1 over frequency in Hz."""
    top = float(hz_to_mel(np.array(rate / 2)))
    edges = mel_to_hz(np.linspace(0.0, top, n_mels + 2))  # (n_mels + 2,) Hz
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    left, middle, right = (edges[start : start + n_mels, None] for start in range(3))
    triangles = np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle))
    filters = np.maximum(triangles, 0) * 2 / (right - left)
    return filters


def hz_to_mel(hz: np.ndarray) -> np.ndarray:
    """Return mel: 3 f / 200 up to 1000 Hz, logarithmic above."""
    above = _LINEAR_MELS + np.log(np.maximum(hz, _LINEAR_TO) / _LINEAR_TO) / _LOG_STEP
    return np.where(hz < _LINEAR_TO, hz * _LINEAR_MELS / _LINEAR_TO, above)


def mel_to_hz(mel: np.ndarray) -> np.ndarray:
    """Return Hz; undoes `hz_to_mel`."""
    above = _LINEAR_TO * np.exp(_LOG_STEP * (np.maximum(mel, _LINEAR_MELS) - _LINEAR_MELS))
    return np.where(mel < _LINEAR_MELS, mel * _LINEAR_TO / _LINEAR_MELS, above)


def cosines(n_mfcc: int, n_mels: int) -> np.ndarray:
    """Return the first rows of the orthonormal discrete cosine transform (type II), (n_mfcc, n_mels)."""
    j, m = np.arange(n_mfcc)[:, None], np.arange(n_mels)
    rows = np.cos(np.pi * j * (2 * m + 1) / (2 * n_mels)) * math.sqrt(2 / n_mels)
    rows[0] /= math.sqrt(2)
    return rows


def resample(signal: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Return the signal at `new_rate`: its Fourier spectrum, cut or padded with zeros.

    The result has ceil(n new_rate / rate) samples. In between, the end is padded with zeros to a length that both rates
    divide and that has small factors, without which the transform takes several times as long.
    Cost O(n log n) and a few times the memory of the signal.

    >>> wave = 2 + np.cos(np.arange(8) * 2 * np.pi / 8)
    >>> resample(wave, 8, 4).round(6).tolist()
    [3.0, 2.0, 1.0, 2.0]
    """
    exact = signal.astype(np.float64)
    if rate == new_rate or len(exact) == 0:
        return exact
    shared = math.gcd(rate, new_rate)
    step, new_step = rate // shared, new_rate // shared
    n_steps = -(-len(exact) // step)
    unit = 1 << max(n_steps.bit_length() - 6, 0)
    n_steps = -(-n_steps // unit) * unit  # at most a thirty-second more
    n, n_new = n_steps * step, n_steps * new_step
    exact = np.pad(exact, (0, n - len(signal)))
    spectrum = np.fft.rfft(exact)[: n_new // 2 + 1]
    if min(n, n_new) % 2 == 0:
        # The bin at half the lower rate stands for two frequencies where there is room for both.
        spectrum[min(n, n_new) // 2] *= 2.0 if n_new < n else 0.5
    return np.fft.irfft(spectrum, n_new)[: -(-len(signal) * new_rate // rate)] * (n_new / n)
