"""The wheel: built, installed apart from the clone, run from another folder."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.dev


def call(*command: object, cwd: Path, **more: object) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    assert isinstance(done.stdout, str)
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of what git tracks, and unpack it as an installer would."""
    pytest.importorskip("build")
    pytest.importorskip("setuptools")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    for name in call("git", "ls-files", cwd=ROOT).splitlines():
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", cwd=source)
    (wheel,) = (source / "dist").glob("tastevec-*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", target, wheel]
    call(*pip, cwd=source)
    tops = {path.name for path in target.iterdir() if path.suffix != ".dist-info"}
    assert tops == {"recommender", "preprocess", "model", "bin"}
    return target


def test_every_module_of_the_clone_is_in_it(installed: Path) -> None:
    tracked = call("git", "ls-files", "recommender", "model", "preprocess", cwd=ROOT).splitlines()
    modules = [name for name in tracked if name.endswith(".py") and (ROOT / name).is_file()]
    assert modules
    assert [name for name in modules if not (installed / name).is_file()] == []


def test_the_programs_run_from_any_folder(installed: Path, tmp_path: Path) -> None:
    for name in ("config", "processed"):
        (tmp_path / name).mkdir()
    more: dict[str, Any] = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(installed)}}
    typed = "matrix\nalien\nheat\nfargo\ny\nw\nq\n"
    said = call(sys.executable, installed / "bin" / "tastevec", "session", input=typed, **more)
    assert "your favorite The Matrix (1999)" in said
    assert said == call(sys.executable, "-m", "model.runsvd", input=typed, **more)
    where = call(sys.executable, "-c", "import recommender; print(recommender.__file__)", **more)
    assert Path(where.strip()).is_relative_to(installed)
    for file in [*installed.glob("model/*.py"), *installed.glob("preprocess/*.py")]:
        if "\ndef main(" in file.read_text(encoding="utf-8"):
            said = call(sys.executable, "-m", f"{file.parent.name}.{file.stem}", "--help", **more)
            assert said.startswith("usage: ")
