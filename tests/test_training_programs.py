"""What the training programs share: an output place that can't be is refused before the data are read."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from model import train_ranking_model, train_session_model, train_svd_model, train_twotower
from recommender.data.errors import ArtifactError, ChoiceError, SettingsError

PROGRAMS = (train_svd_model, train_session_model, train_ranking_model, train_twotower)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
@pytest.mark.parametrize("below", ["", "models/svd"])
def test_an_output_that_cannot_be_a_folder_is_refused_before_anything_is_read(
    tmp_path: Path, program: ModuleType, below: str
) -> None:
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    output = tmp_path / "README.md" / below
    with pytest.raises(ArtifactError, match=r"README\.md is a file, not a folder: give another --output"):
        program.main(["--processed", str(tmp_path / "nowhere"), "--output", str(output)])
    (tmp_path / "README.md").unlink()
    with pytest.raises(ArtifactError, match=r"run python -m preprocess\.setup"):
        program.main(["--processed", str(tmp_path / "nowhere"), "--output", str(output)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_the_wrong_flag_is_the_one_that_is_named(tmp_path: Path, program: ModuleType) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"file is not a folder|no movie list at") as caught:
        program.main(["--processed", str(tmp_path / "file")])
    assert "another --output" not in str(caught.value)
    with pytest.raises(SettingsError, match="unrecognized arguments: --bogus: see --help"):
        program.main(["--bogus"])


def test_an_unknown_model_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ChoiceError, match="no model is called 'magic'"):
        train_ranking_model.main(["--processed", str(tmp_path / "nowhere"), "--model", "magic"])
