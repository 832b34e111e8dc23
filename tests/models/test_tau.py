"""Tau: linear projections of the condition, as they are or normalised."""

import torch

from bench import contestants
from scratch_unet.tau import Tau
from tests.conftest import TINY

CONDITIONS = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])  # the second one says nothing


def built(normalises):
    torch.manual_seed(0)
    return Tau(4, tokens=3, width=8, normalises=normalises)


def test_tokens_are_linear_in_the_condition():
    tau = built(normalises=False)
    told, silent = tau(CONDITIONS)
    assert told.shape == (3, 8)
    assert torch.equal(silent.flatten(), tau.projections.bias)
    one, other = tau(torch.eye(4)[[0, 3]])
    torch.testing.assert_close(told, one + other - silent)


def test_normalised_each_token_has_mean_0_and_variance_1_and_says_the_same():
    plain, tokens = built(normalises=False)(CONDITIONS), built(normalises=True)(CONDITIONS)
    torch.testing.assert_close(tokens.mean(-1), torch.zeros(2, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(tokens.var(-1, correction=0), torch.ones(2, 3), atol=1e-3, rtol=0)
    shifted = plain - plain.mean(-1, keepdim=True)
    torch.testing.assert_close(tokens, shifted / (shifted.square().mean(-1, keepdim=True) + 1e-5).sqrt())


def test_without_it_tokens_begin_small():
    """Two attributes of twenty are told."""
    torch.manual_seed(0)
    tokens = Tau(20, tokens=16, width=32)(torch.eye(20)[:2].sum(0, keepdim=True))
    assert 0.05 < tokens.std() < 0.4


def test_a_variant_of_scratch_has_it_and_no_more_parameters():
    plain, normal = (contestants.build(name, 11, 16, TINY) for name in ("scratch", "scratch+normalises_context=true"))
    assert (plain.tau.normalises, normal.tau.normalises) == (False, True)
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in normal.parameters())
