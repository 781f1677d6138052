"""WordPiece on vocabularies small enough to follow by hand."""

from __future__ import annotations

import pytest

from recommender.data.errors import ArtifactError
from recommender.text.minilm.wordpiece import WordPiece, read_vocabulary, words

MARKERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer(*pieces):
    return WordPiece([*MARKERS, *pieces])


def pieces_of(text, found):
    """Return the pieces of a text as words, without [CLS] and [SEP]."""
    names = {number: piece for piece, number in found.ids.items()}
    ids = found.encode(text, 10_000)
    assert [names[ids[0]], names[ids[-1]]] == ["[CLS]", "[SEP]"]
    return [names[number] for number in ids[1:-1]]


@pytest.mark.parametrize(
    ("text", "pieces", "expected"),
    [
        ("unaffable", "un unaff ##aff ##able ##a ##ff", "unaff ##able"),  # the longest piece from the left
        ("unable running", "un ##able run ##ning ##n ##ing", "un ##able run ##ning"),
        ("unaffx un", "un unaff ##affx", "[UNK] un"),  # it does not go back when the longest piece leaves a rest
        ("able unable", "un able", "able [UNK]"),  # a piece that begins a word does not continue one
        ("wantedX running", "want ##ed run ##ning", "[UNK] run ##ning"),  # unknown as a whole
        ("a" * 101, "a ##a", "[UNK]"),
        ("a" * 100, "a ##a", "a" + 99 * " ##a"),
        ("a[SEP]a [MASK]", "a [ ] sep", "a [SEP] a [MASK]"),  # markers in a text are markers
        ("[sep] a", "a [ ] sep", "[ sep ] a"),
    ],
)
def test_words_are_cut_into_pieces(text, pieces, expected):
    assert pieces_of(text, tokenizer(*pieces.split())) == expected.split()


def test_a_long_text_keeps_its_begin_and_its_end_marker():
    found = tokenizer("a", "##a", "b")
    assert found.encode("a b " * 500, 256) == [2, *([5, 7] * 127), 3]
    assert found.encode("aaaa b", 5) == [2, 5, 6, 6, 3]  # in the middle of a word
    assert found.encode("", 256) == [2, 3]


def test_remembering_words_changes_nothing(monkeypatch):
    monkeypatch.setattr("recommender.text.minilm.wordpiece._MOST_REMEMBERED", 3)
    pieces = ("a", "b", "c", "##a", "##b", "##c")
    found = tokenizer(*pieces)
    texts = ["a b c ab bc", "abc cab a", "a b c ab bc"]
    assert [tokenizer(*pieces).encode(text) for text in texts] == [found.encode(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", "hello|,|world|!"),
        ("  \t\n\r ", ""),
        ("a\u00a0b\u2003c\u3000d\u2028e", "a|b|c|d|e"),  # kinds of space
        ("a\x00b\x07c\x7fd\x85e\u00adf\u200bg\ufeffh\ufffdi", "abcdefghi"),  # control and format characters
        ("a\x1cb\x1fc", "abc"),  # Python calls these white space
        ("Été À LA CRÈME", "ete|a|la|creme"),
        ("e\u0301", "e"),
        ("İ", "i"),
        ("ΟΔΟΣ", "οδοσ"),  # not ς
        ("Straße ŒUVRE", "straße|œuvre"),
        ("東京x1953年", "東|京|x1953|年"),
        ("カナ 한", "カナ|\u1112\u1161\u11ab"),  # kana are not spread; Hangul comes apart
        ("$5+3=8 <a>~`^|", "$|5|+|3|=|8|<|a|>|~|`|^||"),
        ("«a»—b…", "«|a|»|—|b|…"),
        ("x\u2019s", "x|\u2019|s"),
        ("\ud800", "\ud800"),  # half of a pair, as broken JSON may hold
    ],
)
def test_words(text, expected):
    assert "|".join(words(text)) == expected


def test_ascii_text_takes_no_other_path():
    every = "".join(map(chr, range(128))) * 2 + " Some words, and 3 more."
    assert words(every) == words(every + " é")[:-1]


def test_reads_a_vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_bytes("[PAD]\né\n\u2028\nlast\n".encode())  # a line separator is a piece, not the end of a line
    assert read_vocabulary(path) == ["[PAD]", "é", "\u2028", "last"]
    with pytest.raises(ArtifactError, match=r"lacks \[UNK\], \[CLS\]"):
        WordPiece(read_vocabulary(path))
    with pytest.raises(ArtifactError, match="missing"):
        read_vocabulary(tmp_path / "none.txt")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ArtifactError, match="damaged"):
        read_vocabulary(path)
