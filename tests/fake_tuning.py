"""A service that tunes models, for tests/fake_server.py: it refuses every field that the published one would.

The published rules: OpenAI's API reference, `files` and `fine_tuning/jobs`; checked with its own Python client.
"""

from __future__ import annotations

import email
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fake_server import Reply, Request

ROLES = {"system", "user", "assistant"}
STATES = ("validating_files", "queued", "running", "succeeded")


class Refused(Exception):
    pass


def need(right: object, what: str) -> None:
    if not right:
        raise Refused(what)


class TuningService:
    """states: of a job, one for each question about it; the last one stays.  error: of a job that fails."""

    def __init__(self, key: str = "", states: tuple[str, ...] = STATES) -> None:
        self.key, self.states = key, states
        self.error: Any = {"code": "invalid_training_file", "message": "line 3 is\nno example", "param": None}
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: dict[str, int] = {}  # how often each job was asked for
        self.lists = True  # whether there are lists of files and jobs

    def __call__(self, request: Request) -> Reply | None:
        url = urlsplit(request.path)
        path = url.path.removeprefix("/v1/")
        if not path.startswith(("files", "fine_tuning")):
            return None
        try:
            if self.key:
                found = {name.lower(): value for name, value in request.headers.items()}
                need(found.get("authorization") == f"Bearer {self.key}", "no such key")
            if path == "files":
                return Reply(200, self.upload(request))
            if path == "fine_tuning/jobs":
                return Reply(200, self.create(request.body) if request.method == "POST" else self.job_list(url.query))
            need(request.method == "GET" and path.rsplit("/", 1)[-1] in self.jobs, f"no {path}")
            return Reply(200, self.advance(path.rsplit("/", 1)[-1]))
        except Refused as error:
            status = 404 if str(error).startswith("no ") else 400
            return Reply(status, {"error": {"message": str(error), "type": "invalid_request_error"}})

    def upload(self, request: Request) -> dict[str, Any]:
        kind = next(value for name, value in request.headers.items() if name.lower() == "content-type")
        need(isinstance(request.body, bytes) and kind.startswith("multipart/form-data"), "not a form")
        form = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + request.body)
        parts: dict[Any, Any] = {}
        for part in form.get_payload():
            parts[part.get_param("name", header="content-disposition")] = part
        need(set(parts) == {"purpose", "file"}, f"unknown fields {sorted(map(str, parts))}")
        need(parts["purpose"].get_payload(decode=True) == b"fine-tune", "purpose is not fine-tune")
        name, content = parts["file"].get_filename(), parts["file"].get_payload(decode=True)
        need(name and name.endswith(".jsonl"), "the file's name does not end with .jsonl")
        lines = [json.loads(line) for line in content.decode("utf-8").splitlines()]
        need(len(lines) >= 10, f"{len(lines)} examples, at least 10 are needed")
        for line in lines:
            need(set(line) == {"messages"} and line["messages"], "an example is no list of messages")
            for message in line["messages"]:
                need(set(message) == {"role", "content"} and message["role"] in ROLES, f"wrong message {message}")
                need(isinstance(message["content"], str) and message["content"], "a message without text")
            need(line["messages"][-1]["role"] == "assistant", "the last message is not the assistant's")
        ident = f"file-{len(self.files) + 1}"
        made = {"object": "file", "bytes": len(content), "created_at": 1, "filename": name, "purpose": "fine-tune"}
        self.files[ident] = {"id": ident, **made, "status": "processed"}
        self.contents[ident] = content
        return self.files[ident]

    def create(self, body: Any) -> dict[str, Any]:
        allowed = {"model", "training_file", "validation_file", "suffix", "seed", "method", "metadata", "integrations"}
        need(isinstance(body, dict) and body.keys() <= allowed, f"unknown field in {sorted(body)}")
        need(isinstance(body.get("model"), str) and body["model"], "model is missing")
        need(body.get("training_file") in self.files, "training_file does not exist")
        need("validation_file" not in body or body["validation_file"] in self.files, "validation_file does not exist")
        need(body.get("validation_file") != body["training_file"], "both files are the same")
        need(len(body.get("suffix", "x")) <= 64, "suffix is too long")
        seed = body.get("seed", 0)
        need(type(seed) is int and 0 <= seed < 2**31, "seed is no number from 0 to 2147483647")
        method = body.get("method")
        need(isinstance(method, dict) and method.keys() == {"type", "supervised"}, "method is not supervised")
        need(method["type"] == "supervised" and method["supervised"].keys() == {"hyperparameters"}, "wrong method")
        settings = method["supervised"]["hyperparameters"]
        need(settings.keys() <= {"n_epochs", "batch_size", "learning_rate_multiplier"}, "unknown hyperparameter")
        need(all(value == "auto" or type(value) in (int, float) for value in settings.values()), "wrong number")
        ident = f"ftjob-{len(self.jobs) + 1}"
        self.jobs[ident] = {
            "object": "fine_tuning.job", "id": ident, "created_at": 1, "finished_at": None, "fine_tuned_model": None,
            "error": None, "hyperparameters": settings, "organization_id": "org-1", "result_files": [],
            "trained_tokens": None, "status": "validating_files", "validation_file": None, **body,
            "model": f"{body['model']}-2026-01-01",
        }  # fmt: skip
        return self.jobs[ident]

    def job_list(self, query: str) -> dict[str, Any]:
        need(self.lists, "no lists here")
        need(parse_qs(query).keys() <= {"limit", "after", "metadata"}, f"unknown parameter in {query}")
        return {"object": "list", "data": [*self.jobs.values()][::-1], "has_more": False}

    def advance(self, ident: str) -> dict[str, Any]:
        job, n = self.jobs[ident], self.asked.get(ident, 0)
        self.asked[ident] = n + 1
        job["status"] = self.states[min(n, len(self.states) - 1)]
        if job["status"] == "succeeded":
            job["fine_tuned_model"] = f"ft:{job['model']}:org:{job['suffix']}:{ident}"
        if job["status"] == "failed":
            job["error"] = self.error
        return job
