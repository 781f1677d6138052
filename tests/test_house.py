"""The floors of the house: an import only ever points down, and no module imports itself by a detour."""

from __future__ import annotations

import ast
import functools
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("recommender", "model", "preprocess")
# From the ground up; what stands on one line may not import each other either.
FLOORS = ["data", "net", "linalg", "retrieve", "text", "media", "learn", "session", "people", "evaluate"]
FLOORS += ["ranking", "hybrid", "everybody", "models", "opening", "facade", "chat", "serve", "", "cli"]


@functools.cache
def imports() -> dict[str, set[str]]:
    """Module -> the modules of this project that it imports, by absolute name, imports inside functions included."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    modules = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in paths}
    found = {}
    for name, path in modules.items():
        package = path.relative_to(ROOT).parent.parts
        targets = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = [*package[: len(package) - node.level + 1]] if node.level else []
                module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
                inside = {f"{module}.{alias.name}" for alias in node.names}
                targets |= inside if inside <= modules.keys() else {module, *inside}
        found[name] = targets & modules.keys() - {name}
    return found


def floor(module: str) -> int:
    """The floor of a module of the library; the programs stand above all."""
    top, _, rest = module.partition(".")
    return FLOORS.index(rest.split(".")[0]) if top == "recommender" else len(FLOORS)


def test_imports_only_point_down():
    edges = imports()
    assert len(edges) > 50
    for module, targets in edges.items():
        for target in targets:
            assert floor(target) <= floor(module), f"{module} imports {target}, which stands above it"
            if module.startswith("recommender."):
                assert target != "recommender", f"{module} imports the package itself"


def test_no_import_comes_back():
    edges = imports()
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"imports in a circle: {' -> '.join([*path, module])}"
        if module not in done:
            for target in edges[module]:
                visit(target, (*path, module))
            done.add(module)

    for module in edges:
        visit(module, ())


def test_files_and_folders_stay_small():
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            n_lines = len(path.read_text(encoding="utf-8").splitlines())
            assert n_lines <= 300, f"{path.relative_to(ROOT)} has {n_lines} lines"
            most = 20 if folder == "model" else 14  # programs, whose names are fixed
            assert len(list(path.parent.glob("*.py"))) <= most, path.parent


def test_programs_run_as_files_from_a_clone_that_is_not_installed(monkeypatch):
    """The lines of each before its first import of this project, run as by `python model/x.py`, find the clone."""
    sources = {path: path.read_text("utf-8") for folder in FOLDERS for path in (ROOT / folder).glob("*.py")}
    programs = {path: source for path, source in sources.items() if '__name__ == "__main__"' in source}
    assert len(programs) > 20
    for path, source in programs.items():
        monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path[1:]])
        head = re.split(rf"^(?:from|import) (?:{'|'.join(FOLDERS)})", source, flags=re.MULTILINE)[0]
        exec(head, {"__name__": "__main__", "__package__": None})
        assert Path(sys.path[0]).resolve() == ROOT, path
