"""`model.chat` as people meet it: a whole transcript, what is remembered and forgotten, JSON, a model, bad input."""

import json
import os
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from model import chat
from recommender.people.store import Remembered, Store
from tests.fake_server import Reply, says
from tests.test_session_program import Terminal, refused, run
from tests.test_session_program import with_texts as with_texts

TRANSCRIPT = """\
tastevec: 9 movies. What do you feel like? /help, /quit
> I loved Alpha (1980)
   understood: like Alpha (1980)
 1. The Beta (1981)  Action by Ann Lee: A movie about things.
    goes with Alpha (1980) (Action)
 2. Théta (1999)  Action
    goes with Alpha (1980) (Action)
> war
   understood: War
 1. Gamma (1982)  Action, War
    goes with Alpha (1980) (Action); fits your words “War”
 2. The Beta (1981)  Action by Ann Lee: A movie about things.
    goes with Alpha (1980) (Action)
> who directed it?
   understood: director: Gamma (1982)
   Gamma (1982): its director is not in the data
> not 2
   understood: The Beta (1981): not interested
 1. Gamma (1982)  Action, War
    goes with Alpha (1980) (Action); fits your words “War”
 2. Théta (1999)  Action
    goes with Alpha (1980) (Action)
> the first was great
   understood: Gamma (1982): like
 1. Théta (1999)  Action
    goes with Alpha (1980) (Action)
 2. Zeta (2005)  Drama, War
    fits your words “War”
> why the first?
   understood: why: Théta (1999)
   Théta (1999): goes with Alpha (1980) (Action)
> hi
   Say what you feel like: like Heat, but funnier; /help lists the commands
> ?!
   that names no movie and no wish: say what you feel like, such as: like Heat, but funnier
> /undo
   taken back
> /profile
   Genres: Action 1
   Top items: Alpha (1980)
   Taste: War; disliked: The Beta (1981)
> /export
   where to? /export films.csv writes films-likes.csv and films-watchlist.csv
> /nope
   '/nope' is no command: give one of /help, /watchlist, /undo, /profile, /export FILE.csv, /forget, /quit
> save 2 for later
   understood: Théta (1999): later
 1. Gamma (1982)  Action, War
    goes with Alpha (1980) (Action); fits your words “War”
 2. Zeta (1990)  Action, Drama
    goes with Alpha (1980) (Action)
> what's on my watchlist?
   on your watchlist: 1. Théta (1999)
> more
   understood: others than these
 1. Gamma (1982)  Action, War
    goes with Alpha (1980) (Action); fits your words “War”
 2. Zeta (1990)  Action, Drama
    goes with Alpha (1980) (Action)
> /watchlist
   on your watchlist: 1. Théta (1999)
> remove the first from my watchlist
   understood: Théta (1999): off the watchlist
 1. Gamma (1982)  Action, War
    goes with Alpha (1980) (Action); fits your words “War”
 2. Zeta (2005)  Drama, War
    fits your words “War”
> my watchlist
   on your watchlist: nothing yet; say: save 2 for later
> remove Alpha from my watchlist
   Alpha (1980) is not on your watchlist: what is on my watchlist? shows it
> bye
Goodbye.
"""
TYPED = "\n".join(re.findall("^> (.*)$", TRANSCRIPT, flags=re.MULTILINE)) + "\n"


@pytest.fixture
def talk(with_texts):
    """Talk with what is typed, a text, or a function that returns a line."""

    def talk(typed, *flags):
        def main(argv):
            if callable(typed):
                sys.stdin = SimpleNamespace(isatty=lambda: False, readline=typed)
            return chat.main(argv)

        return run("" if callable(typed) else typed, "--processed", with_texts, *flags, main=main, rule=[])

    return talk


@pytest.fixture
def store(tmp_path):
    return ["--store", tmp_path / "people.sqlite"]


@pytest.fixture
def model(server):
    return ["--base-url", server.url, "--model", "fake"]


def unusual(errors):
    return "".join(line for line in errors.splitlines(True) if "sessions learn by the moving average" not in line)


def titles(done):
    return re.findall(r"^ ?\d+\. (.*?\))  ", done.stdout, flags=re.MULTILINE)


def test_a_whole_conversation(talk):
    done = talk(TYPED, "--top", 2)
    assert (done.returncode, done.stdout) == (0, TRANSCRIPT)


def test_a_person_is_remembered_undone_and_forgotten_to_the_byte(talk, store, tmp_path):
    flags = [*store, "--user", "Zoe Quux"]
    first = talk("I loved Alpha (1980)\nnot 1\nwar\n/undo\n", *flags)
    assert first.stdout.endswith("\n> \nGoodbye.\n")
    refused_one = titles(first)[0]
    again = talk("war\n/profile\n", *flags)
    assert "Welcome back: 2 movies" in again.stdout
    assert "Top items: Alpha (1980)" in again.stdout
    assert refused_one not in titles(again)
    assert "Welcome back" not in talk("", *flags[:-1], "Bob").stdout
    talk("", *flags, "--forget", "Zoe Quux")
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert left
    assert b"Quux" not in left
    assert "Nothing is stored" in talk("", *flags, "--forget", "Zoe Quux").stdout
    assert "all that was known of you is forgotten" in talk("war\n/forget\n/profile\n", *flags).stdout
    assert "Welcome back" not in talk("", *flags).stdout


def test_nothing_is_stored_unless_asked_for_and_words_only_with_keep_text(talk, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    talk("I loved Alpha (1980), war\n")
    assert list(tmp_path.iterdir()) == []
    for more, kept in (([], False), (["--keep-text"], True)):
        talk("a heist of quicksilver\n", "--user", "ann", *more)
        files = [path for path in (tmp_path / "share").rglob("*") if path.is_file()]
        assert any(b"quicksilver" in path.read_bytes() for path in files) == kept


def test_commands_are_known_without_their_slash_but_nobody_is_forgotten_by_a_word(talk):
    done = talk("I loved Alpha (1980)\nwar\nUndo\nforget\nprofile\nq\nwar\n")
    assert "taken back" in done.stdout
    assert "Top items: Alpha (1980)" in done.stdout
    assert done.stdout.endswith("> q\nGoodbye.\n")


def test_of_a_long_message_the_first_thousand_letters_are_heard_and_kept(talk, store):
    done = talk(f"I loved Alpha (1980). {'war ' * 300}I loved Beta.\n", *store, "--keep-text")
    assert "of 1,235 letters the first 1,000" in done.stdout
    with Store(store[1]) as stored:
        assert [len(text) for text in stored.load("me").texts] == [1000]


def test_two_conversations_of_one_person_lose_nothing(talk, store):
    lines = iter(["I loved Alpha (1980)\n", "other", "I hated Iota (2001)\n", "/profile\n", ""])

    def readline():
        if (line := next(lines)) != "other":
            return line
        stdin = sys.stdin
        talk("I loved Delta (1983)\n", *store)
        sys.stdin = stdin
        return next(lines)

    done = talk(readline, *store)
    assert "Top items: Delta (1983); Alpha (1980)" in done.stdout
    assert "Welcome back: 3 movies" in talk("", *store).stdout


def test_a_message_that_another_conversation_overtakes_is_refused_and_may_be_said_again(talk, store, model, server):
    def quicker(messages):  # while the model thinks
        with Store(store[1]) as other:
            known = other.load("me") or Remembered()
            if not known.n_messages:
                other.save("me", known._replace(n_messages=1, answers={3: "favorite"}))
        return '{"place_1": 1}'

    server.chat = quicker
    done = talk("I loved Alpha (1980)\nI loved Alpha (1980)\n/profile\n", *store, *model)
    assert "say it again" in done.stdout
    assert len(titles(done)) == 5
    with Store(store[1]) as mine:
        known = mine.load("me")
    assert (known.n_messages, len(known.answers)) == (2, 2)


def test_who_is_forgotten_elsewhere_stays_forgotten(talk, store):
    lines = iter(["I loved Alpha (1980)\n", "war\n", "forget", "why the first?\n", "/undo\n", "/profile\n", ""])

    def readline():
        if (line := next(lines)) == "forget":
            with Store(store[1]) as other:
                other.forget("me")
            line = next(lines)
        return line

    done = talk(readline, *store)
    assert "Top items: nothing yet" in done.stdout
    assert "nothing to take back" in done.stdout
    with Store(store[1]) as left:
        assert left.users() == []


def test_what_cannot_be_written_does_not_end_the_conversation(talk, tmp_path):
    name = "x" * 300
    done = talk(f"I loved Alpha (1980)\n/export {tmp_path}/{name}.csv\n/profile\n")
    assert name in done.stdout
    assert "Top items: Alpha (1980)" in done.stdout


def test_refusals_come_back_with_the_person_and_wishes_do_not(talk, store):
    talk("I loved Alpha (1980), no war. Only from the 80s\n", *store)
    again = talk("something with action\n/profile\n", *store)
    assert "are known, not War." in again.stdout
    assert "not War\n" in again.stdout
    assert "Théta (1999)" in titles(again)
    assert not {"Gamma (1982)", "Zeta (2005)"} & {*titles(again)}
    talk("no filters\n", *store)
    assert "not War" not in talk("/profile\n", *store).stdout


def test_a_model_writes_the_profile_from_its_facts(talk, model, server):
    sent, said = [], ["You like thieves, as in Alpha. " + "Slow " * 200]
    server.chat = lambda messages: sent.append(messages[-1]["content"]) or said[0]
    typed = "I loved Alpha (1980)\n/profile\nwar\n"
    done = talk(typed, *model)
    (written,) = re.findall("   In short: (You like thieves, as in Alpha. .*)", done.stdout)
    assert len(written) <= 410
    assert "Top items: Alpha (1980)" in sent[2]  # the first message was asked for twice
    assert "In short: You like thieves" in sent[3]
    said[0] = 'You would love "Epsilon".'
    assert "In short" not in talk(typed, *model).stdout
    n_sent = len(sent)
    talk("/profile\n", *model)
    talk("/profile\n", *model, "--ids-only")
    assert len(sent) == n_sent  # of nobody known nothing is written, and ids only tell nothing
    server.chat = lambda messages: Reply(500)
    failed = talk(typed, *model)
    assert "Top items: Alpha (1980)" in failed.stdout
    assert "without the model: " in failed.stdout


def test_json_has_a_line_for_each_message(talk, tmp_path):
    log = tmp_path / "turns.jsonl"
    typed = "I loved Alpha (1980)\n\n?!\nwhy the first?\n/profile\n"
    done = talk(typed, "--json", "--log", log)
    turn, nothing, why, profile = map(json.loads, done.stdout.splitlines())
    assert turn["understood"] == "like Alpha (1980)"
    assert len(turn["suggestions"]) == 5
    assert {*turn["suggestions"][0]} == {"movie_id", "title", "year", "score", "because", "about"}
    assert [*nothing] == ["error"]
    assert turn["suggestions"][0]["title"] in why["answer"]
    assert profile["profile"]["Top items"] == "Alpha (1980)"
    assert json.loads(log.read_text().splitlines()[0])["candidates"] == turn["candidates"]


def test_a_model_chooses_and_its_sentences_are_checked(talk, model, server):
    sent = []

    def answer(messages):
        sent.append(messages[-1]["content"])
        numbers = {title: int(n) for n, title in re.findall(r"^(\d+)\. (.*?) \(\d{4}\)", sent[-1], flags=re.MULTILINE)}
        picks = {"place_1": numbers["Iota"], "place_1_reason": "As light as your Alpha.", "place_2": numbers["Delta"]}
        return json.dumps({**picks, "place_2_reason": 'Better than "Epsilon".', "place_3": 99})

    server.chat = answer
    done = talk("I loved Alpha (1980)\n", *model)
    assert titles(done)[:2] == ["Iota (2001)", "Delta (1983)"]
    assert len(titles(done)) == 5
    assert "    As light as your Alpha.\n" in done.stdout
    assert "Better than" not in done.stdout
    assert "Top items: Alpha (1980)" in sent[0]
    talk("I loved Alpha (1980)\n", *model, "--ids-only")
    assert "Top items" not in sent[-1]
    n_sent = len(sent)
    talk("I loved Alpha (1980)\n", *model, "--offline")
    assert len(sent) == n_sent
    server.chat = lambda messages: Reply(500)
    done = talk("I loved Alpha (1980)\n", *model)
    assert len(titles(done)) == 5
    assert "without the model: " in done.stdout


def test_a_request_is_shown_as_it_would_be_sent_and_is_not_sent(talk, model, server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-1234567890abcdef")
    flags = [*model, "--key-variable", "MY_KEY"]
    done = talk("I loved Alpha (1980)\n", *flags, "--show-request")
    assert server.requests == []
    assert len(titles(done)) == 5
    assert "without the model: nothing was sent" in done.stdout
    assert "Authorization: Bearer *** of MY_KEY" in done.stdout
    assert "sk-1234567890" not in done.stdout + done.stderr
    body, _ = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{") :])
    as_json = talk("I loved Alpha (1980)\n", *flags, "--show-request", "--json").stdout.splitlines()
    assert server.requests == []
    assert [*json.loads(as_json[0])] == ["request"]
    talk("I loved Alpha (1980)\n", *flags)
    sent = server.requests[0]
    assert sent.headers["Authorization"] == "Bearer sk-1234567890abcdef"
    assert sent.body == body == json.loads(as_json[0])["request"]["body"]
    assert json.loads(as_json[0])["request"]["url"] == server.url + "/chat/completions"


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_on_a_terminal_the_model_is_seen_at_work_and_nothing_of_that_stays(talk, with_texts, model, server):
    picks = {
        "place_1": 5,
        "place_1_reason": "As li\x07ght as a feather in the wind, as \x1b[31mAlpha.",
        "place_2": 3,
        "place_2_reason": "Loud " * 30,
    }
    server.chat = lambda messages: replace(says(json.dumps(picks), stream=True), wait_in_body=1e-4)
    typed = "I loved Alpha (1980)\n/quit\n"

    def on_a_terminal(*more):
        terminal = Terminal(with_texts, *model, *more, main=chat.main, COLUMNS="80")
        os.write(terminal.handle, typed.encode())
        said = terminal.rest()
        assert terminal.exit_code() == 0
        return said

    shown = on_a_terminal()
    assert server.requests[-1].body["stream"] is True
    written = [
        re.sub(r"\x1b\[\S*?[A-Za-z]", "", part) for part in shown.split("\r") if re.search("fake: |   [.]{3}", part)
    ]
    assert written[0] == "   fake: ..."
    assert any(re.search(r"\(\d{4}\): As light(?!.*Alpha)", line) for line in written)
    assert any(re.fullmatch("   [.]{3}.* Loud Loud", line) for line in written), "its end, where it is long"
    assert max(map(len, written)) < 80
    lines = [line.rstrip("\r").split("\r")[-1] for line in shown.split("\n")]  # what is seen in the end
    assert not any("fake: " in line or line.startswith("   ...") for line in lines)
    assert "in the wind, as [31mAlpha." in shown.split("\x1b[?7h")[-1]
    assert "\x1b[31m" not in shown
    for more in (["--json"], ["--shuffles", "2"]):
        again = on_a_terminal(*more)
        assert "stream" not in server.requests[-1].body
        assert ("fake: ..." in again) == ("--json" not in more)
    talk(typed, *model)
    assert "stream" not in server.requests[-1].body, "a pipe"


FLAGS = [
    ("--top 0", "--top 0: give a number from 1 to 100"),
    ("--candidates 1000", "--candidates 1000"),
    ("--shuffles 0", "--shuffles 0"),
    ("--top five", "five"),
    ("--rerank llm", "--base-url and --model"),
    ("--base-url http://localhost:9 --rerank llm --model m --offline", "--offline"),
    ("--base-url localhost --model m", "localhost"),
    ("--show-request", "--show-request belongs to a chat model: give --base-url too"),
    ("--key-variable MY_KEY", "--key-variable belongs"),
    ("--base-url http://localhost:9 --model m --key-variable NO_SUCH_KEY", "NO_SUCH_KEY is not set"),
    ("--processed nowhere", "no movie list at nowhere"),
    ("--backend nope", "nope"),
    ("--log .", "is a folder"),
    ("--log setup.cfg", "setup.cfg is not of this program"),
    ("--store setup.cfg", "setup.cfg"),
    ("--user ''", "name of a person"),
    ("--nope", "unrecognized arguments: --nope"),
]


def test_who_waits_for_predicted_likes_is_told_and_asks_no_model(talk, model, server):
    done = talk("war\n", "--rerank", "score", *model)
    assert "making the predictor of likes ready" in done.stderr
    assert server.requests == []


def test_flags_that_are_refused(talk, store):
    for flags, message in FLAGS:
        given = [flag.strip("'") for flag in flags.split()]
        assert message in refused(talk("war\n", *(store if "--store" not in given else []), *given))


def test_ctrl_c_says_goodbye(talk):
    def readline():
        raise KeyboardInterrupt

    done = talk(readline)
    assert (done.returncode, unusual(done.stderr)) == (130, "")
    assert done.stdout.endswith("\nGoodbye.\n")
