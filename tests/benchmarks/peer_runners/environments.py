"""One virtual environment for each peer, because their versions of numpy clash; and how large each is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REQUIREMENTS = {
    "numpy": ("numpy==2.4.6",),
    "implicit": ("implicit==0.7.3",),
    "scikit-learn": ("scikit-learn==1.9.1",),
    "surprise": ("scikit-surprise==1.1.5",),
    "cornac": ("cornac==3.0.1",),
    "rectools": ("rectools==0.19.0",),
    "lenskit": ("lenskit==2025.8.1", "torch==2.13.0"),
    "lightfm": ("lightfm-next==1.19.0",),
}
OURS = "tastevec"
_NOT_THE_PEERS = ("pip", "setuptools", "pkg_resources", "wheel", "_distutils_hack", "distutils-precedence")
_SHIPPED = ("recommender", "preprocess", "model", "config", "processed")
_SHIPPED_FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


class Unavailable(Exception):
    """A peer can't be installed or run here; the text says why."""


def single_threaded() -> dict[str, str]:
    """Return the environment variables under which everything runs on one thread."""
    pools = ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON", "NUMEXPR")
    return {**os.environ, **{f"{pool}_NUM_THREADS": "1" for pool in pools}, "PYTHONPATH": ""}


def make(folder: Path, name: str) -> Path:
    """Return the python of the environment of peer `name` under `folder`; installs it the first time."""
    if name == OURS:
        return _make_ours(folder)
    return _install(folder / name, REQUIREMENTS[name], REQUIREMENTS[name])


def _install(folder: Path, requirements: tuple[str, ...], packages: tuple[str, ...]) -> Path:
    python, mark = folder / "bin" / "python", folder / "installed.txt"
    if mark.is_file() and mark.read_text(encoding="utf-8").split() == list(requirements):
        return python
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages])
    mark.write_text("\n".join(requirements) + "\n", encoding="utf-8")
    return python


def _make_ours(folder: Path) -> Path:
    """Install this checkout from a copy, as a build leaves files beside the sources."""
    with tempfile.TemporaryDirectory() as copy:
        for name in _SHIPPED:
            shutil.copytree(ROOT / name, Path(copy) / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in _SHIPPED_FILES:
            shutil.copy(ROOT / name, copy)
        return _install(folder / OURS, (OURS,), (copy,))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
        raise Unavailable(errors[-1].replace("ERROR: ", ""))


def megabytes(python: Path) -> dict[str, float]:
    """Return the size of what is installed beside `python`, MB (10^6 bytes) by package folder; pip's own left out.

    Compiled caches (`__pycache__`) are not counted: when they are written differs from tool to tool.
    """
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    sizes = {}
    for entry in sorted(site.iterdir()):
        if not entry.name.startswith(_NOT_THE_PEERS) and entry.name != "__pycache__":
            files = [entry] if entry.is_file() else [path for path in entry.rglob("*") if path.is_file()]
            sizes[entry.name] = sum(path.stat().st_size for path in files if path.suffix != ".pyc") / 1e6
    return sizes
