"""Sound: coefficients against librosa's, resampling against scipy's, WAV files against the standard library's."""

from __future__ import annotations

import json
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import DataError, SettingsError
from recommender.media.audio import read_audio
from recommender.media.mfcc import MfccSettings, hz_to_mel, mel_to_hz, mfcc, mfcc_vector, resample
from recommender.media.wav import read_wav

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
    found = mfcc(sound(), MfccSettings())
    assert found.shape == (52, 128)
    for frame, expected in golden["frames"].items():
        np.testing.assert_allclose(found[int(frame)], expected, atol=1e-4)
    np.testing.assert_allclose(mfcc_vector(sound(), MfccSettings()), golden["mean"], atol=1e-4)


@pytest.mark.dev
@pytest.mark.parametrize("pre_emphasis", [0.0, 0.97])
def test_coefficients_are_those_of_librosa_with_other_settings(pre_emphasis: float) -> None:
    librosa = pytest.importorskip("librosa")
    x = sound(seconds=0.5)
    given = librosa.effects.preemphasis(x, coef=pre_emphasis, zi=[0.0]) if pre_emphasis else x
    theirs = librosa.feature.mfcc(y=given, sr=16_000, n_mfcc=13, n_mels=40, n_fft=512, hop_length=160)
    settings = MfccSettings(n_mfcc=13, n_mels=40, n_fft=512, hop=160, rate=16_000, pre_emphasis=pre_emphasis)
    np.testing.assert_allclose(mfcc(x, settings), theirs.T, atol=1e-4)


def test_every_setting_matters() -> None:
    changes = (
        {},
        {"n_mels": 140},
        {"n_fft": 1024},
        {"hop": 300},
        {"rate": 30_000},
        {"pre_emphasis": 0.5},
        {"range_db": 20.0},
    )
    results = {mfcc_vector(sound(), MfccSettings(**change)).tobytes() for change in changes}
    assert len(results) == len(changes)
    short = mfcc_vector(sound(), MfccSettings(n_mfcc=20))
    np.testing.assert_array_equal(short, mfcc_vector(sound(), MfccSettings())[:20])
    with pytest.raises(DataError, match="50 coefficients of 40"):
        MfccSettings(n_mfcc=50, n_mels=40)
    with pytest.raises(SettingsError, match="hop"):
        MfccSettings(hop=0)


def test_frames_in_several_blocks_are_those_of_one() -> None:
    x = np.tile(sound(), 12)  # 620 frames, more than one block holds
    settings = MfccSettings(n_mfcc=5, range_db=300.0)
    whole, part = mfcc(x, settings), mfcc(x[512 * 500 :], settings)
    np.testing.assert_allclose(whole[500 + 2 :], part[2:], atol=1e-8)


def test_mel_scale_by_hand_and_back() -> None:
    hz = np.array([0.0, 100, 1000, 6400, 11025])
    np.testing.assert_allclose(hz_to_mel(hz)[:4], [0, 1.5, 15, 42])
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz)


def test_silence_gives_finite_numbers_and_what_is_no_signal_is_refused() -> None:
    assert np.isfinite(mfcc(np.zeros(3000), MfccSettings())).all()
    assert mfcc(np.ones(1), MfccSettings()).shape == (1, 128)
    for bad in (np.zeros(0), np.zeros((5, 2)), np.array([1.0, np.nan])):
        with pytest.raises(DataError, match="signal of shape"):
            mfcc(bad, MfccSettings())


@pytest.mark.dev
@pytest.mark.parametrize(("rate", "new_rate"), [(44_100, 22_050), (8000, 22_050), (48_000, 22_050), (10, 7), (7, 10)])
def test_resampling_agrees_with_scipy(rate: int, new_rate: int) -> None:
    signal = pytest.importorskip("scipy.signal")
    x = np.random.default_rng(0).standard_normal(rate // np.gcd(rate, new_rate) * 8)
    n_new = len(x) * new_rate // rate
    np.testing.assert_allclose(resample(x, rate, new_rate), signal.resample(x, n_new), atol=1e-9)


@pytest.mark.parametrize("n", [1, 7, 1000, 44_100 + 13, 99_991])
def test_a_resampled_sound_is_as_long_and_its_middle_does_not_depend_on_its_length(n: int) -> None:
    x = sound(44_100, 3.0)
    found, whole = resample(x[:n], 44_100, RATE), resample(x, 44_100, RATE)
    assert len(found) == -(-n // 2)
    # The ringing of the cut falls off with the distance from it.
    middle = slice(len(found) // 4, len(found) // 2)
    np.testing.assert_allclose(found[middle], whole[middle], atol=1 if n < 1000 else 2e-3)


def test_a_tone_below_half_the_lower_rate_keeps_its_shape_and_a_higher_one_goes() -> None:
    def tone(rate: int, hz: float) -> np.ndarray:
        return np.sin(2 * np.pi * hz * np.arange(rate) / rate)

    middle = slice(2000, 20_000)  # at the ends it rings
    for rate in (48_000, 8000):
        np.testing.assert_allclose(resample(tone(rate, 400), rate, RATE)[middle], tone(RATE, 400)[middle], atol=1e-4)
    assert np.abs(resample(tone(48_000, 15_000), 48_000, RATE)[middle]).max() < 1e-3


def write_wav(path: Path, samples: np.ndarray, bits: int, rate: int = RATE) -> None:
    """Write (n,) or (n, channels) samples, -1 to 1, with the standard library."""
    whole = np.round(np.atleast_2d(samples.T).T * (2 ** (bits - 1) - 1)).astype(np.int64)
    if bits == 8:
        whole = whole + 128
    with wave.open(str(path), "wb") as file:
        file.setnchannels(whole.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(b"".join(int(v).to_bytes(bits // 8, "little", signed=bits > 8) for v in whole.ravel()))


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_all_widths_and_channels_are_read(bits: int, tmp_path: Path) -> None:
    left = np.array([0, 0.5, -0.5, 1, -1, 0.001, -0.001])
    write_wav(tmp_path / "a.wav", left, bits, 8000)
    found, rate = read_wav(tmp_path / "a.wav")
    assert rate == 8000
    np.testing.assert_allclose(found, left, atol=1.5 / 2 ** (bits - 1))
    write_wav(tmp_path / "b.wav", np.stack([left, left[::-1]], axis=1), bits)
    np.testing.assert_allclose(read_wav(tmp_path / "b.wav")[0], (left + left[::-1]) / 2, atol=1.5 / 2 ** (bits - 1))
    assert len(read_wav(tmp_path / "a.wav", max_seconds=3 / 8000)[0]) == 3


def riff(form: bytes, data: bytes, data_size: int = -1) -> bytes:
    extra = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # odd sizes are padded
    size = len(data) if data_size < 0 else data_size
    chunks = extra + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_floats_and_the_longer_header_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    values = np.array([0.25, -1, 0.5], "<f4")
    path.write_bytes(riff(struct.pack("<HHIIHH", 3, 1, RATE, RATE * 4, 4, 32), values.tobytes()))
    assert read_wav(path)[0].tolist() == [0.25, -1, 0.5]
    longer = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, RATE * 3, 3, 24, 22, 24, 4) + struct.pack(
        "<H14s", 1, b"\0" * 14
    )
    path.write_bytes(riff(longer, b"\x00\x00\x40\x00\x00\xc0", data_size=0xFFFFFFFF))
    assert read_wav(path)[0].tolist() == [0.5, -0.5]


@pytest.mark.dev
def test_floats_written_by_scipy_are_read(tmp_path: Path) -> None:
    wavfile = pytest.importorskip("scipy.io.wavfile")
    values = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    for dtype in (np.float32, np.float64):
        wavfile.write(tmp_path / "a.wav", 16_000, values.astype(dtype))
        found, rate = read_wav(tmp_path / "a.wav")
        assert rate == 16_000
        np.testing.assert_allclose(found, values.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ID3 an mp3 file", "not a WAV file"),
        (riff(struct.pack("<HHIIHH", 0x55, 2, RATE, RATE, 1, 0), b"abcd"), "code 85"),
        (riff(struct.pack("<HHIIHH", 1, 0, RATE, RATE, 1, 16), b"abcd"), "0 channels"),
        (riff(struct.pack("<HHIIHH", 1, 1, 2**32 - 1, RATE, 2, 16), b"abcd"), "at 4294967295 Hz"),
        (riff(b"", b"abcd"), "no fmt chunk"),
        (riff(struct.pack("<HHIIHH", 1, 1, RATE, RATE, 2, 16), b""), "no sample"),
        (riff(struct.pack("<HHIIHH", 1, 1, RATE, RATE, 2, 16), b"ab", data_size=100), "cut short: 2 of 100"),
        (riff(struct.pack("<HHIIHH", 3, 1, RATE, RATE, 4, 32), struct.pack("<f", float("nan"))), "not finite"),
        (b"RIFF\0\0\0\0WAVE", "no data chunk"),
    ],
)
def test_files_that_hold_no_usable_sound_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_wav(tmp_path / "a.wav")
    assert "a.wav" in str(caught.value)


def test_a_folder_of_sounds_becomes_a_modality(tmp_path: Path) -> None:
    write_wav(tmp_path / "12.wav", sound(seconds=0.4), 16)
    write_wav(tmp_path / "7.WAV", sound(44_100, 0.4), 24, 44_100)
    write_wav(tmp_path / "trailer.wav", sound(seconds=0.1), 16)  # not named by a movie id
    seen = []
    found = read_audio(tmp_path, MfccSettings(), lambda done, n: seen.append((done, n)))
    assert (found.name, found.movie_ids.tolist(), found.units_differ) == ("audio", [7, 12], True)
    assert seen == [(1, 2), (2, 2)]
    np.testing.assert_allclose(found.vectors[1], mfcc_vector(sound(seconds=0.4), MfccSettings()), atol=0.6)
    shorter = read_audio(tmp_path, MfccSettings(max_seconds=0.2))
    assert not np.allclose(shorter.vectors, found.vectors, atol=1)


def test_ready_made_sound_vectors_and_wrong_folders(tmp_path: Path) -> None:
    np.save(tmp_path / "5.npy", np.arange(4.0))
    found = read_audio(tmp_path, MfccSettings())
    assert (found.movie_ids.tolist(), found.vectors.tolist()) == ([5], [[0, 1, 2, 3]])
    (tmp_path / "05.wav").write_bytes(b"x")
    with pytest.raises(DataError, match=r"05\.wav is not a WAV file"):
        read_audio(tmp_path, MfccSettings())
    write_wav(tmp_path / "5.wav", sound(seconds=0.1), 16)
    with pytest.raises(DataError, match="are of one movie"):
        read_audio(tmp_path, MfccSettings())
