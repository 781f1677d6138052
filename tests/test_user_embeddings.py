"""Vectors of people on the disk, beside the movies they were made from."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import ArtifactError, ChoiceError
from recommender.text.base import Identity
from recommender.text.mix import mix_people
from recommender.text.movie_embeddings import MovieEmbeddings
from recommender.text.user_embeddings import UserEmbeddings

IDENTITY = Identity("local", "test", 3)
SETTINGS = {"method": "average", "alpha": 0.7}


def movies(identity: Identity = IDENTITY) -> MovieEmbeddings:
    names = np.array(["1", "2"])
    unit = np.eye(2, identity.dimension, dtype=np.float32)
    source = np.array(["movielens"] * 2)
    return MovieEmbeddings(identity, names, source, names, names, unit, ["{}", "{}"], ["a", "b"])


def people() -> UserEmbeddings:
    rng = np.random.default_rng(0)
    ratings, texts = (rng.standard_normal((2, 3)).astype(np.float32) for _ in range(2))
    return UserEmbeddings.from_mixed(IDENTITY, mix_people([5, 12], ratings, ["12", "redial:é"], texts), SETTINGS)


def test_saved_people_come_back_as_numbers_and_as_csv(tmp_path: Path) -> None:
    movies().save(tmp_path)
    given = people()
    given.save(tmp_path)
    found = UserEmbeddings.load(tmp_path, IDENTITY)
    assert found.user_id.tolist() == ["5", "12", "redial:é"]
    assert found.origin.tolist() == ["ratings", "both", "text"]
    assert found.settings == SETTINGS
    np.testing.assert_allclose(found.embedding, given.embedding, atol=1e-7)
    np.testing.assert_array_equal(found.vector(12), found.embedding[1])
    with open(tmp_path / "user_embeddings.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["user_id"] for row in rows] == found.user_id.tolist()
    np.testing.assert_allclose([json.loads(row["embedding"]) for row in rows], given.embedding, atol=1e-5)
    assert len(MovieEmbeddings.load(tmp_path)) == 2  # still there
    with pytest.raises(ChoiceError, match="no vector for user 6"):
        found.vector(6)


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    movies().save(tmp_path)
    people().save(tmp_path, ("npz", "parquet"))
    table = parquet.read_table(tmp_path / "user_embeddings.parquet").to_pydict()
    assert table["origin"] == ["ratings", "both", "text"]
    np.testing.assert_allclose(table["embedding"], people().embedding, atol=1e-7)


def test_new_movies_take_the_people_away(tmp_path: Path) -> None:
    movies().save(tmp_path)
    people().save(tmp_path)
    movies().save(tmp_path)
    with pytest.raises(ArtifactError, match="no vectors of people"):
        UserEmbeddings.load(tmp_path)
    assert not (tmp_path / "user_embeddings.npz").exists()


def test_people_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no taste-embeddings artifact"):
        people().save(tmp_path)
    movies(Identity("minilm", "test", 4)).save(tmp_path)
    with pytest.raises(ArtifactError, match="vectors of backend minilm, not local"):
        people().save(tmp_path)
    movies().save(tmp_path)
    people().save(tmp_path, half=True)
    with pytest.raises(ArtifactError, match="model test, not other"):
        UserEmbeddings.load(tmp_path, Identity("local", "other", 3))
    np.testing.assert_allclose(UserEmbeddings.load(tmp_path).embedding, people().embedding, atol=1e-3)
    with open(tmp_path / "user_embeddings.npz", "ab") as file:
        file.write(b"x")
    with pytest.raises(ArtifactError, match="damaged or from another run"):
        UserEmbeddings.load(tmp_path)
