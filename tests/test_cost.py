"""The accountants, against models small enough to count by hand."""

import pytest
import torch
from bench.cost.activations import activation_bytes, flops
from torch import nn
from torch.nn import functional as F

from bench.cost.parameters import count_parameters, training_bytes
from bench.cost.probe import choose


class TwoLayers(nn.Module):
    """3 -> 4 -> 3 channels by 1×1 convolutions with a ReLU between: 16 + 15 parameters."""

    def __init__(self):
        super().__init__()
        self.first, self.act, self.last = nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1)

    def forward(self, noisy, timestep, condition):
        return self.last(self.act(self.first(noisy)))


def inputs(batch, size=8, device="meta"):
    with torch.device(device):
        return torch.zeros(batch, 3, size, size), torch.zeros(batch, dtype=torch.long), torch.zeros(batch, 5)


def test_parameters_and_their_bytes_by_hand():
    model = TwoLayers()
    assert count_parameters(model) == {"total": 31, "unet": None, "tau": None}
    assert training_bytes(model) == {"weights_bytes": 124, "adam_bytes": 248, "gradients_bytes": 124}


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("batch", [1, 6])
def test_activations_by_hand(device, batch):
    model = TwoLayers().to(device)
    pixels = batch * 8 * 8 * 4  # bytes a channel takes
    found = activation_bytes(model, inputs(batch, device=device))
    assert found["hook_sum_bytes"] == pixels * (4 + 4 + 3 + 3)  # two layers, the ReLU, and the model itself
    assert found["saved_bytes"] == pixels * (3 + 4)  # the input, and the ReLU's output, which two layers share


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_flops_by_hand(device):
    found = flops(TwoLayers().to(device), inputs(1, device=device))
    forward = 2 * 64 * (3 * 4 + 4 * 3)
    assert found["forward"] == found["conv"] == forward
    assert found["linear"] == found["attention"] == 0
    # backward: both layers' weights, and the second one's input; the images need no gradient
    assert found["training"] == forward + forward + 2 * 64 * 4 * 3


class Attend(nn.Module):
    def __init__(self, by_hand):
        super().__init__()
        self.by_hand = by_hand
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, q, k, v):
        q = q * self.weight
        if self.by_hand:
            return (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return F.scaled_dot_product_attention(q, k, v)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_attention_counts_as_much_as_the_same_by_hand(device):
    """FlopCounterMode has counted 0 for it on a CPU, in torch 2.13."""
    tensors = [torch.zeros(2, 4, tokens, 8, device=device) for tokens in (64, 16, 16)]
    expected = 2 * (2 * 4 * 64 * 16 * 8) * 2
    by_hand = flops(Attend(True).to(device), tensors)
    assert by_hand["forward"] == by_hand["attention"] == expected
    found = flops(Attend(False).to(device), tensors)
    assert found["forward"] == found["attention"] == expected


def test_the_probe_takes_one_precision_for_all_and_each_ones_faster_layout():
    def seconds(no, bf16):
        return {"no": dict(zip(("channels_last", "contiguous"), no, strict=True)),
                "bf16": dict(zip(("channels_last", "contiguous"), bf16, strict=True))}  # fmt: skip

    much_faster = {"a": seconds((1.0, 2.0), (0.3, 0.4)), "b": seconds((2.0, 1.0), (0.5, 0.4))}
    assert choose(much_faster) == ("bf16", {"a": "channels_last", "b": "contiguous"})
    hardly_faster = {"a": seconds((1.0, 2.0), (0.95, 1.0)), "b": seconds((2.0, 1.0), (0.9, 0.9))}
    assert choose(hardly_faster) == ("no", {"a": "channels_last", "b": "contiguous"})
