"""Downloads from a server on loopback that misbehaves in the ways that real ones do."""

import hashlib

import numpy as np
import pytest

from preprocess import download as program
from preprocess.download import fetch
from recommender.data.errors import ArtifactError, DataError, SettingsError
from recommender.data.files import exclusive
from tests.fake_server import Reply, Server, make_certificate

BODY = np.random.default_rng(0).bytes(700_000)
MD5 = hashlib.md5(BODY).hexdigest()
DAMAGED = Reply(200, BODY[:-1] + bytes([BODY[-1] ^ 1]))
CUT = Reply(200, BODY, cut=300_000)


@pytest.fixture
def server(server):
    server.files = {"ml-x.zip": BODY, "ml-1m.zip": BODY, "ml-x.zip.md5": f"MD5 (x.zip) = {MD5}\n".encode()}
    return server


def get(server, folder, md5=MD5, say=str):
    path = fetch([f"{server.url}/ml-x.zip"], folder / "ml-x.zip", md5, say)
    assert [file.name for file in folder.iterdir()] == ["ml-x.zip"]
    return path.read_bytes()


def ranges(server):
    asked = [request.headers.get("Range", "bytes=0-") for request in server.requests if request.path.endswith(".zip")]
    return [int(value.removeprefix("bytes=").removesuffix("-")) for value in asked]


def test_the_file_arrives_whole_and_is_not_fetched_again_or_put_over_another(server, tmp_path):
    folder = tmp_path / "new" / "data"
    assert get(server, folder) == get(server, folder) == BODY
    assert len(server.requests) == 1
    (folder / "ml-x.zip").write_bytes(b"old")
    with exclusive(folder / ".ml-x.lock", "it"), pytest.raises(ArtifactError, match=r"another process is using .*zip"):
        get(server, folder)
    with pytest.raises(ArtifactError, match=r"ml-x.zip is not the file at .*: move it, or give another --output"):
        get(server, folder)
    assert (folder / "ml-x.zip").read_bytes() == b"old"


def test_the_checksum_is_asked_for_where_it_is_not_known(server, tmp_path):
    assert get(server, tmp_path, md5=None) == BODY
    assert server.requests[0].path == "/v1/ml-x.zip.md5"
    for fault, message in ((Reply(200, "none here"), "has no MD5"), (Reply(404), "HTTP 404")):
        server.faults = [fault]
        with pytest.raises(DataError, match=message):
            get(server, tmp_path, md5=None)


def test_a_cut_transfer_is_continued_in_the_run_and_by_the_next(server, tmp_path):
    server.faults = [CUT]
    assert get(server, tmp_path) == BODY
    assert ranges(server)[0] == 0 < ranges(server)[1] <= 300_000
    (tmp_path / "ml-x.zip").unlink()
    server.faults = [CUT, *[Reply(503)] * 3]
    with pytest.raises(DataError, match=r"HTTP 503.*ml-x\.zip\.part is kept, to resume"):
        get(server, tmp_path)
    size = (tmp_path / "ml-x.zip.part").stat().st_size
    assert get(server, tmp_path) == BODY
    assert ranges(server)[-1] == size > 0


@pytest.mark.parametrize(
    ("part", "faults", "asked"),
    [
        (BODY, [], [700_000]),
        (bytes(800_000), [], [800_000, 0]),  # too long
        (bytes(1000), [], [1000, 0]),  # of something else
        (BODY[:1000], [], [1000]),
        (BODY[:1000], [Reply(200, BODY)], [1000]),  # from a server that knows no ranges
        (b"", [Reply(503), Reply(429), Reply(302, headers={"Location": "/v1/ml-1m.zip"})], [0, 0, 0, 0]),
    ],
)
def test_a_part_is_continued_where_it_fits_and_else_begun_again(server, tmp_path, part, faults, asked):
    (tmp_path / "ml-x.zip.part").write_bytes(part)
    server.faults = faults
    assert (get(server, tmp_path), ranges(server)) == (BODY, asked)


@pytest.mark.parametrize("fault", [Reply(404), DAMAGED, "gone"])
def test_the_next_mirror_is_tried_and_nothing_wrong_is_left(server, tmp_path, fault):
    other = Server()
    other.files, other.faults = server.files, [fault] * 2
    if fault == "gone":
        other.close()
    with pytest.raises(DataError, match="expected" if fault is DAMAGED else "could not be downloaded"):
        get(other, tmp_path)
    assert not list(tmp_path.iterdir())
    assert fetch([f"{other.url}/ml-x.zip", f"{server.url}/ml-x.zip"], tmp_path / "x", MD5, str).read_bytes() == BODY
    assert len(server.requests) == 1


def test_plain_http_is_refused_but_on_loopback(tmp_path):
    for mirror in ("http://files.grouplens.org", "ftp://x.org", "files.grouplens.org", "http://localhost.evil.org"):
        with pytest.raises(SettingsError, match="https"):
            fetch([f"{mirror}/ml-1m.zip"], tmp_path / "to" / "ml-1m.zip")
    assert not (tmp_path / "to").exists()


def test_tls_is_always_verified_and_not_left(server, tmp_path, monkeypatch):
    secure = Server(certificate=make_certificate(tmp_path))
    with pytest.raises(DataError, match="certificate verify failed"):
        get(secure, tmp_path / "to")
    assert not secure.requests
    secure.faults = [Reply(302, headers={"Location": f"{server.url}/ml-x.zip"})]
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "cert.pem"))
    with pytest.raises(DataError, match="without TLS"):
        get(secure, tmp_path / "to")
    assert not list((tmp_path / "to").iterdir())


def test_the_program_prints_what_comes_next(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(program.PUBLISHED_MD5, "ml-1m", MD5)
    program.main(["ML-1M.zip", "--to", str(tmp_path), "--mirror", server.url])
    assert f"next: python -m preprocess.setup --data {tmp_path / 'ml-1m.zip'}" in capsys.readouterr().out
