"""Text, pictures and sound of movies through the program, to fused vectors on the disk and back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from model import generate_embeddings
from recommender.data.errors import ArtifactError, ChoiceError, DataError, SettingsError
from recommender.media.fused_embeddings import FusedEmbeddings, build_fused, load_fusion, text_modality
from recommender.media.fusion import Fusion, FusionSettings
from recommender.media.modalities import make_modality, read_modality
from recommender.text.movie_embeddings import MovieEmbeddings
from recommender.text.user_embeddings import UserEmbeddings
from tests.fake_server import Server
from tests.test_audio import sound, write_wav
from tests.test_user_embeddings import people
from tests.tiny import FILMS, make_processed

LOOSE = ("--dimension", "4", "--fewest-texts", "1", "--most-texts", "1")
IDS = [movie[0] for movie in FILMS]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Nine movies of which eight have a picture vector, and one vector of a movie that is not listed."""
    make_processed(tmp_path / "processed")
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "visual.npz", movie_ids=[*IDS[:8], 777], vectors=rng.standard_normal((9, 12)))
    return tmp_path


def run(project: Path, *flags: object) -> None:
    places = ("--processed", project / "processed", "--output", project / "out", "--no-users")
    generate_embeddings.main([str(part) for part in (*places, *LOOSE, *flags)])


def test_the_program_fuses_and_says_what_is_missing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "sound").mkdir()
    for movie_id in IDS[2:]:
        write_wav(project / "sound" / f"{movie_id}.wav", sound(seconds=0.1 + 0.02 * movie_id), 16)
    parts = ("--visual", project / "visual.npz", "--audio", project / "sound")
    run(project, "--fusion", "pca", "--n-components", 3, *parts)
    said = capsys.readouterr().out
    assert "visual: 9 movies, 12 numbers each" in said
    assert "visual: 1 vectors are of movies that are not listed" in said
    assert "pca of text, visual, audio, fitted on 6 movies" in said
    assert "9 movies, 3 numbers each; 1 without visual, 2 without audio" in said
    found = FusedEmbeddings.load(project / "out")
    assert found.movie_id.tolist() == IDS
    assert found.missing.tolist() == ["audio", "audio", "", "", "", "", "", "", "visual"]
    np.testing.assert_allclose(np.linalg.norm(found.embedding, axis=1), 1, atol=1e-5)
    with open(project / "out" / "fused_embeddings.csv", encoding="utf-8", newline="") as file:
        assert [row["movie_id"] for row in csv.DictReader(file)] == [str(movie_id) for movie_id in IDS]
    text = text_modality(MovieEmbeddings.load(project / "out"), "movielens")
    visual = read_modality(project / "visual.npz", "visual")
    placed = load_fusion(project / "out").transform([text, visual])
    row = placed.movie_ids.tolist().index(IDS[0])
    np.testing.assert_allclose(placed.vectors[row], found.embedding[0], atol=1e-5)


def test_fused_vectors_live_and_end_with_their_movies(project: Path) -> None:
    run(project, "--fusion", "concat", "--visual", project / "visual.npz")
    movies = MovieEmbeddings.load(project / "out")
    someone = people()
    UserEmbeddings(
        movies.identity, someone.user_id, someone.origin, np.ones((3, movies.identity.dimension), "f4"), {}
    ).save(project / "out")
    run(project)  # nothing has changed
    assert len(FusedEmbeddings.load(project / "out").movie_id) == 9
    run(project, "--fusion", "average", "--visual", project / "visual.npz")
    assert FusedEmbeddings.load(project / "out").settings["method"] == "average"
    assert len(UserEmbeddings.load(project / "out")) == 3
    movies.save(project / "out")
    with pytest.raises(ArtifactError, match="no fused vectors"):
        FusedEmbeddings.load(project / "out")
    with pytest.raises(ArtifactError, match="no fused vectors"):
        load_fusion(project / "out")


def test_a_fusion_of_another_run_is_refused(project: Path) -> None:
    run(project, "--fusion", "concat", "--visual", project / "visual.npz")
    stored = load_fusion(project / "out")
    stored.settings = FusionSettings(method="concat", text_weight=0.1)
    stored.save(project / "out" / "fusion")
    with pytest.raises(ArtifactError, match="is not the fusion that made"):
        load_fusion(project / "out")


def test_only_movies_with_ratings_in_train_are_fitted(project: Path) -> None:
    run(project)
    visual = read_modality(project / "visual.npz", "visual")
    lines: list[str] = []
    settings, ids = FusionSettings(), np.array([1, 2, 3, 9])
    build_fused(project / "out", "movielens", [visual], settings, ids, forms=("npz",), say=lines.append)
    assert "fitted on 3 movies" in " ".join(lines)  # movie 9 has no picture
    before = (project / "out" / "manifest.json").read_bytes()
    with pytest.raises(DataError, match="1 training movies"):
        build_fused(project / "out", "movielens", [visual], settings, np.array([1]))
    assert (project / "out" / "manifest.json").read_bytes() == before
    counts = {"1": 2, "2": 1, "3": 0, "4": 0}
    (project / "processed" / "movie_popularity.json").write_text(json.dumps(counts))
    run(project, "--fusion", "concat", "--visual", project / "visual.npz")
    assert Fusion.load(project / "out" / "fusion").n_train == 2
    with pytest.raises(ChoiceError, match="no movies of source 'other'"):
        build_fused(project / "out", "other", [visual], settings)
    foreign = make_modality("visual", [100, 200], np.ones((2, 3)))
    with pytest.raises(DataError, match="0 training movies"):
        build_fused(project / "out", "movielens", [foreign], settings)


def test_posters_are_embedded_by_a_service(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project / "home"))
    (project / "posters").mkdir()
    for movie_id in IDS:
        (project / "posters" / f"{movie_id}.jpg").write_bytes(b"a" * movie_id)
    server = Server()
    try:
        service = ("--visual-url", server.url, "--visual-model", "clip", "--visual-key-variable", "CLIP_KEY")
        flags = ("--fusion", "concat", "--visual", project / "posters", *service)
        monkeypatch.delenv("CLIP_KEY", raising=False)
        with pytest.raises(SettingsError, match="CLIP_KEY is not set"):
            run(project, *flags)
        run(project, *flags, "--dry-run")
        assert server.requests == []
        monkeypatch.setenv("CLIP_KEY", "clip-key-12345")
        run(project, *flags)
        assert FusedEmbeddings.load(project / "out").missing.tolist() == [""] * 9
        assert {body["modality"] for _, body, _ in server.requests} == {"image"}
        assert {headers["Authorization"] for *_, headers in server.requests} == {"Bearer clip-key-12345"}
    finally:
        server.close()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--visual", "x.npz"), "--visual is used by --fusion alone"),
        (("--text-weight", "0.5"), "--text-weight is used by --fusion alone"),
        (("--fusion", "pca"), "give --visual or --audio"),
        (("--fusion", "pca", "--visual", "x.npz", "--visual-url", "http://127.0.0.1:1/v1"), "--visual-model"),
        (("--fusion", "pca", "--audio", "x", "--visual-url", "u", "--visual-model", "m"), "--visual FOLDER"),
        (("--fusion", "pca", "--visual", "x", "--visual-key-variable", "K"), "--visual-model"),
        (("--fusion", "pca", "--dry-run"), "give --visual or --audio"),
        (("--fusion", "pca", "--visual", "nowhere.npz"), "nowhere.npz is missing"),
    ],
)
def test_flags_that_do_not_go_together_are_refused_before_any_work(
    project: Path, flags: tuple[str, ...], message: str
) -> None:
    with pytest.raises((ChoiceError, ArtifactError, SettingsError), match=message):
        run(project, *flags)
    assert not (project / "out").exists()
