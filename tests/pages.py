"""The pages that people read, and how tests read them: words, tables between markers, rows, committed documents."""

import json
from pathlib import Path

from bench.storage.records import read_record

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
WRITTEN = ["README.md", "results/laptop/README.md"]
WRITTEN += [str(path.relative_to(ROOT)) for path in sorted((ROOT / "bench").glob("**/README.md"))]
TEXTS = {name: (ROOT / name).read_text() for name in [*WRITTEN, "results/README.md"]}
README, BENCH, DETAILS = TEXTS["README.md"], TEXTS["bench/README.md"], TEXTS["results/laptop/README.md"]
WALK = (ROOT / "scratch_unet" / "README.md").read_text()
QUALITY, COST = TEXTS["bench/quality/README.md"], TEXTS["bench/cost/README.md"]
TABLE = (RESULTS / "laptop" / "table.md").read_text()
AT_ONE_RATE = (RESULTS / "rate-0.003" / "table.md").read_text()
OF_EXPERIMENTS = "".join(
    (RESULTS / "claims" / experiment / f"{page}.md").read_text()
    for experiment in ("equal-time", "larger-tau", "normalised-tokens", "scratch-best")
    for page in ("experiment", "table")
)
UNCERTAIN = r"[\d.]+(?: s)? ± [\d.]+(?: s)?"


def plain(text):
    """The words of a text, however its lines are broken."""
    return " ".join(text.split())


def between(name, text):
    return text.split(f"<!-- {name} -->")[1].split(f"<!-- /{name} -->")[0].strip().splitlines()


def row(label, table=TABLE):
    """The cells of a table's row; of the differences, those of its first two columns."""
    found = next(line for line in table.splitlines() if line.startswith(f"| {label} |"))
    return found.strip("| ").split(" | ")[1:]


def read(*path):
    return json.loads(RESULTS.joinpath(*path).read_text())


# README.md


def colours(folder, name):
    """ΔE of every seed of a contestant in a results folder."""
    records = [read_record(path) for path in (RESULTS / folder / "records").glob(f"{name}-matched-seed*.json")]
    return {record.run.seed: record.measurements.paired.colour.value for record in records}
