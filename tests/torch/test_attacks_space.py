"""Whatever an attack finds lies within epsilon and inside the space: bounds, scales, frozen, integer and one-hot columns."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hormesis.torch.attacks.apgd import APGD
from hormesis.torch.attacks.ball import BALLS, L1
from hormesis.torch.attacks.ensemble import Ensemble
from hormesis.torch.attacks.gradient import FGSM, PGD
from hormesis.torch.attacks.space import Space
from hormesis.torch.attacks.square import Square

GROUP = [5, 6, 7]
QUICK = {
    "fgsm": lambda norm: FGSM(norm=norm, random_start=True),
    "pgd": lambda norm: PGD(norm=norm, steps=4),
    "apgd": lambda norm: APGD(norm=norm, steps=6),
    "targeted": lambda norm: APGD(norm=norm, steps=4, targets=2),
    "square": lambda norm: Square(norm=norm, queries=12),
    "ensemble": lambda norm: Ensemble(norm=norm, attacks=[APGD(norm=norm, steps=4), PGD(norm=norm, steps=4)]),
}
CASES = [(a, n) for a in QUICK for n in ("linf", "l2", "l1") if (a, n) != ("square", "l1")]


def table(seed: int, rows: int = 12) -> torch.Tensor:
    """Return three real columns, two of whole numbers, and three one-hot ones."""
    drawn = torch.Generator().manual_seed(seed)
    real = torch.rand(rows, 3, generator=drawn, dtype=torch.float64) * 4 - 2
    whole = torch.randint(-3, 4, (rows, 2), generator=drawn).double()
    hot = torch.eye(3, dtype=torch.float64)[torch.randint(3, (rows,), generator=drawn)]
    return torch.cat([real, whole, hot], 1)


def model(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3)).double()


def length(move: torch.Tensor, scale: torch.Tensor, norm: str) -> torch.Tensor:
    units = torch.where(scale > 0, move / scale.clamp(min=1e-9), 0.0)
    return torch.linalg.vector_norm(units, {"linf": torch.inf, "l2": 2, "l1": 1}[norm], dim=1)


@pytest.mark.parametrize(("attack", "norm"), CASES)
@given(
    seed=st.integers(0, 50),
    epsilon=st.floats(0.01, 5),
    scale=st.lists(st.floats(0, 3), min_size=8, max_size=8),
    frozen=st.lists(st.booleans(), min_size=8, max_size=8),
    relaxed=st.booleans(),
)
@settings(max_examples=10)
def test_found_inputs_are_legal(attack, norm, seed, epsilon, scale, frozen, relaxed):
    x, scale, frozen = table(seed), torch.tensor(scale).double(), torch.tensor(frozen)
    low, high = torch.full((8,), -2.0).double(), torch.full((8,), 2.0).double()
    low[3:5], high[3:5] = -3.5, 3.5
    integer = torch.tensor([3 <= j < 5 for j in range(8)])
    more = {"integer": integer, "groups": [GROUP]} if relaxed else {}
    space = Space(low, high, scale=scale, frozen=frozen, **more)
    y = torch.arange(12) % 3
    found = QUICK[attack](norm).run(model(seed), x, y, space=space, epsilons=[epsilon], seed=seed)
    at = found.adversarial[0]
    assert (length(at - x, scale, norm) <= epsilon * (1 + 1e-5)).all()
    assert ((at >= low) & (at <= high)).all()
    still = frozen | (scale == 0)
    assert torch.equal(at[:, still], x[:, still])
    if relaxed:
        assert torch.equal(at[:, integer], at[:, integer].round())
        hot = at[:, GROUP]
        assert ((hot == 0) | (hot == 1)).all()
        assert (hot.sum(1) == 1).all()


@pytest.mark.parametrize("attack", ["pgd", "apgd", "square"])
def test_integers_and_categories_do_move_where_there_is_room(attack):
    x, y = table(0, 60), torch.arange(60) % 3
    space = Space(scale=1.0, integer=[False] * 3 + [True] * 2 + [False] * 3, groups=[GROUP])
    found = QUICK[attack]("linf").run(model(0), x, y, space=space, epsilons=[1.0])
    changed = (found.adversarial[0] != x)[~found.success[0] | found.clean]
    assert changed[:, 3:5].any()
    assert changed[:, GROUP].any()


def test_a_frozen_category_stays_beside_free_ones():
    x = torch.tensor([[0.0, 1.0, 0.0]])
    ball = Space(frozen=[False, True, False], groups=[[0, 1, 2]]).ball(x, 1.0, "linf")
    assert torch.equal(ball.legal(torch.tensor([[1.0, 1.0, 0.0]])), x)


@given(
    seed=st.integers(0, 1000),
    epsilon=st.floats(0.05, 6),
    far=st.floats(0.1, 10),
)
def test_l1_projection_is_the_nearest_point_of_ball_and_box(seed, epsilon, far):
    """The nearest point shrinks every move by one cut, inside its bounds: found here by bisection."""
    drawn = torch.Generator().manual_seed(seed)
    x = torch.rand(5, 7, generator=drawn, dtype=torch.float64)
    at = x + far * torch.randn(5, 7, generator=drawn, dtype=torch.float64)
    ball = Space(0.0, 1.0).ball(x, epsilon, "l1")
    assert isinstance(ball, L1)
    move = at - x
    room = torch.where(move > 0, 1 - x, x).clamp(max=epsilon)
    low, high = torch.zeros(5, 1).double(), move.abs().amax(1, keepdim=True)
    for _ in range(80):
        cut = (low + high) / 2
        over = torch.minimum((move.abs() - cut).clamp(min=0), room).sum(1, keepdim=True) > epsilon
        low, high = torch.where(over, cut, low), torch.where(over, high, cut)
    fits = torch.minimum(move.abs(), room).sum(1, keepdim=True) <= epsilon
    size = torch.minimum((move.abs() - torch.where(fits, 0.0, high)).clamp(min=0), room)
    assert torch.allclose(ball.project(at), x + move.sign() * size, atol=1e-7)


@pytest.mark.parametrize("norm", BALLS)
def test_projection_is_idempotent_and_keeps_what_is_inside(norm):
    x = table(1)
    ball = Space(scale=0.5).ball(x, 1.0, norm)
    at = ball.project(x + torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).double())
    assert torch.allclose(ball.project(at), at, atol=1e-9)
    inside = x + 0.01 * (at - x)
    assert torch.allclose(ball.project(inside), inside, atol=1e-12)
