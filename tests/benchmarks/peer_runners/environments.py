"""One virtual environment for each peer, because their versions of numpy clash."""

import os
import subprocess
import sys
from pathlib import Path

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


_POOLS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON", "NUMEXPR")
SINGLE_THREADED = {**os.environ, **{f"{pool}_NUM_THREADS": "1" for pool in _POOLS}, "PYTHONPATH": ""}


class Unavailable(Exception):
    """A peer can't be installed or run here; the text says why."""


def make(folder: Path, name: str) -> Path:
    """Return the python of the environment of peer `name` under `folder`; installs it the first time."""
    python, mark = folder / name / "bin" / "python", folder / name / "installed.txt"
    if not (mark.is_file() and mark.read_text(encoding="utf-8").split() == list(REQUIREMENTS[name])):
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS[name]]
        for command in ([sys.executable, "-m", "venv", str(folder / name)], install):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
                raise Unavailable(errors[-1].replace("ERROR: ", ""))
        mark.write_text("\n".join(REQUIREMENTS[name]) + "\n", encoding="utf-8")
    return python
