"""Texts that try a tokenizer, and what the original library made of them (tests/minilm_original.json).

    python -m tests.minilm_texts        # embeds the texts of that file again; needs sentence-transformers

The file, one text for each thing that a tokenizer can get wrong, lets the minilm backend be checked against the
original where only the weights are installed.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

ORIGINAL = Path(__file__).with_name("minilm_original.json")
ENTRIES = json.loads(ORIGINAL.read_text(encoding="ascii"))["texts"]
HARD = [entry["text"] for entry in ENTRIES]


def varied_texts(n: int) -> list[str]:
    """Return the hard texts, and texts of words of all of them and of old characters, mixed."""
    rng = np.random.default_rng(0)
    words = [word for text in HARD for word in dict.fromkeys(text.split(" "))] + old_characters()[::8]
    mixed = [" ".join(rng.choice(words, 2 + rng.geometric(0.15)).tolist()) for _ in range(n - len(HARD))]
    return HARD + mixed


def old_characters() -> list[str]:
    """Return the characters of the basic plane that Unicode 3.2 had, which all versions of Python and of the
    tokenizer's tables agree on, thinned where thousands are of one kind.

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

    from recommender.text.backends.minilm import package_folder

    model = original_model(package_folder())
    vectors = model.encode(HARD, show_progress_bar=False).astype("<f2")
    entries = [
        {"text": text, "ids": ids, "vector": base64.b64encode(vector.tobytes()).decode("ascii")}
        for text, ids, vector in zip(HARD, original_ids(model, HARD), vectors)
    ]
    made_by = f"python -m tests.minilm_texts, sentence-transformers {sentence_transformers.__version__}"
    content = {"made_by": made_by, "vector": "float16, base64", "texts": entries}
    ORIGINAL.write_text(json.dumps(content, indent=0) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
