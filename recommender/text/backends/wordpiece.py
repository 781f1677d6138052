"""Text to numbers the way BERT reads it: normalise, cut into words, cut words into known pieces.

    "Déjà-vu, untold"  ->  deja - vu , untold  ->  [CLS] deja - vu , unto ##ld [SEP]

1. Normalise: drop control characters, turn every kind of white space into a space, put spaces around Chinese
   characters (each is a word), take accents off (decompose, drop the marks), lower the case.
2. Words: split at spaces; every punctuation mark is a word of its own.
3. Pieces (WordPiece; Wu et al. 2016, "Google's Neural Machine Translation System", section 4.1): from the left, the
   longest piece that the vocabulary has, then the longest that continues it (written with ##). A word with a rest that
   no piece begins, or of more than 100 characters, becomes [UNK] as a whole.

The rules are those of google-research/bert's uncased models as the `tokenizers` library applies them: a marker such as
[SEP] in the text is read as the marker, and a capital sigma is lowered to σ at the end of a word too. Ours differ in
some 500 marks of rare scripts, new since its Unicode 8.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

_MARKERS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_MARKER_PATTERN = re.compile("(" + "|".join(map(re.escape, _MARKERS)) + ")")
_ASCII_WORDS = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_ASCII_CONTROL = {code: None for code in (*range(32), 127) if chr(code) not in "\t\n\r"}
# As in the original, which wrote 2B920 for 2B820.
_CHINESE = re.compile(
    "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0002a6df\U0002a700-\U0002b73f\U0002b740-\U0002b81f\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f]"
)
_LONGEST_WORD = 100  # characters


class WordPiece:
    """A tokenizer with its vocabulary.

    vocabulary: the pieces in the order of their ids.

    >>> pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##told", "deja", ","]
    >>> WordPiece(pieces).encode("Déjà, untold zzz")
    [2, 7, 8, 5, 6, 1, 3]
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.ids = {piece: number for number, piece in enumerate(vocabulary)}
        self._pieces = lru_cache(50_000)(self._cut)  # a few MB

    def encode(self, text: str, longest: int = 256) -> list[int]:
        """Return the ids of a text between [CLS] and [SEP], at most `longest` of them in all."""
        room = longest - 2
        pieces: list[int] = []
        for part in _MARKER_PATTERN.split(text) if "[" in text else (text,):
            for word in (part,) if part in _MARKERS else words(part):
                pieces += [self.ids[part]] if part in _MARKERS else self._pieces(word)
                if len(pieces) > room:
                    break
        return [self.ids["[CLS]"], *pieces[:room], self.ids["[SEP]"]]

    def knows(self, text: str) -> bool:
        """Return whether any word has pieces."""
        return any(self._pieces(word) != [self.ids["[UNK]"]] for word in words(text))

    def _cut(self, word: str) -> list[int]:
        """Return the ids of one word's pieces; O(length^2) look-ups, of a length of at most 100."""
        pieces: list[int] = []
        begin = 0
        while begin < len(word) <= _LONGEST_WORD:
            prefix = "##" if begin else ""
            ends = range(len(word), begin, -1)  # the longest piece first
            end = next((end for end in ends if prefix + word[begin:end] in self.ids), 0)
            if end == 0:
                break
            pieces.append(self.ids[prefix + word[begin:end]])
            begin = end
        return pieces if begin == len(word) else [self.ids["[UNK]"]]


def words(text: str) -> list[str]:
    """Return the normalised words and punctuation marks of a text.

    >>> words("L'Été\\tà 東京...")
    ['l', "'", 'ete', 'a', '東', '京', '.', '.', '.']
    """
    if text.isascii():
        return _ASCII_WORDS.findall(text.translate(_ASCII_CONTROL).lower())
    kept = (" " if c in "\t\n\r" else "" if _is_control(c) else c for c in _CHINESE.sub(r" \g<0> ", text))
    spread = []
    for character in unicodedata.normalize("NFD", "".join(kept)):  # é -> e and a mark, which is taken off
        if unicodedata.category(character) != "Mn":
            for lowered in character.lower():  # one by one: "Σ".lower() depends on its neighbours
                spread.append(f" {lowered} " if _is_punctuation(lowered) else lowered)
    return "".join(spread).split()  # at every kind of white space


def _is_control(character: str) -> bool:
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Co")


def _is_punctuation(character: str) -> bool:
    if character.isascii():
        return _ASCII_WORDS.fullmatch(character) is not None and not character.isalnum()
    return unicodedata.category(character)[0] == "P"
