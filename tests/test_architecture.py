"""Imports run down the floors only, and what starts fast stays free of JAX."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ppl"

FLOORS = {
    "source": set(),
    "catalogue": set(),
    "arrays": set(),
    "numerics": set(),
    "syntax": {"source"},
    "images": {"source"},
    "families": {"numerics", "arrays"},
    "semantics": {"source", "syntax", "catalogue"},
    "factors": {"families", "numerics", "arrays"},
    "results": {"families", "source", "arrays"},
    "graph": {"source", "syntax", "catalogue", "semantics", "arrays", "images"},
    "compiler": {"source", "syntax", "catalogue", "semantics", "arrays", "numerics", "families", "factors", "graph"},
    "engines": {"source", "syntax", "catalogue", "semantics", "arrays", "numerics", "families", "factors", "graph", "compiler", "results"},
    "motion": {
        "source",
        "syntax",
        "catalogue",
        "semantics",
        "arrays",
        "numerics",
        "families",
        "factors",
        "graph",
        "compiler",
        "engines",
        "results",
    },
    "agents": {
        "source",
        "syntax",
        "catalogue",
        "semantics",
        "arrays",
        "numerics",
        "families",
        "factors",
        "graph",
        "compiler",
        "engines",
        "motion",
        "results",
    },
    "api": {"source", "syntax", "semantics", "graph", "engines", "results", "agents", "agent", "model"},
    "model": {"source", "syntax", "semantics", "graph", "compiler", "engines", "motion", "results"},
    "agent": {"model", "source", "syntax", "semantics", "graph", "compiler", "engines", "motion", "results", "agents"},
    "arr_coc": {"source", "images", "results", "api", "agent", "model"},
    "tools": {
        "source",
        "images",
        "arr_coc",
        "syntax",
        "catalogue",
        "semantics",
        "arrays",
        "graph",
        "compiler",
        "engines",
        "motion",
        "results",
        "agents",
        "api",
        "agent",
        "model",
    },
}
WITHOUT_JAX = ("source", "catalogue", "arrays", "syntax", "images", "semantics", "graph", "tools", "api", "agent", "model", "arr_coc")


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "_data" not in p.parts)


def floor(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> list[str]:
    """Dotted names of everything that the module imports, also inside functions."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.append(node.module)
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_down_only(path: Path) -> None:
    own = floor(path)
    if own in ("__init__", "__main__"):
        return
    assert own in FLOORS, f"{own} is on no floor"
    for name in imported(path):
        if name.startswith("ppl."):
            other = name.split(".")[1]
            assert other == own or other in FLOORS[own], f"{own} may not import {name}"


@pytest.mark.parametrize("path", [p for p in modules() if floor(p) in WITHOUT_JAX], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_light_floors_do_not_import_jax_when_loaded(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        names = (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        assert not any(n.split(".")[0] in ("jax", "jaxlib", "numpyro") for n in names)


@pytest.mark.parametrize("code", ["import ppl", "import ppl; ppl.parse('model m:\\n    x ~ Normal(0, 1)\\n').graph().to_dot()"])
def test_looking_at_a_model_does_not_import_jax(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"{code}\nimport sys\nassert 'jax' not in sys.modules"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_numpyro_is_behind_one_place() -> None:
    inside = PACKAGE / "engines" / "numpyro_bridge"
    for path in modules():
        if inside not in path.parents:
            assert not any(name.split(".")[0] == "numpyro" for name in imported(path)), f"{path} imports NumPyro"


def test_every_module_says_its_idea() -> None:
    for path in modules():
        if path.name != "__init__.py":
            assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"
