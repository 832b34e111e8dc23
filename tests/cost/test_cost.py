"""The accountants, against models small enough to count by hand."""

import contextlib
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bench.config import CONTESTANTS
from bench.contestants import MEMORY_FORMATS
from bench.cost.account import (
    Setting,
    account,
    as_on_a_gpu,
    count_parameters,
    one_token,
    parameters_by_level,
    training_bytes,
)
from bench.cost.check import compare
from bench.cost.machine import Amounts, machine_peaks, operations, precisions
from bench.cost.steps import measured_peak, trial
from bench.cost.terms import floor_seconds
from bench.cost.trace import trace_step, without_memory
from bench.errors import BadInput
from tests.accounts import remembered_account
from tests.conftest import SMALL_COPIES, TINY
from tests.plug_in import Attentive

DEVICES = {
    "fake": without_memory,
    "meta": lambda: torch.device("meta"),
    "cpu": contextlib.nullcontext,
}


class TwoLayers(nn.Module):
    """3 -> 4 -> 3 channels by 1×1 convolutions with a ReLU between: 16 + 15 parameters."""

    def __init__(self):
        super().__init__()
        self.first, self.act, self.last = nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1)

    def forward(self, noisy, timestep, condition):
        return self.last(self.act(self.first(noisy)))


def traced(device, batch=1, size=8):
    with DEVICES[device]():
        model = TwoLayers()
        inputs = torch.zeros(batch, 3, size, size), torch.zeros(batch, dtype=torch.long), torch.zeros(batch, 5)
        return trace_step(model, lambda: model(*inputs).sum(), inputs, inputs[:1])


def test_parameters_and_their_bytes_by_hand():
    model = TwoLayers()
    assert count_parameters(model) == {"total": 31, "unet": None, "tau": None}
    kept = {"weights_bytes": 124, "adam_bytes": 248, "gradients_bytes": 124}
    assert training_bytes(model, averaged=True) == kept | {"ema_bytes": 124}
    assert training_bytes(model, averaged=False) == kept | {"ema_bytes": 0}
    model.first.requires_grad_(False)
    assert training_bytes(model, averaged=True) == {
        "weights_bytes": 124, "adam_bytes": 2 * 60, "gradients_bytes": 60, "ema_bytes": 124,
    }  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch", [1, 6])
def test_activations_by_hand(device, batch):
    channel = batch * 8 * 8 * 4  # bytes
    found = traced(device, batch)
    assert found.hook_sum_bytes == channel * (4 + 4 + 3 + 3)  # two layers, the ReLU, and the model itself
    assert found.saved_bytes == channel * (3 + 4)  # the input, and the ReLU's output, which two layers share
    assert found.saved_by_level == {"8×8": found.saved_bytes}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch", [1, 6])
def test_the_peak_by_hand(device, batch):
    """It is reached in the ReLU's backward pass: its output, both gradients, and the input are alive."""
    channel = batch * 8 * 8 * 4
    peak = traced(device, batch).peak
    scalars = batch * 8 + batch * 5 * 4 + 4  # timestep, condition, loss
    gradients = 4 * (4 * 3 + 3)  # of the last layer
    assert 0 <= peak.bytes - (channel * (3 + 4 + 4 + 4) + scalars + gradients) <= 4  # the gradient of the loss
    assert peak.kinds["gradients"] == gradients
    assert peak.kinds["saved"] == channel * (3 + 4)
    assert "threshold_backward" in peak.operation


@pytest.mark.parametrize("device", DEVICES)
def test_flops_by_hand(device):
    found = traced(device).flops
    forward = 2 * 64 * (3 * 4 + 4 * 3)
    assert found["forward"] == found["forward_conv"] == forward
    assert found["forward_linear"] == found["forward_attention"] == 0
    # backward: both layers' weights, and the second one's input; the images need no gradient
    assert found["training"] == found["training_conv"] == forward + forward + 2 * 64 * 4 * 3


@pytest.mark.parametrize("device", DEVICES)
def test_traffic_by_hand(device):
    """Of a product of 4×8 and 8×2 matrices in a sum: each operation reads its arguments and writes its result.

    Given as a batch of rows, which adds views and nothing that is moved.
    """
    with DEVICES[device]():
        left, right = torch.zeros(2, 2, 8), nn.Linear(8, 2, bias=False)
        found = trace_step(right, lambda: right(left).sum(), (left,), ())
    product = 32 + 16 + 8
    gradient = 8 + 32 + 16  # of the weight
    assert found.traffic_bytes == 4 * (product + (8 + 1) + (1 + 1) + gradient)  # the ones are made like the sum


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


@pytest.mark.parametrize("device", DEVICES)
def test_attention_counts_as_much_as_the_same_by_hand(device):
    """FlopCounterMode has counted 0 for it on a CPU, in torch 2.13."""

    def found(by_hand):
        with DEVICES[device]():
            tensors = [torch.zeros(2, 4, tokens, 8) for tokens in (64, 16, 16)]
            model = Attend(by_hand)
            return trace_step(model, lambda: model(*tensors).sum(), tensors, tensors[:1])

    expected = 2 * (2 * 4 * 64 * 16 * 8) * 2
    for by_hand in (True, False):
        assert found(by_hand).flops["forward"] == found(by_hand).flops["forward_attention"] == expected
    # backward: q changes with the weight; by hand its gradient and the scores' are two products of the five …
    assert found(True).flops["training"] == 2 * expected
    if device != "meta":  # … that the kernel does, which computes the scores again; on meta there is no kernel
        assert found(False).flops["training"] == 3.5 * expected
    (attention,) = found(False).attention
    assert attention == {
        "where": "", "query_tokens": 64, "context_tokens": 16, "heads": 4, "head_width": 8, "kind": "cross"
    }  # fmt: skip


UNLIKE = ("scratch", "diffusers-32")  # the other two are built as the latter is
ONE_IS_SLOW = (UNLIKE[0], *(pytest.param(name, marks=pytest.mark.slow) for name in UNLIKE[1:]))
COPIES_ARE_SLOW = [pytest.param(n, marks=[pytest.mark.slow] * (n in SMALL_COPIES)) for n in CONTESTANTS]


def setting(batch=8, **more):
    return Setting(condition_width=9, image_size=16, scale=TINY, batch_size=batch, **more)


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_IS_SLOW)
def test_activations_and_peak_grow_evenly_with_the_batch(name):
    small, middle, large = (remembered_account(name, setting(batch)) for batch in (16, 32, 48))
    for read in (
        lambda cost: cost["activations"]["hook_sum_bytes"],
        lambda cost: cost["activations"]["saved_bytes"],
        lambda cost: cost["predicted_peak"]["bytes"],
    ):
        assert read(large) - read(middle) == read(middle) - read(small) > 0
    assert small["flops_per_image"] == large["flops_per_image"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_IS_SLOW)
def test_checkpointing_saves_less_and_computes_more_and_bf16_halves_what_modules_put_out(name):
    plain = remembered_account(name, setting(32))
    checkpointed = account(name, setting(32, gradient_checkpointing=True))
    assert checkpointed["activations"]["saved_bytes"] < 0.5 * plain["activations"]["saved_bytes"]
    assert checkpointed["predicted_peak"]["bytes"] < plain["predicted_peak"]["bytes"]
    assert checkpointed["flops_per_image"]["forward"] == plain["flops_per_image"]["forward"]
    assert checkpointed["flops_per_image"]["training"] > plain["flops_per_image"]["training"]
    half = account(name, setting(32, mixed_precision="bf16"))
    assert half["activations"]["hook_sum_bytes"] < 0.6 * plain["activations"]["hook_sum_bytes"]
    assert half["weights_bytes"] == plain["weights_bytes"]
    on_gpu = account(name, setting(32, mixed_precision="bf16", device="cuda"))
    saved = [cost["activations"]["saved_bytes"] for cost in (half, on_gpu, plain)]
    assert saved[0] < saved[1] < saved[2]  # a GPU's autocast keeps normalisations in fp32
    again = account(name, setting(32, mixed_precision="bf16", device="cuda", gradient_checkpointing=True))
    assert again["untraced"] is None
    assert again["activations"]["saved_bytes"] < saved[1]


def test_saved_bytes_of_a_norm_under_autocast_by_hand():
    """Conv (bf16) -> GroupNorm -> conv (bf16): what the norm reads is saved in fp32 on a GPU, in bf16 on a CPU."""

    def saved(norms):
        with without_memory():
            model = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.GroupNorm(1, 4), nn.Conv2d(4, 4, 1, bias=False))
            images = torch.zeros(1, 4, 8, 8)

            def loss():
                with torch.autocast("cpu", dtype=torch.bfloat16), norms:
                    return model(images).float().sum()

            return trace_step(model, loss, (images,), (images,)).saved_bytes

    def pixels(width):
        return 4 * 8 * 8 * width

    weights, statistics = 2 * 4 * 4 * 2, 2  # of both convolutions, in bf16; mean and deviation
    # the image in bf16, the first layer's output, the norm's in bf16 for the second layer
    assert saved(as_on_a_gpu(1)) == pixels(2) + pixels(4) + pixels(2) + weights + 4 * statistics
    assert saved(contextlib.nullcontext()) < saved(as_on_a_gpu(1))


@pytest.mark.parametrize("name", COPIES_ARE_SLOW)
def test_levels_hold_every_parameter_and_every_saved_byte(name):
    cost = remembered_account(name, setting(16))
    levels = cost["levels"]
    depth = 4 if name.startswith("scratch") else 3
    assert list(levels) == [f"{16 // 2**i}×{16 // 2**i}" for i in range(depth)] + ["tau", "rest"]
    assert sum(here["parameters"] for here in levels.values()) == cost["parameters"]["total"]
    assert sum(here["saved_bytes"] for here in levels.values()) == cost["activations"]["saved_bytes"]
    assert levels["tau"]["parameters"] == cost["parameters"]["tau"]


def test_parameters_by_level_by_hand():
    assert parameters_by_level(TwoLayers(), {"first": "a", "last": "b"}) == {"a": 16, "b": 15}


@pytest.mark.parametrize("batch", [4, pytest.param(12, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", UNLIKE)
def test_the_predicted_peak_is_what_the_allocator_sees(name, batch, config, avatars):
    """At 32×32: the workspace of convolutions, which no tensor tells of, weighs more on smaller images."""
    larger = replace(avatars, images=avatars.images.repeat(1, 1, 2, 2))
    sizes = replace(config.sizes, batch_size=batch, image_size=32, scale=1 / 8)
    with trial(replace(config, contestant=name, sizes=sizes), larger) as trainer:
        measured = measured_peak(trainer)
    cost = account(name, Setting(avatars.schema.width, 32, 1 / 8, batch), config.recipe)
    predicted = cost["predicted_peak"]["bytes"]
    assert abs(compare(predicted, measured)["prediction_error"]) < 0.1


def test_one_context_token_is_noticed():
    attention = [
        {"where": where, "kind": kind, "context_tokens": tokens}
        for where, kind, tokens in (("a", "cross", 1), ("b", "self", 1), ("c", "cross", 2))
    ]
    assert one_token(attention) == ["a"]


def test_a_step_that_cannot_be_followed_says_why(capsys):
    cost = account("tests.plug_in:build_curious", setting())
    assert cost["parameters"]["total"] > 0
    assert cost["predicted_peak"] is None
    assert "DataDependentOutput" in cost["untraced"]
    assert "tests.plug_in:build_curious" in capsys.readouterr().err


@pytest.mark.slow
def test_the_machines_peaks_are_rates_of_each_kind_of_operation():
    peaks = machine_peaks("cpu", "no")
    layouts = [peaks[f"convolution_{layout}_flop_per_second"] for layout in MEMORY_FORMATS]
    assert peaks["convolution_flop_per_second"] == max(layouts)
    flop = [peaks[f"{kind}_flop_per_second"] for kind in ("gemm", "attention")]
    assert all(rate > 1e8 for rate in [*layouts, *flop, peaks["memory_bytes_per_second"]])


def test_the_work_of_a_timed_operation_by_hand():
    amounts = Amounts(rows=2, images=(1, 3, 4), heads=(1, 2, 8, 5), copied=10)
    assert operations(amounts) == {
        "gemm": 2 * 2 * 2 * 2,
        "channels_last": 2 * (3 * 9) * 3 * 4 * 4,
        "contiguous": 2 * (3 * 9) * 3 * 4 * 4,
        "attention": 2 * (2 * 8 * 8 * 5 + 2 * 8 * 8 * 5),
        "memory": 80,
    }


def test_the_time_floor_divides_each_kind_of_flop_by_its_own_peak():
    flops = {"training": 60.0, "training_conv": 30.0, "training_linear": 20.0, "training_attention": 10.0}
    peaks = {
        "convolution_flop_per_second": 10.0, "gemm_flop_per_second": 5.0, "attention_flop_per_second": 2.0
    }  # fmt: skip
    assert floor_seconds(flops, peaks) == 3 + 4 + 5
    assert floor_seconds(flops, {"convolution_flop_per_second": 10.0, "gemm_flop_per_second": 5.0}) is None
    assert floor_seconds({"training": 60.0}, peaks) is None


def test_precisions_are_checked_and_timed_or_say_why_not():
    found = precisions("cpu")
    assert list(found) == ["fp32", "TF32", "bf16", "fp16"]
    assert found["fp32"]["wrong"] is None
    assert found["fp32"]["gemm_speedup"] == found["fp32"]["convolution_speedup"] == 1
    assert (found["TF32"]["gemm_speedup"], found["TF32"]["why"]) == (None, "only NVIDIA GPUs have it")
    assert found["bf16"]["gemm_speedup"] > 0


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_heads_of_torchs_attention_layer_are_found(weights, batch_first):
    with without_memory():
        model = Attentive(5, weights, batch_first)
        inputs = torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.long), torch.zeros(2, 5)
        found = trace_step(model, lambda: model(*inputs).sum(), inputs, inputs[:1]).attention
    assert found == [
        {"where": "own", "query_tokens": 16, "context_tokens": 16, "heads": 2, "head_width": 4, "kind": "self"},
        {"where": "asked", "query_tokens": 16, "context_tokens": 3, "heads": 4, "head_width": 2, "kind": "cross"},
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("build_nothing", "must build a torch.nn.Module, not a NoneType"),
        ("build_refusing", r"ValueError: this size \(plug_in.py, line \d+\)$"),
    ],
)
def test_a_plug_in_that_cannot_be_built_is_named_in_one_line(name, why):
    with pytest.raises(BadInput, match=f"contestant tests.plug_in:{name}:? {why}") as refused:
        account(f"tests.plug_in:{name}", setting())
    assert "\n" not in str(refused.value)


def test_narrow_heads_are_widened_in_memory_alone(monkeypatch):
    """Of 4 to 8, as an H100 was seen to; the arithmetic and the shapes that are told stay the model's own."""
    small = setting(32, mixed_precision="bf16", device="cuda")
    wide = account("diffusers-32", small)
    assert min(each["head_width"] for each in wide["attention"]) == 4
    monkeypatch.setattr("bench.cost.account.HEAD_MULTIPLE", {})
    plain = account("diffusers-32", small)
    for same in ("attention", "flops_per_image", "traffic_bytes_per_step"):
        assert wide[same] == plain[same]
    assert wide["activations"]["saved_bytes"] > plain["activations"]["saved_bytes"]


def test_attention_on_a_gpu_keeps_its_shape():
    query, value = torch.ones(1, 2, 3, 4, dtype=torch.bfloat16), torch.ones(1, 2, 3, 6, dtype=torch.bfloat16)
    with as_on_a_gpu(8):
        assert F.scaled_dot_product_attention(query, query, query).shape == query.shape
        assert F.scaled_dot_product_attention(query, query, value).shape == value.shape
        masked = F.scaled_dot_product_attention(query, query, query, attn_mask=torch.ones(3, 3, dtype=torch.bool))
    assert torch.equal(masked, query)
