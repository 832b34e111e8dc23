"""What is known of the metrics: tables for the terminal, a JSON document and pictures for the README."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from bench.render.images.figures import rendered
from bench.render.images.gallery import to_pictures
from bench.render.markdown import markdown
from bench.render.table.row import MISSING, decimals, share
from bench.storage import durable

Document = dict[str, Any]
CAPTIONS = {  # which measures stand beside each picture
    "background": ("stray_pixels", "background_level"),
    "colour": ("colour_error", "out_of_palette"),
    "shape": ("edge_agreement", "shape_accuracy"),
    "hairstyle": ("hairstyle_variety", "accuracy"),
    "brightness": ("brightness", "saturation"),
    "attributes": ("accuracy",),
}


def judges_lines(document: Document) -> list[str]:
    """The document in a few tables."""
    classifier = document["classifier"]
    per_attribute = pd.DataFrame(classifier["per_attribute"])
    per_attribute.loc["macro"] = pd.Series(classifier["macro"])
    seconds = document["judge_training_seconds"]
    trained = "found in the cache" if seconds is None else f"trained in {seconds:.0f} s"
    return [
        f"The classifier on real images of {document['image_size']}×{document['image_size']}, {trained}; light noise: "
        f"sd {classifier['noise_sd']:g} of 255, light blur: sd {classifier['blur_sd_pixels']:g} pixels.",
        per_attribute.round(3).to_string(),
        "",
        f"What the measures say of {document['images']} real images with a known defect:",
        pd.DataFrame(document["defects"]).T.astype(float).round(3).to_string(),
        "",
        "What the distances say:",
        distance_frame(document).round(4).to_string(),
    ]


DEFECT_COLUMNS: list[tuple[str, str, Callable[[float], str]]] = [
    ("ΔE", "paired_colour", decimals(1)),
    ("SSIM", "paired_structure", decimals(2)),
    ("all right", "all_right", share),
    ("exact", "exact", decimals(3)),
    ("stray pixels", "stray_pixels", share),
    ("ΔE of colours asked for", "colour_error", decimals(1)),
    ("out of palette", "out_of_palette", share),
    ("edge agreement", "edge_agreement", decimals(2)),
    ("hairstyles", "hairstyle_variety", share),
    ("brightness", "brightness", decimals(1)),
    ("saturation", "saturation", decimals(1)),
    ("accuracy", "accuracy", decimals(3)),
]


def defect_lines(document: Document) -> list[str]:
    """What the measures say of known defects, as a table in Markdown."""
    rows = [[defect, *(MISSING if row.get(key) is None else write(row[key]) for _, key, write in DEFECT_COLUMNS)]
            for defect, row in document["defects"].items()]  # fmt: skip
    return markdown(["put into real images", *(name for name, *_ in DEFECT_COLUMNS)], rows).splitlines()


def distance_frame(document: Document) -> pd.DataFrame:
    """Sets of images by distances."""
    return pd.DataFrame(
        {
            name: {
                "Fréchet distance": row["frechet_distance"],
                "KID": row["kid"] and row["kid"]["value"],
                "precision": row["precision"],
                "recall": row["recall"],
                "nearer than 5 % of real": row["memorised"] and row["memorised"]["closer"]["value"],
                "flagged": row["memorised"] and row["memorised"]["flagged"],
            }
            for name, row in document["distances"].items()
        }
    ).T.astype(float)


def write_judges(out: Path, document: Document, pictures: dict[str, list[tuple[str, Tensor]]]) -> None:
    """`judges-<side>.json`, and a picture a measure."""
    side = document["image_size"]
    durable.write_text(out / f"judges-{side}.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    for name, rows in pictures.items():
        titles = [("real images" if title == "none" else title) + values_of(document, name, title) for title, _ in rows]
        durable.write_bytes(out / f"{name}-{side}.png", draw_rows(titles, [images for _, images in rows]))


def values_of(document: Document, picture: str, title: str) -> str:
    """What the measures of a picture say of one of its rows, where they were asked."""
    if picture == "distance":
        found = document["distances"].get(title)
        return "" if found is None else f"\nFréchet distance {found['frechet_distance']:.1f}"
    row = document["defects"].get(title, {})
    return "".join(
        f"\n{name.replace('_', ' ')} {row[name]:.3f}" for name in CAPTIONS[picture] if row.get(name) is not None
    )


def draw_rows(titles: list[str], rows: list[Tensor]) -> bytes:
    """Rows of uint8 images (n, 3, H, W), each under its title, as a PNG."""
    from diffusers.utils import make_image_grid
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 1.15 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for panel, title, images in zip(panels, titles, rows, strict=True):
        panel.imshow(make_image_grid(to_pictures(images, 64), 1, len(images)))
        panel.set_ylabel(title, rotation=0, ha="right", va="center")
        panel.set(xticks=[], yticks=[])
    return rendered(figure)
