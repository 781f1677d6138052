"""The local backend, the contract of every text backend of the registry, and that of sentence-transformers.

Services, weights and libraries have stand-ins; benchmarks/minilm.py uses sentence-transformers itself.
"""

import functools
import sys
import types
from typing import ClassVar
from zlib import crc32

import numpy as np
import pytest

from recommender.data.errors import ArtifactError, ChoiceError, DataError, SettingsError
from recommender.text.backends.local import LocalBackend, features
from recommender.text.registry import backend_class, make_backend, names
from recommender.text.word_match import fold, stem
from tests.test_minilm import tiny as tiny

# Two themes that share no word; "hull" never stands beside "captain".
SPACE = ["captain starship", "starship hull", "captain starship crew", "starship hull crew"]
LOVE = ["wedding bride", "bride groom", "wedding bride groom", "groom wedding"]
TEXTS = [text for pair in zip(SPACE, LOVE) for text in pair]
PLAIN = {"fewest_texts": 1, "most_texts": 1.0, "letters_weight": 0.0, "rarity": 1.0}


@pytest.fixture(scope="module")
def small() -> LocalBackend:
    return LocalBackend.fit(TEXTS, dimension=2, **PLAIN)


def test_vectors_have_length_one_and_follow_the_themes(small):
    vectors = small.embed_texts(TEXTS)
    cosines = vectors @ vectors.T
    same = np.add.outer(np.arange(8), np.arange(8)) % 2 == 0
    assert cosines[same].min() > 0.9 > 0.3 > np.abs(cosines[~same]).max()
    # words that never meet are near when they share neighbours, and unknown ones are zeros
    captain, hull, bride, *unknown = small.embed_texts(["captain", "hull", "bride", "", "zebra", "   \n", "\ud800"])
    assert captain @ hull > 0.9
    assert abs(captain @ bride) < 0.1
    assert not np.any(unknown)
    model = LocalBackend.fit(TEXTS, **{**PLAIN, "letters_weight": 0.5})
    right, misspelt, other = model.embed_texts(["captain", "captian", "bride"])
    assert right @ misspelt > 0.9 > 0.3 > misspelt @ other


def test_features_are_words_and_groups_of_letters_with_the_weight_of_their_line():
    found = features("Title: Moon Men (1999).\nPlot: Moon men.\nA note: moon", {"Title": 3.0}, 0.5)
    by_name = {name: found.pop(crc32(name.encode())) for name in ("moon", "men", "1999", "a", "not")}
    assert by_name == {"moon": (3, 3.0), "men": (2, 3.0), "1999": (1, 3.0), "a": (1, 1.0), "not": (1, 1.0)}
    groups = {name: found.pop(crc32(f"#{name}".encode())) for name in ("<mo", "<me", "<no", "<a>", "ote")}
    assert groups == {"<mo": (3, 1.5), "<me": (2, 1.5), "<no": (1, 0.5), "<a>": (1, 0.5), "ote": (1, 0.5)}
    # moo oon on>, men en>, <19 199 999 99>, not te>
    assert len(found) == 3 + 2 + 4 + 2
    assert features("moon", {}, 0) == {crc32(b"moon"): (1, 1.0)}
    assert features("Cast", {"Cast": 2.0}, 0) == {crc32(b"cast"): (1, 1.0)}  # a word, and no name of a line
    assert fold("Café ’Round") == "cafe round"
    for one, other in (("stories", "story"), ("robots", "robot"), ("hoping", "hope"), ("planned", "planning")):
        assert stem(one) == stem(other)
    assert all(stem(word) == word for word in ("bus", "this", "king", "red", "fly", "gas"))


@pytest.mark.dev
def test_full_rank_cosines_are_those_of_scikit_learn():
    sklearn_text = pytest.importorskip("sklearn.feature_extraction.text")
    texts = ["red moon", "red moon moon", "blue moon sea", "sea sea sea blue", "tall red tree"]
    expected = sklearn_text.TfidfVectorizer(sublinear_tf=True).fit_transform(texts).toarray()
    # At full rank and without flattening the SVD is a rotation, which keeps every cosine.
    ours = LocalBackend.fit(texts, dimension=5, flattening=0.0, **PLAIN).embed_texts(texts)
    assert np.allclose(ours @ ours.T, expected @ expected.T, atol=5e-3)  # the projection is kept in 8 bits


def test_flattening_divides_by_the_singular_values():
    fits = [LocalBackend.fit(TEXTS, dimension=3, flattening=f, **PLAIN) for f in (0.0, 1.0)]
    V = [fit.scales[:, None] * fit.projection for fit in fits]
    tall, flat = (np.linalg.norm(rows, axis=0) for rows in V)
    np.testing.assert_allclose([*tall, flat[0]], 1, atol=1e-2)
    assert flat[2] > 1.1
    words = np.isin(fits[1].hashes, [crc32(stem(word).encode()) for word in ("hull", "bride", "groom")])
    expected = fits[1].idf[words] @ V[1][words]
    found = fits[1].embed_texts(["hull bride groom"])[0]
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-6)


def test_fits_are_known_by_texts_and_settings_and_saved_whole(small, tmp_path):
    for texts, settings in ((TEXTS[:-1], {}), (TEXTS, {"flattening": 0.4}), (TEXTS, {"title_weight": 2})):
        assert LocalBackend.fit(texts, dimension=2, **{**PLAIN, **settings}).identity.model != small.identity.model
    with pytest.raises(ArtifactError, match=r"no local-text-model artifact in .*generate_embeddings"):
        make_backend("local", folder=tmp_path)
    small.save(tmp_path)
    for same in (LocalBackend(tmp_path), LocalBackend.fit(list(TEXTS), dimension=2, **PLAIN)):
        assert same.identity == small.identity
        assert np.array_equal(same.embed_texts(TEXTS), small.embed_texts(TEXTS))
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 0'))
    with pytest.raises(ArtifactError, match="version 0, not"):
        LocalBackend(tmp_path)


def test_words_of_too_few_and_of_too_many_texts_are_not_kept_and_bad_input_is_refused():
    texts = ["movie rare", "movie moon", "movie moon sea", "movie sea"]
    for most, kept in ((0.5, {b"moon", b"sea"}), (1.0, {b"moon", b"sea", stem("movie").encode()})):
        model = LocalBackend.fit(texts, **{**PLAIN, "fewest_texts": 2, "most_texts": most})
        assert set(model.hashes.tolist()) == set(map(crc32, kept))
    for texts, settings, error, said in (
        (["one", "two", "six"], {"fewest_texts": 2}, DataError, "no word occurs in .* 3 texts"),
        ([], {}, DataError, "no word occurs in .* 0 texts"),
        ("one text", {}, ChoiceError, "give a list of str"),
        (TEXTS, {"flattening": 3}, SettingsError, "flattening: 3 is out of range"),
        (TEXTS, {"dimensions": 3}, SettingsError, "unknown key 'dimensions': did you mean dimension"),
    ):
        with pytest.raises(error, match=said):
            LocalBackend.fit(texts, **settings)


HEAT = "Title: Heat (1995).\nGenres: Crime, Thriller.\nPlot: A thief and a policeman."
VARIED = ["a heist gone wrong", HEAT, "love in space", "Amélie 日本", "a heist gone wrong", "x" * 3000, "", "a"]


class StandIn:
    """Gives (length of the text, 2) for each text; records how it was asked."""

    asked: ClassVar[list] = []

    def __init__(self, name):
        if name == "wrong":
            raise OSError("wrong is not a local folder\nand is not a model on the hub")
        self.asked.append(name)

    def encode(self, texts, batch_size, convert_to_numpy, show_progress_bar):
        assert (type(texts), convert_to_numpy, show_progress_bar) == (list, True, False)
        self.asked.append(batch_size)
        return np.array([[len(text), 2] for text in texts], np.float64)


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", types.SimpleNamespace(SentenceTransformer=StandIn))
    StandIn.asked.clear()
    return StandIn


@pytest.fixture(params=names())
def make(request):
    """Make the backend, ready to embed."""
    settings = {
        "http": lambda: {"base_url": request.getfixturevalue("server").url, "cache": "", "batch_size": 2},
        "minilm": lambda: {"folder": request.getfixturevalue("tiny")[0], "weights": "float32"},
        "sentence-transformers": lambda: request.getfixturevalue("stand_in") and {},
    }
    return functools.partial(make_backend, request.param, **settings.get(request.param, dict)())


def test_every_backend_gives_a_row_of_length_one_or_zero_for_each_text_in_order(make):
    backend = make()
    vectors, (name, model, dimension) = backend.embed_texts(VARIED), backend.identity
    assert (name, vectors.dtype, vectors.shape) == (backend.name, np.float32, (len(VARIED), dimension))
    assert isinstance(model, str)
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(lengths, lengths > 0, atol=1e-6)
    assert lengths[:3].all()
    np.testing.assert_allclose(vectors[0], vectors[4], atol=1e-6)  # equal texts
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    # the same again, by another one, in another order, one by one, and from a tuple
    np.testing.assert_array_equal(make().embed_texts(VARIED), vectors)
    np.testing.assert_allclose(backend.embed_texts(VARIED[::-1])[::-1], vectors, atol=1e-5)
    np.testing.assert_allclose([backend.embed_texts((text,))[0] for text in VARIED], vectors, atol=1e-5)
    assert make().identity == backend.identity
    title = ["Title: Heat (1995)."]  # all that is known of a movie
    np.testing.assert_allclose(backend.embed_movies(title), backend.embed_texts(title), atol=1e-6)


def test_every_backend_takes_an_empty_list_and_refuses_what_is_no_list_of_texts(make):
    backend = make()
    for embed in (backend.embed_texts, backend.embed_movies):
        nothing = embed([])
        assert (nothing.dtype, nothing.shape) == (np.float32, (0, backend.identity.dimension))
        for texts in ("a heist", ["a heist", 3]):
            with pytest.raises(ChoiceError, match="not a list of texts"):
                embed(texts)
    with pytest.raises((ChoiceError, SettingsError), match="nonsense"):
        make(nonsense=1)
    flags = backend_class(backend.name).Settings()  # every field has a default and a meaning
    assert all(field.metadata["meaning"] for field in flags.__dataclass_fields__.values())


def test_sentence_transformers_is_loaded_when_needed_and_its_errors_are_explained(stand_in, monkeypatch):
    backend = make_backend("sentence-transformers", batch_size=7)
    assert stand_in.asked == []
    np.testing.assert_allclose(backend.embed_texts(("", "ab")), [[0, 1], [0.5**0.5, 0.5**0.5]], atol=1e-7)
    assert backend.identity == ("sentence-transformers", "BAAI/bge-base-en-v1.5", 2)
    assert stand_in.asked == ["BAAI/bge-base-en-v1.5", 7, 7]
    with pytest.raises(ChoiceError, match=r"cannot load 'wrong' .*not a local folder and is not a model.*: check"):
        _ = make_backend("sentence-transformers", model="wrong").identity
    with pytest.raises(SettingsError, match="batch_size: 0 is out of range"):
        make_backend("sentence-transformers", batch_size=0)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(SettingsError, match=r"pip install 'tastevec\[sentence-transformers\]'"):
        make_backend("sentence-transformers")
