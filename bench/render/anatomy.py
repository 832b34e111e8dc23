"""The anatomy of full-size models as a table for the terminal."""

from typing import Any

from rich.table import Table


def anatomy_table(document: dict[str, Any]) -> Table:
    """One column a contestant, from the document of `bench anatomy --json`."""
    rows = document["contestants"]
    size = f"{document['image_size']}×{document['image_size']}, batch {document['batch_size']}"
    table = Table(size, *(row["name"] for row in rows), highlight=False)
    for part, label in (("total", "parameters"), ("unet", "… Unet"), ("tau", "… Tau")):
        counts = [row["parameters"][part] for row in rows]
        table.add_row(label, *("–" if count is None else f"{count:,}" for count in counts))
    for kind in rows[0]["memory_mib"]:
        table.add_row(f"{kind.replace('_', ' ')}, MiB", *(f"{row['memory_mib'][kind]:,.2f}" for row in rows))
    for kind in rows[0]["gflop_per_image"]:
        table.add_row(f"GFLOP per image, {kind}", *(f"{row['gflop_per_image'][kind]:,.1f}" for row in rows))
    table.add_row("heads × width", *("\n".join(head_shapes(row["attention"])) or "–" for row in rows))
    return table


def head_shapes(attention: list[dict[str, Any]]) -> list[str]:
    """`32×4 (4096 → 256 tokens)` for every kind of attention that occurs."""
    shapes = (f"{a['heads']}×{a['head_width']} ({a['query_tokens']} → {a['context_tokens']} tokens)" for a in attention)
    return list(dict.fromkeys(shapes))
