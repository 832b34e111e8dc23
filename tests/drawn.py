"""A results folder with all of its pictures, as they are committed: no model is trained."""

import itertools
import json
import shutil
from pathlib import Path

LAPTOP = Path(__file__).parent.parent / "results" / "laptop"
SCALES = ("0", "1", "2", "3", "5", "7", "9")
PLOTS = ("curves", "guidance", "attributes", "memory", "timesteps")


def copy_results(folder: Path) -> Path:
    """The laptop's pictures, and records of it."""
    shutil.copytree(LAPTOP / "images", folder / "images")
    return copy_records(folder)


def copy_records(folder: Path) -> Path:
    """Those of two seeds of two contestants."""
    (folder / "records").mkdir(parents=True)
    for contestant, seed in itertools.product(("diffusers-32", "scratch"), (0, 1)):
        shutil.copy(LAPTOP / "records" / f"{contestant}-matched-seed{seed}.json", folder / "records")
    return folder


def records(folder: Path) -> list[Path]:
    return sorted((folder / "records").glob("*.json"))


def change(path: Path, edit) -> None:
    """Rewrite a record by a function of its fields."""
    fields = json.loads(path.read_text())
    edit(fields)
    path.write_text(json.dumps(fields))
