"""TMDB and a chat endpoint, played by a server on loopback that misbehaves as real ones do; answers of models."""

import functools
import json
import os
import re
import signal
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from preprocess import descriptions, enrich_metadata, fetch_tmdb_metadata
from preprocess.descriptions import read_all
from preprocess.enrich_metadata import BASE_URL, TASK, UNKNOWN, description_in
from recommender.data.errors import ArtifactError, DataError, ServiceError, SettingsError
from recommender.data.files import exclusive
from tests.fake_server import Reply
from tests.tiny import exit_code, start

ROOT = Path(__file__).resolve().parents[1]
OLD_KEY, TOKEN = "0123456789abcdef0123456789abcdef", "eyJhbGciOiJIUzI1NiJ9.secret"
MOVIES = (
    "movieId,title,year,genres,director,cast,keywords,overview,original_language,tmdbId,imdbId\n"
    "1,A (1990),1990,Drama,,,,Known.,,11,0000001\n2,B (1991),1991,Action,D,X; Y,,,,,0000002\n"
    + "".join(f"{i},F{i} (1992),1992,Drama,,,,,,{10 * i},\n" for i in range(3, 9))
)
PLAIN = {"release_date": "1995-12-15", "runtime": 170, "popularity": 8.5, "vote_average": 7.9, "vote_count": 12}
PLAIN |= {"original_language": "en", "poster_path": "/p.jpg"}
CREW = [{"job": "Director", "name": "Ann; Bob"}, {"job": "Editor", "name": "E"}, {"job": "Director", "name": "Cy"}]
CREDITS = {"cast": [{"name": f"P{i}", "order": i} for i in (2, 0, 1, 3, 4, 5, 6)], "crew": CREW}
KEYWORDS = {"keywords": [{"id": 1, "name": "heist"}, {"id": 2, "name": "los angeles"}]}


def described(messages):
    title = json.loads(messages[1]["content"])["title"]
    return "UNKNOWN" if title == "F5" else f"  A movie\nlike {title}. "


@pytest.fixture
def server(server):
    for number in (11, 20, 30, 40, 60, 70, 80):  # as https://developer.themoviedb.org documents movie/ID
        about = {"id": number, "overview": f"Plot of {number}.", "credits": CREDITS, "keywords": KEYWORDS}
        server.files[str(number)] = {**about, **PLAIN}
    server.files["tt0000002"] = {"movie_results": [{"id": 20}], "tv_results": []}
    server.chat = described
    return server


@pytest.fixture
def flags(tmp_path, server, monkeypatch):
    monkeypatch.setenv("TMDB_API_KEY", OLD_KEY)
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "movie_metadata.csv").write_text(MOVIES)
    out = tmp_path / "out" / "movies.jsonl"
    return ["--processed", str(tmp_path / "p"), "--output", str(out), "--base-url", server.url, "--rate", "1e4"]


def fetch(flags, *more):
    fetch_tmdb_metadata.main([*flags, "--threads", "1", *more])


def enrich(flags, *more):
    enrich_metadata.main([*flags, "--threads", "1", "--model", "m", *more])


def entries(flags):
    return {entry["movieId"]: entry for entry in map(json.loads, Path(flags[3]).read_text().splitlines())}


def test_what_tmdb_knows_is_stored_and_asked_for_once(flags, server, capsys):
    fetch_tmdb_metadata.main(flags)
    found = entries(flags)
    assert sorted(found) == list(range(1, 9))
    assert found[5] == {"movieId": 5, "missing": True}
    assert found[2]["tmdbId"] == "20", "looked up by its IMDb id"
    names = {"director": "Ann, Bob; Cy", "cast": [f"P{i}" for i in range(5)], "keywords": ["heist", "los angeles"]}
    assert found[3] == {"movieId": 3, "tmdbId": "30", "overview": "Plot of 30.", **names, **PLAIN}
    queries = [parse_qs(urlsplit(request.path).query) for request in server.requests]
    assert all(query["api_key"] == [OLD_KEY] and query["language"] == ["en-US"] for query in queries)
    assert "7 fetched, 1 missing" in capsys.readouterr().out
    fetch(flags)
    assert len(server.requests) == 9, "a second run asks nothing"
    assert read_all([Path(flags[3])])[3]["cast"] == "P0; P1; P2; P3; P4"


def test_a_token_goes_into_the_header_and_a_refused_key_ends_the_run(flags, server, monkeypatch, capsys):
    server.faults = [Reply(500, b"oops"), None, None, None, Reply(401, {"status_message": f"Invalid key: {OLD_KEY}"})]
    with pytest.raises(ServiceError, match=r"401.*Invalid key.*TMDB_API_KEY") as refused:
        fetch(flags)
    assert sorted(entries(flags)) == [1, 2], "what came before the refusal is kept"
    assert OLD_KEY not in f"{capsys.readouterr()}{refused.value}"
    monkeypatch.setenv("TMDB_API_KEY", TOKEN)
    server.faults = [Reply(200, b'{"id": 30, "overview": "a \\ud83d b"}')]
    fetch(flags, "--limit", "1")
    assert server.requests[-1].headers["Authorization"] == f"Bearer {TOKEN}"
    assert "api_key" not in server.requests[-1].path
    assert entries(flags)[3]["overview"] == "a ? b", "half a surrogate pair is no text"


@pytest.mark.parametrize(("how", "latency"), [("SIGKILL", 0.15), ("SIGINT", 30.0)])
def test_a_run_that_is_stopped_goes_on_where_it_was_and_does_not_wait(flags, server, how, latency, tmp_path):
    server.latency = latency  # with the longest, Ctrl-C comes while all threads wait
    # A shell has what it starts in the background ignore Ctrl-C, pytest and its children among it.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    errors = tmp_path / "errors"
    first = start(fetch_tmdb_metadata.main, *flags, "--threads", "1", on={2: errors}, first=heed)
    deadline, goal = time.monotonic() + 20, 4 if latency < 1 else 1
    while len(server.requests) < goal and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(first, getattr(signal, how))
    assert (exit_code(first), "Traceback" in errors.read_text()) == (130 if how == "SIGINT" else -9, False)
    kept, n_requests, server.latency = len(entries(flags)), len(server.requests), 0.0
    assert (1 <= kept < 6) if latency < 1 else kept == 0
    fetch(flags)
    assert len(entries(flags)) == 8
    assert len(server.requests) - n_requests <= 8 - kept + 1  # + 1: a look-up by IMDb id


def test_a_model_describes_what_has_no_description_and_is_named(flags, server, capsys):
    enrich(flags, "--key-variable", "OPENAI_API_KEY", "--limit", "6")
    found = entries(flags)
    assert sorted(found) == list(range(2, 8)), "the first movie has a description"
    assert found[2] == {"movieId": 2, "overview": "A movie like B.", "overview_source": "m"}
    assert found[5] == {"movieId": 5, "unknown": True, "reason": "not known"}
    said = {(request.headers["Authorization"], request.body["temperature"]) for request in server.requests}
    assert said == {(f"Bearer {TOKEN}", 0)}
    sent = '{"title": "B", "year": 1991, "genres": ["Action"], "director": "D", "cast": ["X", "Y"]}'
    assert server.requests[0].body["messages"][1]["content"] == sent
    assert "5 described, 1 unknown" in capsys.readouterr().out
    enrich(flags)
    assert len(server.requests) == 7
    assert "Authorization" not in server.requests[-1].headers, "the key for OpenAI goes to nobody else"


@pytest.mark.parametrize("program", [fetch, enrich])
def test_a_line_that_a_crash_cut_short_is_asked_for_again(flags, program):
    path = Path(flags[3])
    path.parent.mkdir()
    path.write_bytes(b'{"movieId": 2, "overview": "x"}\n{"movieId": 3, "overview": "caf\xc3')
    program(flags, "--dry-run")
    assert path.read_bytes().endswith(b"\xc3"), "a dry run changes nothing"
    with exclusive(path.with_name(".movies.jsonl.lock"), "it"), pytest.raises(ArtifactError):
        program(flags)
    program(flags)
    assert [file.name for file in path.parent.iterdir()] == ["movies.jsonl"]
    assert entries(flags)[2] == {"movieId": 2, "overview": "x"}
    assert entries(flags)[3]["overview"] in ("Plot of 30.", "A movie like F3.")


ODD = ([1], [], "null", {}, {"id": 11, "credits": [1]}, {"id": 11, "overview": 5}, {"success": False, "status_code": 7})


def test_a_movie_without_an_answer_is_passed_over_named_and_asked_again_by_the_next_run(flags, server, capsys):
    for fault in (*ODD, {"id": 11, "keywords": {"keywords": [{"name": 5}]}}):
        server.faults = [Reply(200, fault)]
        fetch(flags)
        said, shown = capsys.readouterr()[::-1]
        assert re.search(r"A \(1990\): .*no movie in the form of TMDB.*check the address", said)
        assert "6 fetched, 1 missing, 1 without an answer" in shown
        assert "without an answer: 1 (A (1990))" in shown
        assert sorted(entries(flags)) == list(range(2, 9))
        Path(flags[3]).unlink()
    fetch(flags)
    assert sorted(entries(flags)) == list(range(1, 9))


def test_a_service_that_answers_nobody_ends_the_run_soon(flags, server, monkeypatch):
    monkeypatch.setattr(descriptions, "MOST_FAILURES", 3)
    for program, fault in (
        *((program, Reply(200, {"answer": 42})) for program in (fetch, enrich)),
        (enrich, Reply(400, {"error": {"message": "unknown field temperature"}})),
    ):
        for flag, n_requests in (("--threads=1", 3), ("--limit=2", 2)):  # of two movies, none has an answer
            server.faults, before = [fault] * 9, len(server.requests)
            with pytest.raises(ServiceError):
                program(flags, flag)
            assert (len(server.requests) - before, entries(flags)) == (n_requests, {})
    server.faults = [Reply(403, {"error": {"message": "no"}})]
    with pytest.raises(ServiceError, match="403"):
        enrich(flags)
    server.faults = [*[fault] * 2, None] * 2  # no three in a row
    enrich(flags)
    assert sorted(entries(flags)) == [4, 7, 8]
    Path(flags[3]).unlink()
    server.faults = [None] * 4 + [Reply(200, {})] * 9
    with pytest.raises(ServiceError, match="no message"):
        enrich(flags)
    assert sorted(entries(flags)) == [2, 3, 4, 5], "what came before is kept"


def test_tmdb_tells_of_another_movie_of_none_or_with_gaps(flags, server, capsys):
    metadata = Path(flags[1]) / "movie_metadata.csv"
    metadata.write_text(metadata.read_text() + "9,G (1999),1999,,,,,,,90,tt0000009\n")
    people = {"cast": [None, *CREDITS["cast"]], "crew": None}
    server.files["11"] = {**server.files["11"], "imdb_id": "tt0000001", "credits": people}
    server.files["tt0000002"] = {"movie_results": [None, {"id": 30}]}
    words = {"keywords": [None, {"name": None}]}
    server.files["30"] = {**server.files["30"], "imdb_id": "tt0000003", "keywords": words}
    server.files["40"] = {**server.files["40"], "id": 41}
    server.files["60"] = {"success": False, "status_code": 34, "status_message": "could not be found"}
    server.files["70"] = {**server.files["70"], "imdb_id": None, "runtime": "170", "original_language": ["en"]}
    server.files["90"] = {**server.files["80"], "id": 90, "imdb_id": "9"}
    fetch(flags)
    found = entries(flags)
    other = {"missing": True, "reason": "TMDB has another movie under these ids"}
    assert (found[2], found[4]) == ({"movieId": 2, **other}, {"movieId": 4, **other})
    assert (found[1]["cast"], found[1]["director"]) == ([f"P{i}" for i in range(5)], "")
    gone = [{"movieId": i, "missing": True} for i in (5, 6)]
    assert (found[3]["keywords"], found[5], found[6]) == ([], *gone)
    assert (found[7]["overview"], found[9]["overview"]) == ("Plot of 70.", "Plot of 80.")
    assert not {"runtime", "original_language"} & found[7].keys()
    assert "TMDB has another movie under these ids: 2 (B (1991), F4 (1992))" in capsys.readouterr().out


def test_a_movie_that_a_model_refuses_to_see_is_named_and_asked_again_on_request(flags, server, capsys):
    refusal = Reply(400, {"error": {"message": "No.", "code": "content_filter"}})
    server.faults = [refusal, Reply(200, {"choices": [{"message": {"content": None}}]}), Reply(400, {"error": "odd"})]
    server.faults += [Reply(200, {"choices": [{"message": {"content": "A quiet"}, "finish_reason": "length"}]})]
    enrich(flags)
    reasons = {2: "filtered by the service", 3: "empty", 5: "cut short"}
    assert {number: entry.get("reason") for number, entry in entries(flags).items() if entry.get("unknown")} == reasons
    said = capsys.readouterr()
    assert "3 described, 3 unknown, 1 without an answer" in said.out
    assert re.search(r"cut short: 1 \(F5 \(1992\)\).*filtered by the service: 1 \(B \(1991\)\)", said.out, re.S)
    assert "F4 (1992): 127.0.0.1 refused with HTTP 400 (odd)" in said.err
    enrich(flags)
    assert len(server.requests) == 8, "the one without an answer"
    enrich(flags, "--again")
    assert len(server.requests) == 11
    known = read_all([Path(flags[3])])
    assert {number: known[number]["overview"] for number in (2, 3)} == {2: "A movie like B.", 3: "A movie like F3."}
    enrich(flags, "--again")
    assert len(server.requests) == 12, "F5 is unknown still"


def test_a_last_line_of_ones_own_without_its_end_stays(flags):
    path = Path(flags[3])
    path.parent.mkdir()
    path.write_text(last := '{"movieId":3,"overview":"mine"}')
    enrich(flags)
    assert path.read_text().startswith(last + "\n{")
    assert (len(entries(flags)), entries(flags)[3]["overview"]) == (7, "mine")
    path.write_text("not ours")
    with pytest.raises(DataError, match="line 1 is not JSON"):
        enrich(flags)
    assert path.read_text() == "not ours"


def test_a_dry_run_and_what_makes_no_sense_ask_nothing(flags, server, monkeypatch, capsys):
    fetch(flags, "--dry-run")
    enrich(flags, "--dry-run")
    shown = capsys.readouterr().out
    assert re.search(r"8 in all, 8 to request.*7 in all, 7 to request.*about [\d,]+ tokens", shown, re.S)
    for flag, value in ("--threads", "0"), ("--rate", "-1"), ("--rate", "nan"), ("--limit", "0"):
        with pytest.raises(SettingsError, match=flag):
            enrich(flags, flag, value)
    for program in (fetch, enrich):
        for more in ([], ["--dry-run"]):
            with pytest.raises(ArtifactError, match="is a file, not a folder"):
                program(flags, "--output", f"{flags[1]}/movie_metadata.csv/x.jsonl", *more)
            with pytest.raises(ArtifactError, match="is a folder"):
                program(flags, "--output", flags[1], *more)
    monkeypatch.delenv("TMDB_API_KEY")
    monkeypatch.delenv("OPENAI_API_KEY")
    for program, *more in (fetch,), (enrich, "--key-variable", "MY_KEY"), (enrich, "--base-url", BASE_URL):
        with pytest.raises(SettingsError, match=r"(TMDB_API_KEY|MY_KEY|OPENAI_API_KEY) is not set"):
            program(flags, *more)
    assert (server.requests, Path(flags[3]).parent.exists()) == ([], False)


def test_what_the_first_file_leaves_empty_comes_from_the_next(tmp_path):
    model = {"overview": "By a model.", "overview_source": "m"}
    ours = [{"movieId": 1, "director": "Ann", "overview": ""}, {"movieId": 2, "overview": "Two."}]
    theirs = [{"movieId": 1, "director": "Bob", **model}, {"movieId": 2, **model}, {"movieId": 3}]
    (tmp_path / "a").write_text("\n".join(map(json.dumps, ours)))
    (tmp_path / "b").write_text("\n".join(map(json.dumps, theirs)))
    joined = read_all([tmp_path / "a", tmp_path / "b"])
    assert {k: v for k, v in joined[1].items() if v} == {"director": "Ann", **model}
    # The name of a writer never passes to another's words.
    assert (joined[2]["overview"], joined[2]["overview_source"], sorted(joined)) == ("Two.", "", [1, 2, 3])


TEXT = "A quiet drama about a harbour town."
AROUND = r"""<think>\n\n</think>\n\n@ ~ <thinking>I know it. <think>Do I?</think></thinking>@
So I think it is sad.\n</think>\n@ ~ @ <think>Was that ~ [THINK]Well[/THINK]@ ~ ◁think▷x◁/think▷@
<seed:think>a</seed:think>@ ~ <|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>@<|END_RESPONSE|>
<reasoning>a</reasoning><answer>@</answer> ~ @<|im_end|>\n<|im_start|>user\nmore ~ <|im_start|>assistant\n@</s>
<|channel|>analysis<|message|>I know<|end|><|start|>assistant<|channel|>final<|message|>@<|return|>
analysisWe know the film.assistantfinal@ ~ Sure! Here is a description:\n\n@\n\nLet me know if you need more!
Here's a short plot of "Gamma" (1993):\n@ ~ Certainly. Here's the description:\n\n@ ~ **Overview:** @
**Description**\n\n@ ~ ## Gamma (1993)\n\n@ ~ **Gamma (1993)**\n@ ~ Gamma (1993): @ ~ gamma - @
Of course, here is a brief overview: @ ~ Hier ist, was Sie suchen:\n\n@ ~ Here is a description.\n\n@
assistant: @ ~ > @ ~ - @ ~ *@* ~ __@__ ~ "@"
@\n\n---\n\nWould you like another? ~ @ 🎬 ~ <p>@</p> ~ <h2>Gamma</h2><div>@<br/></div> ~ &lt;p&gt;@&lt;/p&gt;
```\n@\n``` ~ ```json\n{"description": "@"}\n```
Here you go:\n```\n{"Overview": "@",\n"title": "Gamma"}\n```\nEnjoy! ~ [{"plot": "@"}]
{"movie": {"title": "Gamma", "movie_description": "@"}} ~ ``` @ ~ Thinking, then.</Thought>@
Title: Gamma\n**Year:** 1993\nDescription: @ ~ "description": "@" ~ @\n\n**Mood:** sad.
Here's what I know:\n\n@ ~ Sure thing! @ ~ {"answer": {"plot": ["@"]}} ~ <description>@</description>"""


def read(text, end="stop"):
    return description_in(text, end, "Gamma", TASK, UNKNOWN)


def test_what_stands_around_a_description_is_taken_off():
    for around in AROUND.replace("\n", " ~ ").split(" ~ "):
        assert read(around.replace(r"\n", "\n").replace("@", TEXT)) == (TEXT, ""), around


INSIDE = {
    "A thief\n and a policeman. ": "A thief and a policeman.",
    "<p>A quiet &amp; sad drama.</p>": "A quiet & sad drama.",
    "A town&#39;s&nbsp;quiet &amp;amp; sad drama.": "A town's quiet & sad drama.",
    "A [quiet](http://x.y) **drama** of\u200b _loss_\x1b.": "A quiet drama of loss .",
    "**A quiet** drama.\n\n- It is sad.\n- It is long.": "A quiet drama. It is sad. It is long.",
}
SOUND = """Unknown to all, a man leads two lives with his wife.
A boy says "I don't know who I am" and leaves the town. ~ After World War I, a soldier comes home.
A detective who cannot find the killer loses his mind. ~ M*A*S*H surgeons keep their humor in the war.
Gamma is a quiet drama. ~ Two women meet at sea. He says "Go."
Great Britain, 1940: a pilot and his crew return. ~ The film follows a boy who does not know his father.
A writer falls in love with an AI assistant.
A man without a name, with no information about his past, wakes up."""


def test_markup_goes_and_words_stay():
    for given, kept in (*INSIDE.items(), *((text, text) for text in SOUND.replace("\n", " ~ ").split(" ~ "))):
        assert read(given) == (kept, "")


REFUSED = """I'm sorry, but I don't have any information about this film. ~ As an AI, I cannot watch films.
I don't know. ~ I am not familiar with it. ~ Unfortunately, this is hard. ~ I can't do that, as it may hurt.
The movie is not known to me. ~ No information is available about this movie.
This film does not exist in my database. ~ Sorry, that film is unknown. ~ Sure! I have no data on it.
It seems I lack details. ~ The requested movie could not be identified. ~ We could not find it.
Could you give me more details about the film? ~ Not enough information to describe the movie.
I do not know this film.\\n\\nIt may be about a man.
A quiet drama. Note: the plot was guessed. ~ A drama. Please note that this may be wrong.
As a language model, describing it is impossible.
There is no widely known film by this name. ~ It is unclear which movie is meant.
Unable to describe it, with no data."""
NONE = {
    "not known": ["<think>\nI do not know it.\n</think>\nUNKNOWN", "Answer: UNKNOWN.", "**unknown**", "UNKNOWN movie"],
    "refused": REFUSED.replace("\n", " ~ ").replace("\\n", "\n").split(" ~ "),
    "empty": ["", " \n", "<think>It never ends", "<think>a</think>", "<|channel|>analysis<|message|>We think"],
    "cut short": ["A quiet drama of a town whose...", "A quiet drama. It is the", "```\nA quiet drama of the"],
    "too short": ["Drama.", "N/A", "null", "No idea.", "Gamma", "**Gamma (1993)**", "Gamma (1993)."],
    "too long": ["a " * 401 + "town.", "a" * 10**6],
    "in another form": ['{"plot": null}', '{"plot": "A quiet dra', '{"title": "Gamma", "year": 1}', "A | b."],
    "the question repeated": [TASK, "{}\n" + TASK[:120]],
    "not in English": [
        "Es tut mir leid, ich kenne diesen Film nicht.",
        "Lo siento, no tengo información.",
        "抱歉，我没有关于这部电影的任何信息，因此无法为您提供剧情描述，请提供更多详情。",
    ],
}


def test_what_is_no_description_is_counted_for_its_reason():
    for reason, text in ((reason, text) for reason, texts in NONE.items() for text in texts):
        assert read(text) == ("", reason), text
    for end, reason in {"length": "cut short", "max_tokens": "cut short", "content_filter": "refused"}.items():
        assert read(TEXT, end) == ("", reason)
    assert read(TEXT, "end_turn") == read(TEXT, "") == (TEXT, "")
