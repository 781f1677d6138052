"""Sound: coefficients against librosa's, WAV files; posters whose colors and edges are known; a picture service."""

import base64
import json
import re
import struct
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import ChoiceError, DataError
from recommender.media import audio
from recommender.media.audio import mfcc, read_audio, read_wav
from recommender.media.visual import ImageService, picture_address, poster_vector, read_pixels, read_visual, shrunk
from tests.fake_server import Reply, Server, unit

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


def test_silence_lies_80_decibels_below_the_loudest_band_and_blocks_change_nothing() -> None:
    c = mfcc(np.concatenate([sound(), np.zeros(9000)]))
    cosines = np.cos(np.pi * np.arange(128) * (2 * np.arange(128)[:, None] + 1) / 256) * np.sqrt(2 / 128)  # (m, j)
    bands = c @ (cosines * np.where(np.arange(128) == 0, 0.5**0.5, 1)).T  # the transform is orthonormal
    np.testing.assert_allclose(bands[-1], bands.max() - 80)
    assert np.isfinite(mfcc(np.zeros(3000))).all()
    x = np.tile(sound(), 12)  # 620 frames, more than one block holds
    np.testing.assert_allclose(mfcc(x)[502:], mfcc(x[512 * 500 :])[2:], atol=1e-6)


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
        with pytest.raises(DataError, match=r"a\.wav .*: make it again with ffmpeg .*-ar 22050"):
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


def stripes(angle: float, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """Grey waves whose brightness changes along `angle` (degrees from the horizontal, downwards)."""
    y, x = np.mgrid[: size[0], : size[1]]
    along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    grey = 127 + 100 * np.sin(along / 8 * size[0] / 96)
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)


def edges(pixels: np.ndarray) -> np.ndarray:
    return poster_vector(pixels)[64:].reshape(24, 9)


def test_colors_are_the_shares_of_their_boxes_and_edges_are_counted_where_they_are() -> None:
    picture = np.zeros((96, 64, 3), np.uint8)
    picture[:24] = (255, 0, 0)  # box 3, 0, 0
    picture[24:48] = (0, 130, 70)  # box 0, 2, 1
    colors = poster_vector(picture)[:64] * np.sqrt(2)
    np.testing.assert_allclose(colors[[3 * 16, 2 * 4 + 1, 0]] ** 2, [0.25, 0.25, 0.5], atol=1e-5)
    np.testing.assert_allclose(colors @ colors, 1, atol=1e-5)
    picture = np.full((96, 64, 3), 90, np.uint8)
    picture[20:28, 36:44] = 200  # within rows 16 to 32 and columns 32 to 48: cell (1, 2)
    assert np.flatnonzero(edges(picture).sum(axis=1)).tolist() == [1 * 4 + 2]


@pytest.mark.parametrize("angle", [0, 20, 40, 100, 160])
def test_edges_are_counted_by_direction(angle: float) -> None:
    found = edges(stripes(angle)).sum(axis=0)
    assert found.argmax() == angle // 20
    half = edges(stripes(angle + 10)).sum(axis=0)  # between two bins: shared by both
    near = sorted([half[angle // 20], half[(angle // 20 + 1) % 9]])
    assert near[0] > 0.7 * near[1] > 2 * np.delete(half, [angle // 20, (angle // 20 + 1) % 9]).max()


def test_shrinking_takes_means_and_grows_small_pictures() -> None:
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 256, (96 * 5, 64 * 2, 3)).astype(np.uint8)
    np.testing.assert_allclose(shrunk(blocks), blocks.reshape(96, 5, 64, 2, 3).mean(axis=(1, 3)), atol=1e-9)
    tiny = rng.integers(0, 256, (3, 2, 3)).astype(np.uint8)
    np.testing.assert_allclose(shrunk(tiny), tiny.repeat(32, axis=0).repeat(32, axis=1), atol=1e-9)
    border = np.full((288, 320, 3), 63, np.uint8)  # of two boxes of colors: no rounding may move a mean of 64 below it
    border[::3] = 66
    assert (shrunk(border) == 64).all()
    assert shrunk(border[:101, :67]).shape == (96, 64, 3)


def test_folders_of_pixels_and_of_vectors_are_told_apart(tmp_path: Path) -> None:
    np.save(tmp_path / "3.npy", stripes(40))
    np.save(tmp_path / "1.npy", stripes(80))
    seen: list[tuple[int, int]] = []
    movie_ids, vectors = read_visual(tmp_path, lambda done, n: seen.append((done, n)))
    assert (movie_ids.tolist(), seen) == ([1, 3], [(1, 2), (2, 2)])
    np.testing.assert_array_equal(vectors[1], poster_vector(stripes(40)))
    for movie_id in (1, 3):
        np.save(tmp_path / f"{movie_id}.npy", np.full(2048, movie_id, np.float32))
    assert read_visual(tmp_path)[1].shape == (2, 2048)
    for bad in (stripes(40).astype(float), stripes(40)[:, :, 0], np.zeros((5, 5, 4), np.uint8)):
        np.save(tmp_path / "9.npy", bad)
        with pytest.raises(DataError, match=r"movie id 9.*height, width, 3"):
            read_visual(tmp_path)


@pytest.mark.dev
def test_picture_files_are_read_with_pillow(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    picture = stripes(40, (300, 200))
    image.fromarray(picture).save(tmp_path / "12.png")
    image.fromarray(picture).save(tmp_path / "7.JPG", quality=90)
    image.fromarray(picture[:, :, 0]).save(tmp_path / "5.png")  # grey
    np.testing.assert_array_equal(read_pixels(tmp_path / "12.png"), picture)
    movie_ids, vectors = read_visual(tmp_path)
    assert movie_ids.tolist() == [5, 7, 12]
    assert (vectors @ vectors[2]).min() > 0.97
    (tmp_path / "8.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"8\.png"):
        read_visual(tmp_path)


def test_without_pillow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    (tmp_path / "1.jpg").write_bytes(b"")
    with pytest.raises(ChoiceError, match=r"tastevec\[images\]"):
        read_visual(tmp_path)


def pictures(folder: Path, n: int = 5) -> list[str]:
    folder.mkdir(exist_ok=True)
    for movie_id in range(n):
        (folder / f"{movie_id}.png").write_bytes(b"picture" * (movie_id + 1))
    return [picture_address(folder / f"{movie_id}.png") for movie_id in range(n)]


def test_a_service_is_asked_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    posters = tmp_path / "posters"
    sent = pictures(posters)
    assert base64.b64decode(sent[1].removeprefix("data:image/png;base64,")) == b"picturepicture"
    settings = {"base_url": server.url, "model": "clip", "batch_size": 2, "cache": str(tmp_path / "cache")}
    server.faults = [Reply(503)]
    movie_ids, vectors = ImageService(**settings, attempts=3).embed_folder(posters)
    assert movie_ids.tolist() == list(range(5))
    np.testing.assert_allclose(vectors, [unit(address) for address in sent], atol=1e-6)
    bodies = [body for _, body, _ in server.requests]
    assert {(body["modality"], body["model"]) for body in bodies} == {("image", "clip")}
    assert sorted(server.answered) == sorted(sent)
    # A model of texts and pictures has one name for both; its texts prove nothing of its pictures.
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["images"]
    np.testing.assert_array_equal(ImageService(**settings).embed_folder(posters)[1], vectors)
    assert len(server.requests) == len(bodies)
    (posters / "3.png").write_bytes(b"broken")
    broken = picture_address(posters / "3.png")
    server.check = lambda pictures: Reply(422, "no picture") if broken in pictures else None
    assert ImageService(**settings).embed_folder(posters)[0].tolist() == [0, 1, 2, 4]
    assert re.search(r"'3\.png' .*has no vector.*HTTP 422 \(no picture\)", capsys.readouterr().err)


def test_infinity_gets_no_more_pictures_at_once_than_it_takes(server: Server, tmp_path: Path) -> None:
    pictures(tmp_path, 40)
    ImageService(base_url=server.url, model="m", cache="").embed_folder(tmp_path)
    assert sorted(len(body["input"]) for _, body, _ in server.requests) == [8, 32]
