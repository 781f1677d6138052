"""Examples of what people like, and the tuning of a chat model on them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from model import finetune_movie_pref as program
from recommender.chat import preferences
from recommender.chat.preferences import check_chat, whole_stars
from recommender.chat.prompts import profile_of
from recommender.data.catalog import Catalog
from recommender.data.errors import TastevecError
from tests.tiny import make_processed

# ratings of three people, oldest first; Bea has too few, 99 is no movie of the catalogue
RATED = {
    1: [(1, 4.5), (2, 0.5), (3, 3.5), (4, 2.5), (99, 5), (5, 1.5)],
    2: [(9, 5), (8, 1), (7, 2), (6, 3)],
    3: [(1, 5), (2, 5), (3, 5)],
}


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def folder(tmp_path):
    """A processed folder with more people in all.csv beside it: 1 to 3 above, and 20 who rated all nine movies."""
    rows = [(user, movie, stars, place) for user, rated in RATED.items() for place, (movie, stars) in enumerate(rated)]
    many = [(user, movie, 0.5 + (user + movie) % 10 / 2, movie) for user in range(10, 30) for movie in range(1, 10)]
    for name, chosen in (("few", rows), ("all", rows + many)):
        table = "".join(f"{user},{movie},{stars},{10**9 + place}\n" for user, movie, stars, place in chosen)
        (tmp_path / f"{name}.csv").write_text("userId,movieId,rating,timestamp\n" + table)
    make_processed(tmp_path / "processed")
    return tmp_path


def run(folder: Path, *words: object) -> None:
    given = ["--processed", folder / "processed", "--output", folder / "out", *words]
    program.main([str(word) for word in given])


def test_stars_are_rounded_half_up():
    assert [whole_stars(n / 2) for n in range(1, 11)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


def test_the_last_ratings_are_asked_for(folder):
    run(folder, "collect", "--ratings", folder / "few.csv", "--test-share", 0, "--candidates", 3)
    people = {one["person"]: one for one in lines(folder / "out" / "people.jsonl")}
    first = {"person": "1", "part": "train", "profile": [[1, 4.5], [2, 0.5], [3, 3.5]], "candidates": [[4, 3], [5, 2]]}
    second = {"person": "2", "part": "train", "profile": [[9, 5], [8, 1]], "candidates": [[7, 2], [6, 3]]}
    assert people == {"1": first, "2": second}


def test_people_are_split_and_the_split_has_a_seed(folder):
    splits = []
    for seed in (0, 0, 1):
        run(folder, "collect", "--ratings", folder / "all.csv", "--seed", seed)
        people = lines(folder / "out" / "people.jsonl")
        assert sorted(one["person"] for one in people) == sorted(map(str, [1, 2, *range(10, 30)]))
        splits.append({one["person"] for one in people if one["part"] == "test"})
        assert len(splits[-1]) == round(0.2 * 22)
    assert splits[0] == splits[1] != splits[2]


def test_a_letterboxd_export_is_one_person(folder):
    export = folder / "letterboxd.zip"
    rated = [("Delta", 1983, 4.5), ("Alpha", 1980, 2), ("The Beta", 1981, 0.5), ("Zeta", 2005, 3), ("Other", 1999, 5)]
    days = [f"2024-01-{9 - place:02},{name},{year},u,{stars}" for place, (name, year, stars) in enumerate(rated)]
    with zipfile.ZipFile(export, "w") as archive:
        archive.writestr("ratings.csv", "\n".join(["Date,Name,Year,Letterboxd URI,Rating", *days, ""]))
        archive.writestr("watched.csv", "Date,Name,Year,Letterboxd URI\n2024-01-09,Iota,2001,u\n")
    run(folder, "collect", export)
    (person,) = lines(folder / "out" / "people.jsonl")
    assert person["profile"] == [[7, 3], [2, 0.5]]
    assert person["candidates"] == [[1, 2], [4, 5]]
    assert person["part"] == "train"


def test_chat_texts_hold_the_profile_and_one_movie(folder, capsys):
    run(folder, "collect", "--ratings", folder / "all.csv")
    run(folder, "prepare", "--price", 2)
    people = lines(folder / "out" / "people.jsonl")
    catalog = Catalog.load(folder / "processed")
    title = {int(movie_id): str(catalog.movie(row)) for row, movie_id in enumerate(catalog.movie_ids)}
    for part in ("train", "test"):
        asked = []
        for example in lines(folder / "out" / f"{part}.jsonl"):
            _, user, assistant = example["messages"]
            assert [m["role"] for m in example["messages"]] == ["system", "user", "assistant"]
            content = json.loads(user["content"])
            assert content.keys() == {"person", "movie"}
            assert content["person"].keys() == {"Genres", "Top items", "Taste"}, "nobody's name or number is sent"
            assert content["movie"]["title"] not in json.dumps(content["person"], ensure_ascii=False)
            asked.append((content["movie"]["title"], assistant["content"]))
        wanted = [(title[m], str(s)) for one in people if one["part"] == part for m, s in one["candidates"]]
        assert sorted(asked) == sorted(wanted)
    told = capsys.readouterr().out
    n, n_tokens = check_chat(folder / "out" / "train.jsonl")
    assert f"${n_tokens * preferences.n_epochs(n) * 2e-6:.2f}" in told
    run(folder, "prepare", "--most", 12)
    assert len(lines(folder / "out" / "train.jsonl")) == 12


def test_a_profile_says_what_was_liked_and_what_not(folder):
    catalog = Catalog.load(folder / "processed")
    assert profile_of([(3, 4.0), (4, 2.0), (7, 4.5), (1, 4.5)], catalog) == {
        "Genres": "Action 2, War 2, Drama 1",
        "Top items": "Alpha (1980) 4.5; Zeta (2005) 4.5; Gamma (1982) 4",
        "Taste": "4 ratings, 3.8 stars on average; disliked: Delta (1983) 2",
    }


def test_passes_as_published():
    # target 3; below 100 seen in all, 100 // n but at most 25; above 25,000, 25,000 // n but at least 1
    given = (10, 33, 34, 50, 8333, 8334, 12_501, 90_000)
    assert [preferences.n_epochs(n) for n in given] == [10, 3, 3, 3, 3, 2, 1, 1]


GOOD = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "4"}]}
ANSWER = GOOD["messages"][1]
BROKEN = [
    "{", "[]", '{"messages": []}', json.dumps({**GOOD, "x": 1}), '{"messages": [{"content": "a"}]}',
    json.dumps({"messages": [{"role": "robot", "content": "a"}, ANSWER]}),
    json.dumps({"messages": [{"role": "user", "content": " "}, ANSWER]}),
    json.dumps({"messages": [{"role": "user", "content": None}, ANSWER]}),
    json.dumps({"messages": GOOD["messages"][:1]}),
    json.dumps({"messages": [{"role": "user", "content": "a" * 270_000}, ANSWER]}),
]  # fmt: skip


def test_what_breaks_a_rule_is_named_by_its_line(tmp_path):
    path = tmp_path / "train.jsonl"
    for broken in BROKEN:
        path.write_text("\n".join([json.dumps(GOOD)] * 11 + [broken, ""]))
        with pytest.raises(TastevecError, match=r"line 12|JSON lines"):
            check_chat(path)
    path.write_text("\n".join([json.dumps(GOOD)] * 10 + [""]))
    assert check_chat(path)[0] == 10
    path.write_text("\n".join([json.dumps(GOOD)] * 9 + [""]))
    with pytest.raises(TastevecError, match="9 examples"):
        check_chat(path)


def test_bad_input_is_one_line_and_writes_nothing(folder):
    for words, said in (
        ("prepare", "collect first"), ("prepare x.zip", "only collect"), ("collect no.zip", "no.zip"),
        ("collect --test-share 1", "--test-share"), ("collect --test-share nan", "--test-share"),
        ("collect --candidates 0", "--candidates"), ("prepare --price inf", "--price"),
        ("collect --ratings no.csv", "no.csv"), ("nothing", "STEP"),
    ):  # fmt: skip
        with pytest.raises(TastevecError, match=said):
            run(folder, *words.split())
    assert not (folder / "out").exists()


def test_people_of_another_catalogue_are_refused(folder):
    run(folder, "collect", "--ratings", folder / "all.csv")
    path = folder / "out" / "people.jsonl"
    for old, new in (("[9, 5.0]", "[77, 5.0]"), ("[9, 5.0]", "[9, 6]"), ('"train"', '"val"'), ('"profile"', '"p"')):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(TastevecError, match="collect again"):
            run(folder, "prepare")
        path.write_text(text)
