"""Downloads against a real server on loopback that misbehaves in the ways that real ones do."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import re
import ssl
import threading
from pathlib import Path

import numpy as np
import pytest

from preprocess import download as program
from preprocess import fetching
from preprocess.download import download
from recommender.data.errors import ArtifactError, DataError, SettingsError

BODY = np.random.default_rng(0).bytes(700_000)
MD5 = hashlib.md5(BODY).hexdigest()
ETAG = '"v1"'
BLOCK = fetching.BLOCK  # what a transfer loses at most when it is cut


class Server(http.server.ThreadingHTTPServer):
    """Serves BODY as any .zip, and its MD5; `faults` are what the next requests for the .zip get instead."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.etag, self.md5 = BODY, ETAG, MD5
        self.faults: list[object] = []
        self.requests: list[tuple[str, str]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/files"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.requests.append((self.path, asked))
        if self.path.endswith(".md5"):
            found = self.server.md5
            self._send(200 if found else 404, f"MD5 (x.zip) = {found}\n".encode() if found else b"no")
            return
        fault = self.server.faults.pop(0) if self.server.faults else None
        if isinstance(fault, tuple) and fault[0] == "redirect":
            self._send(302, b"", {"Location": fault[1]})
            return
        if isinstance(fault, int) and fault >= 400:
            self._send(fault, b"sorry")
            return
        whole = self.server.body
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", asked)
        fits = self.headers.get("If-Range") in (None, self.server.etag)
        if match and fits and fault != "no ranges":
            start = int(match.group(1))
            if start >= len(whole):
                self._send(416, b"", {"Content-Range": f"bytes */{len(whole)}"})
                return
        headers = {"ETag": self.server.etag}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        body = whole[start:]
        if fault == "damaged":
            body = body[:-1] + bytes([body[-1] ^ 1])
        cut = 300_000 if fault == "cut" else None
        self._send(206 if start else 200, body, headers, cut)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True


@pytest.fixture
def server():
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


def get(server: Server, folder: Path, *more: str, md5: str | None = MD5) -> Path:
    return download("ml-x", folder, [server.url, *more], md5, pause=0.0, say=lambda text: None)


def zips(server: Server) -> list[str]:
    """Return the Range of each request for the archive."""
    return [asked for path, asked in server.requests if path.endswith(".zip")]


def test_the_file_arrives_whole_and_alone(server, tmp_path):
    path = get(server, tmp_path / "new" / "data")
    assert path.read_bytes() == BODY
    assert [file.name for file in path.parent.iterdir()] == ["ml-x.zip"]


def test_two_at_once_do_not_share_a_part(server, tmp_path):
    """The second is refused while the first is in the middle of its transfer, which then ends undisturbed."""
    refused = []

    def meanwhile(text: str) -> None:
        with pytest.raises(ArtifactError, match=r"another process is using .*ml-x\.zip: wait until it ends") as error:
            get(server, tmp_path)
        refused.append(error)

    server.faults = ["cut"]
    path = download("ml-x", tmp_path, [server.url], MD5, pause=0.0, say=meanwhile)
    assert len(refused) == 1
    assert path.read_bytes() == BODY
    assert len(zips(server)) == 2
    assert download("ml-y", tmp_path, [server.url], MD5, pause=0.0, say=lambda text: None).read_bytes() == BODY
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ml-x.zip", "ml-y.zip"]


def test_the_checksum_is_asked_for_where_it_is_not_known(server, tmp_path):
    assert get(server, tmp_path, md5=None).read_bytes() == BODY
    assert server.requests[0][0] == "/files/ml-x.zip.md5"
    server.md5 = ""
    with pytest.raises(DataError, match=r"no checksum, HTTP 404 for .*ml-x\.zip\.md5"):
        get(server, tmp_path, md5=None)
    server.md5 = "none here"
    with pytest.raises(DataError, match="holds no MD5"):
        get(server, tmp_path, md5=None)


def test_a_file_that_is_there_is_not_fetched_again_unless_it_is_wrong(server, tmp_path):
    get(server, tmp_path)
    get(server, tmp_path)
    assert len(zips(server)) == 1
    (tmp_path / "ml-x.zip").write_bytes(b"old")
    assert get(server, tmp_path).read_bytes() == BODY


def test_a_cut_transfer_is_continued_where_it_stopped(server, tmp_path):
    server.faults = ["cut", "cut"]
    assert get(server, tmp_path).read_bytes() == BODY
    first = 300_000 // BLOCK * BLOCK
    second = (first + 300_000) // BLOCK * BLOCK
    assert zips(server) == ["", f"bytes={first}-", f"bytes={second}-"]


def test_a_download_is_continued_by_the_next_run(server, tmp_path):
    server.faults = ["cut", 503, 503, 503]
    with pytest.raises(DataError, match=r"HTTP 503.*ml-x\.zip\.part is kept to continue from"):
        get(server, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ml-x.zip.part", "ml-x.zip.part.json"]
    assert (tmp_path / "ml-x.zip.part").stat().st_size == 300_000 // BLOCK * BLOCK
    assert get(server, tmp_path).read_bytes() == BODY
    assert zips(server)[-1] == f"bytes={300_000 // BLOCK * BLOCK}-"


def test_a_file_that_changed_meanwhile_is_begun_anew(server, tmp_path):
    server.faults = ["cut", 503, 503, 503]
    with pytest.raises(DataError):
        get(server, tmp_path)
    server.body, server.etag = BODY[::-1], '"v2"'
    path = get(server, tmp_path, md5=hashlib.md5(server.body).hexdigest())
    assert path.read_bytes() == server.body
    assert len(zips(server)) == 5  # the server itself said that the part no longer fits


def test_a_weak_etag_joins_no_halves(server, tmp_path):
    server.etag, server.faults = f"W/{ETAG}", ["cut"]
    assert get(server, tmp_path).read_bytes() == BODY
    assert zips(server) == ["", ""]


def test_a_server_that_knows_no_ranges(server, tmp_path):
    server.faults = ["cut", "no ranges"]
    assert get(server, tmp_path).read_bytes() == BODY
    assert len(zips(server)) == 2


def test_a_part_that_is_too_long_or_of_another_address_is_left(server, tmp_path):
    part, note = tmp_path / "ml-x.zip.part", tmp_path / "ml-x.zip.part.json"
    part.write_bytes(bytes(800_000))
    note.write_text(json.dumps({"url": f"{server.url}/ml-x.zip", "validator": ETAG}))
    assert get(server, tmp_path).read_bytes() == BODY
    (tmp_path / "ml-x.zip").unlink()
    part.write_bytes(BODY[:1000])
    note.write_text(json.dumps({"url": "https://elsewhere.example/ml-x.zip", "validator": ETAG}))
    assert get(server, tmp_path).read_bytes() == BODY
    assert zips(server)[-1] == ""


def test_a_wrong_part_costs_one_more_try(server, tmp_path):
    (tmp_path / "ml-x.zip.part").write_bytes(bytes(1000))
    (tmp_path / "ml-x.zip.part.json").write_text(json.dumps({"url": f"{server.url}/ml-x.zip", "validator": ETAG}))
    assert get(server, tmp_path).read_bytes() == BODY
    assert zips(server) == ["bytes=1000-", ""]


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    server.faults = ["damaged"]
    with pytest.raises(DataError, match=f"its MD5 is [0-9a-f]{{32}}, expected {MD5}"):
        get(server, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", [404, 403, "damaged"])
def test_the_next_mirror_is_tried(server, tmp_path, fault):
    other = Server()
    server.faults = [fault]
    assert get(server, tmp_path, other.url).read_bytes() == BODY
    assert len(zips(server)) == len(zips(other)) == 1
    other.shutdown()
    other.server_close()


def test_a_server_that_is_not_there(server, tmp_path):
    gone = Server()
    gone.shutdown()
    gone.server_close()
    assert download("ml-x", tmp_path, [gone.url, server.url], MD5, 0.0, lambda text: None).read_bytes() == BODY


def test_a_server_that_is_busy_is_asked_again(server, tmp_path):
    server.faults = [503, 429, 500]
    assert get(server, tmp_path).read_bytes() == BODY
    assert len(zips(server)) == 4


# TLS


def test_plain_http_is_refused_but_on_loopback(tmp_path):
    for mirror in (
        "http://files.grouplens.org/datasets",
        "ftp://x.org",
        "files.grouplens.org",
        "http://localhost.evil.org",
    ):
        with pytest.raises(SettingsError, match="is not an https address"):
            download("ml-1m", tmp_path / "to", [mirror])
    assert not (tmp_path / "to").exists()


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path):
    """A real TLS server with a certificate of its own making; nothing in the environment turns the check off."""
    trustme = make_certificate(tmp_path)
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*trustme)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http://", "https://")
    with pytest.raises(DataError, match="the TLS certificate is not valid"):
        download("ml-x", tmp_path / "to", [url], MD5, 0.0, lambda text: None)
    assert not (tmp_path / "to" / "ml-x.zip").exists()
    assert not server.requests
    server.shutdown()
    server.server_close()


def make_certificate(folder: Path) -> tuple[str, str]:
    import shutil
    import subprocess

    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    key, certificate = str(folder / "key.pem"), str(folder / "cert.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def test_no_flag_and_no_code_turns_the_check_off(capsys):
    with pytest.raises(SystemExit):
        program.main(["--help"])
    shown = capsys.readouterr().out
    assert not re.search(r"insecure|verify|certificate|tls|ssl", shown, re.IGNORECASE)
    code = Path(fetching.__file__).read_text(encoding="utf-8")
    assert "verify=True" in code
    assert "verify=False" not in code


def test_a_redirect_away_from_tls_is_refused(monkeypatch, server, tmp_path):
    """What is compared is the address at the start with each address on the way."""
    import requests

    response = requests.Response()
    response.raw = io.BytesIO()
    response.url = "http://elsewhere.example/ml-x.zip"
    session = requests.Session()
    monkeypatch.setattr(session, "get", lambda *_, **__: response)
    with pytest.raises(requests.exceptions.InvalidURL, match="without TLS"):
        fetching._get(session, "https://files.grouplens.org/ml-x.zip", {})
    server.faults = [("redirect", "/files/other.zip")]
    assert get(server, tmp_path).read_bytes() == BODY


def test_the_program_prints_what_comes_next(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(program.PUBLISHED_MD5, "ml-1m", MD5)
    program.main(["ML-1M.zip", "--to", str(tmp_path), "--mirror", server.url])
    assert f"next: python -m preprocess.setup --data {tmp_path / 'ml-1m.zip'}" in capsys.readouterr().out
