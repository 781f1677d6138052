"""Lists for everybody in a file, and sessions of a group, through the library."""

from __future__ import annotations

import csv
import json

import pytest

from recommender import ChoiceError, Recommender
from recommender.data.errors import ArtifactError
from recommender.data.files import exclusive


@pytest.fixture(scope="module")
def shipped() -> Recommender:
    return Recommender.load()


def table(path) -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_everybody_gets_the_list_of_recommend_in_each_format(shipped, tmp_path):
    users = [1, 7, 2700]
    for ending in ("csv", "jsonl", "parquet"):
        assert shipped.recommend_all(tmp_path / f"all.{ending}", 3, "svd", users) == 3
    rows = table(tmp_path / "all.csv")
    assert rows[0] == ["userId", "rank", "movieId", "title", "score"]
    for place, user in enumerate(users):
        expected = shipped.recommend(user, 3, "svd")
        own = rows[1 + 3 * place : 4 + 3 * place]
        assert [(int(u), int(rank), int(movie)) for u, rank, movie, *_ in own] == [
            (user, rank, one.movie.movie_id) for rank, one in enumerate(expected, 1)
        ]
        assert [float(line[4]) for line in own] == pytest.approx([one.score for one in expected], abs=1e-5)
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["userId"], one["movieId"]) for line in lines for one in line["movies"]] == [
        (int(row[0]), int(row[2])) for row in rows[1:]
    ]
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    assert pandas.read_parquet(tmp_path / "all.parquet")["movieId"].tolist() == [int(row[2]) for row in rows[1:]]


def test_a_stopped_run_goes_on_and_another_request_begins_anew(shipped, tmp_path, monkeypatch):
    monkeypatch.setattr("recommender.everybody.BLOCK", 2)
    monkeypatch.setattr("recommender.everybody.SAVED_EVERY", 4)
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    shipped.recommend_all(whole, 2, "svd", range(1, 12))

    def stop(done: int, total: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shipped.recommend_all(part, 2, "svd", range(1, 12), progress=stop)
    assert not part.exists()
    assert shipped.recommend_all(part, 2, "svd", range(1, 12)) == 7  # 4 were saved
    assert part.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.csv", "whole.csv"]
    with pytest.raises(KeyboardInterrupt):
        shipped.recommend_all(part, 2, "svd", range(1, 12), progress=stop)
    assert shipped.recommend_all(part, 3, "svd", range(1, 12)) == 11
    assert len(table(part)) == 1 + 3 * 11


def test_files_that_cannot_be_written_are_refused(shipped, tmp_path):
    with pytest.raises(ChoiceError, match="ends in"):
        shipped.recommend_all(tmp_path / "all.xml", method="svd")
    with pytest.raises(ChoiceError, match="no user 99999"):
        shipped.recommend_all(tmp_path / "all.csv", method="svd", users=[99999])
    (tmp_path / "mine.csv").write_text("my own notes\n")
    with pytest.raises(ArtifactError, match="not of this program"):
        shipped.recommend_all(tmp_path / "mine.csv", method="svd")
    with exclusive(tmp_path / ".all.csv.lock", "it"), pytest.raises(ArtifactError, match="another process"):
        shipped.recommend_all(tmp_path / "all.csv", method="svd")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


def test_a_group_is_made_of_lists_ratings_and_profiles(shipped):
    profile = {"format_version": 3, "seed": 0, "favorites": [480], "answers": [[589, "like"]], "words": []}
    people = {"Anna": ["Amelie", ("Spirited Away", 5), ("Titanic (1997)", 1), ("Toy Story (1995)", 3)], "Ben": profile}
    session = shipped.group_session(people, "fair-share")
    anna, ben = (member.state for member in session.engine.members)
    assert [event.answer for event in anna.events] == ["favorite", "like", "dislike", "skip"]
    assert [event.answer for event in ben.events] == ["favorite", "like"]
    shown = session.next()
    assert [reason.text.split(",")[0] for reason in shown.because] == ["for Anna", "for Ben"]
    assert shown.movie.movie_id not in {480, 589, 4973, 5618, 1721, 1}
    for wrong, message in (
        ({"Anna": ["Heat"]}, "2 to 8"),
        (["Heat"], "give a dict"),
        ({"A": ["Heat"], "B": []}, "neither a profile"),
        ({"A": ["Heat"], "B": [("Alien", "x")]}, r"\(movie, stars\)"),
    ):
        with pytest.raises(ChoiceError, match=message):
            shipped.group_session(wrong)
