"""Lists for everybody in a file, through the library."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from importlib.util import find_spec
from typing import Optional

import numpy as np
import pytest

from recommender import ChoiceError, MovieFilter
from recommender.data.errors import ArtifactError
from recommender.data.files import exclusive
from recommender.hybrid import HybridQuotas
from recommender.learn import registry
from tests.test_hybrid import Fixed


def table(path) -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_everybody_gets_the_list_of_recommend_in_each_format(shipped, tmp_path):
    users = [1, 7, 2700]
    endings = ("csv", "jsonl", "parquet")
    for ending in endings[: 3 if find_spec("pyarrow") else 2]:
        assert shipped.recommend_all(tmp_path / f"all.{ending}", 3, "svd", [*users, 7]) == 3
    rows = table(tmp_path / "all.csv")
    assert rows[0] == ["userId", "rank", "movieId", "title", "score"]
    found = {user: list(enumerate(shipped.recommend(user, 3, "svd"), 1)) for user in users}
    expected = [(user, rank, one.movie.movie_id) for user in users for rank, one in found[user]]
    assert [tuple(map(int, row[:3])) for row in rows[1:]] == expected
    scores = [one.score for user in users for _, one in found[user]]
    assert [float(row[4]) for row in rows[1:]] == pytest.approx(scores, abs=1e-5)
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    listed = [(line["userId"], one["movieId"]) for line in lines for one in line["movies"]]
    assert listed == [(user, movie) for user, _, movie in expected]
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    assert pandas.read_parquet(tmp_path / "all.parquet")["movieId"].tolist() == [int(row[2]) for row in rows[1:]]


def test_a_stopped_run_goes_on_and_another_request_begins_anew(shipped, tmp_path, monkeypatch):
    monkeypatch.setattr("recommender.everybody.BLOCK", 2)
    whole, part, users = tmp_path / "whole.csv", tmp_path / "part.csv", [*range(1, 12)]
    shipped.recommend_all(whole, 2, "svd", users)

    def stop_by(error: type[BaseException], said: Optional[str] = None) -> None:
        def stop(done: int, total: int) -> None:
            if done == 6:
                raise error

        with pytest.raises(error, match=said):
            shipped.recommend_all(part, 2, "svd", users, progress=stop)
        assert not part.exists()

    for seconds, error, left in ((0, OSError, 5), (99, OSError, 11), (99, KeyboardInterrupt, 5)):
        monkeypatch.setattr("recommender.everybody.SAVED_EVERY", seconds)
        stop_by(error, "6 of 11 users" if error is KeyboardInterrupt else None)
        assert shipped.recommend_all(part, 2, "svd", users) == left
        assert part.read_bytes() == whole.read_bytes()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["part.csv", "whole.csv"]
        part.unlink()
    stop_by(KeyboardInterrupt)
    assert shipped.recommend_all(part, 3, "svd", users) == 11
    assert len(table(part)) == 1 + 3 * 11
    part.unlink()
    other = replace(shipped)
    other.models._made["svd or another"] = registry.make("svd", rank=5).fit(other.models.history)
    del other.models.get("svd").user_embeddings_  # as if it had been stored without
    for ask, own in ((shipped, users[::-1]), (other, users)):  # as many others, and another model
        stop_by(KeyboardInterrupt)
        assert ask.recommend_all(part, 2, "svd", own) == 11
        assert part.read_bytes() != whole.read_bytes()
        part.unlink()


def test_quotas_are_those_of_recommend(shipped, monkeypatch, tmp_path):
    # two parts, in the order of the movies and against it: 4 / 7 and 3 / 7 of a list
    model = HybridQuotas(shipped.catalog)
    rows = np.arange(len(shipped.catalog))
    data = shipped.models.history
    model.parts = {"embedding": Fixed(-rows).fit(data), "svd": Fixed(rows).fit(data)}
    monkeypatch.setitem(shipped.models._made, "hybrid_quotas or another", model.joined(shipped.catalog))
    for n in (3, 30):
        shipped.recommend_all(tmp_path / "all.csv", n, "hybrid_quotas", [15], MovieFilter(("Drama",)))
        expected = shipped.recommend(15, n, "hybrid_quotas", MovieFilter(("Drama",)))
        assert [int(row[2]) for row in table(tmp_path / "all.csv")[1:]] == [one.movie.movie_id for one in expected]
        assert [one.by for one in expected].count("svd") == {3: 1, 30: 13}[n]
    middle = len(rows) / 2
    for one in shipped.recommend(15, 200, "hybrid_quotas", familiarity=0.9):
        assert one.by == ("embedding" if shipped.row_of(one.movie) < middle else "svd")


def test_files_that_cannot_be_written_are_refused(shipped, tmp_path):
    (tmp_path / "mine.csv").write_text("my own notes\n")
    people = [("all.csv", users, "user") for users in ([99999], 5, ["abc"], [1.7], [[1]], "12")]
    for output, users, message in (("all.xml", None, "ends in"), ("mine.csv", None, "not of this program"), *people):
        with pytest.raises((ChoiceError, ArtifactError), match=message):
            shipped.recommend_all(tmp_path / output, method="svd", users=users)
    for output in (None, 5):
        with pytest.raises(ChoiceError, match=r"output 5|\.csv"):
            shipped.recommend_all(output, method="svd")
    with exclusive(tmp_path / ".all.csv.lock", "it"), pytest.raises(ArtifactError, match="another process"):
        shipped.recommend_all(tmp_path / "all.csv", method="svd")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]
