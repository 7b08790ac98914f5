"""Square: any function that predicts, whole numbers and categories, queries only where rows still stand."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from torch import nn

from hormesis.errors import DataError, ModelError, SettingError
from hormesis.torch.attacks.patches import Blocks, Patches, bump
from hormesis.torch.attacks.space import Space
from hormesis.torch.attacks.square import Square, share_at


@pytest.fixture(scope="module")
def forest():
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    return RandomForestClassifier(15, random_state=0).fit(X[::2], y[::2]), X[1::2][:120], y[1::2][:120]


def test_a_forest_falls(forest):
    model, X, y = forest
    found = Square(queries=60).run(model.predict_proba, X, y, epsilons=[0.0, 0.2, 0.5])
    assert found.robust_accuracy[0] == model.score(X, y)
    assert found.robust_accuracy[2] < found.robust_accuracy[0] - 0.1
    at = found.adversarial[2].numpy()
    assert at.dtype == X.dtype
    assert np.abs(at - X).max() <= 0.5 + 1e-9
    assert np.array_equal(model.predict(at) != y, found.success[2].numpy())


def test_tensors_reach_a_method_of_scikit_learn_as_arrays(forest):
    model, X, y = forest
    tensor, array = (Square(0.3, queries=10).run(model.predict_proba, x, y) for x in (torch.from_numpy(X), X))
    assert torch.equal(tensor.adversarial[0], array.adversarial[0])


def test_function_sees_arrays_of_its_own_dtype_and_standing_rows_only(forest):
    model, X, y = forest
    sizes = []

    def ask(values):
        assert isinstance(values, np.ndarray)
        assert values.dtype == np.float32
        sizes.append(len(values))
        return model.predict_proba(values)

    found = Square(0.5, queries=30).run(ask, X.astype(np.float32), y, batch_size=200)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]
    assert sum(sizes) == int(found.queries.sum())
    assert found.queries.max() <= 31
    assert not found.gradients.any()


def test_everything_fallen_stops_early():
    found = Square(5.0, queries=500).run(nn.Linear(3, 2).double(), torch.zeros(4, 3).double(), [0, 1, 0, 1])
    assert found.queries.max() < 100


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int8, bool])
def test_whole_number_columns_stay_whole_within_their_dtype(dtype):
    drawn = np.random.default_rng(0)
    X = drawn.integers(0, 2 if dtype is bool else 120, (60, 6)).astype(dtype)
    y = (X.sum(1) > np.median(X.sum(1))).astype(int)
    model = LogisticRegression(max_iter=5000).fit(X, y)
    seen = []

    def ask(values):
        seen.append(values.dtype)
        return model.predict_proba(values)

    epsilon = 1.0 if dtype is bool else 10.4
    found = Square(epsilon, queries=40).run(ask, X, y)
    assert set(seen) == {np.dtype(dtype)}
    at = found.adversarial[0].numpy()
    assert at.dtype == dtype
    assert found.robust_accuracy[0] < found.clean_accuracy
    move = np.abs(at.astype(float) - X)
    assert move.max() <= int(epsilon)


def test_whole_number_tensors_reach_a_module():
    model = nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(24, 3)).train()
    x = torch.randint(20, (30, 6), generator=torch.Generator().manual_seed(0))
    y = model(x).argmax(1)
    found = Square(3, queries=30).run(model, x, y, space=Space(0, 19))
    assert found.adversarial[0].dtype == torch.int64
    assert found.robust_accuracy[0] < 1
    assert model.training
    moved = Square(3, queries=30).perturb(model, x, y, space=Space(0, 19), generator=0)
    assert moved.dtype == torch.int64
    assert not torch.equal(moved, x)


def test_one_hot_groups_try_every_category():
    """Only category 3 is lost: a search that prefers low columns would not find it."""
    x = torch.eye(5)[torch.tensor([0, 1, 2, 4])].repeat(5, 1)
    found = Square(1.0, queries=60).run(
        lambda z: torch.stack([1 - z[:, 3], z[:, 3]], 1), x, torch.zeros(20, dtype=torch.long),
        space=Space(groups=[range(5)]),
    )  # fmt: skip
    assert found.robust_accuracy == (0.0,)
    assert torch.equal(found.adversarial[0], torch.eye(5)[torch.full((20,), 3)])


def test_only_features_that_may_move_are_tried():
    ball = Space(scale=[0.0, 1.0, 0.0, 1.0]).ball(torch.zeros(50, 4), 1.0, "linf")
    blocks = Blocks(ball)
    assert blocks.free == 2
    from hormesis.torch.attacks.problem import Keyed

    draws = Keyed(0, ("test",), torch.arange(50))
    moved = blocks.flip(ball.x, draws, 3, 0.5)
    assert ((moved != 0).sum(1) == 1).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("shape", [(3, 12, 9), (1, 2, 2), (2, 1, 1), (5, 7), (4,)])
def test_any_shape(norm, shape):
    x = torch.rand(6, *shape, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 3))
    y = model(x).argmax(1)
    found = Square(0.4, norm=norm, queries=25).run(model, x, y, space=Space.image())
    at = found.adversarial[0]
    far = (at - x).flatten(1)
    length = far.abs().amax(1) if norm == "linf" else far.norm(dim=1)
    assert (length <= 0.4 * (1 + 1e-5)).all()
    assert at.min() >= 0
    assert at.max() <= 1
    assert (found.height[0] >= found.clean_height).all()


def test_images_begin_with_stripes_and_change_in_squares():
    from hormesis.torch.attacks.problem import Keyed

    ball = Space().ball(torch.zeros(4, 2, 8, 8), 1.0, "linf")
    draws, patches = Keyed(0, ("test",), torch.arange(4)), Patches(ball)
    start = patches.start(draws, euclidean=False)
    assert (start.abs() == 1).all()
    assert (start == start[:, :, :1]).all()
    moved = patches.flip(ball.x, draws, 1, 0.25) != 0
    assert (moved.sum((2, 3)) == 16).all()
    assert (moved.any(3).sum(2) == 4).all()


def test_a_bump_has_length_one_and_two_signs():
    for side in (3, 4, 7):
        shape = bump(side, torch.zeros(1).double())
        assert torch.isclose(shape.norm(), torch.tensor(1.0).double())
        assert (shape[:, : side // 2] > 0).all()
        assert (shape[:, side // 2 :] < 0).all()


def test_shares_follow_the_schedule():
    assert share_at(1, 10_000, 0.8) == 0.8
    assert share_at(11, 10_000, 0.8) == 0.4
    assert share_at(9_999, 10_000, 0.8) == 0.8 / 2**9


def test_regression_forest_loss_rises():
    X, y = load_diabetes(return_X_y=True)
    model = RandomForestRegressor(10, random_state=0).fit(X, y)
    found = Square(0.02, queries=30).run(model.predict, X[:60], y[:60])
    assert found.mean_loss[0] > 1.5 * float(found.clean_height.mean())


def test_decision_function_of_two_classes_is_one_logit(forest):
    _, X, y = forest
    model = LogisticRegression().fit(X, y)
    found = Square(0.3, queries=150).run(model.decision_function, X, y)
    margin = (2 * y - 1) * model.decision_function(X)
    exact = float((margin > 0.3 * np.abs(model.coef_).sum()).mean())
    assert exact <= found.robust_accuracy[0] <= exact + 0.03


def test_mistakes_give_one_sentence(forest):
    model, X, y = forest
    with pytest.raises(ModelError, match="RandomForestClassifier is no function"):
        Square().run(model, X, y)
    with pytest.raises(ModelError, match="tells no margin"):
        Square().run(model.predict, X, y)
    with pytest.raises(DataError, match="takes a tensor"):
        Square().run(model.predict_proba, X.tolist(), y)
    with pytest.raises(SettingError, match=r"Square\(norm='l1'\)"):
        Square(norm="l1")
