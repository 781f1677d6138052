"""Texts that try a tokenizer, and what the original library made of them (tests/minilm_original.json).

    python -m tests.minilm_texts        # embeds the texts of that file again; needs sentence-transformers

The file, one text for each thing that a tokenizer can get wrong, lets the minilm backend be checked against the
original where only the weights are installed.
"""

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
    return HARD + [" ".join(rng.choice(words, 2 + rng.geometric(0.15)).tolist()) for _ in range(n - len(HARD))]


def old_characters() -> list[str]:
    """Return the characters of the basic plane that Unicode 3.2 had and that are of the same kind since, thinned where
    thousands are of one kind."""
    codes = [code for code in range(0x10000) if not (0x3400 <= code <= 0xD7A3 and code % 16)]
    known = [chr(code) for code in codes if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs", "Co")]
    return [c for c in known if c not in "\u166d\u1734\u1885\u1886"]


def original(folder: Path, texts: list[str]) -> tuple[list[list[int]], np.ndarray]:
    """Return the token ids of each text, without padding, and its vector, of the original library."""
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(folder), device="cpu")
    encoded = model.tokenizer(texts, truncation=True, max_length=model.max_seq_length, padding=False)
    return [list(ids) for ids in encoded["input_ids"]], model.encode(texts, show_progress_bar=False)


def main() -> None:
    import sentence_transformers

    from recommender.text.backends.minilm import package_folder

    entries = [
        {"text": text, "ids": ids, "vector": base64.b64encode(vector.astype("<f2").tobytes()).decode("ascii")}
        for text, ids, vector in zip(HARD, *original(package_folder(), HARD))
    ]
    made_by = f"python -m tests.minilm_texts, sentence-transformers {sentence_transformers.__version__}"
    content = {"made_by": made_by, "vector": "float16, base64", "texts": entries}
    ORIGINAL.write_text(json.dumps(content, indent=0) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
