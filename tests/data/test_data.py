"""The data: what is drawn, what is written in Cartoon Set's layout, and what is read back from it."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from bench.config import MATCHED
from bench.data import avataaars, cartoonset
from bench.data.dataset import to_model_space, to_pixels
from bench.data.library import DataRequest, cache_path, load, read, render
from bench.data.schema import Attribute, Schema
from bench.data.splits import Split, counts, split
from bench.data.tools import export, labelled_grid
from bench.errors import BadInput
from bench.runs.worker import describe

EXPORTED = 12


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("set") / "cartoonset10"
    export(path, EXPORTED)
    return path


@pytest.fixture
def damaged(exported, tmp_path):
    """A copy of the exported set to be spoilt."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in exported.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def request(path, size=64, images=100, **more):
    return DataRequest(str(path), images, size, **more)


def test_avataaars_are_the_same_every_time_and_a_longer_set_begins_with_the_shorter(avatars):
    again = render(DataRequest("avataaars", images=20, image_size=16))
    assert torch.equal(again.images, avatars.images[:20])
    assert torch.equal(again.codes, avatars.codes[:20])


def test_avataaars_fill_the_picture_with_colour(avatars):
    assert avatars.images.dtype == torch.uint8
    assert avatars.images.shape == (148, 3, 16, 16)
    assert (avatars.images[:, :, :, 0] == 0).float().mean() > 0.5  # black behind the head
    assert len({image.numpy().tobytes() for image in avatars.images}) > 110


def test_what_cannot_be_seen_is_marked_hidden():
    for label in avataaars.draw_labels(300):
        assert (label["hatColor"] == "hidden") == (label["top"] not in avataaars.HATS)
        assert (label["eyes"] == "hidden") == (label["accessories"] in avataaars.DARK_LENSES)
        covered = label["top"] in avataaars.HATS and label["facialHair"] == "none"
        assert (label["hairColor"] == "hidden") == covered


def test_hidden_attributes_really_leave_no_trace():
    label = next(x for x in avataaars.draw_labels(100) if x["hairColor"] == "hidden")
    pictures = [avataaars.render(label | {"hairColor": colour}, 32) for colour in ("red", "platinum")]
    assert np.array_equal(*pictures)
    label = next(x for x in avataaars.draw_labels(100) if x["hatColor"] == "hidden")
    pictures = [avataaars.render(label | {"hatColor": colour}, 32) for colour in ("pink", "white")]
    assert np.array_equal(*pictures)


def test_every_variant_can_be_seen():
    """Changing an attribute that is said to show changes pixels, at the smallest size in use."""
    base = avataaars.draw_labels(1)[0] | {"top": "bob", "accessories": "none", "facialHair": "none", "eyes": "default"}
    for attribute in avataaars.schema().attributes:
        label = base | ({"top": "hat"} if attribute.name == "hatColor" else {})
        variants = [v for v in attribute.variants if v != attribute.hidden]
        pictures = {avataaars.render(label | {attribute.name: v}, 32).tobytes() for v in variants}
        assert len(pictures) == len(variants), attribute.name


def test_export_has_cartoon_sets_layout(exported):
    names = sorted(path.name for path in exported.iterdir())
    assert sum(name.endswith(".png") for name in names) == EXPORTED
    assert sum(name.endswith(".csv") for name in names) == EXPORTED
    with Image.open(exported / "cs000000.png") as picture:
        assert (picture.size, picture.mode) == ((500, 500), "RGBA")
    first = (exported / "cs000000.csv").read_text().splitlines()[0]
    assert first.split(",")[0] == '"top"'
    assert first.endswith(", 34")


@pytest.mark.parametrize("kind", ["folder", "tgz", "nested"])
def test_what_was_exported_is_read_back(kind, exported, tmp_path):
    path = exported
    if kind == "tgz":
        path = tmp_path / "set.tgz"
        export(path, EXPORTED)
    if kind == "nested":
        path = tmp_path / "cartoonset100k"
        for i, file in enumerate(sorted(exported.glob("cs*"))):
            folder = path / str(i // 2 % 10)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file.name).write_bytes(file.read_bytes())
    found = read(request(path))
    direct = render(DataRequest("avataaars", EXPORTED, 64))
    if kind == "nested":  # read folder by folder
        keys = [codes.tolist() for codes in direct.codes]
        order = [keys.index(codes.tolist()) for codes in found.codes]
        direct = direct.subset(torch.tensor(order))
    assert torch.equal(found.codes, direct.codes)
    assert found.schema.cardinalities == direct.schema.cardinalities
    difference = (found.images.float() - direct.images.float()).abs().mean(dim=(1, 2, 3))
    assert difference.max() < 2  # of 255: the same drawing, rasterised at another size


def test_the_names_of_an_export_survive_and_a_bare_set_has_numbers(exported, damaged):
    assert read(request(exported)).schema == avataaars.schema()
    (damaged / cartoonset.SCHEMA_FILE).unlink()
    bare = read(request(damaged)).schema
    assert bare.attributes[0] == Attribute("top", tuple(map(str, range(34))))


def test_cartoon_sets_own_csv_gives_a_condition_217_wide():
    cardinalities = [3, 2, 2, 3, 2, 14, 4, 7, 15, 111, 5, 11, 10, 12, 7, 3, 3, 3]
    names = (
        ["eye_angle", "eye_lashes", "eye_lid", "chin_length", "eyebrow_weight", "eyebrow_shape", "eyebrow_thickness"]
        + ["face_shape", "facial_hair", "hair", "eye_color", "face_color", "hair_color", "glasses", "glasses_color"]
        + ["eye_slant", "eyebrow_width", "eye_eyebrow_distance"]
    )
    text = "".join(f'"{n}", {c - 1}, {c}\n' for n, c in zip(names, cardinalities, strict=True))
    rows = cartoonset.parse_rows(text, "cs1.csv")
    schema = cartoonset.schema_of(cartoonset.Scan(), rows)
    assert schema.width == 217
    condition = schema.binarise(np.array([[row.variant for row in rows]]))
    assert condition.sum() == 18
    assert [int(i) for i in np.flatnonzero(condition[0]) + 1] == np.cumsum(cardinalities).tolist()


def test_transparent_becomes_black_and_the_crop_is_the_sources():
    picture = Image.new("RGBA", (500, 500), (255, 255, 255, 0))
    picture.paste((255, 0, 0, 255), (70, 70, 430, 430))  # exactly the 360 pixels of the crop
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    pixels = cartoonset.decode(buffer.getvalue(), 64)
    assert (pixels == np.array([255, 0, 0])).all()
    buffer = io.BytesIO()
    Image.new("RGBA", (500, 500), (255, 255, 255, 0)).save(buffer, "PNG")
    assert not cartoonset.decode(buffer.getvalue(), 64).any()


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(folder, line, text):
    path = folder / "cs000003.csv"
    lines = path.read_text().splitlines()
    lines[line] = text
    path.write_text("\n".join(lines) + "\n")


def test_missing_empty_and_foreign_paths_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    for path, word in ((tmp_path / "gone", "does not exist"), (tmp_path / "empty", "no Cartoon Set")):
        with pytest.raises(BadInput, match=word):
            read(request(path))
    with pytest.raises(BadInput, match="neither a folder nor"):
        read(request(tmp_path / "notes.txt"))


def test_fault_19_the_data_cache_is_keyed_by_content_and_checks_itself(damaged, tmp_path, capsys):
    cache = tmp_path / "cache"
    path = cache_path(request(damaged, size=16), cache)
    first = load(request(damaged, size=16), path)
    assert path.exists()
    assert load(request(damaged, size=16), path).content_hash == first.content_hash
    renamed = damaged.rename(tmp_path / "renamed")
    assert cache_path(request(renamed, size=16), cache) == path  # the name does not count …
    edit(renamed, 0, '"top", 0, 34')
    assert cache_path(request(renamed, size=16), cache) != path  # … the content does
    assert "damaged" not in capsys.readouterr().err
    flip(path)
    assert load(request(renamed, size=16), path).content_hash != first.content_hash  # read anew, as it is now
    assert "is damaged (its content is not what was written)" in capsys.readouterr().err
    cut(path, 0.5)
    assert len(load(request(renamed, size=16), path)) == EXPORTED
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("other", [{"size": 32}, {"images": 6}])
def test_fault_19_another_requests_cache_under_this_ones_name_is_not_taken(other, exported, tmp_path, capsys):
    wanted, foreign = request(exported, size=16), request(exported, **({"size": 16} | other))
    path, elsewhere = cache_path(wanted, tmp_path), cache_path(foreign, tmp_path)
    assert elsewhere != path
    load(foreign, elsewhere)
    elsewhere.rename(path)
    assert load(wanted, path).content_hash == read(wanted).content_hash
    assert "was written under another name" in capsys.readouterr().err


def test_the_three_parts_are_disjoint_whole_and_fixed_by_what_the_images_show(avatars):
    parts = split(avatars)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == counts(148) == (97, 7, 44)
    everything = torch.cat([parts.train.codes, parts.validation.codes, parts.test.codes]).tolist()
    assert sorted(everything) == sorted(avatars.codes.tolist())
    shuffled = split(avatars.subset(torch.randperm(148, generator=torch.Generator().manual_seed(0))))
    for one, other in zip(vars(parts).values(), vars(shuffled).values(), strict=True):
        assert torch.equal(one.images, other.images)


def test_images_that_look_the_same_are_never_in_two_parts(avatars):
    doubled = replace(avatars, images=avatars.images[torch.arange(148) // 2])
    parts = split(doubled)
    assert parts.leaked == 0
    assert len(parts.train) + len(parts.validation) + len(parts.test) == 148


def test_fault_26_images_in_both_splits_are_counted_and_stand_in_the_result(avatars):
    random = torch.randint(0, 256, avatars.images.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    clean = split(replace(avatars, images=random))
    assert clean.leaked == 0
    images = clean.test.images.clone()
    images[:3] = clean.train.images[40:43]
    leaky = Split(clean.train, clean.validation, replace(clean.test, images=images))
    assert leaky.leaked == 3
    assert describe(avatars, leaky)["leaked"] == 3


def test_pixels_survive_model_space_and_never_wrap():
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3)[None, None].reshape(1, 3, 16, 16)
    assert to_model_space(pixels).min() == -1
    assert to_model_space(pixels).max() == 1
    assert torch.equal(to_pixels(to_model_space(pixels)), pixels)
    assert to_pixels(torch.tensor([[-3.0, 1.004, 7.0]])).tolist() == [[0, 255, 255]]


@pytest.mark.parametrize("centred", [True, False])
def test_both_pixel_ranges_survive_model_space(centred):
    pixels = torch.arange(256, dtype=torch.uint8)
    seen = to_model_space(pixels, centred)
    assert (float(seen.min()), float(seen.max())) == (-1 if centred else 0, 1)
    assert torch.equal(to_pixels(seen, centred), pixels)


def test_both_encodings_of_attributes_tell_them_apart_and_leave_zeros_to_no_condition(avatars):
    for one_hot in (True, False):
        told = avatars.seen_by(replace(MATCHED, one_hot=one_hot)).conditions
        assert told.shape == (len(avatars), avatars.schema.width)
        assert len(told.unique(dim=0)) == len(avatars.codes.unique(dim=0))
        assert bool((told != 0).any(dim=1).all())
    assert torch.equal(told[:, : len(avatars.schema.attributes)], avatars.codes.float() + 1)
    assert not told[:, len(avatars.schema.attributes) :].any()


def test_schema_parses_attributes_and_offers_the_nearest_names():
    schema = avataaars.schema()
    assert schema.parse("top=bob,eyes=wink") == {"top": 1, "eyes": schema.attributes[6].variants.index("wink")}
    with pytest.raises(BadInput, match="unknown attribute 'tops': try top"):
        schema.parse("tops=bob")
    with pytest.raises(BadInput, match="unknown variant of top 'bobb': try bob"):
        schema.parse("top=bobb")
    with pytest.raises(BadInput, match="name=value"):
        schema.parse("top")
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_preview_labels_its_avatars(avatars):
    grid = labelled_grid(avatars, 4, columns=2, side=64)
    assert grid.width == 128
    below = np.asarray(grid)[64 : 64 + 40, :64]
    assert below.min() < 100  # there is writing
    assert below.max() == 255
