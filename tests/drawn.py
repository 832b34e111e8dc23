"""A results folder with every picture that a record can name, made from committed results: no model is trained."""

import json
import shutil
from pathlib import Path

from PIL import Image, ImageDraw

LAPTOP = Path(__file__).parent.parent / "results" / "laptop"
SCALES = ("0", "1", "2", "3", "5", "7", "9")
PLOTS = ("curves", "guidance", "attributes", "memory", "timesteps")
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 300"><style>text {{ font: 20px sans-serif }}</style>'
    '<path d="M40 260 L200 120 L360 90 L680 60" fill="none" stroke="#1f77b4" stroke-width="3"/>'
    '<text x="40" y="40">{}</text></svg>'
)


def copy_results(folder: Path) -> Path:
    """The laptop's records and pictures as they are committed."""
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


def draw_everything(folder: Path) -> Path:
    """The same with guidance strips, animations, noising, confusions, and every plot as SVG."""
    copy_results(folder)
    for path in records(folder):
        change(path, lambda fields: fields["images"].update(new_pictures(folder, fields["images"])))
    for name in PLOTS:
        (folder / "images" / f"{name}.svg").write_text(SVG.format(name))
    return folder


def new_pictures(folder: Path, images: dict) -> dict:
    """Stand-ins for the pictures of a newer run, each unlike the others."""
    below = Path(images["samples"]).parent
    strips = [Image.open(folder / path).convert("RGB") for path in images["epochs"]]
    made = {"guidance": {}}
    for scale, strip in zip(SCALES, strips, strict=True):
        marked = strip.copy()
        ImageDraw.Draw(marked).text((4, 2), f"g {scale}", fill="white")
        made["guidance"][scale] = str(below / f"guidance-{scale}.png")
        marked.save(folder / made["guidance"][scale])
    for key in ("guidance_sweep", "denoising"):
        made[key] = str(below / f"{key}.gif")
        strips[0].save(folder / made[key], save_all=True, append_images=strips[1:], duration=300, loop=0)
    for key in ("noising", "confusions"):
        made[key] = str(below / f"{key}.png")
        strips[-1].save(folder / made[key])
    return made
