"""The harness: everything that is the same for every contestant; and, for a notebook, its parts by name.

data = bench.load_data(images=2_000)
trained = bench.train(bench.build("scratch", data), data, seconds=60)
trained.score(trained.sample(64))
bench.table("results/laptop")
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.render.table.table import table_of as table
    from bench.runs.session import Trained as Trained
    from bench.runs.session import build as build
    from bench.runs.session import load_data as load_data
    from bench.runs.session import train as train

HOMES = {
    "build": "bench.runs.session:build",
    "load_data": "bench.runs.session:load_data",
    "table": "bench.render.table.table:table_of",
    "train": "bench.runs.session:train",
    "Trained": "bench.runs.session:Trained",
}
__all__ = ["Trained", "build", "load_data", "table", "train"]


def __getattr__(name: str) -> Any:
    """Import what is asked for only now: `import bench` itself loads no torch."""
    if name not in HOMES:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    module, _, here = HOMES[name].partition(":")
    return getattr(importlib.import_module(module), here)


def __dir__() -> list[str]:
    return [*HOMES, *globals()]
