"""The data that ship in `processed/` are what the project's own command makes of the raw zip, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from preprocess import setup as all_steps

ROOT = Path(__file__).resolve().parents[1]
RAW = ROOT.parent / "shared" / "data"


@pytest.mark.slow
@pytest.mark.skipif(not (RAW / "ml-latest-small.zip").is_file(), reason="the raw data are not beside this clone")
def test_the_shipped_data_are_rebuilt_byte_for_byte(tmp_path):
    flags = ["--min-movie-ratings", "5", "--bundle", "--descriptions", str(RAW / "movie_descriptions.jsonl")]
    all_steps.main(["--data", str(RAW / "ml-latest-small.zip"), "--output", str(tmp_path), *flags])
    shipped = {path.name for path in (ROOT / "processed").iterdir() if path.is_file()}
    built = {path.name for path in tmp_path.iterdir()}
    assert built <= shipped
    for name in sorted(built):
        assert (tmp_path / name).read_bytes() == (ROOT / "processed" / name).read_bytes(), name
