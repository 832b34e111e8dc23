"""The floor plan: which room may import from which, how many files lie at the top, and what a table costs to draw."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the roof to the ground: a room imports from the rooms below it, and all of them from what lies at the top.
ROOMS = (
    "commands",
    "inference",
    "experiments",
    "runs",
    "render",
    "cost",
    "training",
    "sampling",
    "quality",
    "data",
    "storage",
    "record",
    "duties",
)
TOP_MAY = {"__main__": {"commands"}, "__init__": {"runs", "render"}}  # the two doors


def modules(*packages):
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path):
    """The names of all that a module imports, at its top or later."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def room_of(name):
    """The room that `bench.room.module` or a file below bench/ lies in; None at the top."""
    return next((part for part in name.split(".")[1:2] if part in ROOMS), None)


@pytest.mark.parametrize("path", modules("bench"), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_runs_upward(path):
    here = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    at_the_top = path.parent == ROOT / "bench"
    below = set(ROOMS[ROOMS.index(here) :]) if here else TOP_MAY.get(path.stem, set()) if at_the_top else set()
    found = {room_of(name) for name in imported(path) if name.startswith("bench.")} - {None}
    assert found <= below


def test_the_models_import_neither_the_harness_nor_each_other():
    """But for Tau, which both have."""
    for package, other in (("scratch_unet", "diffusers_unet"), ("diffusers_unet", "scratch_unet.unet")):
        found = {name for path in modules(package) for name in imported(path)}
        assert not [name for name in found if name.startswith(("bench", other))]


def test_training_does_not_know_of_runs():
    assert "runs" not in {room_of(name) for path in modules("bench/training") for name in imported(path)}


DRAWN = ("table", "images", "report")  # of render: what is drawn first knows nothing of what is drawn from it


@pytest.mark.parametrize("path", modules("bench/render"), ids=lambda path: path.stem)
def test_what_is_drawn_has_no_circle(path):
    here = path.parent.name
    above = set(DRAWN[DRAWN.index(here) + 1 :]) if here in DRAWN else set()
    parts = {name.split(".")[2] for name in imported(path) if name.startswith("bench.render.")}
    assert not parts & above


def test_there_are_few_files_at_the_top():
    assert len(list((ROOT / "bench").glob("*.py"))) <= 12


@pytest.mark.parametrize("module", ["bench.render.table.table", "bench.render.report.report", "bench.commands.cli"])
def test_what_is_drawn_from_records_alone_needs_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
