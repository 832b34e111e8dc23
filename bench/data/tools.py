"""`bench data`: verify a Cartoon Set, preview any set, export Avataaars in Cartoon Set's layout."""

import io
import json
import tarfile
from pathlib import Path

from PIL import Image, ImageDraw

from bench.data import avataaars, cartoonset
from bench.data.dataset import AvatarSet
from bench.data.files import is_archive
from bench.data.library import AVATAAARS, DataRequest, over_all_cores, read, render
from bench.display import display
from bench.errors import BadInput
from bench.storage import durable
from bench.storage.durable import check_writable

EXPORT_SIDE = 500
LABEL_HEIGHT = 12  # pixels a line of a label takes


def verify(path: Path) -> tuple[list[str], int]:
    """Every problem of a Cartoon Set, and how many images are good."""
    with display("data") as show, over_all_cores() as mapper:
        show.phase(f"verifying {path.name}")
        found = cartoonset.scan(path, 64, mapper, show.advance)
    return found.problems, len(found.images.keys() & found.rows.keys() - found.bad)


def preview(source: str, count: int, image_size: int, picture: Path) -> None:
    """Write a grid of `count` avatars, each with its attributes below."""
    check_writable(picture.parent)
    request = DataRequest(source, max(2, count), image_size, skip_bad=True)
    avatars = render(request) if source == AVATAAARS else read(request)
    buffer = io.BytesIO()
    labelled_grid(avatars, min(count, len(avatars))).save(buffer, "PNG")
    durable.write_bytes(picture, buffer.getvalue())


def labelled_grid(avatars: AvatarSet, count: int, columns: int = 6, side: int = 192) -> Image.Image:
    attributes = avatars.schema.attributes
    height = side + LABEL_HEIGHT * len(attributes) + 6
    rows = -(-count // columns)
    grid = Image.new("RGB", (columns * side, rows * height), "white")
    draw = ImageDraw.Draw(grid)
    for i in range(count):
        x, y = i % columns * side, i // columns * height
        pixels = avatars.images[i].permute(1, 2, 0).contiguous().numpy()
        grid.paste(Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST), (x, y))
        for line, (attribute, code) in enumerate(zip(attributes, avatars.codes[i].tolist(), strict=True)):
            text = f"{attribute.name} {attribute.variants[code]}"
            draw.text((x + 2, y + side + line * LABEL_HEIGHT), text[:34], fill="black", font_size=10)
    return grid


def exported_image(label: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    avataaars.render_uncropped(label, EXPORT_SIDE).save(buffer, "PNG")
    return buffer.getvalue()


def export(path: Path, images: int) -> None:
    """Write `images` avatars as Cartoon Set does: csN.png (500×500 RGBA) with csN.csv beside it."""
    if path.exists() and (path.is_file() or any(path.iterdir())):
        raise BadInput(f"'{path}' exists already: name a new folder or .tgz")
    check_writable(path.parent)
    labels = avataaars.draw_labels(images)
    codes = avataaars.codes(labels)
    schema = avataaars.schema()
    files = {cartoonset.SCHEMA_FILE: json.dumps(schema.to_json(), indent=1).encode()}
    with over_all_cores() as mapper:
        pictures = mapper(exported_image, labels)
    for number, (png, row) in enumerate(zip(pictures, codes, strict=True)):
        files[f"cs{number:06d}.png"] = png
        files[f"cs{number:06d}.csv"] = cartoonset.write_csv(schema, row).encode()
    try:
        write_archive(path, files) if is_archive(path) else write_folder(path, files)
    except OSError as error:
        raise BadInput(f"'{path}' cannot be written ({error.strerror}): name another place") from error


def write_folder(path: Path, files: dict[str, bytes]) -> None:
    with durable.new_folder(path) as unfinished:
        for name, content in files.items():
            (unfinished / name).write_bytes(content)


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cartoonset/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    durable.write_bytes(path, buffer.getvalue())
