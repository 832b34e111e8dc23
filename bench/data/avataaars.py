"""Avataaars (art by Pablo Stanley, free for personal and commercial use), rendered on this machine.

Imports no torch: the rendering processes start fast.
"""

import functools
import io
import json
from importlib import resources
from importlib.metadata import version

import numpy as np
import resvg_py
from dicebear import Avatar, Style
from PIL import Image

from bench.data.picture import CROPPED_SHARE, composite, resize
from bench.data.schema import Attribute, Schema

# The names are those of the original Avataaars palette.
HAIR = {
    "auburn": "#a55728", "black": "#2c1b18", "blonde": "#b58143", "blondeGolden": "#d6b370",
    "brown": "#724133", "brownDark": "#4a312c", "pastelPink": "#f59797", "platinum": "#ecdcbf",
    "red": "#c93305", "silverGray": "#e8e1e1",
}  # fmt: skip
HAT = {
    "blue": "#25557c", "gray": "#929598", "pastelGreen": "#a7ffc4",
    "pastelYellow": "#ffffb1", "pink": "#ff488e", "white": "#ffffff",
}  # fmt: skip
SKIN = {
    "tanned": "#fd9841", "yellow": "#f8d25c", "pale": "#ffdbb4", "light": "#edb98a",
    "brown": "#d08b5b", "brownDark": "#ae5d29", "black": "#614335",
}  # fmt: skip
HATS = ("hat", "hijab", "turban", "winterHat02", "winterHat03", "winterHat04", "winterHat1")
DARK_LENSES = ("eyepatch", "kurt", "sunglasses", "wayfarers")
HIDDEN = "hidden"
NONE = "none"

# What is drawn but cannot be seen well (clothes are cropped away, eyebrows lie under the hair) is one and the
# same in every picture, and not asked of anyone.
CONSTANT = {
    "clothesVariant": "shirtCrewNeck", "clothesColor": ["#5199e4"], "eyebrowsVariant": "defaultNatural",
    "accessoriesColor": ["#262e33"], "topProbability": 100,
}  # fmt: skip

CANVAS = 280  # the drawing's own units
WINDOW = (30.0, 0.0, 220.0)  # x, y and side of what a model sees: head and hair, no chest
OVERSAMPLING = 2  # rasterise at twice the size, then reduce with the same filter as photographs of the set
ALGORITHM = 1  # raise when the same codes would give other pixels


@functools.cache
def definition() -> dict:
    return json.loads((resources.files("dicebear_styles") / "avataaars.json").read_text())


@functools.cache
def style() -> Style:
    return Style(definition())


@functools.cache
def schema() -> Schema:
    """The attributes asked of an avatar; variants come from the installed style."""
    parts = {name: tuple(part["variants"]) for name, part in definition()["components"].items()}
    return Schema(
        (
            Attribute("top", parts["top"]),
            Attribute("hairColor", (*HAIR, HIDDEN), HIDDEN),
            Attribute("hatColor", (*HAT, HIDDEN), HIDDEN),
            Attribute("skinColor", tuple(SKIN)),
            Attribute("accessories", (NONE, *parts["accessories"])),
            Attribute("facialHair", (NONE, *parts["facialHair"])),
            Attribute("eyes", (*parts["eyes"], HIDDEN), HIDDEN),
            Attribute("mouth", parts["mouth"]),
        )
    )


def draw_labels(count: int, seed: int = 0) -> list[dict[str, str]]:
    """`count` different avatars, as variant names by attribute; a longer list starts with the shorter one."""
    labels: list[dict[str, str]] = []
    seen = set()
    attempt = 0
    while len(labels) < count:
        label = draw_label(np.random.default_rng((seed, attempt)))
        attempt += 1
        if (key := tuple(label.values())) not in seen:
            seen.add(key)
            labels.append(label)
    return labels


def draw_label(random: np.random.Generator) -> dict[str, str]:
    """One avatar, each variant equally likely, except that half wear no glasses and half no beard."""
    label = {a.name: str(random.choice([v for v in a.variants if v != a.hidden])) for a in schema().attributes}
    for name in ("accessories", "facialHair"):
        if random.random() < 0.45:
            label[name] = NONE
    if label["accessories"] in DARK_LENSES:
        label["eyes"] = HIDDEN
    if label["top"] in HATS and label["facialHair"] == NONE:
        label["hairColor"] = HIDDEN
    if label["top"] not in HATS:
        label["hatColor"] = HIDDEN
    return label


def codes(labels: list[dict[str, str]]) -> np.ndarray:
    """Labels to int64 codes (N, A) in the schema's order."""
    rows = [[a.code(label[a.name]) for a in schema().attributes] for label in labels]
    return np.array(rows, dtype=np.int64)


def svg(label: dict[str, str]) -> str:
    """The drawing of one avatar on its 280×280 canvas."""
    hair = [HAIR.get(label["hairColor"], HAIR["auburn"])]
    options = CONSTANT | {
        "seed": "0",
        "topVariant": label["top"],
        "hairColor": hair,
        "facialHairColor": hair,
        "hatColor": [HAT.get(label["hatColor"], HAT["blue"])],
        "skinColor": [SKIN[label["skinColor"]]],
        "eyesVariant": label["eyes"] if label["eyes"] != HIDDEN else "default",
        "mouthVariant": label["mouth"],
    }
    for name in ("accessories", "facialHair"):
        options[f"{name}Probability"] = 0 if label[name] == NONE else 100
        if label[name] != NONE:
            options[f"{name}Variant"] = label[name]
    return Avatar(style(), options).to_string()


def rasterise(drawing: str, window: tuple[float, float, float], pixels: int) -> Image.Image:
    """A square window (x, y, side) of a drawing as an RGBA picture of `pixels` × `pixels`."""
    x, y, side = window
    whole = f'viewBox="0 0 {CANVAS} {CANVAS}"'
    if drawing.count(whole) != 1:
        raise ValueError(f"this dicebear draws on another canvas than {CANVAS}×{CANVAS}")
    drawing = drawing.replace(whole, f'viewBox="{x} {y} {side} {side}"')
    png = resvg_py.svg_to_bytes(svg_string=drawing, width=pixels, height=pixels, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def render(label: dict[str, str], size: int) -> np.ndarray:
    """One avatar as the models see it: uint8 (size, size, 3) on black."""
    return resize(composite(rasterise(svg(label), WINDOW, size * OVERSAMPLING)), size)


def render_uncropped(label: dict[str, str], pixels: int = 500) -> Image.Image:
    """One avatar in Cartoon Set's format, RGBA, whose centre crop is what `render` shows."""
    x, y, side = WINDOW
    whole = side / CROPPED_SHARE
    margin = (whole - side) / 2
    return rasterise(svg(label), (x - margin, y - margin, whole), pixels)


def fingerprint() -> str:
    """What the pixels depend on besides the labels."""
    packages = ("dicebear-core", "dicebear-styles", "resvg_py", "pillow")
    return json.dumps([ALGORITHM, *(f"{name} {version(name)}" for name in packages)])
