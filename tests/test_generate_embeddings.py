"""The generator and its program: a project of nine movies from the first run to the refused one."""

import contextlib
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import generate_embeddings
from recommender.data.errors import ArtifactError, ChoiceError, DataError, ServiceError, SettingsError, TastevecError
from recommender.data.files import exclusive
from recommender.linalg.rows import unit_rows
from recommender.text.backends.local import LocalBackend
from recommender.text.base import BaseEmbeddingBackend, Identity
from recommender.text.generator import TasteEmbeddingConfig, TasteEmbeddingGenerator
from recommender.text.registry import make_backend
from recommender.text.vectors import KEYWORDS, USERS, VectorTable, fetch_vectors
from tests.fake_server import Reply, Server, unit
from tests.tiny import FILMS, make_processed

ROOT = Path(__file__).resolve().parents[1]
LOOSE = {"dimension": 4, "fewest_texts": 1, "most_texts": 1.0}
# user, movie, rating
RATINGS = [(1, 1, 5.0), (1, 2, 4.5), (1, 3, 4.0), (1, 4, 1.0), (2, 4, 5.0), (2, 5, 5.0)]
RATINGS += [(3, 9, 5.0), (3, 5, 4.0), (3, 4, 4.0)]


class Letters(BaseEmbeddingBackend):
    """Counts of the letters a, b and c; remembers every text that it was asked for."""

    name = "letters"

    def __init__(self, model: str = "abc") -> None:
        self.asked: list[str] = []
        self.model = model

    @property
    def identity(self) -> Identity:
        return Identity(self.name, self.model, 3)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        counts = [[text.count(letter) for letter in "abc"] for text in texts]
        return unit_rows(np.array(counts, dtype=np.float64).reshape(-1, 3))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_processed(tmp_path / "processed")
    lines = [f"{user},{movie},{stars},{10**9 + place}\n" for place, (user, movie, stars) in enumerate(RATINGS)]
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(lines))
    return tmp_path


def generator(project: Path, force: bool = False, backend: Any = None, **config: Any) -> TasteEmbeddingGenerator:
    config = {"backend_type": "local", "backend_settings": LOOSE, **config} if backend is None else config
    return TasteEmbeddingGenerator(TasteEmbeddingConfig(project, **config), force=force, backend=backend)


def out(project: Path) -> Path:
    return project / "processed" / "artifacts" / "text" / "local"


def change_title(project: Path, old: str, new: str) -> None:
    path = project / "processed" / "movie_metadata.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def words(project: Path) -> Path:
    (project / "words.csv").write_text("dialog_id,speaker_id,text\nd1,3,action and war\n", encoding="utf-8")
    return project / "words.csv"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_changes_nothing_and_a_changed_movie_is_embedded_alone(project: Path) -> None:
    def run(backend: Letters, force: bool = False) -> VectorTable:
        return generator(project, force, backend, output=project / "out").build_movie_embeddings()

    backend, again = Letters(), Letters()
    run(backend)
    assert len(backend.asked) == len(FILMS)
    before = files(project / "out")
    run(again)
    assert again.asked == []
    assert files(project / "out") == before
    other = Letters("abd")
    with pytest.raises(ArtifactError, match="has vectors of model abc, not abd"):
        run(other)
    assert other.asked == []
    change_title(project, "Delta (1983)", "Cab (1983)")
    movies = run(again)
    assert again.asked == ["Title: Cab (1983).\nGenres: Drama."] == [movies["embedding_text"][3]]
    run(again, force=True)
    assert len(again.asked) == 1 + len(FILMS)


def test_a_sentence_model_embeds_three_texts_of_a_movie_and_keywords(project: Path) -> None:
    class Parts(Letters):
        in_parts = True

    def run(title: str, genres: str = "Crime, abba") -> tuple[VectorTable, VectorTable, list[str]]:
        lines = [f"7\t{title}\t1995\t{genres}\tcab", "8\tC\t1996\tCrime\tbaa"]
        (project / "movies.tsv").write_text("\n".join(["video_id\ttitle\tyear\tgenres\tshort_plot", *lines]))
        config = {"movie_sources": ["a=movies.tsv"], "output": project / "out", "small": True}
        movies = generator(project, False, backend := Parts(), **config).build_movie_embeddings()
        return movies, VectorTable.load(project / "out", KEYWORDS, movies.identity, as_stored=True), backend.asked

    movies, keywords, asked = run("A")
    assert asked[:3] == ["Title: A (1995).\nGenres: Crime, abba.\nPlot: cab.", "cab.", "Crime, abba"]
    assert sorted(asked[6:]) == ["Crime", "abba"]
    parts = unit_rows(np.array([[text.count(letter) for letter in "abc"] for text in asked[:3]], np.float64))
    np.testing.assert_allclose(movies.embedding[0], unit_rows(parts.sum(axis=0)[None])[0], atol=1e-6)
    assert keywords["keyword"].tolist() == ["Crime", "abba"]
    np.testing.assert_array_equal(keywords.embedding, [[0, 0, 0], [127, 127, 0]])
    assert run("B")[2][1:] == ["cab.", "Crime, abba"]  # keywords stay
    assert run("B", "Crime")[1]["keyword"].tolist() == ["Crime"]


def test_equal_texts_go_out_once_in_calls_of_the_asked_size(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "movies.dat").write_text("1::Cab (1980)::\n2::Cab (1980)::\n3::Bac (1980)::\n4::Abc (1980)::\n")
    monkeypatch.setattr("recommender.text.generator._AT_ONCE", 2)
    backend, told = Letters(), []
    config = TasteEmbeddingConfig(project, movie_sources=["a=movies.dat"], batch_size=1, output=project / "out")
    made = TasteEmbeddingGenerator(config, progress=lambda *done: told.append(done), backend=backend)
    movies = made.build_movie_embeddings()
    assert backend.asked == [f"Title: {name} (1980)." for name in ("Cab", "Bac", "Abc")]
    assert told == [(2, 3), (3, 3)]
    assert len(set(movies["key"].tolist())) == 4
    assert np.array_equal(movies.embedding[0], movies.embedding[1])


def test_a_refused_or_stopped_run_leaves_what_fits(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    first = generator(project).build_movie_embeddings()
    folder = out(project)
    before = files(folder)
    with pytest.raises(ArtifactError, match=r"model was fitted with dimension 4, not 3: refit with --force"):
        generator(project, backend_settings={**LOOSE, "dimension": 3}).build_movie_embeddings()
    change_title(project, "Delta (1983)", "Cab (1983)")
    with exclusive(folder, "it"), pytest.raises(ArtifactError, match="another process"):
        generator(project, force=True).build_movie_embeddings()
    assert files(folder) == before
    for method in ("embed_texts", "save"):  # before the vectors; after them, before their model
        with monkeypatch.context() as patched:
            patched.setattr(LocalBackend, method, stop)
            with pytest.raises(KeyboardInterrupt):
                generator(project, force=True).build_movie_embeddings()
        assert (files(folder) == before) == (method == "embed_texts")
    again = generator(project).build_movie_embeddings()
    assert again.identity == first.identity == LocalBackend(folder / "model").identity
    assert VectorTable.load(folder, identity=first.identity, texts=True)["embedding_text"][3].startswith("Title: Cab")
    assert np.array_equal(np.delete(again.embedding, 3, axis=0), np.delete(first.embedding, 3, axis=0))
    LocalBackend.fit([f"other words {place}" for place in range(5)], **LOOSE).save(folder / "model")  # of another run
    with pytest.raises(ArtifactError, match="has vectors of model"):
        generator(project).build_user_embeddings(project / "ratings.csv", [words(project)])
    assert generator(project).build_movie_embeddings().identity == LocalBackend(folder / "model").identity


def test_users_lie_at_the_mean_of_the_movies_they_like(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender.text.generator._MOST_CSV_LINES", 1)
    with pytest.raises(ArtifactError, match=r"no taste-embeddings artifact .*generate_embeddings"):
        generator(project).build_user_embeddings(project / "ratings.csv")
    movies = generator(project).build_movie_embeddings()
    people = generator(project).build_user_embeddings(project / "ratings.csv")
    assert people["user_id"].tolist() == ["1", "3"]  # 2 likes two movies only
    assert np.allclose(people.embedding[0], unit_rows(movies.embedding[:3].sum(axis=0)[None]), atol=1e-6)
    stored = VectorTable.load(out(project), USERS, movies.identity)
    assert stored.settings == {"method": "average", "rating_threshold": 4.0, "min_movies": 3, "alpha": 0.7}
    assert not (out(project) / "user_embeddings.csv").exists()  # a large one is written when asked for
    changed = generator(project, min_movies=2, rating_threshold=4.5, forms=["npz", "csv"])
    fewer = changed.build_user_embeddings(project / "ratings.csv")
    assert (out(project) / "user_embeddings.csv").exists()
    assert fewer["user_id"].tolist() == ["1", "2"]
    config = TasteEmbeddingConfig(project, output=project / "out", backend_type="http")
    TasteEmbeddingGenerator(config, backend=Letters()).build_movie_embeddings()
    with pytest.raises(ArtifactError, match="letters"):  # and no service is called
        TasteEmbeddingGenerator(config).build_user_embeddings(project / "ratings.csv")


def test_users_who_talk_are_embedded_by_the_movies_own_model_and_mixed_by_alpha(project: Path) -> None:
    talk = project / "talk.tsv"
    lines = ["d0\tSEEKER\tzzzz", "d1\tSEEKER\tI want action and war", "d1\tRECOMMENDER\tcomedy?"]
    talk.write_text("\n".join(["dialog_id\tspeaker\ttext", *lines]))
    generator(project).build_movie_embeddings()
    model = LocalBackend(out(project) / "model")
    for force in (False, True):  # no movies to fit a model on
        alone = generator(project, force).build_user_embeddings(talk)
        assert (alone["user_id"].tolist(), alone["origin"].tolist()) == (["inspired:d1"], ["text"])
        assert np.allclose(alone.embedding, model.embed_texts(["I want action and war"]), atol=1e-6)
    parts = project / "ratings.csv", [words(project), talk]
    sides = [generator(project, alpha=alpha).build_user_embeddings(*parts) for alpha in (1.0, 0.0, 0.25)]
    ratings, said, both = (side.vectors_for([3])[0] for side in sides)
    np.testing.assert_allclose(said, model.embed_texts(["action and war"])[0], atol=1e-6)
    np.testing.assert_allclose(both, unit_rows((0.25 * ratings + 0.75 * said)[None])[0], atol=1e-6)
    assert sides[2]["user_id"].tolist() == ["1", "3", "inspired:d1"]
    assert sides[2]["origin"].tolist() == ["ratings", "both", "text"]


def test_ratings_are_of_the_movies_of_movielens_or_of_the_first_source(project: Path) -> None:
    (project / "movies.dat").write_text("1::Other (1999)::War\n5::Strange (1999)::\n")
    tweets, own = f"tweets={project / 'movies.dat'}", f"own={project / 'processed'}"
    for sources, n_people in (([tweets, "movielens"], 2), ([own, tweets], 2), ([tweets, own], 0)):
        made = generator(project, movie_sources=sources, force=True)
        movies = made.build_movie_embeddings()
        people = made.build_user_embeddings(project / "ratings.csv")
        mean = unit_rows(movies.vectors_for([1, 2, 3], "own" if own in sources else "movielens").sum(axis=0)[None])
        assert np.allclose(people.embedding[:1], mean[:n_people], atol=1e-6)
        assert len(people) == n_people


def test_ratings_are_read_as_preprocess_reads_them(project: Path) -> None:
    table, header = project / "own.csv", "userId,movieId,rating,timestamp\n"
    generator(project).build_movie_embeddings()
    bad = {"7.9,1,5": "userId '7.9'", "7,1.6,5": "movieId '1.6'", "7,1,0": "rating '0'", "7,1,-3": "rating '-3'"}
    for cells, wrong in bad.items():
        table.write_text(f"{header}1,2,4,1000000000\n{cells},1000000001\n")
        with pytest.raises(DataError, match=f"own.csv line 3: .*{re.escape(wrong)}"):
            generator(project).build_user_embeddings(table)
    with pytest.raises(DataError, match="no ratings at"):
        generator(project).build_user_embeddings(project / "none.csv")
    # users with names keep them; of several ratings of a movie the last one counts
    rows = [f"u{user};{movie};{stars};{10**9 + place}\n" for place, (user, movie, stars) in enumerate(RATINGS)]
    (project / "named.csv").write_text("user;movie;rating;time\nu2;1;5;9\nu2;1;1;99\n" + "".join(rows))
    tables = (project / name for name in ("ratings.csv", "named.csv"))
    numbered, named = map(generator(project).build_user_embeddings, tables)
    assert named["user_id"].tolist() == [f"u{user}" for user in numbered["user_id"]]
    assert np.array_equal(named.embedding, numbered.embedding)


def test_sources_are_found_from_the_root_and_bad_configurations_refused(tmp_path: Path) -> None:
    def places(sources: Any) -> dict[str, Path]:
        return TasteEmbeddingConfig(tmp_path, movie_sources=sources).sources()

    folders = {"movielens": tmp_path / "processed", "tweets": tmp_path / "data" / "tweets"}
    assert places(["movielens", "tweets"]) == folders
    assert places(["a=/b", "c=x/y.tsv"]) == {"a": Path("/b"), "c": tmp_path / "x" / "y.tsv"}
    assert TasteEmbeddingConfig("here").sources() == {"movielens": Path("here", "processed")}
    with pytest.raises(ChoiceError, match="source 'a' is given twice"):
        places(["a=1", "a=2"])
    bad: dict[str, Any] = {"batch_size": [0, 1.5, True], "alpha": [1.5, "0.5"], "rating_threshold": [9.0]}
    bad |= {"min_movies": [0], "movie_sources": ["movielens", []], "backend_settings": [{"dimensions": 3}]}
    bad |= {"backend_type": ["word2vec"], "forms": [["csv"], ["npz", "xls"]]}
    for name, values in bad.items():
        for value in values:
            with pytest.raises(ChoiceError if name in ("backend_type", "forms") else SettingsError):
                TasteEmbeddingConfig(**{name: value})


def test_the_program_from_plan_to_users(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*flags: object) -> str:
        generate_embeddings.main(["--processed", str(project / "processed"), "--backend", "local", *map(str, flags)])
        return capsys.readouterr().out

    loose = ("--dimension", 4, "--fewest-texts", 1, "--most-texts", 1.0)
    assert "local: 9 texts to embed\nabout " in run(*loose, "--dry-run", "--no-users")
    assert not out(project).exists()
    done = run(*loose, "--ratings", project / "ratings.csv", "--files", "npz")
    assert "9 of movielens: 9 different movies" in done
    assert "2 of 3 users from ratings, method average" in done
    made = ["manifest.json", "model", "movie_embeddings.npz", "user_embeddings.npz"]
    assert sorted(path.name for path in out(project).iterdir()) == made
    assert "is up to date" in run("--no-users", "--formats", "npz")


def test_every_flag_arrives() -> None:
    flags = "--output there --source movielens --source a=b --small --no-texts --files npz,csv --alpha 0.5 --rarity 2"
    flags += " --backend local --processed here --rating-threshold 3.5 --min-movies 4"
    found = generate_embeddings.config_of(generate_embeddings.make_parser().parse_args(flags.split()))
    settings: Any = {"small": True, "backend_type": "local", "with_texts": False, "alpha": 0.5, "min_movies": 4}
    settings |= {"rating_threshold": 3.5, "backend_settings": {"rarity": 2.0}, "forms": ["npz", "csv"]}
    sources = [f"movielens={Path('here').resolve()}", "a=b"]
    assert found == TasteEmbeddingConfig(output=Path("there"), movie_sources=sources, **settings)


def test_the_program_refuses_in_one_line(project: Path) -> None:
    for flags, said in (
        (["--backend", "bert"], "invalid choice: 'bert'"),
        (["--model", "x"], "--model is a setting of --backend http, not minilm"),
        (["--rarity", "2"], "--rarity is a setting of --backend local, not minilm"),
        (["--backend", "local", "--dimension", "0"], "--dimension: 0 is out of range"),
        (["--source", "tweets=nowhere"], "nowhere does not exist"),
        (["--files", "xls"], "formats 'xls': give npz"),
        (["--from-url", "https://x.org/a.zip"], "--sha256"),
        (["--output", str(project / "ratings.csv")], "is a file, not a folder"),
        (["--output", str(project)], "user_embeddings.csv is not of tastevec: move it, or give another --output"),
    ):
        (project / "user_embeddings.csv").write_text("mine")
        with pytest.raises((ChoiceError, SettingsError, DataError, ArtifactError), match=said):
            generate_embeddings.main(["--processed", str(project / "processed"), *flags])


def test_a_run_over_http_pays_only_for_what_is_not_there(project: Path, server: Server) -> None:
    def run(**settings: Any) -> VectorTable:
        given = {"base_url": server.url, "cache": str(project / "cache"), "concurrency": 1, "attempts": 1, **settings}
        config: Any = {"backend_type": "http", "openai_model": "m", "batch_size": 2, "backend_settings": given}
        return generator(project, output=project / "out", **config).build_movie_embeddings()

    server.faults = [None, None, Reply(403, {"error": {"message": "no", "code": "bad"}})]
    with pytest.raises(TastevecError):
        run()
    assert not (project / "out" / "manifest.json").exists()
    assert len(server.answered) == 4  # two in each request
    movies = run()
    assert movies.identity == Identity("http", "m", 3)
    assert len(server.answered) == len(FILMS) + 1, "one is sent again, to show that the model is the same"
    assert set(server.answered) == set(movies["embedding_text"].tolist())
    assert np.allclose(movies.embedding, [unit(text) for text in movies["embedding_text"]], atol=1e-6)
    n_requests = len(server.requests)
    run(cache="")
    for settings, said in (({"model": "n"}, "model m, not n"), ({"dimensions": 2}, "dimension 3, not 2")):
        with pytest.raises(ArtifactError, match=f"has vectors of {said}"):
            run(**settings)
    assert len(server.requests) == n_requests
    change_title(project, "Delta (1983)", "Cab (1983)")
    server.width = 4  # the same name, other vectors: known only after a call
    with pytest.raises(ArtifactError, match="dimension 3, not 4"):
        run(cache="")
    assert server.answered[10:] == ["Title: Cab (1983).\nGenres: Drama."]


def test_nothing_is_paid_for_where_another_input_is_wrong(project: Path, server: Server) -> None:
    (project / "talk.csv").write_text("dialog_id,speaker_id\nd1,3\n", encoding="utf-8")
    (project / "file").write_text("")
    (project / "posters").mkdir()
    good = ["--processed", str(project / "processed"), "--ratings", str(project / "ratings.csv"), "--model", "m"]
    good += ["--backend", "http", "--base-url", server.url, "--cache", str(project / "cache")]
    pictures = ["--fusion", "concat", "--visual-url", server.url, "--visual-model", "clip", "--visual"]
    for flags, said in (
        (["--ratings", str(project / "none.csv")], "no ratings at"),
        (["--ratings", str(project / "talk.csv")], "talk.csv"),
        (["--dialogues", str(project / "talk.csv")], "talk.csv"),
        (["--output", str(project / "file" / "x")], "is a file, not a folder"),
        ([*pictures, str(project / "posters")], "posters has no file called"),
        ([*pictures[:2], "--audio", str(project / "none.npz")], "none.npz"),
        (["--source", "tweets=nowhere"], "nowhere does not exist"),
        ([*pictures[:2], "--audio", str(project), "--n-components", "0"], "--n-components"),
    ):
        for more in ([], ["--dry-run"]):
            with pytest.raises(TastevecError, match=said):
                generate_embeddings.main([*good, *flags, *more])
    assert server.requests == []


def test_a_refused_text_waits_for_a_later_run(project: Path, server: Server, capsys: pytest.CaptureFixture) -> None:
    said: list[str] = []
    given: Any = {"base_url": server.url, "cache": str(project / "cache"), "attempts": 1}
    config = TasteEmbeddingConfig(project, "http", openai_model="m", output=project / "out", backend_settings=given)
    server.check = lambda texts: Reply(500, "oops") if any("Delta" in text for text in texts) else None
    for _ in range(2):
        movies = TasteEmbeddingGenerator(config).build_movie_embeddings()
        assert np.flatnonzero(~movies.embedding.any(axis=1)).tolist() == [3]
        assert "'Title: Delta (1983)" in capsys.readouterr().err
        assert np.allclose(movies.embedding[0], unit(movies["embedding_text"][0]), atol=1e-6)
    server.check = lambda texts: None
    for _ in range(2):
        assert TasteEmbeddingGenerator(config, say=said.append).build_movie_embeddings().embedding.any(axis=1).all()
    assert ("is up to date" in said[2], "is up to date" in said[-1]) == (False, True)


SHIPPED = ROOT / "processed" / "artifacts" / "text"


@pytest.mark.slow
def test_the_shipped_vectors_are_those_of_their_backends(tmp_path: Path) -> None:
    shipped = VectorTable.load(SHIPPED / "local")
    built = generator(ROOT, output=tmp_path, backend_settings={}, forms=["npz"], small=True).build_movie_embeddings()
    assert built.identity == shipped.identity == LocalBackend().identity
    assert all(column.tolist() == built[name].tolist() for name, column in shipped.columns.items())
    # Another processor sums in another order; directions may turn into each other, distances stay.
    cosines = [movies.embedding[::7] @ movies.embedding[::7].T for movies in (built, shipped)]
    assert np.abs(cosines[0] - cosines[1]).max() < 0.02
    minilm, backend = VectorTable.load(SHIPPED / "minilm"), make_backend()
    columns, missing, _ = TasteEmbeddingGenerator(TasteEmbeddingConfig(), backend=backend).plan()
    assert (missing, minilm.identity) == ({}, backend.identity)
    assert minilm["movie_id"].tolist() == shipped["movie_id"].tolist()
    fresh = backend.embed_movies(columns["embedding_text"][::2000].tolist())
    assert np.sum(fresh * minilm.embedding[::2000], axis=1).min() > 0.9999
    keywords = VectorTable.load(SHIPPED / "minilm", KEYWORDS, backend.identity)
    assert {word for cell in columns["metadata"] for word in json.loads(cell).get("keywords", [])} <= {
        *(listed := keywords["keyword"].tolist())
    }
    assert np.sum(backend.embed_texts(listed[:2]) * keywords.embedding[:2], axis=1).min() > 0.9999


@pytest.mark.parametrize("inside", ["", "vectors/"])
def test_vectors_made_elsewhere_are_fetched_whole_or_not_at_all(project: Path, server: Server, inside: str) -> None:
    generator(project, output=project / "made").build_movie_embeddings()
    made, packed = files(project / "made"), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in made.items():
            archive.writestr(inside + name, content)
    content = packed.getvalue()
    digest = hashlib.sha256(content).hexdigest().upper()
    for reply, sha, error, said in (
        (Reply(200, content), "0" * 64, DataError, "has sha256"),
        (Reply(200, b"no zip"), hashlib.sha256(b"no zip").hexdigest(), DataError, r"not a (valid )?\.zip"),
        (Reply(404, b""), digest, ServiceError, "404"),
        (Reply(200, content), digest, None, ""),
        (Reply(200, content), digest, ArtifactError, "here exists"),
    ):
        server.faults = [reply]
        with pytest.raises(error, match=said) if error else contextlib.nullcontext():
            fetch_vectors(server.url, sha, project / "here")
        assert (project / "here").exists() == (error in (None, ArtifactError))
    assert files(project / "here") == made
    assert sorted(path.name for path in project.iterdir()) == ["here", "made", "processed", "ratings.csv"]
