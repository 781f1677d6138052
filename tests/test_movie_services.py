"""TMDB and a chat endpoint, played by a server on loopback that misbehaves as real ones do."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from preprocess import enrich_metadata, fetch_tmdb_metadata
from preprocess.asking import Pace, StoppedError
from preprocess.descriptions import read_descriptions
from recommender.data.errors import ServiceError, SettingsError

ROOT = Path(__file__).resolve().parents[1]
OLD_KEY, TOKEN = "0123456789abcdef0123456789abcdef", "eyJhbGciOiJIUzI1NiJ9.secret"
HEADER = "movieId,title,year,genres,director,cast,keywords,overview,original_language,tmdbId,imdbId\n"
FILMS = (
    HEADER
    + "1,A (1990),1990,Drama,,,,Known.,,11,0000001\n2,B (1991),1991,Action,D,X; Y,,,,,0000002\n"
    + "".join(f"{i},F{i} (1992),1992,Drama,,,,,,{10 * i},\n" for i in range(3, 9))
)


class Server(http.server.ThreadingHTTPServer):
    """`faults`: answers that go before the right ones, (status, body).  `requests`: (path, query, headers, body)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: list[tuple[int, bytes]] = []
        self.requests: list[tuple[str, dict[str, list[str]], dict[str, str], bytes]] = []
        self.pause = 0.0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/3"

    def answer(self, path: str, body: bytes) -> tuple[int, object]:
        if path == "/3/find/tt0000002":
            return 200, {"movie_results": [{"id": 20}], "tv_results": []}
        if path == "/3/movie/50":
            return 404, {"success": False, "status_code": 34, "status_message": "could not be found"}
        if path.startswith("/3/movie/"):
            return 200, tmdb_movie(int(path.rsplit("/", 1)[1]))
        asked = json.loads(json.loads(body)["messages"][1]["content"])
        text = "UNKNOWN" if asked["title"] == "F5" else f"  A movie\nlike {asked['title']}. "
        return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}


def tmdb_movie(number):
    """As https://developer.themoviedb.org documents movie/ID with credits and keywords."""
    cast = [{"name": f"P{i}", "order": i} for i in (2, 0, 1, 3, 4, 5, 6)]
    crew = [{"job": "Director", "name": "Ann; Bob"}, {"job": "Editor", "name": "E"}, {"job": "Director", "name": "Cy"}]
    return {
        "id": number,
        "overview": f"Plot of {number}.",
        "release_date": "1995-12-15",
        "runtime": 170,
        "popularity": 8.5,
        "vote_average": 7.9,
        "vote_count": 12,
        "original_language": "en",
        "poster_path": "/p.jpg",
        "credits": {"cast": cast, "crew": crew},
        "keywords": {"keywords": [{"id": 1, "name": "heist"}, {"id": 2, "name": "los angeles"}]},
    }


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        self.server.requests.append((url.path, parse_qs(url.query), dict(self.headers), body))
        time.sleep(self.server.pause)
        status, content = self.server.faults.pop(0) if self.server.faults else self.server.answer(url.path, body)
        sent = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)


@pytest.fixture
def server():
    found = Server()
    yield found
    found.shutdown()


@pytest.fixture
def flags(tmp_path, server, monkeypatch):
    monkeypatch.setenv("TMDB_API_KEY", OLD_KEY)
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "movie_metadata.csv").write_text(FILMS)
    out = tmp_path / "out" / "movies.jsonl"
    return ["--processed", str(tmp_path / "p"), "--output", str(out), "--base-url", server.url, "--rate", "1e4"]


def entries(flags):
    return {entry["movieId"]: entry for entry in map(json.loads, Path(flags[3]).read_text().splitlines())}


def test_what_tmdb_knows_is_stored_and_asked_for_once(flags, server, capsys):
    fetch_tmdb_metadata.main(flags)
    found = entries(flags)
    assert sorted(found) == list(range(1, 9))
    assert found[5] == {"movieId": 5, "missing": True}
    assert found[2]["tmdbId"] == "20", "looked up by its IMDb id"
    assert found[3] == {
        "movieId": 3,
        "tmdbId": "30",
        "director": "Ann, Bob; Cy",
        "cast": ["P0", "P1", "P2", "P3", "P4"],
        "keywords": ["heist", "los angeles"],
        "overview": "Plot of 30.",
        "original_language": "en",
        "release_date": "1995-12-15",
        "runtime": 170,
        "popularity": 8.5,
        "vote_average": 7.9,
        "vote_count": 12,
        "poster_path": "/p.jpg",
    }
    assert len(server.requests) == 9
    assert all(query["api_key"] == [OLD_KEY] for _, query, _, _ in server.requests)
    assert "7 fetched, 1 missing" in capsys.readouterr().out
    fetch_tmdb_metadata.main(flags)
    assert len(server.requests) == 9, "a second run asks nothing"
    assert read_descriptions(Path(flags[3]))[3]["cast"] == "P0; P1; P2; P3; P4"


@pytest.mark.parametrize("fault", [{"credits": [1]}, {"overview": 5}, {"keywords": {"keywords": [{"name": 5}]}}])
def test_an_answer_of_another_form_is_told(flags, server, fault):
    server.faults = [(200, json.dumps(fault).encode())]
    with pytest.raises(ServiceError, match=r"answered about 'A' in another form.*check the address"):
        fetch_tmdb_metadata.main([*flags, "--threads", "1"])


def test_half_a_surrogate_pair_is_stored_as_a_question_mark(flags, server):
    server.faults = [(200, b'{"id": 1, "overview": "a \\ud83d b"}')]
    fetch_tmdb_metadata.main([*flags, "--threads", "1", "--limit", "1"])
    assert entries(flags)[1]["overview"] == "a ? b"


def test_a_token_goes_into_the_header_and_never_into_an_address(flags, server, monkeypatch):
    monkeypatch.setenv("TMDB_API_KEY", TOKEN)
    fetch_tmdb_metadata.main([*flags, "--limit", "2"])
    assert {headers["Authorization"] for _, _, headers, _ in server.requests} == {f"Bearer {TOKEN}"}
    assert not any("api_key" in query for _, query, _, _ in server.requests)
    assert len(entries(flags)) == 2


def test_a_busy_server_is_asked_again_and_a_refused_key_ends_the_run(flags, server, capsys):
    server.faults = [(500, b"oops"), (429, b"{}")]
    fetch_tmdb_metadata.main([*flags, "--threads", "1", "--limit", "2"])
    assert sorted(entries(flags)) == [1, 2]
    refusal = json.dumps({"status_message": f"Invalid API key: {OLD_KEY}"}).encode()
    server.faults = [(200, json.dumps(tmdb_movie(30)).encode()), (401, refusal)]
    with pytest.raises(ServiceError, match=r"401.*Invalid API key.*TMDB_API_KEY") as refused:
        fetch_tmdb_metadata.main([*flags, "--threads", "1"])
    assert sorted(entries(flags)) == [1, 2, 3], "what came before the refusal is kept"
    told = capsys.readouterr()
    assert OLD_KEY not in told.out + told.err + str(refused.value)


@pytest.mark.parametrize("program", ["fetch_tmdb_metadata", "enrich_metadata"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_goes_on_where_it_was(flags, server, program, how):
    server.pause = 0.15
    more = ["--model", "m"] if program == "enrich_metadata" else []
    command = [sys.executable, "-m", f"preprocess.{program}", *flags, "--threads", "1", *more]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    deadline = time.monotonic() + 20
    while len(server.requests) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.send_signal(how)
    _, errors = first.communicate(timeout=20)
    assert first.returncode == (130 if how == signal.SIGINT else -how)
    assert b"Traceback" not in errors
    kept = len(entries(flags))
    assert 1 <= kept < 6
    server.pause, so_far = 0.0, len(server.requests)
    second = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60)
    assert second.returncode == 0, second.stderr
    n_movies = 8 if program == "fetch_tmdb_metadata" else 7
    assert len(entries(flags)) == n_movies
    assert len(server.requests) - so_far <= n_movies - kept + 1  # + 1: a look-up by IMDb id


def test_a_model_describes_what_has_no_description_and_is_named(flags, server, capsys):
    enrich_metadata.main([*flags, "--model", "m-1", "--key-variable", "OPENAI_API_KEY"])
    found = entries(flags)
    assert sorted(found) == list(range(2, 9)), "the first movie has a description"
    assert found[2] == {"movieId": 2, "overview": "A movie like B.", "overview_source": "m-1"}
    assert found[5] == {"movieId": 5, "unknown": True}
    path, _, headers, _ = server.requests[0]
    assert (path, headers["Authorization"]) == ("/3/chat/completions", f"Bearer {TOKEN}")
    sent = {json.loads(body)["messages"][1]["content"] for *_, body in server.requests}
    assert '{"title": "B", "year": 1991, "genres": ["Action"], "director": "D", "cast": ["X", "Y"]}' in sent
    assert "6 described, 1 unknown" in capsys.readouterr().out


@pytest.mark.parametrize("program", ["fetch_tmdb_metadata", "enrich_metadata"])
def test_a_line_that_a_crash_cut_short_is_asked_for_again(flags, server, program):
    path = Path(flags[3])
    path.parent.mkdir()
    path.write_bytes(b'{"movieId": 2, "overview": "x"}\n{"movieId": 3, "overview": "caf\xc3')
    more = ["--model", "m"] if program == "enrich_metadata" else []
    main = {"fetch_tmdb_metadata": fetch_tmdb_metadata.main, "enrich_metadata": enrich_metadata.main}[program]
    main([*flags, *more, "--dry-run"])
    assert path.read_bytes().endswith(b"\xc3"), "a dry run changes nothing"
    main([*flags, *more])
    assert entries(flags)[2] == {"movieId": 2, "overview": "x"}
    assert entries(flags)[3]["overview"] in ("Plot of 30.", "A movie like F3.")


def test_ctrl_c_does_not_wait_for_a_slow_server(flags, server):
    server.pause = 30.0
    command = [sys.executable, "-m", "preprocess.fetch_tmdb_metadata", *flags]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    deadline = time.monotonic() + 20
    while len(server.requests) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=10)  # a third of the server's time
    assert running.returncode == 130
    assert b"Traceback" not in errors
    assert entries(flags) == {}


@pytest.mark.parametrize("content", [None, 5, [], {"a": 1}])
def test_what_is_no_chat_answer_ends_the_run(flags, server, content):
    server.faults = [(200, json.dumps({"choices": [{"message": {"content": content}}]}).encode())]
    with pytest.raises(ServiceError, match="no message of an assistant"):
        enrich_metadata.main([*flags, "--model", "m", "--threads", "1"])
    assert entries(flags) == {}


@pytest.mark.parametrize("text", ["x" * 801, " \n ", "Unknown", '"UNKNOWN"', "UNKNOWN movie"])
def test_what_is_no_description_is_not_kept(text):
    answer = {"choices": [{"message": {"content": text}}]}
    assert enrich_metadata.description_in(answer, "m") == {"unknown": True}


def test_a_description_may_begin_with_the_word_unknown():
    text = "Unknown to his family, a man leads two lives."
    assert enrich_metadata.description_in({"choices": [{"message": {"content": text}}]}, "m")["overview"] == text


def test_the_key_for_openai_goes_to_nobody_else(flags, server, monkeypatch):
    enrich_metadata.main([*flags, "--model", "m", "--limit", "1"])
    assert "Authorization" not in server.requests[0][2]
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(SettingsError, match="OPENAI_API_KEY is not set"):
        enrich_metadata.main([*flags, "--model", "m", "--base-url", "https://api.openai.com/v1"])
    with pytest.raises(SettingsError, match="MY_KEY is not set"):
        enrich_metadata.main([*flags, "--model", "m", "--key-variable", "MY_KEY"])


@pytest.mark.parametrize("bad", [["--threads", "0"], ["--rate", "-1"], ["--rate", "nan"], ["--limit", "0"]])
def test_numbers_that_make_no_sense_are_refused(flags, server, bad):
    with pytest.raises(SettingsError, match=re.escape(bad[0])):
        fetch_tmdb_metadata.main([*flags, *bad])
    assert server.requests == []


def test_no_key_and_a_dry_run_ask_nothing(flags, server, monkeypatch, capsys):
    fetch_tmdb_metadata.main([*flags, "--dry-run"])
    enrich_metadata.main([*flags, "--dry-run", "--model", "m"])
    assert re.search(r"8 to know, 8 to ask.*7 to know, 7 to ask.*about [\d,]+ tokens", capsys.readouterr().out, re.S)
    monkeypatch.delenv("TMDB_API_KEY")
    with pytest.raises(SettingsError, match="set TMDB_API_KEY"):
        fetch_tmdb_metadata.main(flags)
    assert server.requests == []
    assert not Path(flags[3]).parent.exists()


def test_a_pace_spaces_its_turns_and_stops():
    pace = Pace(50)
    began = time.monotonic()
    for _ in range(6):
        pace.wait()
    assert time.monotonic() - began >= 5 / 50
    pace.stop()
    with pytest.raises(StoppedError):
        pace.wait()
