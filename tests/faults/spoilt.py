"""A whole little data set, to be spoilt by tests, and how it is refused then."""

import io

import numpy as np
import pytest
from PIL import Image

from bench.data.library import DataRequest, read
from bench.data.tools import verify
from bench.errors import BadInput

COUNT = 5


def picture(seed, side=40):
    """A small PNG whose content cannot be compressed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 4), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


WHOLE = picture(3)


def rows(number):
    return f'"top", {number}, 34\n"hairColor", {number % 11}, 11\n"glasses", 0, 2\n'


@pytest.fixture
def folder(tmp_path):
    """A whole little set, to be spoilt."""
    path = tmp_path / "set"
    path.mkdir()
    for number in range(COUNT):
        (path / f"cs{number}.png").write_bytes(picture(number))
        (path / f"cs{number}.csv").write_text(rows(number))
    return path


def request(path, **more):
    return DataRequest(str(path), images=100, image_size=16, **more)


def assert_refused(path, words):
    """The set is refused in one line that holds the words, and no file appears outside of it."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(BadInput, match=words) as refusal:
        read(request(path))
    assert "\n" not in str(refusal.value)
    assert sorted(path.parent.iterdir()) == before


def assert_listed_refused_and_skipped(folder, words):
    problems, good = verify(folder)
    assert good == COUNT - 1
    assert len(problems) == 1
    assert words in problems[0]
    with pytest.raises(BadInput) as refusal:
        read(request(folder))
    assert words in str(refusal.value)
    assert "--skip-bad" in str(refusal.value)
    found = read(request(folder, skip_bad=True))
    assert (len(found), found.skipped) == (COUNT - 1, 1)
