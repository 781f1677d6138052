"""Ready-made embeddings over loopback: what arrives is checked before it is put in place."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile

import numpy as np
import pytest

from preprocess import download_embeddings
from preprocess.download_embeddings import Offer, download, read_offers
from recommender.data.errors import ArtifactError, DataError, SettingsError, TastevecError
from recommender.data.settings import default_folder
from recommender.linalg.rows import unit_rows
from recommender.text.base import Identity
from recommender.text.movie_embeddings import MovieEmbeddings
from tests.test_download import Server

N = 40
VECTORS = unit_rows(np.random.default_rng(0).normal(size=(N, 8)))


@pytest.fixture
def server():
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def folder(tmp_path):
    ids = np.array([str(i) for i in range(N)])
    texts = [f"Title: F{i}." for i in range(N)]
    made = MovieEmbeddings(
        Identity("local", "m", 8), ids, np.array(["movielens"] * N), ids, ids, VECTORS, ["{}"] * N, texts
    )
    made.save(tmp_path / "made", ("npz",))
    return tmp_path / "made"


def zipped(folder, prefix="", more=()):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, prefix + str(path.relative_to(folder)))
        for name, content in more:
            file.writestr(name, content)
    return packed.getvalue()


def offer(server, body):
    server.body = body
    return Offer((f"{server.url}/x.zip",), hashlib.sha256(body).hexdigest())


def get(offered, target):
    return download(offered, target, pause=0.0, say=lambda text: None)


@pytest.mark.parametrize("prefix", ["", "my-movies/"])
def test_what_was_made_elsewhere_is_put_in_place(server, folder, tmp_path, prefix):
    get(offer(server, zipped(folder, prefix)), tmp_path / "to" / "movies")
    found = MovieEmbeddings.load(tmp_path / "to" / "movies", Identity("local", "m", 8))
    assert np.array_equal(found.embedding, VECTORS)
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["movies"]


def test_a_transfer_that_was_cut_goes_on(server, folder, tmp_path):
    offered = offer(server, zipped(folder, more=[("filler", np.random.default_rng(1).bytes(400_000))]))
    server.faults = ["cut"]
    get(offered, tmp_path / "movies")
    assert [asked for path, asked in server.requests if path.endswith(".zip")][1].startswith("bytes=")


@pytest.mark.parametrize(
    ("name", "message"),
    [("../out", "no plain file"), ("/out", "no plain file"), ("a\\..\\..\\out", "no plain file"), ("c:x", "no plain")],
)
def test_a_file_that_would_land_elsewhere_is_refused(server, folder, tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        get(offer(server, zipped(folder, more=[(name, "x")])), tmp_path / "deep" / "movies")
    assert not (tmp_path / "deep" / "movies").exists()
    assert not (tmp_path / "out").exists()


def test_another_file_than_the_one_offered_is_refused(server, folder, tmp_path):
    offered = offer(server, zipped(folder))
    server.body = zipped(folder, more=[("more", "x")])
    with pytest.raises(DataError, match="SHA256 is"):
        get(offered, tmp_path / "to" / "movies")
    assert list((tmp_path / "to").iterdir()) == []


def test_what_holds_no_embeddings_is_refused_and_leaves_nothing(server, folder, tmp_path):
    body = (folder / "movie_embeddings.npz").read_bytes()
    (folder / "movie_embeddings.npz").write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
    for wrong, error in (
        (zipped(folder), ArtifactError),
        (b"no zip", DataError),
        (zipped(tmp_path / "x"), ArtifactError),
    ):
        with pytest.raises(error):
            get(offer(server, wrong), tmp_path / "to" / "movies")
        assert list((tmp_path / "to").iterdir()) == []


def test_links_and_too_much_are_refused(server, folder, tmp_path, monkeypatch):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with pytest.raises(DataError, match="no plain file"):
        get(offer(server, zipped(folder, more=[(link, "/etc/passwd")])), tmp_path / "movies")
    monkeypatch.setattr(download_embeddings, "LARGEST", 3000)
    with pytest.raises(DataError, match="unpacks to more"):
        get(offer(server, zipped(folder, more=[("zeros", bytes(3001))])), tmp_path / "movies")
    assert not (tmp_path / "movies").exists()


def test_a_file_beside_the_place_stays(server, folder, tmp_path):
    (tmp_path / "movies.zip").write_bytes(b"mine")
    get(offer(server, zipped(folder)), tmp_path / "movies")
    assert (tmp_path / "movies.zip").read_bytes() == b"mine"


def test_a_damaged_zip_is_refused_wherever_the_damage_is(server, folder, tmp_path):
    whole = zipped(folder)
    for place in range(0, len(whole), len(whole) // 40):
        damaged = whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]
        with contextlib.suppress(TastevecError):
            get(offer(server, damaged), tmp_path / "to" / str(place))
    assert not [path for path in (tmp_path / "to").iterdir() if path.name.startswith(".")]


def test_what_is_there_is_never_replaced(server, folder, tmp_path):
    with pytest.raises(ArtifactError, match="exists"):
        get(offer(server, zipped(folder)), folder)
    assert server.requests == []


def test_the_list_of_downloads(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text(f"movies:\n  sha256: {'A' * 64}\n  urls: [https://a/x.zip, https://b/x.zip]\n")
    assert read_offers(path) == {"movies": Offer(("https://a/x.zip", "https://b/x.zip"), "a" * 64)}
    assert read_offers(default_folder("config") / "embedding_downloads.yaml") == {}
    for text in (
        "movies: 3",
        "[3]",
        "movies: {sha256: abc, urls: [x]}",
        f"movies: {{sha256: {'a' * 64}, urls: []}}",
        "a: b: c",
    ):
        path.write_text(text)
        with pytest.raises(SettingsError):
            read_offers(path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["movies"], "no 'movies' in .* lists nothing yet"),
        (["movies", "--url", "https://a/x.zip"], "go together"),
        (["movies", "--url", "https://a/x.zip", "--sha256", "12"], "not 64 hexadecimal"),
        (["movies", "--url", "http://example.org/x.zip", "--sha256", "a" * 64], "not an https address"),
        (["../movies"], "is no name"),
    ],
)
def test_flags_that_make_no_sense(tmp_path, flags, message):
    with pytest.raises((SettingsError, ValueError), match=message):
        download_embeddings.main([*flags, "--to", str(tmp_path / "movies")])
    assert list(tmp_path.iterdir()) == []
