"""A chat client that keeps its answers: an evaluation that was interrupted, or is repeated, asks nothing twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ...data.files import dump_json, load_json, replace_file
from ..client import Answer, ChatClient, Messages, Say


@dataclass
class RecordedClient(ChatClient):
    """run: which repetition is asked for; another one gets an answer of its own to the same question.

    folder: a file of JSON for each answer; None: only this process remembers.
    """

    run: int = 0
    folder: Optional[Path] = None
    answers: dict[str, Answer] = field(default_factory=dict)

    def ask(self, messages: Messages, schema: Optional[Mapping[str, Any]] = None, max_tokens: int = 600,
            n_first: int = 0, show: Optional[Say] = None) -> Answer:  # fmt: skip
        """Return what was answered before, or else what the model answers; errors are not kept."""
        asked = [self.http.base_url, self.model, self.temperature, self.run, messages, schema, max_tokens, n_first]
        key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]
        path = self.folder and self.folder / f"{key}.json"
        if key not in self.answers and path and path.exists():
            self.answers[key] = load_json(path, "remove it", lambda kept: Answer(*kept))
        elif key not in self.answers:
            self.answers[key] = super().ask(messages, schema, max_tokens, n_first, show)
            if path:
                with replace_file(path) as temporary:
                    dump_json(self.answers[key], temporary)
        return self.answers[key]
