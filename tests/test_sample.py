"""`bench sample`: what is asked is set, and the rest is a real avatar's."""

import torch

from bench.generate import chosen_codes


def test_what_is_asked_is_set_and_the_rest_agrees_with_it(avatars):
    schema = avatars.schema
    top, hat_colour, skin = (schema.names.index(name) for name in ("top", "hatColor", "skinColor"))
    codes = chosen_codes(schema, avatars.codes, "top=hat,skinColor=pale", 4, seed=0)
    assert codes.shape == (4, len(schema.names))
    assert set(codes[:, top].tolist()) == {schema.attributes[top].code("hat")}
    assert set(codes[:, skin].tolist()) == {schema.attributes[skin].code("pale")}
    hats = chosen_codes(schema, avatars.codes, "top=hat", 1, seed=0)
    assert hats[0, hat_colour] != schema.attributes[hat_colour].hidden_code  # a hat comes with a colour


def test_samples_are_real_avatars_where_nothing_is_asked_and_differ_by_seed(avatars):
    first, second = (chosen_codes(avatars.schema, avatars.codes, "", 8, seed) for seed in (0, 1))
    assert not torch.equal(first, second)
    known = avatars.codes.tolist()
    assert all(row in known for row in first.tolist())
