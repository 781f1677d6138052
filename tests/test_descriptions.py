"""Files of descriptions: joined field by field, written line by line, mended after a crash."""

from __future__ import annotations

import json

import pytest

from preprocess.descriptions import append_to, read_all
from recommender.data.errors import ArtifactError


def write(path, *entries):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def test_what_the_first_file_leaves_empty_comes_from_the_next(tmp_path):
    ours = write(tmp_path / "a", {"movieId": 1, "director": "Ann", "overview": ""}, {"movieId": 2, "overview": "Two."})
    model = {"overview": "By a model.", "overview_source": "m"}
    theirs = write(tmp_path / "b", {"movieId": 1, "director": "Bob", **model}, {"movieId": 2, **model}, {"movieId": 3})
    joined = read_all([ours, theirs])
    assert {k: v for k, v in joined[1].items() if v} == {"director": "Ann", **model}
    assert joined[2]["overview"] == "Two."
    assert joined[2]["overview_source"] == ""  # the name of a writer never passes to another's words
    assert sorted(joined) == [1, 2, 3]
    assert read_all([]) == {}


def test_a_line_that_a_crash_cut_short_is_written_anew(tmp_path):
    path = write(tmp_path / "d", {"movieId": 1, "overview": "é"})
    with open(path, "ab") as file:
        file.write(b'{"movieId": 2, "over')
    with append_to(path) as (done, add):
        assert done == {1}
        add({"movieId": 2, "overview": "Two."})
        with pytest.raises(ArtifactError):
            append_to(path).__enter__()
    assert {i: fields["overview"] for i, fields in read_all([path]).items()} == {1: "é", 2: "Two."}
    assert [file.name for file in tmp_path.iterdir()] == ["d"]
