"""A results folder with all of its pictures, as they are committed: no model is trained."""

import json
import shutil
from pathlib import Path

LAPTOP = Path(__file__).parent.parent / "results" / "laptop"
SCALES = ("0", "1", "2", "3", "5", "7", "9")
PLOTS = ("guidance", "attributes", "memory", "timesteps")  # no curves: older records have no finished models


def copy_results(folder: Path) -> Path:
    """The laptop's records and pictures."""
    for part in ("records", "images"):
        shutil.copytree(LAPTOP / part, folder / part)
    return folder


def records(folder: Path) -> list[Path]:
    return sorted((folder / "records").glob("*.json"))


def change(path: Path, edit) -> None:
    """Rewrite a record by a function of its fields."""
    fields = json.loads(path.read_text())
    edit(fields)
    path.write_text(json.dumps(fields))
