"""Hand a case to a runner in another environment, and take its lists or ratings back; finished work is kept."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Union

import numpy as np

from recommender.evaluate.protocols import Evaluation

from . import environments

FOLDER = Path(__file__).resolve().parent
_CHUNK = 3  # settings run between two times of keeping results


class Result(NamedTuple):
    """`rows` (n_users, n) int32 lists or `predicted` (n_held_out,) float32 ratings, the other empty; and seconds."""

    rows: np.ndarray
    predicted: np.ndarray
    seconds: float


Outcome = Union[Result, str]


def run(
    store: Path, peer: str, model: str, case: Evaluation, configurations: Sequence[dict[str, Any]], n: int
) -> list[Outcome]:
    """Return what `model` of `peer` gives for each configuration: a result, or why there is none.

    store: the folder of environments and of kept results. A result is found again only for the same ratings,
    people, settings, requirements and runner.
    """
    stages = [_arrays(case, train, people) for train, people in case.stages()]
    digest = hashlib.sha256(repr((environments.REQUIREMENTS[peer], model, n)).encode())
    for file in ("common.py", script(peer)):
        digest.update((FOLDER / file).read_bytes())
    for arrays in stages:
        for name, array in arrays.items():
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    kept = [store / "results" / f"{_key(digest, c)}.npz" for c in configurations]
    missing = [i for i, path in enumerate(kept) if not path.is_file()]
    outcomes: list[Outcome] = ["not run"] * len(configurations)
    if missing:
        python = environments.make(store, peer)
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]
        with tempfile.TemporaryDirectory() as folder:
            wanted = [{"model": model, **configurations[i]} for i in chunk]
            found = _run_job(python, peer, Path(folder), stages, wanted, n)
        for i, outcome in zip(chunk, found):
            outcomes[i] = outcome
            if not isinstance(outcome, str):
                _keep(kept[i], outcome)
    for i, path in enumerate(kept):
        if path.is_file():
            with np.load(path) as file:
                rows, predicted = file["rows"], file["predicted"]
                outcomes[i] = Result(rows, predicted, float(file["seconds"]))
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


def _key(digest: Any, configuration: dict[str, Any]) -> str:
    own = digest.copy()
    own.update(json.dumps(configuration, sort_keys=True).encode())
    return str(own.hexdigest()[:24])


def _run_job(
    python: Path, peer: str, folder: Path, stages: list[dict[str, np.ndarray]], wanted: list[dict[str, Any]], n: int
) -> list[Outcome]:
    for s, arrays in enumerate(stages):
        np.savez(folder / f"stage-{s}.npz", **arrays)
    job = {"n": n, "n_stages": len(stages), "configurations": wanted}
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = [str(python), "-s", str(FOLDER / script(peer)), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environments.single_threaded())
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return [reason] * len(wanted)
    return [_outcome(folder, c, stages) for c in range(len(wanted))]


def _outcome(folder: Path, c: int, stages: list[dict[str, np.ndarray]]) -> Outcome:
    error = folder / f"error-{c}.txt"
    if error.is_file():
        return error.read_text(encoding="utf-8").splitlines()[0]
    parts = []
    for s in range(len(stages)):
        with np.load(folder / f"result-{c}-{s}.npz") as file:
            parts.append(dict(file))
    seconds = float(sum(part["seconds"] for part in parts))
    if "ratings" in parts[0]:
        return Result(np.empty((0, 0), np.int32), parts[0]["ratings"], seconds)
    rows = np.concatenate([part["lists"] for part in parts])
    order = np.argsort(np.concatenate([arrays["places"] for arrays in stages]))
    return Result(rows[order], np.empty(0, np.float32), seconds)


def _keep(path: Path, result: Result) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.npz")
    np.savez(temporary, rows=result.rows, predicted=result.predicted, seconds=np.array(result.seconds))
    shutil.move(temporary, path)
