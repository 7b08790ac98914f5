"""Noise in weights: the right noise, in the right tensors, and every bit back afterwards."""

import copy
import math
import os
import random
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from hormesis import key
from hormesis.errors import ModelError, SettingError
from hormesis.torch.weights import kept
from hormesis.torch.weights.noise import FAST, KEYED, WeightDraw, spread, weight_noise
from hormesis.torch.weights.selection import weights_of

MEMORY = ("copy", "none")
SURE = 4.9  # standard errors: a normal goes beyond with probability 1e-6


class Language(nn.Module):
    """Every way in which a module uses weights: tied, of a child, through attention, recurrent, normalised."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.recurrent = nn.LSTM(8, 8, batch_first=True)
        self.norm = nn.BatchNorm1d(8)
        self.unused = nn.Linear(8, 8)
        self.child = nn.Linear(8, 8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        x = self.embed(tokens)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        x = self.recurrent(x)[0]
        x = self.norm(x.flatten(0, 1)).view_as(x)
        x = x @ self.child.weight.t() + self.child.bias
        return self.head(x)


def language(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Language()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.01 * torch.randn(p.shape))
        return model, torch.randint(0, 11, (4, 6))


def net(dtype=torch.float32):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).to(dtype)


def bits(model):
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def same(model, before):
    return all(torch.equal(_raw(v), _raw(before[k])) for k, v in model.state_dict().items())


def _raw(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8)


class BrokenError(Exception):
    pass


@pytest.mark.parametrize("error", [None, BrokenError, KeyboardInterrupt])
@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("kind", KEYED)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_bit_is_back(kind, memory, error, dtype):
    model = net(dtype)
    with torch.no_grad():
        model[0].weight[0, :3] = torch.tensor([-0.0, 1e-7, 6e4])
    before, where = bits(model), model[0].weight.data_ptr()
    try:
        with weight_noise(model, 0.3, kind=kind, memory=memory, seed=1):
            assert not torch.equal(model[2].weight + 0, before["2.weight"])
            if error is not None:
                raise error
    except (BrokenError, KeyboardInterrupt):
        pass
    assert same(model, before)
    assert model[0].weight.data_ptr() == where


@pytest.mark.parametrize("at", range(1, 9))
def test_ctrl_c_in_the_middle_of_a_write_loses_no_weight(monkeypatch, at):
    model = net()
    before, calls, real = bits(model), iter(range(1, 100)), kept.write

    def some(pairs):
        for pair in pairs:
            yield pair
            if next(calls) == at:
                raise KeyboardInterrupt

    def interrupted(pairs):
        real(some(pairs))

    monkeypatch.setattr(kept, "write", interrupted)
    monkeypatch.setattr("hormesis.torch.weights.noise.write", interrupted)
    with pytest.raises(KeyboardInterrupt), weight_noise(model, 0.3, seed=0):
        pass
    assert same(model, before)


@pytest.mark.parametrize("by_key", [True, False])
def test_both_memories_give_the_same_outputs_and_gradients(by_key):
    model, tokens = language()
    where = {"seed": 3} if by_key else {"generator": 3}
    found = []
    for memory in MEMORY:
        model.zero_grad()
        with weight_noise(model, 0.3, memory=memory, **where):
            out = model(tokens)
            out.square().mean().backward()
        found.append([out.detach(), *[p.grad for p in model.parameters() if p.grad is not None]])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    model.eval()
    with torch.no_grad(), weight_noise(model, 0.3, memory="none", seed=3):
        noisy = model(tokens)
    assert not torch.allclose(noisy, model(tokens))


@pytest.mark.parametrize("inner", MEMORY)
@pytest.mark.parametrize("outer", MEMORY)
def test_blocks_nest(inner, outer):
    model, tokens = language()
    model.eval()
    before = bits(model)

    def nested(one, two):
        with torch.no_grad(), weight_noise(model, 0.2, seed=1, memory=one):
            with weight_noise(model, 0.3, seed=2, memory=two, relative=False, include=["head", "child"]):
                both = model(tokens)
            return both, model(tokens)

    both, single = nested(outer, inner)
    wanted = nested("copy", "copy")
    assert torch.allclose(both, wanted[0], atol=1e-5)  # attention leaves its fused path under a function mode
    assert torch.allclose(single, wanted[1], atol=1e-5)
    assert not torch.allclose(both, single, atol=1e-2)
    assert same(model, before)


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted as Linux does")
def test_noise_without_a_copy_takes_no_memory_worth_naming():
    code = """
import pathlib, re, torch
from torch import nn
from hormesis.torch.weights.noise import weight_noise
model = nn.Sequential(*[nn.Linear(1024, 1024) for _ in range(24)])
x, status = torch.zeros(2, 1024), pathlib.Path("/proc/self/status")
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) / 1024
model(x).sum().backward()
for memory in ("none", "copy"):
    a = peak()
    with weight_noise(model, 0.1, memory=memory, generator=0):
        model(x).sum().backward()
    print(peak() - a)
"""
    freed = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": str(2**20),
        "OMP_NUM_THREADS": "1",
    }  # freed memory goes back at once
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=freed
    ).stdout
    none, saved = map(float, out.split())
    weights = 24 * 1024 * 1025 * 4 / 2**20
    assert none < 0.4 * weights < 0.7 * weights < saved


def test_evaluation_noise_is_the_keys():
    model = net()
    w = model[2].weight.detach().clone()
    z = key.normal(key.lane(np.arange(w.numel())), key.key(7, "run", 2, "weights", "gaussian", "2.weight"))
    with weight_noise(model, 0.5, relative=False, seed=7, path=("run", 2)):
        wanted = w + 0.5 * torch.from_numpy(z).float().view(w.shape)
        assert torch.equal(model[2].weight, wanted)


def test_noise_goes_by_name_whatever_is_selected_and_in_what_order():
    a = nn.ModuleDict({"x": nn.Linear(3, 3), "y": nn.Linear(3, 3)})
    b = nn.ModuleDict({"y": a["y"], "x": a["x"]})
    seen = []
    for model, include in ((a, None), (b, None), (a, "y.weight"), (nn.DataParallel(a), None)):
        with weight_noise(model, 0.1, seed=0, include=include):
            seen.append(a["y"].weight.detach().clone())
    assert all(torch.equal(seen[0], s) for s in seen[1:])


@pytest.mark.parametrize("by_key", [True, False])
@pytest.mark.parametrize("kind", KEYED)
def test_noise_has_mean_0_and_variance_1(kind, by_key):
    n = 200_000
    z = WeightDraw(kind, 5, (), by_key).unit("w", torch.zeros(n)).double()
    fourth = {"gaussian": 3.0, "uniform": 1.8, "sign": 1.0}[kind]
    assert abs(float(z.mean())) < SURE / math.sqrt(n)
    assert abs(float(z.square().mean()) - 1) <= SURE * math.sqrt((fourth - 1) / n) + 1e-6
    assert set(KEYED) == set(FAST)


def test_a_level_is_a_share_of_each_tensors_own_deviation():
    model = nn.Sequential(nn.Linear(200, 200), nn.Linear(200, 200))
    with torch.no_grad():
        model[1].weight.mul_(100).add_(7)
    before = bits(model)
    with weight_noise(model, 0.25, generator=0, include="*.weight"):
        for name in ("0.weight", "1.weight"):
            noise = (model.state_dict()[name] - before[name]).double()
            n = noise.numel()
            share = float(noise.square().mean().sqrt()) / spread(before[name])
            assert abs(share / 0.25 - 1) < SURE / math.sqrt(2 * n) + 1e-3


def test_tensors_of_equal_values_stay():
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    nn.init.zeros_(model[0].bias)
    before = bits(model)
    with weight_noise(model, 1.0, seed=0):
        changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"0.weight"}


@pytest.mark.parametrize("memory", MEMORY)
def test_level_0_touches_nothing(memory):
    model = net()
    versions = [p._version for p in model.parameters()]
    with weight_noise(model, 0.0, seed=0, memory=memory):
        pass
    assert [p._version for p in model.parameters()] == versions


def test_more_level_is_more_of_the_same_noise():
    model = net()
    w = model[0].weight.detach().double().clone()
    steps = []
    for level in (0.1, 0.2):
        with weight_noise(model, level, seed=0):
            steps.append(model[0].weight.detach().double() - w)
    assert torch.allclose(2 * steps[0], steps[1], atol=1e-6)


@pytest.mark.parametrize("memory", MEMORY)
def test_tied_weights_get_one_noise(memory):
    model, _ = language()
    assert [w.names for w in weights_of(model, "head")] == [("embed.weight", "head.weight")]
    alias = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    alias[1].weight = nn.Parameter(alias[0].weight.data)
    before, x = bits(alias), torch.eye(3)
    with torch.no_grad(), weight_noise(alias, 0.5, seed=0, memory=memory):
        assert torch.equal(alias[0](x), alias[1](x))
        assert not torch.equal(alias[0](x), before["0.weight"].t())
    assert same(alias, before)


@pytest.mark.parametrize("memory", MEMORY)
def test_flattened_and_transposed_weights(memory):
    flat = torch.randn(24, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3), nn.Conv2d(3, 4, 3))
    model[0].weight = nn.Parameter(flat[:12].view(4, 3).t())
    model[1].weight = nn.Parameter(flat[12:21].view(3, 3))
    model[2].to(memory_format=torch.channels_last)
    before, x = bits(model), torch.eye(4)
    with torch.no_grad(), weight_noise(model, 0.5, seed=0, memory=memory):
        out = model[0](x)
        assert (model[2].weight + 0).stride() == model[2].weight.stride()
    with torch.no_grad(), weight_noise(copy.deepcopy(model), 0.5, seed=0) as contiguous:
        assert torch.equal(contiguous[0](x), out)
    assert same(model, before)


def test_buffers_only_when_asked_and_only_in_eval():
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
    model(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))
    before = bits(model)
    with weight_noise(model, 0.1, seed=0):
        assert torch.equal(model[1].running_mean, before["1.running_mean"])
    with pytest.raises(SettingError, match="eval"), weight_noise(model, 0.1, seed=0, buffers=True):
        pass
    with weight_noise(model.eval(), 0.1, seed=0, buffers=True):
        assert not torch.equal(model[1].running_mean, before["1.running_mean"])
    assert same(model, before)


@pytest.mark.parametrize("memory", MEMORY)
def test_flags_gradients_objects_and_names_stay(memory):
    model = net()
    model[0].weight.requires_grad_(requires_grad=False)
    model(torch.ones(2, 4)).sum().backward()
    objects, names = [id(p) for p in model.parameters()], list(model.state_dict())
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    x = torch.ones(2, 4)
    clean = model(x)
    with weight_noise(model, 0.5, seed=0, memory=memory):
        assert not torch.equal(model(x), clean)
        assert list(model.state_dict()) == names
        assert [id(p) for p in model.parameters()] == objects
    assert [p.requires_grad for p in model.parameters()] == [False, True, True, True]
    for p, g in zip(model.parameters(), grads, strict=True):
        assert p.grad is None if g is None else torch.equal(p.grad, g)


@pytest.mark.parametrize("memory", MEMORY)
def test_under_inference_mode(memory):
    model, x = net(), torch.ones(2, 4)
    before = bits(model)
    with weight_noise(model, 0.5, seed=0):
        wanted = model(x).detach()
    with torch.inference_mode(), weight_noise(model, 0.5, seed=0, memory=memory):
        assert torch.equal(model(x), wanted)
    assert same(model, before)


@pytest.mark.parametrize("memory", MEMORY)
def test_autocast_does_not_use_cached_clean_weights(memory):
    model, x = net(), torch.ones(2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        clean = model(x).detach()
        with weight_noise(model, 0.5, seed=0, memory=memory):
            noisy = model(x).detach()
        assert not torch.equal(noisy, clean)
        assert torch.equal(model(x), clean)


def test_compiled_models():
    model, x = net(), torch.ones(2, 4)
    clean = model(x)
    compiled = torch.compile(model, backend="eager")
    assert torch.equal(compiled(x), clean)
    for seed in (0, 1):
        with weight_noise(model, 0.5, seed=seed):
            wanted = model(x)
        with weight_noise(compiled, 0.5, seed=seed):
            assert torch.equal(compiled(x), wanted)
    assert torch.equal(compiled(x), clean)
    with pytest.raises(SettingError, match="copy"), weight_noise(compiled, 0.5, memory="none"):
        pass


def test_scripted_models_are_refused_where_their_weights_cannot_be_reached():
    class Scripted(torch.jit.ScriptModule):
        pass

    model = nn.Sequential(nn.Linear(2, 2))
    model.add_module("scripted", Scripted())
    with pytest.raises(SettingError, match="Scripted"), weight_noise(model, 0.5, memory="none"):
        pass


def test_a_step_inside_the_block_is_undone_and_told():
    model = net()
    before = bits(model)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(2, 4)).sum().backward()
    with pytest.raises(ModelError, match="after the block"), weight_noise(model, 0.1, seed=0):
        sgd.step()
    assert same(model, before)


def test_a_step_inside_a_block_without_copy_moves_the_weights_themselves():
    model, twin = net(), net()
    for one, inside in ((model, True), (twin, False)):
        sgd = torch.optim.SGD(one.parameters(), lr=0.1)
        with weight_noise(one, 0.1, seed=0, memory="none"):
            one(torch.ones(2, 4)).square().sum().backward()
            if inside:
                sgd.step()
        if not inside:
            sgd.step()
    assert same(model, bits(twin))


def test_backward_after_the_block():
    model = net()
    grads = []
    with weight_noise(model, 0.3, seed=0, memory="none"):
        loss = model(torch.ones(2, 4)).square().sum()
    loss.backward()
    with weight_noise(net(), 0.3, seed=0) as other:
        other(torch.ones(2, 4)).square().sum().backward()
    grads = [(p.grad, q.grad) for p, q in zip(model.parameters(), other.parameters(), strict=True)]
    assert all(torch.equal(a, b) for a, b in grads)
    with weight_noise(model, 0.3, seed=0):
        late = model(torch.ones(2, 4)).square().sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        late.backward()
    with weight_noise(model, 0.3, seed=0, memory="none"):
        late = model(torch.ones(2, 4)).square().sum()
    with torch.no_grad():
        model[2].weight.add_(1)
    with pytest.raises(ModelError, match="between"):
        late.backward()


def test_gradient_penalty_through_noise_without_copy():
    found = []
    for memory in MEMORY:
        model, x = net(torch.float64), torch.ones(2, 4, dtype=torch.float64, requires_grad=True)
        with weight_noise(model, 0.3, seed=0, memory=memory):
            (slope,) = torch.autograd.grad(model(x).exp().sum(), x, create_graph=True)
            own = torch.autograd.grad(slope.square().sum(), list(model.parameters())[:3], allow_unused=True)
        found.append([g for g in own if g is not None])
    assert found[0]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_training_noise_moves_only_its_generator():
    model, rng = net(), torch.Generator().manual_seed(0)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    seen = []
    for _ in range(2):
        with weight_noise(model, 0.1, generator=rng):
            seen.append(model[0].weight.detach().clone())
    with weight_noise(model, 0.1):
        pass
    assert not torch.equal(*seen)
    with weight_noise(model, 0.1, generator=torch.Generator().manual_seed(0)):
        assert torch.equal(model[0].weight, seen[0])
    assert torch.equal(states[0], torch.random.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert states[2] == random.getstate()


def test_linear_model_loses_half_the_variance_times_the_squared_inputs():
    """Oracle 7: E[1/2 sum (y - (w + e) x)^2] - 1/2 sum (y - w x)^2 = 1/2 sigma^2 sum ||x||^2."""
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 5, generator=rng).double(), torch.randn(50, 1, generator=rng).double()
    model, sigma = nn.Linear(5, 1, bias=False).double(), 0.3
    clean = 0.5 * (model(x) - y).square().sum().item()
    extra = []
    with torch.no_grad():
        for seed in range(600):
            with weight_noise(model, sigma, relative=False, seed=seed):
                extra.append(0.5 * (model(x) - y).square().sum().item() - clean)
    error = np.std(extra, ddof=1) / math.sqrt(len(extra))
    assert abs(np.mean(extra) - 0.5 * sigma**2 * x.square().sum().item()) < SURE * error
    assert error < 0.1 * np.mean(extra)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"include": "*.bias"}, ["0.bias", "1.bias", "2.bias"]),
        ({"include": "2"}, ["2.bias", "2.weight"]),
        ({"include": re.compile(r"^0\.w")}, ["0.weight"]),
        ({"include": ["0", "2"], "exclude": "*.bias"}, ["0.weight", "2.weight"]),
        ({"types": nn.Linear}, ["0.bias", "0.weight", "2.bias", "2.weight"]),
        ({"types": ["Linear", "LayerNorm"], "include": "1"}, ["1.bias", "1.weight"]),
    ],
)
def test_selectors(asked, names):
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Linear(2, 2))
    assert [w.name for w in weights_of(model, **asked)] == names


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"include": "0.wieght"}, "Did you mean `0.weight`"),
        ({"types": "Liner"}, "Did you mean `Linear`"),
        ({"include": "0.bias", "exclude": "*.bias"}, "leave no weight"),
        ({"kind": "gausian"}, "Did you mean `gaussian`"),
        ({"memory": "nothing"}, "'copy' or 'none'"),
        ({"seed": 0, "generator": 0}, "one of them"),
    ],
)
def test_mistakes_are_told(settings, message):
    with pytest.raises(SettingError, match=message), weight_noise(net(), 0.1, **settings):
        pass


@pytest.mark.parametrize("level", [-0.1, float("nan"), float("inf"), "much"])
def test_levels_that_are_no_dose(level):
    with pytest.raises(SettingError, match="0 or more"), weight_noise(net(), level):
        pass


def test_models_that_cannot_be_noised():
    broken = net()
    with torch.no_grad():
        broken[0].weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"`0\.weight` holds NaN"), weight_noise(broken, 0.1):
        pass
    with pytest.raises(ModelError, match="torch module"), weight_noise(lambda x: x, 0.1):
        pass
    with pytest.raises(ModelError, match="one batch"), weight_noise(nn.LazyLinear(3), 0.1):
        pass
