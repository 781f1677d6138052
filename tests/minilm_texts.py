"""Texts that try a tokenizer, and what the original library made of them (tests/minilm_original.json).

    python -m tests.minilm_texts        # embeds the texts of that file again; needs sentence-transformers

The file, one text for each thing that a tokenizer can get wrong, lets the minilm backend be checked against the
original where only the weights are installed.
"""

import base64
import json
from pathlib import Path

ORIGINAL = Path(__file__).with_name("minilm_original.json")
ENTRIES = json.loads(ORIGINAL.read_text(encoding="ascii"))["texts"]
HARD = [entry["text"] for entry in ENTRIES]

if __name__ == "__main__":
    import sentence_transformers

    from recommender.text.backends.minilm import package_folder

    model = sentence_transformers.SentenceTransformer(str(package_folder()), device="cpu")
    ids = model.tokenizer(HARD, truncation=True, max_length=model.max_seq_length, padding=False)["input_ids"]
    vectors = model.encode(HARD, show_progress_bar=False).astype("<f2")
    entries = [
        {"text": text, "ids": list(numbers), "vector": base64.b64encode(vector.tobytes()).decode("ascii")}
        for text, numbers, vector in zip(HARD, ids, vectors)
    ]
    made_by = f"python -m tests.minilm_texts, sentence-transformers {sentence_transformers.__version__}"
    content = {"made_by": made_by, "vector": "float16, base64", "texts": entries}
    ORIGINAL.write_text(json.dumps(content, indent=0) + "\n", encoding="ascii")
