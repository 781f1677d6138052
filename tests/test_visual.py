"""Posters as numbers, on pictures whose colors and edges are known; and a service that embeds pictures."""

import base64
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import ChoiceError, DataError, ServiceError
from recommender.media.visual import ImageService, picture_address, poster_vector, read_pixels, read_visual, shrunk
from tests.fake_server import Reply, Server, unit


def stripes(angle: float, size: tuple[int, int] = (96, 64), wide: float = 8.0) -> np.ndarray:
    """Grey waves whose brightness changes along `angle` (degrees from the horizontal, downwards)."""
    y, x = np.mgrid[: size[0], : size[1]]
    along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    grey = 127 + 100 * np.sin(along / wide * size[0] / 96)
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


def test_the_size_of_a_picture_plays_little_part_and_its_content_does() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, (12, 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(2))
    lower = np.concatenate([np.full((48, 64, 3), 127, np.uint8), stripes(40)[:48]])
    for one, other, least, most in (
        (first, first.repeat(3, axis=0).repeat(3, axis=1), 0.999, 2),
        (stripes(40), stripes(40)[:, ::-1], -1, 0.8),  # same colors, other directions
        (lower, lower[::-1][:, ::-1], -1, 0.8),  # the same edges elsewhere
        (first, second, -1, 0.9),
        (first, np.clip(first.astype(int) + 3, 0, 255).astype(np.uint8), 0.95, 2),
    ):
        assert least < poster_vector(one) @ poster_vector(other) < most


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
    server.check = lambda pictures: Reply(422, {"error": {"message": "unknown field modality"}})
    with pytest.raises(ServiceError, match="unknown field modality"):
        ImageService(base_url=server.url, model="m", cache="").embed_folder(tmp_path)
