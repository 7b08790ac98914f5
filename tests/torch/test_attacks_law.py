"""Laws of every attack: the model, the caller's tensors and the world's randomness are left as they were."""

import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from hormesis.errors import DataError, ModelError, SettingError
from hormesis.torch.attacks.apgd import APGD
from hormesis.torch.attacks.base import Attack
from hormesis.torch.attacks.ensemble import Ensemble
from hormesis.torch.attacks.gradient import FGSM, PGD
from hormesis.torch.attacks.space import Space
from hormesis.torch.attacks.square import Square

QUICK = [
    FGSM(0.3),
    PGD(0.3, steps=3),
    APGD(0.3, steps=4),
    APGD(0.3, steps=3, targets=2),
    Square(0.3, queries=8),
    Ensemble(0.3, attacks=[APGD(steps=3), APGD(steps=3, targets=2), Square(queries=4)]),
]
GRADIENT = [a for a in QUICK if a.needs_gradients]
every = pytest.mark.parametrize("attack", QUICK, ids=lambda a: type(a).__name__)
every_gradient = pytest.mark.parametrize("attack", GRADIENT, ids=lambda a: type(a).__name__)
both = pytest.mark.parametrize("how", ["perturb", "run"])


def use(attack: Attack, how: str, model, x, y, **settings):
    """Attack, and return the adversarial tensor."""
    if how == "perturb":
        return attack.perturb(model, x, y, generator=0, **settings)
    return attack.run(model, x, y, batch_size=5, **settings).adversarial[0]


def net(outputs: int = 3) -> nn.Module:
    torch.manual_seed(1)
    made = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, outputs)
    )
    made[1].running_mean.normal_()
    return made


def batch(rows: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(2)
    return torch.randn(rows, 6, generator=drawn), torch.randint(3, (rows,), generator=drawn)


@every
@both
def test_modes_are_left_as_they_were(attack, how):
    model = net().train()
    model[3].eval()
    use(attack, how, model, *batch())
    assert [m.training for m in model.modules()] == [True, True, True, True, False, True]


@every
@both
def test_frozen_batchnorm_stays_frozen(attack, how):
    model = net().train()
    model[1].eval()
    use(attack, how, model, *batch())
    assert not model[1].training
    assert model.training


class Fragile(nn.Module):
    """Raises at a pass."""

    def __init__(self, at: int):
        super().__init__()
        self.inner, self.at, self.passes = net(), at, 0

    def forward(self, x):
        self.passes += 1
        if self.passes >= self.at:
            raise RuntimeError("no memory")
        return self.inner(x)


@every
@pytest.mark.parametrize("at", [1, 2])
def test_exception_inside_leaves_modes_as_they_were(attack, at):
    model = Fragile(at).train()
    model.inner[1].eval()
    before = [m.training for m in model.modules()]
    with pytest.raises(RuntimeError, match="no memory"):
        use(attack, "run", model, *batch())
    assert [m.training for m in model.modules()] == before
    assert torch.is_grad_enabled()


@every
@both
def test_train_mode_batchnorm_statistics_unchanged(attack, how):
    model = net().train()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    use(attack, how, model, *batch())
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("attack", QUICK[:-1], ids=lambda a: type(a).__name__)
def test_batchnorm_statistics_unchanged_in_train_mode(attack):
    model = net().train()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    attack.perturb(model, *batch(), generator=0, mode="keep")
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


@every
@both
def test_global_randomness_is_neither_read_nor_moved(attack, how):
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        model = net()
        torch.manual_seed(seed)
        before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
        found.append(use(attack, how, model, *batch()))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
        assert random.getstate() == before[2]
    assert torch.equal(*found)


@every
@both
def test_accumulated_gradients_untouched_bit_for_bit(attack, how):
    model = net().train()
    nn.functional.cross_entropy(model(batch()[0]), batch()[1]).backward()
    held = [(p.grad, p.grad.clone()) for p in model.parameters()]
    use(attack, how, model, *batch())
    for p, (grad, value) in zip(model.parameters(), held, strict=True):
        assert p.grad is grad
        assert torch.equal(grad, value)
        assert p.requires_grad


@every
@both
def test_no_gradient_appears(attack, how):
    model, (x, y) = net(), batch()
    leaf = x.clone().requires_grad_()
    out = use(attack, how, model, leaf, y)
    assert all(p.grad is None for p in model.parameters())
    assert leaf.grad is None
    assert leaf.requires_grad
    assert not out.requires_grad


@every
@both
@pytest.mark.parametrize("wanted", [True, False])
def test_input_unmutated(attack, how, wanted):
    x, y = batch()
    given = x.clone().requires_grad_(wanted)
    out = use(attack, how, net(), given, y)
    assert torch.equal(given, x)
    assert given.requires_grad is wanted
    assert out.data_ptr() != given.data_ptr()
    assert (out.dtype, out.shape, out.device) == (x.dtype, x.shape, x.device)


@every
@both
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_odd_and_two_dimensional_batches(attack, how, rows):
    x, y = batch(rows)
    assert use(attack, how, net(), x, y).shape == (rows, 6)


@every
@both
@pytest.mark.parametrize("shape", [(), (1,)])
def test_one_logit(attack, how, shape):
    model = nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)) if shape == () else nn.Linear(6, 1)
    x, y = batch()
    loss = nn.functional.binary_cross_entropy_with_logits
    for labels in (y > 0, (y > 0).long(), (y > 0).float(), (y > 0).float().reshape(-1, *shape)):
        moved = use(attack, how, model, x, labels)
        target = labels.reshape(-1).float()
        assert loss(model(moved).reshape(-1), target) > loss(model(x).reshape(-1), target)


@every
@both
def test_regression(attack, how):
    model, (x, _) = net(1).eval(), batch()
    y = x.sum(1)
    moved = use(attack, how, model, x, y)
    assert (model(moved)[:, 0] - y).square().mean() > (model(x)[:, 0] - y).square().mean()
    found = attack.run(model, x, y)
    assert not found.classes
    assert "loss" in repr(found)


@every
def test_regression_with_two_values_in_a_batch_stays_a_regression(attack):
    """Labels 0 and 1 in one batch of numbers are numbers all the same."""
    model, (x, _) = net(1).eval(), batch(6)
    y = torch.tensor([0.0, 1.0, 0.0, 1.0, 2.5, 3.0])
    whole, parts = (attack.run(model, x, y, batch_size=b) for b in (6, 2))
    assert not parts.classes
    assert torch.allclose(whole.height, parts.height, atol=1e-5)


@every_gradient
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
def test_whole_number_input_gives_one_sentence(attack, dtype):
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(24, 3))
    x = torch.randint(9, (7, 6)).to(dtype)
    with pytest.raises(DataError, match="whole numbers have no gradient") as said:
        attack.run(model, x, batch()[1])
    assert "\n" not in str(said.value)


class Named(nn.Module):
    """Takes a batch by name."""

    def __init__(self):
        super().__init__()
        self.inner = net()

    def forward(self, values, mask):
        return {"logits": self.inner(values * mask)}["logits"]


@every
@both
def test_dict_batch(attack, how):
    x, y = batch()
    mask = (torch.arange(42).reshape(7, 6) % 5 > 0).float()
    given = {"values": x, "mask": mask}
    out = use(attack, how, Named(), given, y, part="values")
    moved = out["values"] if how == "perturb" else out
    assert (moved - x).abs().max() <= 0.3 + 1e-6
    assert not torch.equal(moved, x)
    assert list(given) == ["values", "mask"]
    assert torch.equal(given["mask"], mask)


@every
@both
@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_no_grad_and_inference_mode(attack, how, around):
    model, (x, y) = net(), batch()
    plain = use(attack, how, model, x, y)
    with around():
        inside = use(attack, how, model, x.clone(), y.clone())
        assert not torch.is_grad_enabled()
        assert torch.is_inference_mode_enabled() is (around is torch.inference_mode)
    assert torch.equal(plain, inside)


@every
@both
def test_dict_batch_made_under_inference_mode(attack, how):
    model, (x, y) = Named(), batch()
    with torch.inference_mode():
        given = {"values": x.clone(), "mask": torch.ones_like(x)}
        out = use(attack, how, model, given, y.clone(), part="values")
    assert (out["values"] if how == "perturb" else out).shape == x.shape


@every
@both
def test_standardised_data_stay_within_epsilon(attack, how):
    x, y = batch()
    x = x * 4
    moved = use(attack, how, net(), x, y)
    assert (moved - x).abs().max() <= 0.3 * (1 + 1e-6)
    assert not torch.equal(moved, x)


@every
@both
def test_wrong_bounds_give_one_sentence(attack, how):
    with pytest.raises(DataError, match=r"outside the space's bounds \(0 to 1\)") as said:
        use(attack, how, net(), *batch(), space=Space.image())
    assert "\n" not in str(said.value)


@every
def test_unknown_settings_give_one_sentence(attack):
    kind = type(attack)
    with pytest.raises(SettingError, match="no such setting"):
        kind(0.1, stps=3)
    with pytest.raises(SettingError, match="epsilon=-1"):
        kind(-1)
    with pytest.raises(SettingError, match="only epsilon is positional"):
        kind(0.1, 3)


@every
def test_labels_that_do_not_fit_give_one_sentence(attack):
    x, y = batch()
    with pytest.raises(DataError, match="7 inputs and 6 labels"):
        attack.run(net(), x, y[:6])
    with pytest.raises(DataError, match="Label 9 was given; the model answers 3 classes"):
        attack.run(net(), x, y.clone().fill_(9))
    with pytest.raises(DataError, match="Label -1 was given"):
        attack.run(net(), x, y.clone().fill_(-1))
    with pytest.raises(DataError, match="NaN"):
        attack.run(net(), x.clone().fill_(torch.nan), y)


@pytest.mark.parametrize("attack", GRADIENT[:-1], ids=lambda a: type(a).__name__)
def test_model_without_gradient_gives_one_sentence(attack):
    x, y = batch()
    with pytest.raises(ModelError, match="no gradient with respect to the input"):
        attack.run(lambda x: net().eval()(x.detach()).detach(), x, y)


@every
def test_compiled_model(attack):
    model, (x, y) = net().eval(), batch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(model, backend="aot_eager", dynamic=True)
        moved = use(attack, "run", compiled, x, y)
    assert torch.allclose(moved, use(attack, "run", model, x, y), atol=1e-5)


@every
@both
def test_autocast_bfloat16(attack, how):
    x, y = batch()
    with torch.autocast("cpu", torch.bfloat16):
        moved = use(attack, how, net(), x, y)
    assert moved.dtype == torch.float32
    assert (moved - x).abs().max() <= 0.3 * (1 + 1e-6)


@every
@both
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_input_of_any_float(attack, how, dtype):
    x, y = batch()
    moved = use(attack, how, net().to(dtype), x.to(dtype), y)
    assert moved.dtype == dtype
    assert (moved.double() - x.to(dtype).double()).abs().max() <= 0.3 * (
        1 + 8 * torch.finfo(dtype).eps
    ) + 4 * torch.finfo(dtype).eps


def test_steps_that_cannot_reach_the_edge_warn():
    with pytest.warns(UserWarning, match="3 steps of 0.01 reach 0.03 of epsilon 0.1"):
        PGD(0.1, steps=3, step_size=0.01).perturb(net(), *batch())


@every
@both
def test_same_seed_same_result(attack, how):
    x, y = batch()
    assert torch.equal(use(attack, how, net(), x, y), use(attack, how, net(), x, y))


@every
def test_batch_size_and_row_order_change_nothing(attack):
    model, (x, y) = net().double().eval(), batch(12)
    x, order = x.double(), torch.randperm(12, generator=torch.Generator().manual_seed(0))
    whole = attack.run(model, x, y, epsilons=[0.1, 0.4])
    for size in (1, 5):
        part = attack.run(model, x[order], y[order], row_ids=order, epsilons=[0.1, 0.4], batch_size=size)
        for k in range(2):
            assert torch.allclose(part.adversarial[k], whole.adversarial[k][order], atol=1e-9)
        assert torch.equal(part.success, whole.success[:, order])
        if isinstance(attack, Square):
            assert torch.equal(part.queries, whole.queries[order])


@every
def test_a_larger_epsilon_never_helps_the_model(attack):
    x, y = batch(30)
    found = attack.run(net(), x, y, epsilons=[0.5, 0.0, 0.1, 0.3])
    assert found.epsilons == (0.0, 0.1, 0.3, 0.5)
    assert (found.success[1:] >= found.success[:-1]).all()
    assert torch.equal(found.success[0], ~found.clean)
    assert torch.equal(found.adversarial[0], x)


@every
def test_reported_success_is_what_the_model_says(attack):
    model, (x, y) = net().eval(), batch(30)
    found = attack.run(model, x, y, epsilons=[0.1, 0.3])
    for k in range(2):
        assert torch.equal(model(found.adversarial[k]).argmax(1) != y, found.success[k])


@every
def test_custom_loss(attack):
    def loss(output, y):
        return -output.gather(1, y[:, None])[:, 0]

    x, y = batch()
    changed = type(attack)(**{f: getattr(attack, f) for f in attack.__dataclass_fields__} | {"loss": loss})
    assert changed.run(net(), x, y).success.shape == (1, 7)


@every
def test_record_is_frozen_and_readable(attack):
    assert type(attack).__name__ in repr(attack)
    with pytest.raises(AttributeError):
        attack.epsilon = 1.0
