"""Sound: coefficients against librosa's, WAV files of every width, refusals."""

import json
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import DataError
from recommender.media import audio
from recommender.media.audio import mfcc, read_audio, read_wav

GOLDEN = Path(__file__).parent / "librosa_mfcc.json"  # librosa.feature.mfcc(y=sound(), sr=22050, n_mfcc=128)
RATE = 22_050


def sound(rate: int = RATE, seconds: float = 1.2) -> np.ndarray:
    """A rising tone, a fading one, and something like noise."""
    t = np.arange(int(rate * seconds)) / rate
    rising = 0.3 * np.sin(2 * np.pi * (200 * t + 1500 * t * t))
    fading = 0.2 * np.sin(2 * np.pi * 440 * t) * np.exp(-3 * t)
    return rising + fading + 0.05 * np.sin((np.arange(len(t)) % 997) ** 2 * 0.37)


def test_coefficients_are_those_that_librosa_gave() -> None:
    golden = json.loads(GOLDEN.read_text())
    found = mfcc(sound())
    assert found.shape == (52, 128)
    for frame, expected in golden["frames"].items():
        np.testing.assert_allclose(found[int(frame)], expected, atol=1e-4)
    np.testing.assert_allclose(found.mean(axis=0), golden["mean"], atol=1e-4)


def test_blocks_change_nothing() -> None:
    x = np.tile(sound(), 12)  # 620 frames, more than one block holds
    whole, part = mfcc(x), mfcc(x[512 * 500 :])
    np.testing.assert_allclose(whole[500 + 2 :], part[2:], atol=1e-6)


def test_silence_lies_80_decibels_below_the_loudest_band() -> None:
    c = mfcc(np.concatenate([sound(), np.zeros(9000)]))
    cosines = np.cos(np.pi * np.arange(128) * (2 * np.arange(128)[:, None] + 1) / 256) * np.sqrt(2 / 128)  # (m, j)
    bands = c @ (cosines * np.where(np.arange(128) == 0, 0.5**0.5, 1)).T  # the transform is orthonormal
    np.testing.assert_allclose(bands[-1], bands.max() - 80)
    assert np.isfinite(mfcc(np.zeros(3000))).all()
    assert mfcc(np.ones(1)).shape == (1, 128)


def write_wav(path: Path, samples: np.ndarray, bits: int, rate: int = RATE) -> None:
    """Write (n,) or (n, channels) samples, -1 to 1, with the standard library."""
    whole = np.round(np.atleast_2d(samples.T).T * (2 ** (bits - 1) - 1)).astype(np.int64)
    if bits == 8:
        whole = whole + 128
    with wave.open(str(path), "wb") as file:
        file.setparams((whole.shape[1], bits // 8, rate, 0, "NONE", ""))
        file.writeframes(b"".join(int(v).to_bytes(bits // 8, "little", signed=bits > 8) for v in whole.ravel()))


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_all_widths_and_channels_are_read(bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = np.array([0, 0.5, -0.5, 1, -1, 0.001, -0.001])
    for samples, expected in ((left, left), (np.stack([left, left[::-1]], axis=1), (left + left[::-1]) / 2)):
        write_wav(tmp_path / "a.wav", samples, bits)
        np.testing.assert_allclose(read_wav(tmp_path / "a.wav"), expected, atol=1.5 / 2 ** (bits - 1))
    write_wav(tmp_path / "c.wav", sound(seconds=1.5), 16)
    monkeypatch.setattr(audio, "MAX_SECONDS", 1)
    assert len(read_wav(tmp_path / "c.wav")) == RATE


def riff(form: tuple[int, ...], data: bytes, size: int) -> bytes:
    header = struct.pack("<HHIIHH", *form) if form else b""
    chunks = b"fmt " + struct.pack("<I", len(header)) + header + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_files_that_hold_no_usable_sound_are_refused(tmp_path: Path) -> None:
    for content in (
        b"ID3 an mp3 file",
        b"RIFF\0\0\0\0WAVE",
        riff((0x55, 2, RATE, RATE, 1, 0), b"abcd", 4),  # compressed
        riff((3, 1, RATE, RATE, 4, 32), bytes(8), 8),  # floats
        riff((1, 0, RATE, RATE, 1, 16), b"abcd", 4),  # no channel
        riff((1, 1, 44_100, RATE, 2, 16), b"abcd", 4),  # another rate
        riff((), b"abcd", 4),
        riff((1, 1, RATE, RATE, 2, 16), b"", 0),
        riff((1, 1, RATE, RATE, 2, 16), b"ab", 100),
    ):
        (tmp_path / "a.wav").write_bytes(content)
        with pytest.raises(DataError, match=r"a\.wav .*: (make it again with ffmpeg .*-ar 22050|copy it again)"):
            read_wav(tmp_path / "a.wav")


def test_a_folder_of_sounds_becomes_a_modality(tmp_path: Path) -> None:
    for name, seconds in (("12.wav", 0.4), ("7.WAV", 0.2), ("trailer.wav", 0.1)):  # the last names no movie
        write_wav(tmp_path / name, sound(seconds=seconds), 16)
    seen = []
    movie_ids, vectors = read_audio(tmp_path, lambda done, n: seen.append((done, n)))
    assert (movie_ids.tolist(), seen) == ([7, 12], [(1, 2), (2, 2)])
    np.testing.assert_allclose(vectors[1], mfcc(sound(seconds=0.4)).mean(axis=0), atol=0.6)
    (tmp_path / "12.npy").write_bytes(b"x")
    assert read_audio(tmp_path)[0].tolist() == [7, 12]  # sounds alone where there are any
    write_wav(tmp_path / "012.wav", sound(seconds=0.1), 16)
    with pytest.raises(DataError, match="are of one movie"):
        read_audio(tmp_path)
    np.savez(tmp_path / "made.npz", movie_ids=[5], vectors=[[0, 1, 2]])
    assert read_audio(tmp_path / "made.npz")[1].tolist() == [[0, 1, 2]]
