"""Text to numbers the way BERT reads it: normalise, cut into words, cut words into known pieces.

    "Déjà-vu, untold"  ->  deja - vu , untold  ->  [CLS] deja - vu , unto ##ld [SEP]

1. Normalise: drop control characters, turn every kind of white space into a space, put spaces around Chinese
   characters (each is a word), take accents off (decompose, drop the marks), lower the case.
2. Words: split at spaces; every punctuation mark is a word of its own.
3. Pieces (WordPiece; Wu et al. 2016, "Google's Neural Machine Translation System", section 4.1): from the left, the
   longest piece that the vocabulary has, then the longest that continues it (written with ##). A word with a rest that
   no piece begins, or of more than 100 characters, becomes [UNK] as a whole.

The rules are those of google-research/bert's uncased models as the `tokenizers` library applies them, down to two
habits of it: a marker such as [SEP] in the text is read as the marker, and a capital sigma is lowered to σ at the
end of a word too. Where we differ: its tables are those of Unicode 8 and ours those of this Python, so that some 500
marks and punctuation marks of rare scripts, new since 2015, are taken off or split here and are letters there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from ...data.errors import ArtifactError

_MARKERS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_MARKER_PATTERN = re.compile("(" + "|".join(map(re.escape, _MARKERS)) + ")")
_ASCII_WORDS = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_ASCII_CONTROL = {code: None for code in (*range(32), 127) if chr(code) not in "\t\n\r"}
_CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
_LONGEST_WORD = 100  # characters
_MOST_REMEMBERED = 50_000  # words whose pieces are kept: a few MB


class WordPiece:
    """A tokenizer with its vocabulary.

    vocabulary: the pieces in the order of their ids.

    >>> pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##told", "deja", ","]
    >>> WordPiece(pieces).encode("Déjà, untold zzz")
    [2, 7, 8, 5, 6, 1, 3]
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.ids = {piece: number for number, piece in enumerate(vocabulary)}
        missing = [marker for marker in _MARKERS if marker not in self.ids]
        if missing:
            raise ArtifactError(f"the vocabulary lacks {', '.join(missing)}: give the vocab.txt of a BERT model")
        self._remembered: dict[str, list[int]] = {}

    def encode(self, text: str, longest: int = 256) -> list[int]:
        """Return the ids of a text between [CLS] and [SEP], at most `longest` of them in all."""
        room = longest - 2
        pieces: list[int] = []
        for part in _MARKER_PATTERN.split(text) if "[" in text else (text,):
            if part in _MARKERS:
                pieces.append(self.ids[part])
            else:
                for word in words(part):
                    pieces += self._pieces(word)
                    if len(pieces) > room:
                        break
        return [self.ids["[CLS]"], *pieces[:room], self.ids["[SEP]"]]

    def _pieces(self, word: str) -> list[int]:
        """Return the ids of one word's pieces."""
        known = self._remembered.get(word)
        if known is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            known = self._remembered[word] = self._cut(word)
        return known

    def _cut(self, word: str) -> list[int]:
        """Cut a word greedily; O(length^2) look-ups, of a length of at most 100."""
        unknown = [self.ids["[UNK]"]]
        if len(word) > _LONGEST_WORD:
            return unknown
        pieces = []
        begin = 0
        while begin < len(word):
            prefix = "##" if begin else ""
            for end in range(len(word), begin, -1):
                piece = self.ids.get(prefix + word[begin:end])
                if piece is not None:
                    break
            else:
                return unknown
            pieces.append(piece)
            begin = end
        return pieces


def words(text: str) -> list[str]:
    """Return the normalised words and punctuation marks of a text.

    >>> words("L'Été\\tà 東京...")
    ['l', "'", 'ete', 'a', '東', '京', '.', '.', '.']
    """
    if text.isascii():
        return _ASCII_WORDS.findall(text.translate(_ASCII_CONTROL).lower())
    kept = []
    for character in text:
        if character in "\t\n\r":
            kept.append(" ")
        elif _is_chinese(ord(character)):
            kept.append(f" {character} ")
        elif not _is_control(character):  # what else counts as white space, `split` will find
            kept.append(character)
    spread = []
    for character in unicodedata.normalize("NFD", "".join(kept)):
        if unicodedata.category(character) == "Mn":
            continue
        for lowered in character.lower():  # one by one: "Σ".lower() depends on its neighbours
            spread.append(f" {lowered} " if _is_punctuation(lowered) else lowered)
    return "".join(spread).split()


def read_vocabulary(path: Path) -> list[str]:
    """Read a `vocab.txt`: a piece a line, its number the line's. Raises `ArtifactError`."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing: install or download the weights again") from None
    except (UnicodeDecodeError, OSError) as error:
        raise ArtifactError(f"{path} is damaged ({error}): install or download the weights again") from None
    return lines[:-1] if lines[-1] == "" else lines


def _is_chinese(code: int) -> bool:
    return code >= 0x3400 and any(low <= code <= high for low, high in _CHINESE)


def _is_control(character: str) -> bool:
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Co")


def _is_punctuation(character: str) -> bool:
    if character.isascii():
        return _ASCII_WORDS.fullmatch(character) is not None and not character.isalnum()
    return unicodedata.category(character)[0] == "P"
