"""The readers of dialogues on small files of each published form, and what is made of the words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import ChoiceError, DataError
from recommender.text.base import BaseEmbeddingBackend, Identity
from recommender.text.dialogue_profiles import embed_profiles, gather, liked_mentions, words_before, written_out
from recommender.text.dialogues import RECOMMENDER, SEEKER, Answer, Dialogue, Turn, read_dialogues
from recommender.text.mix import mix_people

SAMPLE = Path(__file__).parent / "dialogues" / "redial_sample.jsonl"
SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"

CCPE = [
    {
        "conversationId": "CCPE-00001",
        "utterances": [
            {"index": 1, "speaker": "USER", "text": "I like heist movies, such as Ocean's Eleven.", "segments": []},
            {
                "index": 0,
                "speaker": "ASSISTANT",
                "text": "which movies do you like?",
                "segments": [
                    {
                        "startIndex": 6,
                        "endIndex": 11,
                        "text": "movies",
                        "annotations": [{"annotationType": "ENTITY_OTHER", "entityType": "SOMETHING_ELSE"}],
                    }
                ],
            },
            {"index": 2, "speaker": "ASSISTANT", "text": "why?", "segments": []},
            {"index": 3, "speaker": "USER", "text": "They are clever — et pas bêtes.", "segments": []},
        ],
    },
    {"conversationId": "CCPE-00002", "utterances": [{"index": 0, "speaker": "ASSISTANT", "text": "hello"}]},
]
INSPIRED = [
    ["dialog_id", "utt_id", "speaker", "turn_id", "text", "movies"],
    ["a.pkl", "1", "RECOMMENDER", "1", "Hello", ""],
    ["a.pkl", "2", "SEEKER", "1", '"Airplane" made me laugh', "Airplane!"],
    ["b.pkl", "1", "SEEKER", "1", "Something QUOTATION_MARKslowQUOTATION_MARK, please", ""],
    ["a.pkl", "3", "SEEKER", "2", "the dialogue goes\ron\u2028here", ""],
]


def write_ccpe(folder: Path) -> Path:
    path = folder / "data.json"
    path.write_text(json.dumps(CCPE), encoding="utf-8")
    return path


def write_inspired(folder: Path) -> Path:
    path = folder / "dialogues.tsv"
    path.write_bytes("\r\n".join("\t".join(row) for row in INSPIRED).encode() + b"\r\n")
    return path


def test_ccpe_gives_turns_in_order_with_roles(tmp_path: Path) -> None:
    first, second = read_dialogues(write_ccpe(tmp_path))
    assert first.dialog_id == "CCPE-00001"
    assert [turn.role for turn in first.turns] == [RECOMMENDER, SEEKER, RECOMMENDER, SEEKER]
    assert first.turns[1] == Turn(SEEKER, "", "I like heist movies, such as Ocean's Eleven.")
    profiles = gather([first, second])
    assert profiles.ids == ["ccpe:CCPE-00001"]
    assert profiles.texts == ["I like heist movies, such as Ocean's Eleven.\nThey are clever — et pas bêtes."]
    assert profiles.n_silent == 1
    assert gather([first, second], roles=(RECOMMENDER,)).texts == ["which movies do you like?\nwhy?", "hello"]


def test_inspired_keeps_quotation_marks_and_joins_turns_of_a_dialogue(tmp_path: Path) -> None:
    dialogues = read_dialogues(write_inspired(tmp_path))
    assert [len(dialogue.turns) for dialogue in dialogues] == [3, 1]
    profiles = gather(dialogues)
    assert profiles.ids == ["inspired:a.pkl", "inspired:b.pkl"]
    assert profiles.texts[0].split("\n") == ['"Airplane" made me laugh', "the dialogue goes on here"]
    assert profiles.texts[1] == 'Something "slow", please'


def test_redial_resolves_mentions_and_knows_who_asked() -> None:
    dialogues = read_dialogues(SAMPLE)
    assert [dialogue.dialog_id for dialogue in dialogues] == ["16162", "14465", "19049", "10543"]
    first = dialogues[0]
    assert first.turns[1] == Turn(SEEKER, "271", "Hi im looking for a good horroe movie like @135508", ("135508",))
    assert first.turns[2].role == RECOMMENDER
    assert first.turns[2].mentions == ("202190", "83192")
    assert first.titles["202190"] == "The Shining (1980)"  # the data has two spaces
    assert written_out(first, first.turns[3].text) == "I thought It Follows (2014) was creepy those were good"
    assert dialogues[1].answers[SEEKER]["92883"] == Answer(suggested=True, seen=None, liked=None)
    assert dialogues[1].answers[SEEKER]["205480"] == Answer(suggested=True, seen=False, liked=None)
    assert dialogues[2].answers[RECOMMENDER]["163704"].liked is False
    assert dialogues[3].answers == {SEEKER: {}, RECOMMENDER: {}}  # written as empty lists
    assert liked_mentions(dialogues[1]) == ["126237", "175096"]
    assert liked_mentions(dialogues[3]) == []


def test_a_table_of_ones_own_gives_ids_that_meet_those_who_rate(tmp_path: Path) -> None:
    path = tmp_path / "words.csv"
    path.write_text(
        "dialog_id,speaker_id,role,text\n"
        'a,12,,"slow ones, please"\n'
        "a,13,recommender,try heists\n"
        'b,12,seeker,"with\na laugh"\n'
        "c,,,heist\n",
        encoding="utf-8",
    )
    dialogues = read_dialogues(path)
    assert [[turn.role for turn in dialogue.turns] for dialogue in dialogues] == [
        [SEEKER, RECOMMENDER],
        [SEEKER],
        [SEEKER],
    ]
    profiles = gather(dialogues)
    assert (profiles.ids, profiles.texts) == (["12", "c"], ["slow ones, please\nwith a laugh", "heist"])
    ids, said = embed_profiles(profiles, CountingBackend())
    rated = np.array([[1, 0, 0]], np.float32)
    mixed = mix_people([12], rated, ids, said)
    assert (mixed.ids, mixed.origins) == (["12", "c"], ["both", "text"])


def test_a_speaker_of_several_dialogues_has_one_profile() -> None:
    def talk(dialog_id: str, seeker: str, text: str) -> Dialogue:
        return Dialogue("redial", dialog_id, (Turn(RECOMMENDER, "2", "so?"), Turn(SEEKER, seeker, text)))

    profiles = gather([talk("1", "5", "one"), talk("2", "6", "two"), talk("3", "5", "three")])
    assert (profiles.ids, profiles.texts) == (["redial:5", "redial:6"], ["one\nthree", "two"])
    same_number = gather([talk("1", "5", "one"), Dialogue("other", "5", (Turn(SEEKER, "", "two"),))])
    assert same_number.ids == ["redial:5", "other:5"]


def test_words_before_a_movie_hold_no_title_and_nothing_said_later() -> None:
    horror = read_dialogues(SAMPLE)[3]
    said = words_before(horror, "107175")
    assert said is not None
    assert said.split("\n") == [
        "Hi! What genre of movies are you interested in?",
        "We gotta hurry the movie starts soon! I like horror yes?",
        "Have you seen ?",
        "No, looked pervers! :D SCARY :DO owah...",  # the movie "It" is one of this dialogue's
        "What about",
    ]
    assert words_before(horror, "107175", roles=(SEEKER,)) == "\n".join(said.split("\n")[1:4:2])
    assert words_before(horror, "1") is None


def test_typed_titles_are_masked_whole_in_any_case_and_not_inside_words() -> None:
    titles = {"1": "Star Wars: The Last Jedi (2017)", "2": "Heat (1995)", "3": "Matrix, The (1999)"}
    text = "star wars bored, HEAT does not, heated talk by wheat does; the matrix? Star Wars: the last jedi? @1 or @2"
    talk = Dialogue("redial", "1", (Turn(SEEKER, "1", text, ("1", "2")), Turn(SEEKER, "1", "later @3", ("3",))), titles)
    assert words_before(talk, "2") == "bored, does not, heated talk by wheat does; ? ? or"
    assert words_before(talk, "1") == "bored, does not, heated talk by wheat does; ? ?"


def test_liked_is_not_seen() -> None:
    answers = {"1": Answer(True, seen=True, liked=False), "2": Answer(False, seen=False, liked=True)}
    said = Turn(SEEKER, "1", "@1 @2", ("1", "2"))
    assert liked_mentions(Dialogue("redial", "1", (said,), {"1": "A", "2": "B"}, {SEEKER: answers})) == ["2"]


def test_mentions_without_a_title_are_taken_out(tmp_path: Path) -> None:
    entry = {
        "conversationId": 5,
        "movieMentions": {"50": None, "51": "Heat (1995)"},
        "initiatorWorkerId": 1,
        "respondentWorkerId": 2,
        "initiatorQuestions": {},
        "respondentQuestions": {},
        "messages": [{"senderWorkerId": 1, "text": "I saw @50, @51, @51 and @52"}],
    }
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(entry) + "\n\n", encoding="utf-8")
    (talk,) = read_dialogues(path)
    assert talk.turns[0].mentions == ("51",)
    assert gather([talk]).texts == ["I saw , Heat (1995), Heat (1995) and"]


class CountingBackend(BaseEmbeddingBackend):
    """The counts of three words: vectors that can be checked by hand."""

    name = "counting"
    identity = Identity("counting", "", 3)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[text.count(word) for word in ("heist", "slow", "laugh")] for text in texts], np.float32)


def test_profiles_are_embedded_and_those_without_meaning_left_out(tmp_path: Path) -> None:
    dialogues = read_dialogues(write_ccpe(tmp_path)) + read_dialogues(write_inspired(tmp_path)) + read_dialogues(SAMPLE)
    ids, vectors = embed_profiles(gather(dialogues), CountingBackend())
    assert ids == ["ccpe:CCPE-00001", "inspired:a.pkl", "inspired:b.pkl"]
    assert vectors.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.json", "[}", "is not JSON"),
        ("data.json", '{"a": 1}', "no list of conversations"),
        ("data.json", '[{"conversationId": "x"}]', "dialogue 1 has another form"),
        ("data.json", '[{"conversationId": "x", "utterances": [{"index": 0, "speaker": "ME", "text": ""}]}]', "'ME'"),
        ("a.jsonl", '{"a": 1}\n', "dialogue 1 has another form"),
        ("a.jsonl", "\n{", "line 2 is not JSON"),
        ("a.tsv", "dialog_id\ttext\nx\ty\n", "no column speaker"),
        ("a.tsv", "dialog_id\tspeaker\ttext\nx\tsomebody\ty\n", "line 2: speaker 'somebody'"),
        ("a.tsv", "dialog_id\tspeaker\ttext\nx\tSEEKER\n", "line 2"),
        ("a.tsv", "", "no column dialog_id"),
        ("a.csv", "dialog_id,text\n1,x\n", "no column speaker_id"),
        ("a.csv", "dialog_id,speaker_id,text\n1,2\n", "line 2"),
        ("a.csv", "dialog_id,speaker_id,text\n,2,x\n", "line 2"),
        ("a.csv", "text,dialog_id,speaker_id\nx\n", "line 2"),
        ("a.csv", "dialog_id,text,speaker_id\n1,x\n", "line 2: give all columns"),
        ("data.json", "1" * 5000, "is not JSON|no list"),  # Python reads no number as long as that
        ("a.jsonl", "1" * 5000, "is not JSON|another form"),
        ("a.csv", "dialog_id,speaker_id,text,role\n1,2,x,user\n", "seeker or recommender"),
    ],
)
def test_files_of_another_form_are_refused_in_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        read_dialogues(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_no_source_no_utf8(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no dialogues at"):
        read_dialogues(tmp_path / "none.json")
    with pytest.raises(DataError, match="is a folder"):
        read_dialogues(tmp_path, "ccpe")
    with pytest.raises(ChoiceError, match="give one of ccpe, redial, inspired, table"):
        read_dialogues(tmp_path / "a.txt")
    with pytest.raises(ChoiceError, match="source 'x'"):
        read_dialogues(tmp_path / "a.txt", "x")
    (tmp_path / "a.tsv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8"):
        read_dialogues(tmp_path / "a.tsv")


@pytest.mark.skipif(not (SHARED / "redial_valid.jsonl").is_file(), reason="needs ReDial's validation file")
def test_the_whole_of_redial_is_read() -> None:
    dialogues = read_dialogues(SHARED / "redial_valid.jsonl")
    assert len(dialogues) == 1000
    assert sum(len(dialogue.turns) for dialogue in dialogues) == 12395
    assert sum(len(dialogue.titles) for dialogue in dialogues) == 5272  # and one without a title
    for dialogue in dialogues:
        for mention in liked_mentions(dialogue):
            said = words_before(dialogue, mention)
            assert said is not None
            assert "@" + mention not in said


@pytest.mark.skipif(not (SHARED / "inspired_dev.tsv").is_file(), reason="needs INSPIRED's dialogues")
def test_the_whole_of_inspired_is_read() -> None:
    dialogues = read_dialogues(SHARED / "inspired_dev.tsv")
    assert len(dialogues) == 99
    roles = [turn.role for dialogue in dialogues for turn in dialogue.turns]
    assert (roles.count(RECOMMENDER), roles.count(SEEKER)) == (1860, 1678)
    assert len(gather(dialogues).ids) == 99
