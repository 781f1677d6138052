"""The data that ship in `processed/` are what the project's own command makes of the raw zips, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from preprocess import setup as all_steps

ROOT = Path(__file__).resolve().parents[1]
ZIPS = [ROOT.parent / "shared" / "data" / f"ml-latest-{name}.zip" for name in ("small", "2023-head")]


@pytest.mark.slow
@pytest.mark.skipif(not all(zip.is_file() for zip in ZIPS), reason="the raw data are not beside this clone")
def test_the_shipped_data_are_rebuilt_byte_for_byte(tmp_path):
    flags = [*(f"--data={zip}" for zip in ZIPS), "--min-movie-ratings=5", "--min-user-ratings=0", "--bundle"]
    all_steps.main([*flags, f"--descriptions={ROOT / 'descriptions' / 'movies.jsonl'}", f"--output={tmp_path}"])
    shipped = {path.name for path in (ROOT / "processed").iterdir() if path.is_file()}
    built = {path.name for path in tmp_path.iterdir()}
    assert built <= shipped
    for name in sorted(built):
        assert (tmp_path / name).read_bytes() == (ROOT / "processed" / name).read_bytes(), name
