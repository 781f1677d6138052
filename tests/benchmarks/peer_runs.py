"""Hand a case to a peer in an environment of its own, and take its lists or ratings back; finished work is kept."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Union

import numpy as np

from recommender.evaluate.protocols import Evaluation
from recommender.evaluate.run import keep, kept

RUNNER = Path(__file__).with_name("peer_models.py")
REQUIREMENTS = {  # one environment each, because their versions of numpy clash
    "numpy": ("numpy==2.4.6",),
    "implicit": ("implicit==0.7.3",),
    "scikit-learn": ("scikit-learn==1.9.1",),
    "surprise": ("scikit-surprise==1.1.5",),
    "cornac": ("cornac==3.0.1",),
    "rectools": ("rectools==0.19.0",),
    "lenskit": ("lenskit==2025.8.1", "torch==2.13.0"),
}
_POOLS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON", "NUMEXPR")
SINGLE_THREADED = {**os.environ, **{f"{pool}_NUM_THREADS": "1" for pool in _POOLS}, "PYTHONPATH": ""}
_KEPT = {"rows": np.int32, "predicted": np.float32}


class Unavailable(Exception):
    """A peer can't be installed or run here; the text says why."""


class Result(NamedTuple):
    """`rows` (n_users, n) int32 lists or `predicted` (n_held_out,) float32 ratings, the other empty."""

    rows: np.ndarray
    predicted: np.ndarray


Outcome = Union[Result, str]  # or why there is none


def environment(folder: Path, peer: str) -> Path:
    """Return the python of the environment of a peer under `folder`; installs it the first time."""
    python, mark = folder / peer / "bin" / "python", folder / peer / "installed.txt"
    if not (mark.is_file() and mark.read_text(encoding="utf-8").split() == list(REQUIREMENTS[peer])):
        install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *REQUIREMENTS[peer]]
        for command in ([sys.executable, "-m", "venv", str(folder / peer)], install):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
                raise Unavailable(errors[-1].replace("ERROR: ", ""))
        mark.write_text("\n".join(REQUIREMENTS[peer]) + "\n", encoding="utf-8")
    return python


def run(store: Path, model: str, case: Evaluation, configurations: Sequence[dict[str, Any]], n: int) -> list[Outcome]:
    """Return what a model, "peer name", gives for each configuration: kept in `store`, or made now."""
    peer, stages = model.split()[0], [_arrays(case, train, people) for train, people in case.stages()]
    digest = hashlib.sha256(repr((REQUIREMENTS[peer], model, n)).encode() + RUNNER.read_bytes())
    for arrays in stages:
        for name, array in arrays.items():
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    outcomes: list[Outcome] = []
    for settings in configurations:
        own = digest.copy()
        own.update(json.dumps(settings, sort_keys=True).encode())
        job = {"n": n, "n_stages": len(stages), "model": model, "settings": settings}
        try:
            path = store / "results" / f"{own.hexdigest()[:24]}.npz"
            outcomes.append(Result(**(kept(path, _KEPT) or keep(path, _run_job(store, peer, stages, job)))))
        except Unavailable as error:
            outcomes.append(f"{error}")
    return outcomes


def _arrays(case: Evaluation, train: Any, people: np.ndarray) -> dict[str, np.ndarray]:
    arrays = {"people": case.user_rows[people], "places": people, "n_movies": np.array(train.n_movies)}
    arrays.update(pair_users=case.held_out.user_rows(), pair_movies=case.held_out.movie_rows)
    for part, data in (("train", train), ("history", case.known)):
        arrays.update({f"{part}_indptr": data.indptr, f"{part}_movies": data.movie_rows})
        arrays[f"{part}_ratings"] = data.ratings
    return arrays


def _run_job(store: Path, peer: str, stages: list[dict[str, np.ndarray]], job: dict[str, Any]) -> dict[str, np.ndarray]:
    python = environment(store, peer)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for s, arrays in enumerate(stages):
            np.savez(folder / f"stage-{s}.npz", **arrays)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        command = [str(python), "-s", str(RUNNER), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=SINGLE_THREADED)
        if done.returncode:
            raise Unavailable((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
        parts = [dict(np.load(folder / f"result-{s}.npz")) for s in range(len(stages))]
    rows, predicted = np.empty((0, 0), np.int32), parts[0].get("ratings", np.empty(0, np.float32))
    if "lists" in parts[0]:
        order = np.argsort(np.concatenate([arrays["places"] for arrays in stages]))
        rows = np.concatenate([part["lists"] for part in parts])[order]
    return {"rows": rows, "predicted": predicted}
