"""Fusion of modalities: planted structure, movies that lack one, the program; and the files that vectors come in."""

from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest

from model import generate_embeddings
from recommender.data.errors import ArtifactError, ChoiceError, DataError, SettingsError
from recommender.linalg.rows import align, unit_rows
from recommender.media.fusion import (
    METHODS,
    FusionSettings,
    Projection,
    Views,
    apply,
    build_fused,
    cca,
    fit,
    load_fitted,
    pca,
)
from recommender.media.vector_files import Vectors, read_array, read_vectors
from recommender.text.base import Identity
from recommender.text.vectors import FUSED, MOVIES, VectorTable
from tests.fake_server import Server
from tests.test_media import sound, write_wav
from tests.tiny import FILMS, make_processed

N, N_KINDS = 240, 8
KINDS = np.arange(N) % N_KINDS
LOOSE = ("--backend", "local", "--dimension", "4", "--fewest-texts", "1", "--most-texts", "1")
IDS = [movie[0] for movie in FILMS]


def made(seed: int = 0, shuffled: bool = False) -> dict[str, np.ndarray]:
    """Eight kinds of movie; words tell pairs of kinds apart, pictures the kinds within a pair; both are noisy."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(KINDS) if shuffled else KINDS
    by_words = rng.standard_normal((N_KINDS // 2, 30))[kinds // 2]
    by_pictures = rng.standard_normal((2, 50))[kinds % 2]
    text = by_words + 1.0 * rng.standard_normal((N, 30)) + 4
    visual = by_pictures + 1.0 * rng.standard_normal((N, 50)) - 2
    return {"text": text.astype(np.float32), "visual": visual.astype(np.float32)}


def same_kind(vectors: np.ndarray, kinds: np.ndarray) -> float:
    """Return how often the nearest other movie is of the same kind; 1 in 8 by chance."""
    near = vectors @ vectors.T
    np.fill_diagonal(near, -9)
    return float((kinds[near.argmax(axis=1)] == kinds).mean())


def fused(views: Views, method: str = "concat", fit_on: Optional[Views] = None, **changes: Any) -> np.ndarray:
    """Return the fused vectors of `views`, fitted on them or on others."""
    settings = FusionSettings(method=method, **changes)
    return apply(fit(fit_on or views, settings), views, settings)


@pytest.mark.parametrize("method", ["concat", "pca", "average", "weighted"])
def test_together_modalities_tell_more_than_each_alone(method: str) -> None:
    views = made()
    both = fused(views, method, n_components=10, text_weight=0.5)
    np.testing.assert_allclose(np.linalg.norm(both, axis=1), 1, atol=1e-5)
    assert same_kind(both, KINDS) > 0.9
    alone = fused({**views, "visual": 0 * views["visual"]}, method, views, n_components=10)
    assert same_kind(alone, KINDS) < 0.65  # words do not tell the two of a pair apart
    assert same_kind(fused(made(shuffled=True), method, n_components=10), KINDS) < 0.3
    three = fused({**views, "audio": made(9)["visual"]}, method, n_components=10)
    assert same_kind(three, KINDS) > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_a_movie_that_lacks_a_modality_is_placed_by_the_other(method: str) -> None:
    views = made()
    settings = FusionSettings(method=method, n_components=10, n_canonical=5)
    parts = fit(views, settings)
    views["text"][:20] = views["visual"][10:30] = 0
    vectors = apply(parts, views, settings)
    assert np.flatnonzero(~vectors.any(axis=1)).tolist() == list(range(10, 20))  # of which nothing is known
    without = apply(parts, {**views, "visual": 0 * views["visual"]}, settings)
    np.testing.assert_allclose(vectors[20:30], without[20:30], atol=1e-6)
    assert np.abs(vectors[30:] - without[30:]).max() > 0.1


def turned(points: np.ndarray, towards: np.ndarray) -> np.ndarray:
    U, _, Vt = np.linalg.svd(points.T @ towards)
    return points @ (U @ Vt)


def test_the_vectors_are_those_of_the_formulas() -> None:
    two = made()
    three = {**two, "third": made(9)["visual"]}
    rows = [unit_rows(view - view.mean(axis=0, dtype=np.float64)) for view in three.values()]
    components = [pca(own, 6) for own in rows]
    p1, p2, p3 = (unit_rows((own - mean) @ V) for own, (mean, V, _) in zip(rows, components))
    p2, p3 = turned(p2, p1), turned(p3, p1)
    joined = np.hstack(rows[:2])
    mean, V, _ = pca(joined, 6)
    pairs = cca(rows[0], rows[1], 6, 0.1)
    few: Any = {"n_components": 6}
    for found, expected in (
        (fused(two), joined),
        (fused(two, "pca", **few), (joined - mean) @ V),
        (fused(two, "cca", n_canonical=6), sum((own - centre) @ A * r for (centre, A, r), own in zip(pairs, rows))),
        (fused(two, "average", **few), p1 + p2),
        (fused(two, "weighted", text_weight=0.9, **few), 0.9 * p1 + 0.1 * p2),
        (fused(three, "weighted", **few), 0.7 * p1 + 0.15 * p2 + 0.15 * p3),
    ):
        np.testing.assert_allclose(found, unit_rows(expected), atol=1e-5)
    cosines = [own @ own.T for own in rows[:2]]
    np.testing.assert_allclose(fused(two) @ fused(two).T, sum(cosines) / 2, atol=1e-5)
    # columns of sound, which have units of their own, are brought to one scale
    loud = two["visual"] * np.geomspace(1000, 1, 50).astype(np.float32)
    right, wrong = (fused({"text": two["text"], name: loud}) for name in ("audio", "visual"))
    assert same_kind(right, KINDS) > 0.9 > same_kind(wrong, KINDS)


def test_numbers_of_components_are_capped_settings_matter_and_what_can_not_be_fused_is_refused() -> None:
    views = made()
    for method, width in (("pca", 80), ("average", 30), ("cca", 30)):
        assert fused(views, method, n_components=1000, n_canonical=1000).shape[1] == width
    assert fused(views, "pca", {name: view[:12] for name, view in views.items()}).shape[1] == 11
    assert not np.allclose(fused(views, "cca"), fused(views, "cca", regularisation=3.0))
    for given, method in (({"text": views["text"]}, "concat"), ({**views, "audio": views["text"]}, "cca")):
        with pytest.raises(ChoiceError, match=r"(two or more|exactly two) modalities, given: text"):
            fit(given, FusionSettings(method=method))


def read(path: Path) -> Vectors:
    return read_vectors(path, [], read_array)


def test_vectors_are_read_from_each_form(tmp_path: Path) -> None:
    ids, vectors = np.array([7, 3]), np.array([[1, 2, 3], [4, 5, 6]], np.float16)
    np.savez(tmp_path / "a.npz", movie_ids=ids, vectors=vectors)
    for name, array in (("b", vectors), ("b_ids", ids), ("d/7", vectors[:1]), ("d/3", vectors[1:])):
        (tmp_path / "d").mkdir(exist_ok=True)
        np.save(tmp_path / f"{name}.npy", array)
    for name in ("a.npz", "b.npy", "d"):
        movie_ids, found = read(tmp_path / name)
        assert (movie_ids.dtype, found.dtype) == (np.int64, np.float32)
        assert dict(zip(movie_ids.tolist(), found.tolist())) == {7: [1, 2, 3], 3: [4, 5, 6]}


def test_bad_files_of_vectors_are_refused(tmp_path: Path) -> None:
    rows = np.ones((2, 3))
    for folder in ("empty", "uneven"):
        (tmp_path / folder).mkdir()
    for name, arrays, message in (
        ("twice", {"movie_ids": [1, 1], "vectors": rows}, "movie id 1 occurs twice"),
        ("more", {"movie_ids": [1, 2, 3], "vectors": rows}, r"\(3,\)"),
        ("inf", {"movie_ids": [1, 2], "vectors": [[1.0], [np.inf]]}, "movie id 2 is not finite"),
        ("names", {"movie_ids": ["a", "b"], "vectors": rows}, "whole numbers"),
        ("rows", {"rows": rows}, "give an .npz with `movie_ids`"),
    ):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises((ArtifactError, DataError), match=message):
            read(tmp_path / f"{name}.npz")
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "lonely.npy", rows)
    (tmp_path / "one.npz").write_bytes((tmp_path / "lonely.npy").read_bytes())
    (tmp_path / "zip.npz").write_bytes(b"PK not a zip")
    np.save(tmp_path / "uneven" / "1.npy", np.ones(3))
    np.save(tmp_path / "uneven" / "2.npy", np.ones(4))
    messages = "o.npy: damaged; lonely.npy: lonely_ids.npy; one.npz: give an .npz with; zip.npz: damaged"
    messages += "; a.csv: neither; none.npz: is missing; empty: has no file; uneven: movie id 2, 2.npy: shape"
    for name, message in (line.split(": ", 1) for line in messages.split("; ")):
        with pytest.raises((ArtifactError, DataError), match=message):
            read(tmp_path / name)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Nine movies of which eight have a picture vector, and one vector of a movie that is not listed."""
    make_processed(tmp_path / "processed")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "visual.npz", movie_ids=[*IDS[:8], 777], vectors=rng.standard_normal((9, 12)))
    return tmp_path


def embed(project: Path, *flags: object) -> None:
    places = ("--processed", project / "processed", "--output", project / "out", "--no-users")
    generate_embeddings.main([str(part) for part in (*places, *LOOSE, *flags)])


def test_the_program_fuses_and_says_what_is_missing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "sound").mkdir()
    for movie_id in IDS[2:]:
        write_wav(project / "sound" / f"{movie_id}.wav", sound(seconds=0.1 + 0.02 * movie_id), 16)
    parts = ("--visual", project / "visual.npz", "--audio", project / "sound")
    embed(project, "--fusion", "pca", "--n-components", 3, *parts)
    said = capsys.readouterr().out
    assert "visual: 1 vectors are of movies that are not listed" in said
    assert "pca of text, visual, audio, fitted on 6 movies" in said
    assert "9 movies, 3 numbers each; 1 without visual, 2 without audio" in said
    found = VectorTable.load(project / "out", FUSED)
    assert found["movie_id"].tolist() == [str(movie_id) for movie_id in IDS]
    assert found["missing"].tolist() == ["audio", "audio", "", "", "", "", "", "", "visual"]
    assert (found.settings["method"], found.settings["modalities"]) == ("pca", ["text", "visual", "audio"])
    parts, settings = load_fitted(project / "out")  # saved: movies that come later can be placed
    assert (list(parts), settings) == (["text", "visual", "audio"], FusionSettings(method="pca", n_components=3))
    texts = VectorTable.load(project / "out").embedding
    visual = align(np.array(IDS), *read(project / "visual.npz"))
    vectors = apply(parts, {"text": texts, "visual": visual, "audio": np.zeros((9, 128))}, settings)
    np.testing.assert_allclose(vectors[:2], found.embedding[:2], atol=1e-6)  # which have no sound
    embed(project)  # nothing has changed, so the fused vectors stay
    assert len(VectorTable.load(project / "out", FUSED)) == 9


def test_only_movies_with_ratings_in_train_are_fitted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    embed(project)
    visual = read(project / "visual.npz")
    settings = FusionSettings()
    rated = np.array([1, 2, 3, 9])
    build_fused(project / "out", "movielens", {"visual": visual}, settings, rated, forms=("npz",), say=print)
    assert "fitted on 3 movies" in capsys.readouterr().out  # movie 9 has no picture
    centre = load_fitted(project / "out")[0]["visual"].centre
    np.testing.assert_allclose(centre, visual[1][:3].mean(axis=0), rtol=1e-6)
    before = (project / "out" / "manifest.json").read_bytes()
    foreign = np.array([100, 200]), np.ones((2, 3), np.float32)
    for source, part, train, said in (
        ("movielens", visual, np.array([1]), "1 training movies"),
        ("movielens", foreign, None, "0 training movies"),
        ("other", visual, None, "no movies of source 'other'"),
    ):
        with pytest.raises((DataError, ChoiceError), match=said):
            build_fused(project / "out", source, {"visual": part}, settings, train)
    assert (project / "out" / "manifest.json").read_bytes() == before
    (project / "processed" / "movie_popularity.json").write_text('{"1": 2, "2": 1, "3": 0, "4": 0}')
    embed(project, "--fusion", "concat", "--visual", project / "visual.npz")
    assert "fitted on 2 movies" in capsys.readouterr().out


def test_movies_are_matched_by_number_and_those_of_which_nothing_is_known_left_out(tmp_path: Path) -> None:
    columns = {"movie_id": ["010", "9", "7", "8", "8"], "source": ["a", "a", "a", "a", "b"], "key": list("01234")}
    texts = np.array([[1, 0], [0, 1], [0, 0], [0.6, 0.8], [0.8, 0.6]], np.float32)
    arrays = {name: np.array(column, np.str_) for name, column in columns.items()}
    VectorTable(MOVIES, arrays, texts, Identity("local", "m", 2)).save(tmp_path, ("npz",))
    visual = np.array([10, 8, 9]), np.random.default_rng(0).random((3, 4), np.float32)
    found = build_fused(tmp_path, "a", {"visual": visual}, FusionSettings(), forms=("npz",))
    assert found["movie_id"].tolist() == ["8", "9", "10"]
    parts, settings = load_fitted(tmp_path)
    expected = apply(parts, {"text": texts[[3, 1, 0]], "visual": visual[1][[1, 2, 0]]}, settings)
    np.testing.assert_allclose(found.embedding, expected)


def test_posters_are_embedded_by_a_service(project: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project / "home"))
    (project / "posters").mkdir()
    for movie_id in IDS:
        (project / "posters" / f"{movie_id}.jpg").write_bytes(b"a" * movie_id)
    service = f"--visual-url {server.url} --visual-model clip --visual-key-variable CLIP_KEY"
    flags = f"--fusion concat --visual {project}/posters {service}".split()
    monkeypatch.delenv("CLIP_KEY", raising=False)
    with pytest.raises(SettingsError, match="CLIP_KEY is not set"):
        embed(project, *flags)
    embed(project, *flags, "--dry-run")
    assert server.requests == []
    monkeypatch.setenv("CLIP_KEY", "clip-key-12345")
    embed(project, *flags)
    assert not any(VectorTable.load(project / "out", FUSED)["missing"])
    sent = {(body["modality"], headers["Authorization"]) for _, body, headers in server.requests}
    assert sent == {("image", "Bearer clip-key-12345")}


def test_flags_that_do_not_go_together_are_refused_before_any_work(project: Path) -> None:
    for flags, message in (
        ("--visual x.npz", "--fusion and its settings go with --visual"),
        ("--fusion pca", "--fusion and its settings go with --visual"),
        ("--n-components 3", "--fusion and its settings go with --visual"),
        ("--fusion pca --visual x.npz --visual-url http://127.0.0.1:1/v1", "--visual-model"),
        ("--fusion pca --audio x --visual-url u --visual-model m", "--visual FOLDER"),
        ("--fusion pca --visual nowhere.npz", "nowhere.npz is missing"),
    ):
        with pytest.raises((ChoiceError, ArtifactError, SettingsError), match=message):
            embed(project, *flags.split())
        assert not (project / "out").exists()


def rows(n: int, d: int, seed: int = 0, rank: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    factors = rank or d
    return rng.standard_normal((n, factors)) * np.arange(1, factors + 1) ** -0.7 @ rng.standard_normal((factors, d)) + 3


def placed(X: np.ndarray, fitted: Projection) -> np.ndarray:
    return (X - fitted[0]) @ fitted[1]


@pytest.mark.parametrize("shape", [(80, 12), (12, 80), (30, 30)])
def test_components_are_those_of_the_svd(shape: tuple[int, int]) -> None:
    X = rows(*shape)
    mean, directions, strengths = pca(X, 5)
    U, s, Vt = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(strengths, s[:5], rtol=1e-8)
    np.testing.assert_allclose(directions.T @ directions, np.eye(5), atol=1e-10)
    assert (directions.max(axis=0) == np.abs(directions).max(axis=0)).all()
    best = (U[:, :5] * s[:5]) @ Vt[:5] + X.mean(axis=0)
    np.testing.assert_allclose((X - mean) @ directions @ directions.T + mean, best, atol=1e-8)


def planted(n: int, correlations: list[float], dx: int, dy: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two views whose true canonical correlations are those given, under arbitrary linear maps."""
    rng = np.random.default_rng(seed)
    k = len(correlations)
    shared, r = rng.standard_normal((n, k)), np.array(correlations)
    u, v = rng.standard_normal((n, dx)), rng.standard_normal((n, dy))
    u[:, :k], v[:, :k] = shared, r * shared + np.sqrt(1 - r**2) * rng.standard_normal((n, k))
    return u @ rng.standard_normal((dx, dx)) + 5, v @ rng.standard_normal((dy, dy)) - 2


def test_planted_correlations_come_back() -> None:
    n, true = 40_000, [0.9, 0.6, 0.3]
    X, Y = planted(n, true, 6, 5)
    x, y = cca(X, Y, 5, regularisation=0.0)
    # The error of a correlation is about (1 - r^2) / sqrt(n); five times the largest.
    r = x[2]
    np.testing.assert_allclose(r[:3], true, atol=5 / np.sqrt(n))
    assert (r[3:] < 6 / np.sqrt(n)).all()
    between = np.corrcoef(placed(X, x).T, placed(Y, y).T)
    np.testing.assert_allclose(between, np.block([[np.eye(5), np.diag(r)], [np.diag(r), np.eye(5)]]), atol=1e-8)
    np.testing.assert_allclose(placed(X, x).var(axis=0, ddof=1), 1, rtol=1e-8)


def test_regularisation_keeps_wide_views_from_agreeing_by_chance() -> None:
    rng = np.random.default_rng(2)
    X, Y, new_x, new_y = (rng.standard_normal(shape) for shape in ((60, 80), (60, 90), (2000, 80), (2000, 90)))
    x, y = cca(X, Y, 10, 0.0)
    np.testing.assert_allclose(x[2], 1, atol=1e-6)
    assert cca(X, Y, 10, 1.0)[0][2][0] < 0.75
    A, C = cca(X[:, :20], Y, 10, 0.5)[0][1], np.cov(X[:, :20].T)
    np.testing.assert_allclose(A.T @ (C + 0.5 * np.trace(C) / 20 * np.eye(20)) @ A, np.eye(10), atol=1e-8)
    assert abs(np.corrcoef(placed(new_x, x)[:, 0], placed(new_y, y)[:, 0])[0, 1]) < 5 / np.sqrt(2000)


def test_no_more_directions_than_the_rank() -> None:
    for n, d in ((60, 20), (15, 40)):
        X = rows(n, d, rank=4)
        assert pca(X, 10)[1].shape == pca(X.astype(np.float32), 10)[1].shape == (d, 4)  # rounding is no direction
        assert pca(rows(6, d), 10)[1].shape == (d, 5)  # of six rows, centred
    rng = np.random.default_rng(7)  # weak components of few long rows are orthonormal all the same
    left, right = (np.linalg.qr(rng.standard_normal((n, 8)))[0] for n in (12, 50))
    weak = pca(left * np.geomspace(1, 1e-4, 8) @ right.T, 8)[1]
    np.testing.assert_allclose(weak.T @ weak, np.eye(8), atol=1e-9)
    x, y = cca(rows(100, 20, seed=3, rank=3), rows(100, 10, seed=4, rank=7), 64, 0.1)
    assert (x[1].shape, y[1].shape) == ((20, 3), (10, 3))
    with pytest.raises(DataError, match="are the same"):
        cca(rows(5, 3), np.ones((5, 3)), 2, 0.1)
