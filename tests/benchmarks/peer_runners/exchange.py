"""Hand a case to a runner in another environment, and take its lists or ratings back; finished work is kept."""

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Union

import numpy as np

from recommender.evaluate.protocols import Evaluation
from recommender.evaluate.run import keep, kept

from . import environments

FOLDER = Path(__file__).resolve().parent
_KEPT = {"rows": np.int32, "predicted": np.float32, "seconds": np.float64}


class Result(NamedTuple):
    """`rows` (n_users, n) int32 lists or `predicted` (n_held_out,) float32 ratings, the other empty; and seconds."""

    rows: np.ndarray
    predicted: np.ndarray
    seconds: np.ndarray


Outcome = Union[Result, str]


def run(
    store: Path, peer: str, model: str, case: Evaluation, configurations: Sequence[dict[str, Any]], n: int
) -> list[Outcome]:
    """Return what `model` of `peer` gives for each configuration, a result kept in `store` or why there is none."""
    stages = [_arrays(case, train, people) for train, people in case.stages()]
    digest = hashlib.sha256(repr((environments.REQUIREMENTS[peer], model, n)).encode())
    for file in ("common.py", script(peer)):
        digest.update((FOLDER / file).read_bytes())
    for arrays in stages:
        for name, array in arrays.items():
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    outcomes: list[Outcome] = []
    for configuration in configurations:
        own = digest.copy()
        own.update(json.dumps(configuration, sort_keys=True).encode())
        job = {"n": n, "n_stages": len(stages), "model": model, "settings": configuration}
        try:
            path = store / "results" / f"{own.hexdigest()[:24]}.npz"
            outcomes.append(Result(**(kept(path, _KEPT) or keep(path, _run_job(store, peer, stages, job)))))
        except environments.Unavailable as error:
            outcomes.append(f"{error}")
    return outcomes


def script(peer: str) -> str:
    return f"run_{peer.replace('scikit-learn', 'sklearn')}.py"


def _arrays(case: Evaluation, train: Any, people: np.ndarray) -> dict[str, np.ndarray]:
    arrays = {"people": case.user_rows[people], "places": people, "n_movies": np.array(train.n_movies)}
    arrays.update(pair_users=case.held_out.user_rows(), pair_movies=case.held_out.movie_rows)
    for part, data in (("train", train), ("history", case.known)):
        arrays.update({f"{part}_indptr": data.indptr, f"{part}_movies": data.movie_rows})
        arrays.update({f"{part}_ratings": data.ratings, f"{part}_times": data.times})
    return arrays


def _run_job(store: Path, peer: str, stages: list[dict[str, np.ndarray]], job: dict[str, Any]) -> dict[str, np.ndarray]:
    python = environments.make(store, peer)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for s, arrays in enumerate(stages):
            np.savez(folder / f"stage-{s}.npz", **arrays)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        command = [str(python), "-s", str(FOLDER / script(peer)), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=environments.SINGLE_THREADED)
        if done.returncode:
            raise environments.Unavailable((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
        parts = [dict(np.load(folder / f"result-{s}.npz")) for s in range(len(stages))]
    rows, predicted = np.empty((0, 0), np.int32), parts[0].get("ratings", np.empty(0, np.float32))
    if "lists" in parts[0]:
        order = np.argsort(np.concatenate([arrays["places"] for arrays in stages]))
        rows = np.concatenate([part["lists"] for part in parts])[order]
    return {"rows": rows, "predicted": predicted, "seconds": np.sum([part["seconds"] for part in parts])}
