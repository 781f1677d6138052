"""Texts that try a tokenizer, and what the original library makes of them.

    python -m tests.minilm_texts        # writes tests/minilm_original.json, needs sentence-transformers

The file lets the minilm backend be checked against the original where only the weights are installed.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

ORIGINAL = Path(__file__).with_name("minilm_original.json")

# One text for each thing that a tokenizer can get wrong.
HARD = (
    "",
    " ",
    "\n\t \r\n",
    "A quiet film about a lighthouse keeper and his daughter.",
    "Title: The Matrix (1999).\nGenres: Action, Sci-Fi.\nKeywords: cyberpunk, dystopia.",
    "Amélie, Crème brûlée, naïve façade; Łódź, Đà Nẵng, Ångström, smørrebrød",
    "A\u030angstro\u0308m with marks written apart, and q\u0323\u0307 of two",
    "İstanbul ıssız Straße ẞ ΣΊΣΥΦΟΣ ΟΔΟΣ ǅungla ŉ ﬁancé ﬃ Ⅷ ½ ² ℌ ㎏ Ａｂｃ１２",
    "東京物語は1953年の映画です。",
    "重庆森林 (1994) 王家卫",
    "𠀀𪜀豈 and compatibility ideographs",
    "올드보이 서울 부산행",
    "Андрей Рублёв, Зеркало — ёлка й",
    "ليلى مراد، فيلم عربي؟ مُحَمَّد",
    "ואלס עם באשיר שָׁלוֹם",
    "\u200fשלום\u200e hello \u202bembedded\u202c",
    "लगान और मदर इंडिया",
    "สุดเสน่หา ลุงบุญมีระลึกชาติ",
    "😀😃 two faces, 👩‍👩‍👧 a family, 👍🏽 a thumb, 🇯🇵 a flag, ❤️ a heart",
    "zero\u0000 bell\u0007 delete\u007f next\u0085 line, soft\u00adhyphen, zero\u200bwidth, bom\ufeff, bad\ufffd",
    "no\u00a0break\u2003em\u3000ideographic\u2028line\u2029paragraph\x1cfile\x1funit\x0bvertical\x0cform",
    "a" * 99 + " " + "b" * 100 + " " + "c" * 101 + " end",
    "é" * 100 + " " + "e\u0301" * 101 + " " + "." * 150,
    "supercalifragilisticexpialidocious pneumonoultramicroscopicsilicovolcanoconiosis",
    "don't stop-believing: it's $5.00 (50% off)! foo_bar@example.com <b>x</b> ~`^|{}[]\\/\"#&*+=",
    "«quotes» “curly” ‘single’ „low“ – — … ‽ ¿qué? ¡sí! · • ※ § ¶ † ‡ ° ¬ ¦ € £ ¥ ₿ ™ ® ©",
    "[CLS] a [SEP] marker [MASK] inside[PAD]words [UNK] and not [cls] [ SEP ] [[SEP]]",
    "[unused1] ##ing ## # un##told",
    "3.14159 1,000,000 2001: 0x1F 1e-9 ①②③ ٣ ४ Ⅳ",
    "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, ∑∫√∞ ≠ ≤ 𝒜𝓫𝔠 𝟘𝟙",
    "word " * 600,
    "Wörter-mit,Komma." * 100,
)
_WORDS = [
    "film", "quiet", "of", "the", "space", "war", "mother", "robot", "Paris", "1999", "naïve", "été,", "heist.",
    "thriller-noir", "don't", "über", "Tōkyō",
]  # fmt: skip
_EMOJI = ["😀", "🎬", "🍿", "👩‍🚀", "🧟‍♂️", "👍🏽", "🇫🇷", "❤️", "🚀"]


def varied_texts(n: int = 1000, seed: int = 0) -> list[str]:
    """Return the hard texts and made-up ones: words, and characters of all scripts mixed with words.

    The characters are of Unicode 3.2, which all versions of Python and of the tokenizer's tables agree on, and emoji.
    """
    rng = np.random.default_rng(seed)
    scripts = old_characters()
    texts = list(HARD)
    while len(texts) < n:
        words = []
        for _ in range(2 + int(rng.geometric(0.15))):
            kind = rng.random()
            if kind < 0.7:
                word = _WORDS[rng.integers(len(_WORDS))]
            elif kind < 0.75:
                word = _EMOJI[rng.integers(len(_EMOJI))]
            else:  # neighbours in the table share a script
                first = rng.integers(len(scripts) - 40)
                word = "".join(scripts[first + step] for step in rng.integers(0, 40, int(rng.integers(1, 9))))
            words.append(word.upper() if rng.random() < 0.1 else word)
        texts.append((" " if rng.random() < 0.9 else "").join(words))
    return texts[:n]


def old_characters() -> list[str]:
    """Return the characters of the basic plane that Unicode 3.2 had, thinned where thousands are of one kind.

    Four that have become another kind since are left out: U+1885 and U+1886 in Unicode 9, U+166D in 12, U+1734 in 14.
    """
    known = unicodedata.ucd_3_2_0
    every = [chr(code) for code in range(0x10000) if known.category(chr(code)) not in ("Cn", "Cs", "Co")]
    return [
        c for c in every if c not in "\u166d\u1734\u1885\u1886" and not (0x3400 <= ord(c) <= 0xD7A3 and ord(c) % 16)
    ]


def original_model(folder: Path) -> Any:
    """Return the original library's model of the weights in `folder`."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def original_ids(model: Any, texts: list[str]) -> list[list[int]]:
    """Return the token ids of each text, without padding."""
    encoded = model.tokenizer(texts, truncation=True, max_length=model.max_seq_length, padding=False)
    return [list(ids) for ids in encoded["input_ids"]]


def main() -> None:
    import sentence_transformers
    import tokenizers

    from recommender.text.backends.minilm import package_folder

    model = original_model(package_folder())
    texts = list(HARD)
    vectors = model.encode(texts, show_progress_bar=False).astype("<f2")
    entries = [
        {"text": text, "ids": ids, "vector": base64.b64encode(vector.tobytes()).decode("ascii")}
        for text, ids, vector in zip(texts, original_ids(model, texts), vectors)
    ]
    versions = f"sentence-transformers {sentence_transformers.__version__}, tokenizers {tokenizers.__version__}"
    content = {"made_by": f"python -m tests.minilm_texts, {versions}", "vector": "float16, base64", "texts": entries}
    ORIGINAL.write_text(json.dumps(content, indent=0) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
