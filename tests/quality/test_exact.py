"""The exact judge, where the answer is known."""

import numpy as np
import pytest
import torch

from bench.data import avataaars, variants
from bench.data.dataset import AvatarSet
from bench.data.library import DataRequest, render
from bench.data.schema import Attribute, Schema
from bench.quality import defects
from bench.quality.exact import EXACT_SAMPLES, ExactJudge

COUNT = 10


@pytest.fixture(scope="module")
def asked():
    return render(DataRequest("avataaars", images=COUNT, image_size=32))


@pytest.fixture(scope="module")
def judge(asked, tmp_path_factory):
    return ExactJudge(asked, tmp_path_factory.mktemp("cache"))


def measured(judge, images):
    nothing = np.zeros((COUNT, len(judge.asked.schema.names)), bool)
    return judge.measure(images, nothing, nothing)


def test_real_images_are_all_right(judge, asked):
    found = measured(judge, asked.images)
    assert found["all_right"]["value"] == found["macro"]["value"] == 1
    assert found["all_right"]["of"] == found["samples"] == COUNT
    assert {each["value"] for each in found["per_attribute"].values()} == {1}
    assert set(found["per_attribute"]) == set(asked.schema.names)


def test_light_noise_and_blur_do_not_deceive_it(judge, asked):
    for images in (defects.noisy(asked.images, 10), defects.blurred(asked.images, 0.5)):
        assert measured(judge, images)["macro"]["value"] > 0.97


def test_exchanged_images_and_noise_are_right_by_chance_alone(judge, asked):
    noise = torch.randint(0, 256, asked.images.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for images in (asked.images.roll(5, 0), noise):
        found = measured(judge, images)
        assert found["macro"]["value"] < found["chance"] + 0.15
        assert found["all_right"]["value"] == 0
    assert 0.05 < found["chance"] < 0.2
    assert found["shuffled"] == pytest.approx(found["chance"], abs=0.15)


def test_a_planted_change_is_read_as_what_was_planted(judge, asked):
    """Of every attribute of every avatar, one other variant: all read as drawn, and the others as they are."""
    schema, random = asked.schema, np.random.default_rng(0)
    for i, attribute in enumerate(schema.attributes):
        shown = judge.scored[:, i].nonzero()[0]
        planted = asked.codes.clone()
        for n in shown:
            others = [c for c in range(len(attribute.variants)) if c not in (planted[n, i], attribute.hidden_code)]
            planted[n, i] = random.choice(others)
        images = torch.stack([drawn(row, schema) for row in planted.tolist()])
        found, right = judge.read(images), judge.right(images)
        assert [judge.looks[i][n, found[n, i]] for n in shown] == [judge.looks[i][n, planted[n, i]] for n in shown]
        same = judge.looks[i][shown, planted[shown, i].numpy()] == judge.wanted[shown, i]
        assert (right[shown, i] == same).all()
        assert same.mean() < 0.2


def drawn(codes, schema):
    return torch.tensor(avataaars.render(variants.label_of(codes, schema), 32)).permute(2, 0, 1)


def test_what_is_hidden_is_neither_scored_nor_read(judge, asked):
    assert (judge.scored == asked.shown.numpy()).all()
    codes = judge.read(asked.images)
    assert ((codes == -1) == ~asked.shown.numpy()).all()
    hidden = [a.hidden_code for a in asked.schema.attributes]
    assert all((codes[:, i] != code).all() for i, code in enumerate(hidden) if code is not None)


def test_variants_that_look_alike_count_as_one_and_are_named():
    """A made-up attribute of four variants in two pictures: in one all look the same, in the other two do."""
    pictures = torch.zeros(5, 3, 4, 4, dtype=torch.uint8)
    pictures[1:] += torch.tensor([0, 4, 8, 200], dtype=torch.uint8)[:, None, None, None]
    schema = Schema((Attribute("shape", ("a", "b", "c", "d")),))
    rows = torch.tensor([[0, 0, 0, 0], [1, 4, 3, 2]])
    looks = variants.looks_of(pictures, rows, schema)
    assert looks.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0]]  # through 4, 0 and 8 are alike too
    judge = object.__new__(ExactJudge)
    judge.asked = AvatarSet(pictures[:2], torch.tensor([[0], [1]]), schema, "avataaars")
    judge.variants = variants.Variants(pictures, rows, looks)
    judge.prepare()
    assert judge.scored.tolist() == [[False], [True]]
    assert judge.chances.tolist() == [[1], [0.25]]
    assert judge.look_alike(2)["shape"][0] == {"variants": ["a", "c"], "pictures": 2}
    assert judge.right(pictures[[0, 4]]).tolist() == [[False], [True]]


def test_drawings_are_cached_by_content(judge, asked, tmp_path, monkeypatch):
    few = asked.subset(torch.arange(1))
    first = variants.cached_variants(few, tmp_path)
    monkeypatch.setattr(variants, "draw", None)
    again = variants.cached_variants(few, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(vars(first).values(), vars(again).values(), strict=True))
    paths = {variants.variants_path(each, tmp_path) for each in (few, asked, asked.subset(torch.tensor([1, 0])))}
    monkeypatch.setattr(avataaars, "ALGORITHM", 0)
    assert len({*paths, variants.variants_path(few, tmp_path)}) == 4


def test_only_avatars_that_are_drawn_here_can_be_drawn(asked):
    assert variants.can_be_drawn(asked)
    assert not variants.can_be_drawn(AvatarSet(asked.images, asked.codes, asked.schema, "cartoonset10k.tgz"))
    one = Schema(asked.schema.attributes[:1])
    assert not variants.can_be_drawn(AvatarSet(asked.images, asked.codes[:, :1], one, "avataaars"))


def test_agreement_with_the_classifier_is_over_what_both_score(judge, asked):
    seen = judge.scored.copy()
    seen[:, 0] = False
    found = judge.measure(asked.images, judge.scored, seen)
    assert found["agreement"]["value"] == 1
    assert found["agreement"]["of"] == seen.sum()
    assert found["per_attribute"][asked.schema.names[0]]["agreement"] is None
    wrong = judge.measure(asked.images, ~judge.scored, seen)
    assert wrong["agreement"]["value"] == 0


def test_few_samples_are_judged_in_brief_and_never_more_than_it_draws(judge, asked):
    assert judge.brief(asked.images[:3])["all_right"]["of"] == 3
    assert len(judge.right(asked.images.repeat(2, 1, 1, 1))) == len(judge) == COUNT <= EXACT_SAMPLES
