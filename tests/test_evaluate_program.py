"""Ranking for everybody and `python -m model.evaluate`: right lists, honest checkpoints, one-line errors."""

import dataclasses
import json
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest

from model import evaluate
from recommender.data.catalog import Catalog
from recommender.data.errors import ChoiceError, DataError, TastevecError
from recommender.data.interactions import Interactions
from recommender.evaluate import protocols, report, run
from recommender.evaluate.protocols import Source
from recommender.evaluate.run import rating_errors, score_lists

from .raw_sets import write_ratings
from .tiny import Made, fixed, planted_tastes, rank


def block_data():
    """Two tastes: even users like even movies only."""
    return planted_tastes(40, np.arange(24) % 2, 16, np.random.default_rng(0))


def by_last_time():
    """Scores movies by how late they were last rated in training: shows what training data it was given."""

    def score(train, *_):
        latest = np.zeros(train.n_movies)
        np.maximum.at(latest, train.movie_rows, train.times)
        return latest

    return Made(score)


def stars(values):
    """Expects each movie's value as its rating, an eighth more for each further row of user."""
    return lambda: Made(lambda train, rows, at: np.asarray(values) + rows / 8, is_rating=True)


def test_lists_hold_unseen_movies_best_first_ties_by_id():
    case = Source.from_ratings(block_data()).case()
    values = np.array([5, 7, 7, 1] * 6)
    for scores in (values, np.where(values > 1, values, np.nan)):  # a score that is not a number never leads
        lists = rank(partial(fixed, scores), case, 30).rows
        for person, row in zip(lists, case.user_rows):
            unseen = set(range(24)) - set(case.known.movie_rows[case.known.row(row)].tolist())
            expected = sorted(unseen, key=lambda movie: (-values[movie], movie))
            assert person.tolist() == expected + [-1] * (30 - len(expected))


def test_an_interrupted_run_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    everybody = Source.from_ratings(block_data()).case()
    case = everybody.strict_time(6)
    expected = rank(by_last_time, case, 5).rows
    assert not np.array_equal(rank(by_last_time, everybody, 5).rows, expected)
    monkeypatch.setattr(run, "_BATCH_BYTES", 1)  # one user at a time
    assert np.array_equal(rank(by_last_time, case, 5).rows, expected)

    def stop_in_stage_4(done, total, what):
        if "stage 4" in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rank(by_last_time, case, 5, tmp_path, stop_in_stage_4)
    for n_fits in (3, 0, 1):  # stages 4, 5, 6; none; the damaged one
        Made.fits = 0
        assert np.array_equal(rank(by_last_time, case, 5, tmp_path).rows, expected)
        assert Made.fits == n_fits
        (file,) = tmp_path.glob("*/stage-0002.npz")
        file.write_bytes(file.read_bytes()[:100] if n_fits == 0 else file.read_bytes())
    for batch_size in (1, 7, 1000):  # everybody is ranked for at their own moment
        monkeypatch.setattr(run, "_BATCH_BYTES", batch_size * 24 * 4)
        lists = rank(lambda: Made(lambda _, rows, moments: moments % 24 == np.arange(24)), case, 1).rows
        unseen = [at % 24 not in case.known.movie_rows[case.known.row(row)] for row, at in zip(case.user_rows, case.at)]
        assert np.array_equal(lists[unseen, 0], case.at[unseen] % 24)
        assert sum(unseen) > 5


def test_the_key_of_a_checkpoint_follows_all_that_matters(monkeypatch):
    data = block_data()
    case = Source.from_ratings(data).case()
    other = dataclasses.replace(data, ratings=np.where(np.arange(data.n_ratings) == 0, 1, data.ratings))
    row = {"movieId": "1", "title": "Movie (1990)", "genres": "Drama", "overview": "Rain.", "cast": "Bo Ray"}

    def key(case=case, name="ease", n=10, change=None, **settings):
        catalog = None if change is None else Catalog([{**row, **change}])
        return run.checkpoint_key(case, run.Spec("", name, settings), n, catalog)

    keys = [key(), key(name="svd"), key(regularisation=2), key(n=20), key(case.strict_time(3))]
    keys += [key(Source.from_ratings(data).case("val")), key(Source.from_ratings(other).case())]
    keys.append(key(dataclasses.replace(case, candidates=np.arange(5))))
    changes = ({}, {"overview": "Snow."}, {"cast": "Cy Day"}, {"director": "Di Eve"}, {"keywords": "storm"})
    keys += [key(change=change) for change in changes]
    assert key(Source.from_ratings(block_data()).case()) == keys[0]
    monkeypatch.setattr(run, "VERSION", run.VERSION + 1)
    assert len({*keys, key()}) == len(keys) + 1


def test_cold_groups_by_hand(monkeypatch):
    monkeypatch.setattr(run, "COLD_USER", 17)
    monkeypatch.setattr(run, "COLD_MOVIE", 0)
    columns = [(1, movie, 5, movie) for movie in range(20)] + [(2, movie, 5, movie) for movie in range(40)]
    case = Source.from_ratings(Interactions.from_columns(*np.array(columns).T)).case()
    rows = np.array([[17, 20, 21], [35, 34, 3]], dtype=np.int32)
    # Person 1 has 17 known ratings, person 2 has 34; movies 34 to 39 have none.
    per_user, overall = score_lists(case, rows, (3,))
    # Person 1 wants 17, 18, 19, none of them cold; person 2 wants 34 to 39, all cold.
    assert overall["cold_user_recall@3"] == pytest.approx(1 / 3)
    assert overall["cold_movie_recall@3"] == pytest.approx(2 / 6)
    # Of 40 movies, 0 to 3 are the head, 4 to 19 the middle (equal counts by row), 20 to 39 the tail.
    assert per_user["tail_share@3"] == pytest.approx([2 / 3, 2 / 3])
    assert overall["coverage@3"] == 6 / 40


def test_expected_ratings_by_hand(tmp_path, monkeypatch):
    columns = [(1, movie, 3, movie) for movie in range(7)] + [(1, 7, 4, 7), (1, 8, 4, 8), (1, 9, 1, 9)]
    columns += [(2, 5, 5, 0), (2, 6, 5, 1)]  # too few ratings to be split: nothing held out
    columns += [(3, movie, 2, movie) for movie in range(10)]  # held out, but nothing relevant
    case = Source.from_ratings(Interactions.from_columns(*np.array(columns).T)).case()
    values = [9, 9, 9, 9, 9, 9, 9, 9, 3.5, 2]
    predicted = rank(stars(values), case, 3).predicted
    assert predicted.tolist() == [3.5, 2, 3.75, 2.25]  # movies 8 and 9, twice
    halves = rank(lambda: Made(lambda train, rows, at: at / 2, True), case, 3).predicted
    assert halves.tolist() == 4 * [4]  # also of who is not evaluated: at the first, 8
    whole = rating_errors(case, predicted)
    assert whole["rmse"] == pytest.approx(np.sqrt((0.5**2 + 1 + 1.75**2 + 0.25**2) / 4))
    assert whole["mae"] == pytest.approx((0.5 + 1 + 1.75 + 0.25) / 4)
    evaluated = rating_errors(case.select(np.ones(case.n_users, dtype=bool), "evaluated", ""), predicted)
    assert evaluated["mae"] == pytest.approx((0.5 + 1) / 2)
    with monkeypatch.context() as patched:
        patched.setattr(run, "_BATCH_BYTES", 1)
        assert np.array_equal(rank(stars(values), case, 3).predicted, predicted)
    assert rating_errors(case, rank(partial(fixed, values), case, 3).predicted) == {}
    case, Made.fits = Source.from_ratings(block_data()).case(), 0
    of_user = case.held_out.user_rows()
    for _ in range(2):  # on the scale of the ratings, and kept
        predicted = rank(stars([-30.0, 3.0] * 12), case, 3, tmp_path).predicted
        assert np.array_equal(predicted, np.where(case.held_out.movie_rows % 2, np.minimum(3 + of_user / 8, 5), 2))
    assert Made.fits == 1


def test_returning_visitors_are_answered_from_the_lists_of_all():
    data = block_data()
    later = data.times + np.where((data.user_rows() % 3 == 0) & (data.times % 1000 >= 13), 200_000, 0)
    source, started = Source.from_ratings(dataclasses.replace(data, times=later)), []
    found = [protocols.build(source, name) for name in ("returning", "per-user")]
    options = run.Options(ks=(5,), start_progress=lambda label: started.append(label) or print)
    some, everybody = run.evaluate(found, [run.Spec("popularity", "popularity")], None, options)
    assert len(started) == 1
    assert 0 < len(some.units) < len(everybody.units)
    of_all = dict(zip(everybody.units, everybody.values["popularity"]["ndcg@5"]))
    assert some.values["popularity"]["ndcg@5"].tolist() == [of_all[ident] for ident in some.units]


def test_models_and_backends_are_named_and_set():
    found = run.Spec.parse("http:base_url=http://h:8000/v1:dimensions=64:rate=7.5", ["ease", "http"])
    assert found.settings == {"base_url": "http://h:8000/v1", "dimensions": 64, "rate": 7.5}
    for text, words in (("ease:k", "key=value"), ("ease:k=1:k=2", "'k=2' is not"), ("glove", "from ease, http")):
        with pytest.raises(ChoiceError, match=words):
            run.Spec.parse(text, ["ease", "http"])


def test_whole_program_on_raw_data(tmp_path, capsys, monkeypatch):
    raw = write_ratings(tmp_path / "raw", block_data(), "Drama", "Comedy|Drama")
    flags = ["--data", str(raw), "--set", "all", "--method", "popularity,ease,biases", "--k", "3,5"]
    flags += ["--protocol", "per-user,strict-time", "--stages", "3", "--resamples", "200"]
    outputs = ["--json", str(tmp_path / "o.json"), "--csv", str(tmp_path / "o.csv")]
    for _ in range(2):  # its own files are replaced
        evaluate.main([*flags, *outputs, "--checkpoint", str(tmp_path / "kept")])
        first = capsys.readouterr()
    assert all(f"== per user{strict}, test ==" in first.out for strict in ("", ", strict time"))
    assert first.err == ""  # progress is for terminals

    written = pd.DataFrame(json.loads((tmp_path / "o.json").read_text())["averages"])
    units, averages = pd.read_csv(tmp_path / "o.csv"), pd.read_csv(tmp_path / "o-averages.csv")
    assert averages.value.tolist() == pytest.approx(written.value.astype(float).tolist(), nan_ok=True)
    key = ["task", "model", "measure"]
    means = units.dropna(subset="model").groupby(key).value.agg(["mean", "size"])
    both = averages.set_index(key).join(means, how="inner")
    assert len(both) == 2 * 3 * 24 - 12  # without a list of genres and cold-start movies
    assert both["mean"].to_numpy() == pytest.approx(both.value.to_numpy())
    rated = averages[averages.measure == "rmse"]
    assert list(zip(rated.task, rated.model)) == [("per user", "biases")]  # not in strict time
    # Everybody likes half of the movies, popularity cannot tell which, EASE can.
    value = averages[averages.task == "per user"].set_index(["model", "measure"])
    difference = value.value["ease", "ndcg@5"] - value.value["popularity", "ndcg@5"]
    assert value.against_value["ease", "ndcg@5"] == pytest.approx(difference)
    assert difference > 0.1

    monkeypatch.setattr(run, "make_lists", lambda *_: 1 / 0)  # everything is taken from the checkpoint
    for seed in ("0", "1"):
        again = ["--seed", seed, "--csv", str(tmp_path / f"{seed}.csv"), "--checkpoint", str(tmp_path / "kept")]
        evaluate.main([*flags, *again])
        assert (capsys.readouterr().out == first.out) == (seed == "0")  # seconds included
    assert (tmp_path / "0-averages.csv").read_text() == (tmp_path / "o-averages.csv").read_text()
    moved = (pd.read_csv(tmp_path / "1-averages.csv") != averages) & averages.notna()
    assert moved.columns[moved.any()].tolist() == ["against_low", "against_high", "p_value", "corrected_p"]


OWN = (("--csv", "csv"), ("--json", "json"), ("--csv", "parquet"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("RAW --method nosuch", "nosuch"),
        ("RAW --method ease,ease", "repeated name"),
        ("RAW --method ,", "has no names"),
        ("RAW --method popularity,ease:regularization=3", "regularization"),
        ("RAW --k -5", "'-5'"),
        ("RAW --k 3,100000", "--k 100000"),
        *((f"RAW {flag} own.{end}", f"own.{end} is not of this program.* another {flag}") for flag, end in OWN),
        ("RAW --output own", "own/users.csv is not of this program: move it, or give another --output"),
        ("RAW --csv out.csv", "out-averages.csv is not of this program"),
        *((f"RAW --csv a.csv --json {name}", f"--json {name} is also") for name in ("a.csv", "a-averages.csv")),
        ("RAW --csv raw", "raw is a folder: give a file name with --csv"),
        *((f"RAW {flag} own.csv", f"own.csv is a file, .*{flag}") for flag in ("--checkpoint", "--plots")),
        ("RAW --protocol yesterday", "yesterday"),
        ("RAW --stages 0", "--stages.*from 1"),
        ("--set A", "--data"),
        ("--data x --processed y", "one of them"),
        ("RAW --queries q.csv", "--queries needs --embeddings"),
        ("--protocol held-out-movies,per-user", "run it alone"),
        ("--protocol held-out-movies --folds 6", "--folds.*6"),
        ("--protocol held-out-movies --plots there", "cannot be combined"),
        ("--embeddings word2vec", "unknown embedding backend 'word2vec'"),
        ("--embeddings random --method ease", "--method is for models"),
    ],
)
def test_wrong_flags_are_refused(flags, message, tmp_path, monkeypatch):
    monkeypatch.setattr(Source, "load", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    own = [*(f"own.{end}" for _, end in OWN), "own/users.csv", "out-averages.csv"]
    for name in own:
        (tmp_path / name).write_text('PAR1 task, split {"format_version": 2, "seed": 1}')
    raw = f"--data {write_ratings(tmp_path / 'raw', block_data(), 'Drama')} --set all" if "RAW" in flags else ""
    with pytest.raises(TastevecError, match=message):
        evaluate.main(flags.replace("RAW", raw).split())
    assert {(tmp_path / name).read_text()[:4] for name in own} == {"PAR1"}


@pytest.mark.dev
def test_plots_are_drawn_and_parquet_holds_what_csv_holds(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pyarrow")
    case, specs = Source.from_ratings(block_data()).case(), [run.Spec("popularity", "popularity")]
    report.write_plots(tmp_path, list(run.evaluate([case], specs, None, run.Options())))
    assert [file.read_bytes()[:4] for file in tmp_path.glob("*.png")] == 2 * [b"\x89PNG"]
    for name in ("o.parquet", "o.csv"):
        report.write_table(tmp_path / name, [pd.DataFrame({"unit": [unit], "value": [0.5]}) for unit in "ab"])
    assert pd.read_parquet(tmp_path / "o.parquet").equals(pd.read_csv(tmp_path / "o.csv"))


def test_without_an_extra_its_name_is_said(monkeypatch, tmp_path):
    for module in ("matplotlib", "matplotlib.figure", "pyarrow"):
        monkeypatch.setitem(sys.modules, module, None)
    for flags, extra in ((["--plots", str(tmp_path)], "plots"), (["--csv", str(tmp_path / "o.parquet")], "parquet")):
        with pytest.raises(DataError, match=rf"tastevec\[{extra}\]"):
            evaluate.main(flags)
    assert not list(tmp_path.iterdir())
