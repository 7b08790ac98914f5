"""Curves over weight noise: honest intervals, one result whichever way, the model untouched."""

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from torch import nn

from hormesis.errors import DataError, HormesisError, SettingError
from hormesis.results import Curve
from hormesis.torch.weights.curve import LEVELS, weight_curve
from hormesis.torch.weights.noise import weight_noise

rng = torch.Generator().manual_seed(0)
X = torch.randn(300, 6, generator=rng)
TRUE = torch.randn(6, 3, generator=rng)
Y = (X @ TRUE).argmax(1)


def linear(outputs=3, weight=None):
    with torch.random.fork_rng():
        model = nn.Linear(6, outputs)
    with torch.no_grad():
        model.weight.copy_(TRUE.t()[:outputs] if weight is None else weight)
        model.bias.zero_()
    return model


def deep():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, 3))


class Branches(nn.Module):
    """Looks at its own values: nothing that can be mapped."""

    def __init__(self):
        super().__init__()
        self.inner = linear()

    def forward(self, x):
        return self.inner(x) if float(self.inner.weight.sum()) > -1e9 else -self.inner(x)


@pytest.mark.parametrize("model", [linear(), deep()])
def test_mapped_and_looped_curves_are_the_same(model):
    a, b = (weight_curve(model, X, Y, repeats=5, method=m, batch_size=512) for m in ("vmap", "loop"))
    assert (a.method, b.method) == ("vmap", "loop")
    assert a.draws == b.draws
    assert a.curve == b.curve
    assert weight_curve(model, X, Y, repeats=5).method == "vmap"


def test_models_that_cannot_be_mapped_are_looped():
    a, b = (weight_curve(m, X, Y, [0.1], repeats=3) for m in (Branches(), Branches().inner))
    assert (a.method, b.method) == ("loop", "vmap")
    with pytest.raises(RuntimeError):
        weight_curve(Branches(), X, Y, [0.1], repeats=3, method="vmap")


def test_a_draw_is_that_of_weight_noise():
    model, level = linear(), 0.4
    found = weight_curve(model, X, Y, [level], repeats=3, seed=5)
    for repeat, score in enumerate(found.draws[0]):
        with torch.no_grad(), weight_noise(model, level, seed=5, path=("repeat", repeat)):
            assert score == pytest.approx((model(X).argmax(1) == Y).double().mean().item())


def test_the_model_is_left_as_it_was():
    model = deep().train()
    model[3].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    modes, state = [m.training for m in model.modules()], torch.random.get_rng_state()
    for method in ("vmap", "loop"):
        weight_curve(model, X, Y, [0.1], repeats=2, method=method)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(p.grad is None for p in model.parameters())


def test_two_class_linear_model_follows_the_closed_form():
    """A row's noisy logit is normal: accuracy(sigma) = mean Phi(|w x| / (sigma ||x||)) where the clean model is right."""
    w = TRUE[:, :1].t()
    model, levels, repeats = linear(1, w), (0.2, 0.5, 1.0), 200
    labels = (X @ w.t())[:, 0] > 0
    found = weight_curve(model, X, labels.float(), levels, repeats=repeats, relative=False, include="weight")
    margin = ((X @ w.t())[:, 0].abs() / X.norm(dim=1)).numpy()
    for level, score, draws in zip(levels, found.curve.score, found.draws, strict=True):
        assert abs(score - ndtr(margin / level).mean()) < 4.9 * np.std(draws, ddof=1) / math.sqrt(repeats)


def test_intervals_hold_the_spread_between_draws():
    """With the true curve known, 95 % intervals of 60 seeds must cover it in at least 47 (binomial, 1e-6)."""
    w, level = TRUE[:, :1].t(), 0.8
    model, labels = linear(1, w), ((X @ w.t())[:, 0] > 0).float()
    margin = ((X @ w.t())[:, 0].abs() / X.norm(dim=1)).numpy()
    truth, covered, wide = ndtr(margin / level).mean(), 0, []
    for seed in range(60):
        found = weight_curve(
            model, X, labels, [level], repeats=6, seed=seed, relative=False, include="weight"
        )
        covered += found.curve.score_low[0] <= truth <= found.curve.score_high[0]
        wide.append(found.curve.score_high[0] - found.curve.score_low[0])
    assert covered >= 47
    assert np.mean(wide) < 0.5


def test_more_draws_narrow_the_interval():
    drops = [weight_curve(linear(), X, Y, [1.0], repeats=r).curve for r in (4, 64)]
    few, many = (c.drop_high[0] - c.drop_low[0] for c in drops)
    assert many < few


def test_break_point_and_record():
    found = weight_curve(linear(), X, Y, [0.001, 0.5, 5.0], repeats=24)
    assert isinstance(found.curve, Curve)
    assert found.curve.levels == (0.001, 0.5, 5.0)
    assert found.curve.break_point.passes_to == 0.001
    assert found.curve.break_point.fails_from in (0.5, 5.0)
    assert "weight noise: passes 0.001 sd" in str(found)
    frame = found.to_frame()
    assert list(frame["level"]) == [0.001, 0.5, 5.0]
    assert (frame["worst_draw"] <= frame["score"]).all()


def test_regression_and_other_scorers():
    model = linear(1)
    numbers = model(X).detach()[:, 0] + 0.1
    assert weight_curve(model, X, numbers, [0.1], repeats=4).curve.scoring == "r2"
    model = linear()
    for scoring in ("balanced_accuracy", "neg_log_loss"):
        curve = weight_curve(model, X, Y, [0.01, 2.0], repeats=4, scoring=scoring).curve
        assert curve.score[0] > curve.score[1]
    two = weight_curve(linear(1), X, (X @ TRUE)[:, 0] > 0, [0.01, 3.0], repeats=4, scoring="roc_auc").curve
    assert two.clean == 1.0
    assert two.score[1] < 1.0


def test_selected_weights_only():
    model = deep()
    found = weight_curve(model, X, Y, [0.1], repeats=2, include="4.weight")
    total = sum(p.numel() for p in model.parameters())
    assert found.curve.changed == (27 / total,)


def test_inputs_of_other_kinds():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = linear()

        def forward(self, left, right):
            return {"logits": 0} if left is None else self.inner(torch.cat([left, right], 1))

    wanted = weight_curve(linear(), X, Y, [0.3], repeats=3, relative=False)
    arrays = weight_curve(linear(), X.double().numpy(), Y.numpy(), [0.3], repeats=3, relative=False)
    named = weight_curve(Named(), {"left": X[:, :2], "right": X[:, 2:]}, Y, [0.3], repeats=3, relative=False)
    assert wanted.curve == arrays.curve
    assert named.curve.clean == wanted.curve.clean
    assert named.method == "vmap"


def test_answers_that_are_no_numbers_fail_their_level():
    class Explodes(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = linear()

        def forward(self, x):
            far = (self.inner.weight - TRUE.t()).abs().amax() > 1
            return torch.where(far, torch.nan, self.inner(x))

    found = weight_curve(Explodes(), X, Y, [0.001, 50.0], repeats=3).curve
    assert found.errors[0] is None
    assert "NaN" in found.errors[1]
    assert found.score[1] is None
    assert found.break_point.fails_from == 50.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"levels": []}, "at least one level"),
        ({"levels": [-1]}, "0 or more"),
        ({"repeats": 1}, "at least 2 draws"),
        ({"method": "map"}, "'vmap' or 'loop'"),
        ({"kind": "normal"}, "unknown"),
        ({"scoring": "acuracy"}, "Did you mean"),
        ({"y": Y[:5]}, "one label per row"),
        ({"y": Y + 7}, "answers 3 classes"),
    ],
)
def test_mistakes_are_told(settings, message):
    settings = {"y": Y, "levels": LEVELS} | settings
    with pytest.raises(HormesisError, match=message) as told:
        weight_curve(linear(), X, **settings)
    assert isinstance(told.value, SettingError | DataError)
