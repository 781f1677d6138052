"""What is remembered of people: killed, shared, damaged and full stores; no byte is left of who is forgotten."""

import json
import os
import random
import signal
import sqlite3
import time

import numpy as np
import pytest

from recommender.data.errors import ArtifactError, ChoiceError, TastevecError
from recommender.people.store import Remembered, Store, _checksum
from recommender.text.base import BaseEmbeddingBackend, Identity
from tests.tiny import in_child

resource = pytest.importorskip("resource", reason="needs fork, kill -9 and limits")
SPACE = Identity("words", "v1", 3)
AXES = np.eye(3, dtype=np.float32)
ANN = Remembered(AXES[1], SPACE, 2, {7: "like", 3: "dislike"}, ("a quiet heist", "in Lisbon"))


class Letters(BaseEmbeddingBackend):
    """Counts a, b and c: vectors that can be checked by hand."""

    name = "letters"

    def _raw_vectors(self, texts):
        return [[text.count(letter) for letter in "abc"] for text in texts]


def same(one, other):
    np.testing.assert_array_equal(one.vector, other.vector)
    return one._replace(vector=None) == other._replace(vector=None)


def content_of(path):
    """All bytes of the store and the files beside it."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(path.name + "*")))


def refusal(function, *arguments):
    with pytest.raises(TastevecError) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def turn(memory):
    """One turn: the number of the turn is the movie that is answered."""
    n = memory.n_messages
    heard = memory.hear("", AXES[n % 3], SPACE)
    return heard._replace(answers={**memory.answers, n: "like"})


def take_turn(store, user, change=turn):
    """Load, change, save; again where another process comes in between."""
    while True:
        new = change(store.load(user) or Remembered())
        try:
            store.save(user, new)
            return new
        except ArtifactError as error:
            if "load it again" not in str(error):
                raise


def after_turns(n):
    """What n turns give, by the formula, in float64."""
    u = np.eye(3)[0]
    for i in range(1, n):
        u = 0.8 * u + 0.2 * np.eye(3)[i % 3]
        u /= np.linalg.norm(u)
    return u


def test_the_taste_is_the_moving_average_and_a_store_gives_back_what_it_got(tmp_path):
    memory = Remembered().hear("x", np.zeros(3), SPACE)
    assert (memory.vector, memory.identity, memory.n_messages) == (None, None, 1)
    memory = memory.hear("x", AXES[0], SPACE).hear("y", AXES[1], SPACE).hear("zero", np.zeros(3), SPACE)
    np.testing.assert_allclose(memory.vector, np.array([4, 1, 0]) / 17**0.5, rtol=1e-6)
    with Store(tmp_path / "new" / "a.db", keep_text=True) as store:
        assert store.load("Ann") is None
        for user, given in (("Ann", ANN), ("Zoë 2", memory), ("nobody yet", Remembered())):
            store.save(user, given)
        store.save("Ann", ANN._replace(answers={np.int64(7): "like", 3: "dislike"}))
    with Store(tmp_path / "new" / "a.db", keep_text=True) as store:
        assert store.users() == ["Ann", "Zoë 2", "nobody yet"]
        assert same(store.load("Ann"), ANN)
        assert list(store.load("Ann").answers) == [7, 3], "the order of the answers is kept"
        assert same(store.load("Zoë 2"), memory)
        assert store.load("Zoë 2").vector.dtype == np.float32
        assert store.load("nobody yet") == Remembered()
        assert store.load("ann") is None
        older = [*ANN[:3], [*ANN.answers.items()], [7, 3, 9], [11], *ANN[4:]]  # with lists of what was seen, and later
        content = json.dumps(older, default=lambda vector: vector.tolist())
        store.do("UPDATE people SET content = ?, checksum = ? WHERE name = 'Ann'", content, _checksum("Ann", content))
        assert same(store.load("Ann"), ANN)


def test_what_was_said_is_stored_on_request_only(tmp_path):
    path = tmp_path / "a.db"
    with Store(path) as store:
        store.save("Ann", ANN)
        assert store.load("Ann").texts == ()
        assert b"quiet" not in content_of(path)
    with Store(path, keep_text=True) as store:
        take_turn(store, "Ann", lambda memory: ANN._replace(texts=ANN.texts * 500))
        take_turn(store, "Ann", lambda memory: ANN)
        assert store.load("Ann").texts == ANN.texts
    assert b"quiet" in content_of(path)
    with Store(path) as store:
        take_turn(store, "Ann", lambda memory: memory)
        assert store.load("Ann").texts == ()
    assert b"quiet" not in content_of(path)


def test_the_taste_of_another_backend_is_made_anew_from_texts_or_refused_by_name():
    letters, memory = Letters(), Remembered().hear("ab", AXES[2], SPACE).hear("cc", AXES[1], SPACE)
    anew = memory.in_space_of(letters)
    np.testing.assert_allclose(anew.vector * np.linalg.norm([0.8, 0.8, 0.2 * 2**0.5]), [0.8, 0.8, 0.2 * 2**0.5], 1e-6)
    assert (anew.identity, anew.n_messages, anew.texts) == (letters.identity, 2, ("ab", "cc"))
    assert anew.in_space_of(letters) is anew
    assert "words v1 3, not letters" in refusal(memory._replace(texts=("cc",)).in_space_of, letters)
    wider = SPACE._replace(dimension=4)
    assert "dimension=4" in refusal(memory.hear, "", np.ones(4) / 2, wider)
    assert Remembered(n_messages=3).in_space_of(letters).identity is None


def keep_turning(path, out):
    with Store(path) as store:
        while True:
            os.write(out, bytes([take_turn(store, "Ann").n_messages % 256]))
            take_turn(store, "Bob", lambda memory: ANN)
            store.forget("Bob")


@pytest.mark.parametrize("n_kills", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_killed_in_the_middle_of_turns_nothing_is_lost_that_was_answered(tmp_path, n_kills):
    path, rng, answered, middles = tmp_path / "a.db", random.Random(1), 0, 0
    for _ in range(n_kills):
        back, out = os.pipe()
        child = in_child(keep_turning, path, out)
        os.close(out)
        for _ in range(rng.randrange(4)):
            answered, before = answered + 1, answered
            assert os.read(back, 1) == bytes([answered % 256]), f"turn {before} was lost"
        time.sleep(rng.random() * 0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while os.read(back, 1):
            answered += 1
        os.close(back)
        with Store(path) as store:
            middles += "Bob" in store.users()
            memory = store.load("Ann") or Remembered()
            assert answered <= memory.n_messages <= answered + 1
            assert (*memory.answers,) == (*range(memory.n_messages),)
            if answered := memory.n_messages:
                np.testing.assert_allclose(memory.vector, after_turns(answered), atol=1e-5)
            assert store.do("PRAGMA integrity_check") == [("ok",)]
    assert answered > n_kills
    assert 0 < middles < n_kills, "some were killed before Bob was forgotten, some not"
    with Store(path) as store:
        store.forget("Bob")
        assert b"Bob" not in content_of(path)


def take_turns(path, user, n):
    with Store(path, wait=60) as store:
        for _ in range(n):
            take_turn(store, user)


def test_processes_share_a_store(tmp_path):
    path = tmp_path / "a.db"
    children = [in_child(take_turns, path, user, 30) for user in ("Ann", "Ann", "Bob")]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    with Store(path) as store:
        for user, n in (("Ann", 60), ("Bob", 30)):
            assert (*store.load(user).answers,) == (*range(n),)
            np.testing.assert_allclose(store.load(user).vector, after_turns(n), atol=1e-5)


def test_nobody_writes_over_what_another_process_has_stored(tmp_path):
    with Store(tmp_path / "a.db") as one, Store(tmp_path / "a.db", wait=0) as two:
        assert one.load("Ann") is two.load("Ann") is None
        one.save("Ann", Remembered(n_messages=1))
        one.save("Ann", Remembered(n_messages=2))
        assert "load it again" in refusal(two.save, "Ann", Remembered(n_messages=1))
        assert "load it again" in refusal(two.save, "Ann", Remembered(n_messages=1))
        take_turn(two, "Ann", lambda memory: memory._replace(n_messages=memory.n_messages + 1))
        two.save("Ann", two.load("Ann")._replace(answers={1: "seen"}))
        one.load("Ann")
        two.forget("Ann")
        assert "load it again" in refusal(one.save, "Ann", Remembered(n_messages=4)), "forgotten is forgotten"
        assert one.load("Ann") is None
        two.save("Ann", Remembered())
        one.load("Ann")
        find, refused = one._find, []
        one._find = lambda user: (find(user), refused.append(refusal(two.save, "Ann", Remembered(n_messages=8))))[0]
        one.save("Ann", Remembered(n_messages=7))
        assert "locked" in refused[0], "nobody writes while another does"
        assert two.load("Ann").n_messages == 7
        two.save("Ann", Remembered(n_messages=9))
        assert find("Ann")[0].n_messages == 9


def test_no_byte_of_a_person_is_left_after_forgetting(tmp_path):
    path = tmp_path / "a.db"
    taste = np.array([0.123456789, 0.6, 0], np.float32)
    taste /= np.linalg.norm(taste)
    said = tuple(f"a quiet heist in Lisbon, number {i}" for i in range(400))  # more than a page
    marks = [b"Annabel", b"quiet heist", str(float(taste[0])).encode(), b"987654", b"876543"]
    bob = Remembered(texts=("Bob's own words",) * 300)
    with Store(path, keep_text=True) as store, Store(path) as other:
        for n in range(100, 401, 100):
            store.save("Annabel", Remembered(taste, SPACE, n, {987654: "like", 876543: "seen"}, said[:n]))
            take_turn(store, "Bob", lambda memory: bob)
        other.load("Annabel")
        assert all(mark in content_of(path) for mark in marks)
        assert store.forget("Annabel")
        for content in (content_of(path), path.read_bytes()):
            assert not any(mark in content for mark in marks)
        assert not path.with_name("a.db-wal").stat().st_size
        assert store.do("PRAGMA freelist_count") == [(0,)], "the file shrinks"
        assert store.users() == other.users() == ["Bob"]
        assert store.load("Bob") == bob
        assert not store.forget("Annabel")
        store.save("Annabel", Remembered())  # may come back, as somebody new


def test_forgetting_says_so_when_a_reader_keeps_bytes_and_can_be_repeated(tmp_path):
    path = tmp_path / "a.db"
    with Store(path, wait=0) as store, Store(path) as reader:
        store.save("Annabel", ANN)
        reader.do("BEGIN")
        assert reader.users() == ["Annabel"]
        assert "forget Annabel again" in refusal(store.forget, "Annabel")
        reader._file.rollback()
        assert not store.forget("Annabel")
        assert b"Annabel" not in content_of(path)


def foreign(path):
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE people (name TEXT, content TEXT, checksum INTEGER)")
    file.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b"title,year\nHeat,1995\n" * 50), "not a database"),
        (lambda path: path.write_bytes(b"x"), "another program"),
        (foreign, "another program"),
        (lambda path: path.mkdir(), "cannot be used"),
        (lambda path: path.symlink_to("/dev/full"), "cannot be used"),
        (lambda path: path.symlink_to(path), "cannot be used"),
    ],
)
def test_a_file_of_others_is_refused_in_one_line_and_left_alone(tmp_path, make, said):
    path = tmp_path / "a.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    for _ in range(2):
        assert said in refusal(Store, path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.db"]
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_an_empty_file_becomes_a_store_for_its_owner_only(tmp_path):
    with Store(tmp_path / "a.db") as store:
        store.save("Ann", ANN)
        assert {file.stat().st_mode & 0o77 for file in tmp_path.iterdir()} == {0}
    (tmp_path / "b.db").touch()
    with Store(tmp_path / "b.db") as store:
        assert store.users() == []


def test_damage_is_noticed_wherever_it_is(tmp_path):
    path, rng, refused = tmp_path / "a.db", random.Random(2), 0
    with Store(path) as store:
        for user in ("Ann", "Bob"):
            store.save(user, ANN)
        known = store.load("Ann")
    sound = path.read_bytes()
    used = [place for place in range(len(sound)) if sound[place]]
    flipped = [(place, sound[place] ^ 1 << rng.randrange(8)) for place in used]
    contents = [sound[:place] + bytes([byte]) + sound[place + 1 :] for place, byte in flipped]
    for content in (*contents, *(sound[:length] for length in (1, 50, 100, 4096, 5000, 8192, len(sound) - 1))):
        path.write_bytes(content)
        try:
            with Store(path) as store:
                assert same(store.load("Ann"), known)
        except ArtifactError as error:
            refused += "\n" not in str(error)
    assert refused > len(contents) / 2


def test_a_full_disk_costs_the_turn_only(tmp_path):
    path, big = tmp_path / "a.db", Remembered(answers=dict.fromkeys(range(100_000), "seen"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store(path) as store:
        store.save("Ann", ANN)
        known = store.load("Ann")
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
            assert "cannot be used" in refusal(store.save, "Ann", big)
            assert same(store.load("Ann"), known)
            assert "cannot be used" in refusal(store.save, "Bob", big)
            store.save("Ann", known._replace(n_messages=3))
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
            assert "cannot be used" in refusal(Store, tmp_path / "b.db")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert store.users() == ["Ann"]
        assert same(store.load("Ann"), known._replace(n_messages=3))
        store.save("Ann", big)
        assert store.load("Ann") == big
        store.do("PRAGMA max_page_count = 1")  # as if the disk ended here
        assert "full" in refusal(store.save, "Ann", Remembered(answers=dict.fromkeys(range(300_000), "seen")))
        assert store.load("Ann") == big


@pytest.mark.parametrize("user", ["", "a\nb", "\udcff", "x" * 101, 5, None, "\x1b[31m"])
def test_a_name_that_is_none_is_refused(tmp_path, user):
    with Store(tmp_path / "a.db") as store:
        assert "name of a person" in refusal(store.load, user)
        assert "name of a person" in refusal(store.save, user, ANN)
        assert not store.forget(user)
        assert store.users() == []


@pytest.mark.parametrize("vector", [*(AXES[0] * factor for factor in (np.nan, 2, 0)), AXES, AXES[0, :2], None])
def test_a_taste_that_is_none_is_refused(tmp_path, vector):
    taste = Remembered(AXES[0], None) if vector is None else Remembered(vector, SPACE)
    with Store(tmp_path / "a.db") as store:
        with pytest.raises(ChoiceError, match="taste"):
            store.save("Ann", taste)
        assert store.users() == []
