"""The document of `bench implementation` as a table: each model by hand beside the library's."""

from typing import Any

MIB, GIB = 2**20, 2**30
LABELS = {
    "step": "training step",
    "forward": "… its forward pass",
    "backward": "… its backward pass",
    "prediction": "prediction without gradients, which sampling consists of",
}


def implementation_lines(document: dict[str, Any]) -> list[str]:
    """What was measured and how, then a table for each pair."""
    made_on = document["environment"]
    about = (
        f"{made_on['device']}, {made_on['threads']} threads, torch {made_on['versions']['torch']}; preset "
        f"{document['preset']}: {document['image_size']}×{document['image_size']}, scale {document['scale']:g}, batch "
        f"{document['batch_size']}, {document['memory_format']}. Medians of {document['rounds']} rounds of "
        f"{document['steps_per_round']} steps of each in turn; in brackets the ratio to the library's model, with its "
        f"95 % interval. Load average at the end: {document['load_average']:.1f}."
    )
    return [about, *(line for twin, pair in document["pairs"].items() for line in ["", *pair_lines(twin, pair)])]


def pair_lines(twin: str, pair: dict[str, Any]) -> list[str]:
    """Rows of seconds, memory and operations; the library's model first."""
    versions, library = pair["versions"], pair["library"]
    titles = {"library": library, "keeps all": f"{twin}, nothing recomputed", "twin": twin}
    rows = [
        *([label, *(timed(versions[name], part) for name in titles)] for part, label in LABELS.items()),
        ["peak memory of a step, MiB", *(peak(versions, name) for name in titles)],
        ["operations of a step", *(f"{versions[name]['operations']:,}" for name in titles)],
        ["predicted peak at full size, batch 128, GiB", *full(pair, twin)],
    ]
    head = ["", *titles.values()]
    return [line(head), line([":---"] * len(head)), *(line(row) for row in rows)]


def timed(version: dict[str, Any], part: str) -> str:
    ratio = version["ratios"][part]
    milliseconds = f"{1000 * version['seconds'][part]:,.0f} ms"
    if ratio["low"] == ratio["high"] == 1:  # the library's, to itself
        return milliseconds
    return f"{milliseconds} ({ratio['median']:.2f}; {ratio['low']:.2f} to {ratio['high']:.2f})"


def peak(versions: dict[str, Any], name: str) -> str:
    bytes_of = {each: version["peak_bytes"] for each, version in versions.items()}
    if bytes_of[name] is None:
        return "–"
    ratio = "" if name == "library" else f" ({bytes_of[name] / bytes_of['library']:.2f})"
    return f"{bytes_of[name] / MIB:,.0f}{ratio}"


def full(pair: dict[str, Any], twin: str) -> list[str]:
    ours, theirs = (pair["full_peak_bytes"][name] for name in (twin, pair["library"]))
    return [f"{theirs / GIB:.1f}", "–", f"{ours / GIB:.1f} ({ours / theirs:.2f})"]


def line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
