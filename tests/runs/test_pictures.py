"""The pictures show what they say: the samples themselves, at the scales, steps and places that stand beside them."""

from dataclasses import replace

import pytest
import torch
from PIL import Image, ImageSequence

from bench import contestants
from bench.data.dataset import to_pixels
from bench.data.splits import asked_of
from bench.display import display
from bench.duties.candidate import awaken
from bench.quality.classifier import AttributeClassifier
from bench.record import Measurements
from bench.render.images.confusions import draw_confusions, most_confused
from bench.render.images.gallery import BAND, SHOWN, to_pictures
from bench.runs import pictures
from bench.runs.job import Job
from bench.sampling import samples
from bench.sampling.diffusion import noise_schedule, sample
from tests.made_up import attributes_of

CPU = torch.device("cpu")


@pytest.fixture
def config(config):
    return replace(config, sizes=replace(config.sizes, samples=20, sweep_samples=4))


@pytest.fixture
def job(config, tmp_path):
    return Job(config.as_dict(), "", None, str(tmp_path), "", "", "", {}, {}, {})


@pytest.fixture
def denoiser(config, avatars):
    return awaken(contestants.build("scratch", avatars.schema.width, 16, config.sizes.scale, 0)).eval()


@pytest.fixture
def asked(parts, config):
    return asked_of(parts, config.sizes.samples)


@pytest.fixture
def drawn(config, job, denoiser, asked):
    plan = [series for series in samples.series_of(config) if series.name != samples.FULL]
    return {s.name: samples.kept_samples(job.folder.samples, s, denoiser, config, asked.conditions, CPU) for s in plan}


def tile(picture, column, row=0):
    """The image (3, 16, 16) at a place of a grid of images enlarged to 64; `row` counts strips with captions."""
    left, top = column * SHOWN, row * (SHOWN + BAND)
    small = picture.crop((left, top, left + SHOWN, top + SHOWN)).resize((16, 16), Image.Resampling.NEAREST)
    return (
        torch.frombuffer(bytearray(small.convert("RGB").tobytes()), dtype=torch.uint8).view(16, 16, 3).permute(2, 0, 1)
    )


def likeness(a, b):
    """Correlation of two images: of moving pictures, which have few colours, no more can be asked."""
    return float(torch.corrcoef(torch.stack([a.float().flatten(), b.float().flatten()]))[0, 1])


def open_picture(job, path):
    return Image.open(job.out + "/" + path)


def test_samples_stand_above_the_real_images_of_the_same_conditions(job, asked, drawn):
    found = pictures.show_samples(job.folder, job.run, drawn[samples.MAIN].images, asked)
    generated = drawn[samples.MAIN].images
    with open_picture(job, found["samples"]) as picture:
        assert picture.size == (16 * SHOWN, 4 * (SHOWN + BAND))  # 16 and 4 samples, each above real ones
        for index in (0, 15):
            assert torch.equal(tile(picture, index), generated[index])
            assert torch.equal(tile(picture, index, row=1), asked.images[index])
        assert torch.equal(tile(picture, 3, row=2), generated[19])
        assert torch.equal(tile(picture, 3, row=3), asked.images[19])
    with open_picture(job, found["example"]) as picture:
        assert picture.size == (64, 64)
        assert torch.equal(tile(picture, 0), generated[0])


def test_every_guidance_scale_has_its_strip_and_the_moving_one_goes_through_all(config, job, denoiser, asked, drawn):
    found = pictures.show_guidance(job.folder, job.run, drawn)
    assert list(found) == ["0", "1", "2", "3", "5", "7", "9"]
    for scale, images in samples.by_guidance(config, drawn):
        with open_picture(job, found[f"{scale:g}"]) as picture:
            assert picture.size == (4 * SHOWN, SHOWN)
            assert torch.equal(tile(picture, 3), images[3])
    path = pictures.show_sweep(job.folder, job.run, denoiser, asked, drawn)
    with open_picture(job, path) as picture:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(picture)]
    assert len(frames) == 10
    for scale in (0.0, 9.0):
        known = dict(samples.by_guidance(config, drawn))[scale]
        own, other = (likeness(tile(frames[n], 1), known[1]) for n in (int(scale), 4))
        assert own > max(0.95, other)
    assert (job.folder.samples / "guidance-4.safetensors").exists()  # drawn once


def test_denoising_ends_with_the_sample_at_guidance_7(config, job, denoiser, asked):
    path = pictures.show_denoising(job.folder, job.run, denoiser, asked)
    with open_picture(job, path) as picture:
        assert picture.info["loop"] == 0
        frames = [(frame.convert("RGB"), frame.info["duration"]) for frame in ImageSequence.Iterator(picture)]
    assert 10 <= len(frames) <= pictures.FRAMES
    assert frames[-1][1] > 5 * frames[0][1]  # held at the end
    count = samples.moving(config.sizes)
    last = sample(denoiser, config.recipe, asked.conditions[:count], 16, config.seed, range(count), 7.0)
    assert (
        likeness(tile(frames[-1][0], 0), to_pixels(last)[0])
        > 0.95
        > likeness(tile(frames[0][0], 0), to_pixels(last)[0])
    )


@pytest.mark.parametrize("steps", [1, 7, 30, 300])
def test_of_any_number_of_steps_the_last_is_shown_and_not_too_many(config, job, denoiser, asked, steps, monkeypatch):
    monkeypatch.setattr(pictures, "sample_steps", lambda *_: (torch.zeros(1, 3, 16, 16) for _ in range(steps)))
    seen = []
    monkeypatch.setattr(pictures, "write_moving", lambda _job, _name, frames, **_: seen.extend(frames))
    monkeypatch.setattr(pictures.gallery, "captioned", lambda _picture, words: words)
    recipe = replace(config.recipe, sampling_steps=steps)
    job = replace(job, config=replace(config, recipe=recipe).as_dict())
    pictures.show_denoising(job.folder, job.run, denoiser, asked)
    assert seen[-1] == f"step {steps} of {steps}, guidance 7"
    assert len(seen) == min(steps, len(seen)) <= pictures.FRAMES
    assert len(seen) > pictures.FRAMES / 2 or steps < pictures.FRAMES


def test_noising_begins_with_a_real_image_and_says_what_is_left_of_it(config, job, asked):
    schedule = noise_schedule(config.recipe)
    timesteps = pictures.noising_timesteps(config.recipe)
    assert (timesteps[0], timesteps[-1]) == (0, config.recipe.timesteps - 1)
    with open_picture(job, pictures.show_noising(job.folder, job.run, asked)) as picture:
        assert picture.size == (pictures.NOISING * SHOWN, SHOWN + 2 * BAND)
        shown = torch.stack([tile(picture, column) for column in range(pictures.NOISING)])
        bands = [
            picture.crop((SHOWN * n, SHOWN + BAND, SHOWN * (n + 1), SHOWN + 2 * BAND)).tobytes() for n in range(10)
        ]
    assert len(set(bands)) == 10  # another ᾱ under each
    assert likeness(shown[0], asked.images[0]) > 0.99
    assert abs(likeness(shown[-1], asked.images[0])) < 0.5
    assert float(schedule.alphas_cumprod[timesteps[-1]]) < 0.01


def test_confusions_show_a_sample_that_was_asked_and_seen_as_its_place_says():
    images = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    asked, seen = torch.tensor([0, 0, 0, 1, 2, 3]), torch.tensor([0, 1, 1, 1, 0, 3])
    counts = [[1, 2, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert most_confused(counts) == [0, 1, 2]  # the fourth is always right
    picture = draw_confusions("letters", ["a", "b", "c", "d"], counts, images, asked, seen)
    left, top = picture.width - 3 * SHOWN, picture.height - 3 * SHOWN

    def inner(column, row):  # without the frame and the number
        x, y = left + SHOWN * column, top + SHOWN * row
        return picture.crop((x + 32, y + 32, x + 56, y + 56)).tobytes()

    def of(index):
        return to_pictures(images[index : index + 1], SHOWN)[0].crop((32, 32, 56, 56)).tobytes()

    assert inner(1, 0) == of(1)  # asked a, seen b: the first such
    assert inner(0, 2) == of(4)
    assert inner(0, 0) == of(0)
    assert set(inner(2, 0)) == {255}  # nothing there


def test_a_finished_run_has_them_all(job, denoiser, asked, drawn):
    classifier = AttributeClassifier(asked.schema.cardinalities)
    column = asked.schema.names.index("eyes")
    seen, wanted = classifier.predict(drawn[samples.MAIN].images)[:, column], asked.codes[:, column]
    size = asked.schema.cardinalities[column]
    counts = torch.zeros(size, size, dtype=torch.long).index_put_((wanted, seen), torch.tensor(1), accumulate=True)
    confusion = {
        "attribute": "eyes", "variants": list(asked.schema.attributes[column].variants), "counts": counts.tolist(),
    }  # fmt: skip
    scored = attributes_of(0.5) | {"confusion": confusion}
    with display("test") as show:
        measured = Measurements(attributes=scored)
        found = pictures.draw_pictures(job.folder, job.run, denoiser, asked, drawn, classifier, measured, show)
    assert set(found) == {"guidance", "guidance_sweep", "denoising", "noising", "confusions"}
    for path in [*found.pop("guidance").values(), *found.values()]:
        with open_picture(job, path) as picture:
            picture.verify()
