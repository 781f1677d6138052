"""Users by their ratings, against a loop in plain Python; and by what they said in dialogues of each published form."""

import json
from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import ChoiceError, DataError
from recommender.data.interactions import Interactions
from recommender.text.dialogues import RECOMMENDER, SEEKER, Dialogue, Turn, gather, read_dialogues, words_before
from recommender.text.people import METHODS, UserVectorSettings, mix, mix_users, user_vectors

DAY = 86_400


def ratings(n_users: int = 60, n_movies: int = 40, seed: int = 3) -> Interactions:
    """Some people rate 2 movies, some all; some give one value to all; the last of the users rate nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        n = int(rng.integers(2, n_movies + 1)) if user % 3 else n_movies
        movies = rng.permutation(n_movies)[:n]
        stars = np.full(n, 4.5) if user % 10 == 7 else rng.integers(1, 11, n) / 2
        rows += [(user, int(f), float(s), int(rng.integers(900)) * DAY) for f, s in zip(movies, stars)]
    users, movies, stars, times = np.array(rows).T
    return Interactions.from_columns(
        users * 2, movies * 7, stars, times, np.arange(n_movies) * 7, np.arange(n_users + 2) * 2
    )


def vectors(n_movies: int = 40, d: int = 5, without: int = 6) -> np.ndarray:
    found = np.random.default_rng(5).standard_normal((n_movies, d)).astype(np.float32)
    found[:without] = 0
    return found


def by_hand(data: Interactions, movies: np.ndarray, s: UserVectorSettings) -> dict[int, np.ndarray]:
    result = {}
    for user in range(data.n_users):
        part = range(data.indptr[user], data.indptr[user + 1])
        known = [i for i in part if movies[data.movie_rows[i]].any()]
        weights = {i: 1.0 for i in known if data.ratings[i] >= s.rating_threshold}
        if len(weights) < s.min_movies:
            continue
        mean = sum(float(data.ratings[i]) for i in part) / len(part)
        above = {i: float(data.ratings[i]) - mean for i in part[-s.n_last :] if i in known}
        above = {i: weight for i, weight in above.items() if weight > 1e-6 and s.method == "weighted"}
        if s.method == "temporal" or above:  # from the last rating of all: the scale drops out
            ages = {i: (data.times[part[-1]] - data.times[i]) / DAY for i in part}
            weights = {i: weight * 0.5 ** (ages[i] / s.half_life_days) for i, weight in (above or weights).items()}
        total = sum(weight * movies[data.movie_rows[i]].astype(np.float64) for i, weight in weights.items())
        result[int(data.user_ids[user])] = total / np.linalg.norm(total)
    return result


def run(data: Interactions, movies: np.ndarray, **settings: object) -> tuple[np.ndarray, np.ndarray]:
    return user_vectors(data, movies, UserVectorSettings(**settings), np.random.default_rng(0))


@pytest.mark.parametrize("method", ["average", "temporal", "weighted"])
@pytest.mark.parametrize("n_last", [3, 50])
def test_the_loop_over_people_gives_the_same(method: str, n_last: int) -> None:
    data, movies = ratings(), vectors()
    settings = UserVectorSettings(method=method, n_last=n_last, half_life_days=100)
    expected = by_hand(data, movies, settings)
    ids, found = user_vectors(data, movies, settings, np.random.default_rng(0))
    assert ids.tolist() == sorted(expected)
    np.testing.assert_allclose(found, [expected[user] for user in ids.tolist()], atol=2e-5)


def test_ratings_years_before_the_last_one_still_count() -> None:
    data = Interactions.from_columns([1] * 4, [1, 2, 3, 4], [5, 4.5, 4, 1], [0, 0, 0, 9000 * DAY])
    for method, weights in (("temporal", [1, 1, 1]), ("weighted", [1.375, 0.875, 0.375])):
        _, found = run(data, np.eye(4, dtype=np.float32), method=method, half_life_days=1)
        np.testing.assert_allclose(found, [[*weights / np.linalg.norm(weights), 0]], rtol=1e-5)


def test_all_methods_keep_the_same_people_and_every_setting_matters() -> None:
    data, movies = ratings(), vectors()
    found = {method: run(data, movies, method=method) for method in METHODS}
    assert len({tuple(ids) for ids, _ in found.values()}) == 1
    assert len({part.tobytes() for _, part in found.values()}) == len(METHODS)
    assert np.array_equal(run(data, movies, method="random")[1], found["random"][1])
    other = user_vectors(data, movies, UserVectorSettings(method="random"), np.random.default_rng(1))[1]
    assert not np.allclose(other, found["random"][1])
    base = {"method": "weighted", "n_last": 10}
    changes = ({"rating_threshold": 5.0}, {"min_movies": 12}, {"n_last": 5}, {"half_life_days": 10.0})
    results = [run(data, movies, **{**base, **change})[1].tobytes() for change in ({}, *changes)]
    assert len(set(results)) == len(results)
    nobody = Interactions.from_columns([], [], [], [], np.array([1, 2]))
    for method in METHODS:
        assert run(nobody, np.ones((2, 3), np.float32), method=method)[1].shape == (0, 3)


X, Y, NONE = (np.array([row], np.float32) for row in ((1, 0), (0, 1), (0, 0)))


def test_the_share_of_ratings_is_alpha_and_lengths_play_no_part() -> None:
    np.testing.assert_allclose(mix(X * 9, Y * 0.01)[0], np.array([0.7, 0.3]) / np.hypot(0.7, 0.3), atol=1e-6)
    np.testing.assert_allclose(mix(X, Y, 0.2)[0], np.array([0.2, 0.8]) / np.hypot(0.2, 0.8), atol=1e-6)
    for alpha in (0.0, 0.7, 1.0):  # one side missing gives the other
        assert mix(X * 3, NONE, alpha).tolist() == X.tolist()
        assert mix(NONE, Y * 3, alpha).tolist() == Y.tolist()
        assert mix(NONE, NONE, alpha).tolist() == NONE.tolist()


def test_users_are_joined_by_id_whatever_its_type() -> None:
    rated = np.array([[1, 0], [0, 2], [1, 1]], np.float32)
    texts = np.array([[0, 4], [3, 0], [0, 0]], np.float32)
    ids, origins, mixed = mix_users([9, 10, 2], rated, ["10", "redial:5", "77"], texts, 0.7)
    assert ids.tolist() == ["2", "9", "10", "redial:5"]  # nothing is known of 77
    assert origins.tolist() == ["ratings", "ratings", "both", "text"]
    np.testing.assert_allclose(mixed, [[0.5**0.5, 0.5**0.5], [1, 0], [0, 1], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(mix_users([9], X, ["9"], Y, 0.7)[2], mix(X, Y, 0.7))
    assert mix_users([], NONE[:0], ["a"], Y)[2].tolist() == Y.tolist()
    assert mix_users([7], X, [], NONE[:0])[0].tolist() == ["7"]


SAMPLE = Path(__file__).parent / "dialogues" / "redial_sample.jsonl"

INSPIRED = """\
dialog_id\tutt_id\tspeaker\tturn_id\ttext\tmovies\r
a.pkl\t1\tRECOMMENDER\t1\tHello\t\r
a.pkl\t2\tSEEKER\t1\t"Airplane" made me laugh\tAirplane!\r
b.pkl\t1\tSEEKER\t1\tSomething QUOTATION_MARKslowQUOTATION_MARK, please\t\r
a.pkl\t3\tSEEKER\t2\tthe dialogue goes\ron\u2028here\t\r
"""


def test_ccpe_gives_turns_in_order_with_roles(tmp_path: Path) -> None:
    said = [(1, "USER", "I like heist movies, such as Ocean's Eleven."), (0, "ASSISTANT", "which movies do you like?")]
    said += [(2, "ASSISTANT", "why?"), (3, "USER", "They are clever — et pas bêtes.")]
    ccpe = [
        {"conversationId": name, "utterances": [{"index": i, "speaker": who, "text": text} for i, who, text in lines]}
        for name, lines in (("CCPE-00001", said), ("CCPE-00002", [(0, "ASSISTANT", "hello")]))
    ]
    (tmp_path / "data.json").write_text(json.dumps(ccpe), encoding="utf-8")
    first, second = read_dialogues(tmp_path / "data.json")
    assert [turn.role for turn in first.turns] == [RECOMMENDER, SEEKER, RECOMMENDER, SEEKER]
    assert first.turns[1] == Turn(SEEKER, "", "I like heist movies, such as Ocean's Eleven.")
    words = "I like heist movies, such as Ocean's Eleven.\nThey are clever — et pas bêtes."
    assert gather([first, second]) == {"ccpe:CCPE-00001": words}  # no word of a seeker in the other


def test_inspired_keeps_quotation_marks_and_joins_turns_of_a_dialogue(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(INSPIRED.encode())
    dialogues = read_dialogues(tmp_path / "a.tsv")
    assert [len(dialogue.turns) for dialogue in dialogues] == [3, 1]
    said = {"a": '"Airplane" made me laugh\nthe dialogue goes on here', "b": 'Something "slow", please'}
    assert gather(dialogues) == {f"inspired:{name}.pkl": text for name, text in said.items()}


def test_redial_resolves_mentions_and_knows_who_asked() -> None:
    dialogues = read_dialogues(SAMPLE)
    first = dialogues[0]
    assert first.turns[1] == Turn(SEEKER, "271", "Hi im looking for a good horroe movie like @135508")
    assert (first.dialog_id, first.turns[2].role) == ("16162", RECOMMENDER)
    assert first.titles["202190"] == "The Shining (1980)"  # the data has two spaces
    assert "\nI thought It Follows (2014) was creepy those were good" in gather(dialogues[:1])["redial:271"]
    assert dialogues[1].liked == ("126237", "175096")
    assert dialogues[3].liked == ()  # the answers are written as an empty list


def test_tables_as_spreadsheets_write_them_with_ids_that_meet_those_who_rate(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    for content in (
        "Dialog ID;Speaker ID;Text\n1;12.0;slow ones, please\n\n2;nan;café\n",
        "dialogue_id\tuser_id\tutterance\r\n1\t12\tslow ones, please\r\n2\t\tcafé\r\n",
        '"","dialog_id","speaker_id","text"\n"1","1","12","slow ones, please"\n"2","2",NA,"café"\n',
        "dialog_id;speaker;text\n1;12;slow ones, please\n2;RECOMMENDER;so?\n2;seeker;café\n",
    ):
        path.write_bytes(content.encode("cp1252"))
        notes: list[str] = []
        assert gather(read_dialogues(path, notes=notes)) == {"12": "slow ones, please", "2": "café"}
        assert "read as cp1252" in notes[0]
    lines = 'a,12,,"slow ones, please"', "a,13,recommender,try heists", 'b,12,seeker,"with\na laugh"', "c,,,heist"
    path.write_text("\n".join(["dialog_id,speaker_id,role,text", *lines, ""]), encoding="utf-8")
    assert gather(read_dialogues(path)) == {"12": "slow ones, please\nwith a laugh", "c": "heist"}


def test_words_before_a_movie_hold_nothing_said_later_and_no_title_whole_in_any_case() -> None:
    titles = {"1": "Star Wars: The Last Jedi (2017)", "2": "Heat (1995)", "3": "Matrix, The (1999)"}
    text = "star wars bored, HEAT does not, heated talk by wheat does; the matrix? Star Wars: the last jedi? @1 or @2"
    talk = Dialogue("redial", "1", (Turn(SEEKER, "1", text), Turn(SEEKER, "1", "later @3")), titles)
    assert words_before(talk, "2") == "bored, does not, heated talk by wheat does; ? ? or"
    assert words_before(talk, "1") == "bored, does not, heated talk by wheat does; ? ?"
    assert words_before(talk, "4") is None


def test_mentions_without_a_title_are_taken_out(tmp_path: Path) -> None:
    asked = (("50", 1, 1), ("51", 0, 1), ("52", 1, 2), ("53", 1, 0))
    entry = {"conversationId": 5, "initiatorWorkerId": 1, "respondentWorkerId": 2}
    entry["initiatorQuestions"] = {i: {"suggested": 0, "seen": seen, "liked": liked} for i, seen, liked in asked}
    entry["messages"] = [{"senderWorkerId": 1, "text": "I saw @50, @51, @51 and @52"}]
    entry["movieMentions"] = {"50": None, "51": "Heat (1995)"}
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(entry) + "\n\n", encoding="utf-8")
    (talk,) = read_dialogues(path)
    assert talk.liked == ("51",)  # the only one with a title, though it was not seen
    assert list(gather([talk]).values()) == ["I saw , Heat (1995), Heat (1995) and"]


REDIAL = json.loads(SAMPLE.read_text(encoding="utf-8").splitlines()[0])
BAD_REDIAL = (
    ("messages", [{"senderWorkerId": REDIAL["initiatorWorkerId"], "text": None}], "text is None, not str"),
    ("messages", [{"senderWorkerId": 10**9, "text": "so?"}], "1000000000 is missing or unknown"),
    ("movieMentions", {"7": ["Heat"]}, "7 is .'Heat'., not str"),
    ("movieMentions", ["7"], "movieMentions is .'7'., not dict"),
    ("initiatorQuestions", {"7": {"seen": 1}}, "liked.*missing"),
    ("conversationId", None, "conversationId is None"),
    ("initiatorWorkerId", REDIAL["respondentWorkerId"], "is missing or unknown"),
)


def test_files_of_another_form_are_refused_in_one_line(tmp_path: Path) -> None:
    for name, content, place in (
        ("data.json", "[}", "as a whole"),
        ("data.json", '[{"conversationId": "x", "utterances": [{"index": 0, "speaker": "ME", "text": ""}]}]', "'ME'"),
        ("data.json", "1" * 5000, "as a whole"),  # Python reads no number as long as that
        ("data.json", "5", "content is 5, not list"),
        ("data.json", '[{"conversationId": "x", "utterances": [{"index": 1e999, "speaker": "USER"}]}]', "index is inf"),
        ("data.json", '[{"conversationId": 5, "utterances": []}]', "dialogue 1.*conversationId is 5"),
        ("data.json", "[7]", "dialogue 1.*utterances.*missing"),
        ("a.jsonl", '{"a": 1}\n', "line 1"),
        ("a.jsonl", "\n{", "line 2"),
        *(("a.jsonl", json.dumps({**REDIAL, name: value}), f"line 1.*{said}") for name, value, said in BAD_REDIAL),
        ("a.tsv", "dialog_id\ttext\nx\ty\n", "no column speaker"),
        ("a.tsv", "dialog_id\tspeaker\ttext\nx\tsomebody\ty\n", "line 2.*'somebody' is missing or unknown"),
        ("a.tsv", "dialog_id\tspeaker\ttext\nx\tSEEKER\n", "line 2: 2 columns"),
        ("a.tsv", "dialog_id\tspeaker\ttext\nx\tSEEKER\ty\tz\n", "line 2: 4 columns"),
        ("a.tsv", "", "is empty"),
        ("a.tsv", "dialog_id\tspeaker\ttext\n", "no dialogue"),
        ("a.csv", "dialog_id,speaker_id,text\n1,2\n", "line 2: 2 columns"),
        ("a.csv", "dialog_id,speaker_id,text\n,2,x\n", "line 2"),
        ("a.csv", "dialog_id,speaker_id,text\n\n1,zed,I like robots, heists\n", "line 3: 4 columns, .*in quotes"),
        ("a.csv", 'dialog_id,speaker_id,text\n1,zed,"I like heists\n2,bob,"slow ones"\n', "line 2"),
        ("a.csv", "dialog_id,speaker_id,text\n1,zed,one\nnan,bob,two\n", "line 3.*dialog_id 'nan'"),
        ("a.csv", "dialog_id,speaker_id,text,role\n1,2,x,user\n", "seeker or recommender"),
    ):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=place) as caught:
            read_dialogues(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    for name, error, said in (("none.json", DataError, "no dialogues at"), ("a.txt", ChoiceError, "ends with .json")):
        with pytest.raises(error, match=said):
            read_dialogues(tmp_path / name)
    for name in ("a.jsonl", "a.csv"):
        (tmp_path / name).write_bytes(b"dialog_id,speaker_id,text\n1,2,\x81")
        with pytest.raises(DataError, match=r"not valid UTF-8.*: convert the file"):
            read_dialogues(tmp_path / name)
