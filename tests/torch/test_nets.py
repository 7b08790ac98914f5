import copy
import itertools
import pickle
import random

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LoadInitState

import hormesis as hz
from hormesis.errors import DataError, ModelError, SettingError
from hormesis.noise import GaussianNoise, LabelFlips, MissingValues
from hormesis.torch.attacks.gradient import PGD
from hormesis.torch.layers.base import NoiseLayer
from hormesis.torch.layers.cells import GaussianNoise as GaussianLayer
from hormesis.torch.nets.estimators import (
    ConvNetClassifier,
    ConvNetRegressor,
    TabularNetClassifier,
    TabularNetRegressor,
)
from hormesis.torch.nets.skorch_nets import Batches, Rows
from hormesis.torch.source import generator

FLOAT32 = "the net computes in float32: a batch of another size may round another way"
WEIGHTS = "rows are visited in random batches: weight 2 is not the same order as a row given twice"
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": WEIGHTS}
NUMBERS = EXPECTED | {"check_methods_subset_invariance": FLOAT32}
BOTH = {
    "gaussian_noise": 0.2, "masking": 0.1, "swap_noise": 0.1, "feature_dropout": 0.1, "activation_noise": 0.1, "dropout": 0.1,
    "stochastic_depth": 0.2, "label_smoothing": 0.1, "mixup": 0.4, "manifold_mixup": 1.0, "cutmix": 0.5, "weight_noise": 0.05,
    "gradient_noise": 0.2, "awp": 0.005, "sam": 0.05, "share": 0.3, "noise_warmup": 3,
    "recipe": GaussianNoise(0.2),
}  # fmt: skip
ATTACKS = {
    "fgsm": {},
    "pgd": {"attack_steps": 2},
    "trades": {"attack_steps": 2},
    "free": {"attack_steps": 3},
    "record": {},
}
IMAGES = {"random_erasing": 0.3, "cutout": 2, "dropblock": 0.1}


def settings(name):
    if name in ATTACKS:
        given = PGD(0.05, steps=2, norm="l2") if name == "record" else name
        return {"adversarial": given, "epsilon": 0.05, **ATTACKS[name]}
    return {name: (BOTH | IMAGES)[name]}


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X[:300].astype(np.float32), y[:300], X[300:].astype(np.float32), y[300:]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=3, return_X_y=True)
    return X[:200].reshape(-1, 8, 8), y[:200], X[200:].reshape(-1, 8, 8), y[200:]


def same_weights(a, b):
    pairs = zip(a.module.state_dict().values(), b.module.state_dict().values(), strict=True)
    return all(torch.equal(u, v) for u, v in pairs)


@parametrize_with_checks(
    [TabularNetClassifier(hidden=(32,), epochs=40, lr=5e-3, random_state=0),
     TabularNetRegressor(hidden=(32,), epochs=40, lr=5e-3, random_state=0)],
    expected_failed_checks=lambda net: NUMBERS if isinstance(net, TabularNetRegressor) else EXPECTED,
)  # fmt: skip
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", ["plain", *BOTH, *ATTACKS])
def test_each_technique_trains_a_table_net_and_is_silent_at_predict(name, cancer):
    X, y, X_test, y_test = cancer
    given = {} if name == "plain" else settings(name)
    net = TabularNetClassifier(
        hidden=(32, 32), epochs=12, lr=5e-3, batch_size=64, random_state=0, **given
    ).fit(X, y)
    losses = net.history_[:, "train_loss"]
    assert losses[-1] < losses[0]
    assert net.score(X_test, y_test) > 0.9
    silent(net, X_test)


@pytest.mark.parametrize("name", ["plain", *BOTH, *IMAGES, *ATTACKS])
def test_each_technique_trains_an_image_net_and_is_silent_at_predict(name, digits):
    X, y, X_test, y_test = digits
    given = {} if name == "plain" else settings(name)
    net = ConvNetClassifier(channels=(8, 8), epochs=6, lr=1e-2, batch_size=32, random_state=0, **given).fit(
        X, y
    )
    losses = net.history_[:, "train_loss"]
    assert losses[-1] < losses[0]
    assert net.score(X_test, y_test) > 0.8
    silent(net, X_test)


def silent(net, X):
    before = random_states()
    first = net.predict_proba(X)
    assert np.array_equal(first, net.predict_proba(X))
    assert not any(m.training for m in net.module.modules())
    assert all(
        m(x) is x for m in net.module.modules() if isinstance(m, NoiseLayer) for x in [torch.ones(2, 3)]
    )
    assert random_states() == before


def random_states():
    return torch.get_rng_state().numpy().tobytes(), str(np.random.get_state()), random.getstate()  # noqa: NPY002


def pair_cover(names, size, seed):
    """Return sets of techniques in which every pair appears."""
    left, dice = set(itertools.combinations(sorted(names), 2)), random.Random(seed)
    while left:
        tries = [sorted({*dice.choice(sorted(left)), *dice.sample(sorted(names), size)}) for _ in range(20)]
        best = max(tries, key=lambda t: len(left & set(itertools.combinations(t, 2))))
        left -= set(itertools.combinations(best, 2))
        yield best


def combined(names, dice):
    attacks = [n for n in names if n in ATTACKS]
    chosen = [n for n in names if n not in ATTACKS] + ([dice.choice(attacks)] if attacks else [])
    return {k: v for n in chosen for k, v in settings(n).items()}


@pytest.mark.parametrize("task", ["2 classes", "3 classes", "numbers"])
def test_any_pair_of_techniques_trains_a_table_net(task):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 4)).astype(np.float32)
    X[3, 1] = np.nan
    y = {"2 classes": X[:, 0] > 0, "3 classes": np.arange(50) % 3, "numbers": X[:, 0] * 3 + 5}[task]
    kind = TabularNetRegressor if task == "numbers" else TabularNetClassifier
    names = {*BOTH, *ATTACKS} - ({"label_smoothing"} if task == "numbers" else set())
    dice = random.Random(1)
    for some in pair_cover(names, 7, 0):
        net = kind(hidden=(8, 8), epochs=2, batch_size=16, random_state=0, **combined(some, dice)).fit(X, y)
        assert np.isfinite(net.history_[:, "train_loss"]).all(), some
        assert all(torch.isfinite(p).all() for p in net.module.parameters()), some


@pytest.mark.parametrize("kind", [ConvNetClassifier, ConvNetRegressor])
def test_any_pair_of_techniques_trains_an_image_net(kind):
    X = np.random.default_rng(0).uniform(size=(24, 2, 5, 6))
    y = X.mean((1, 2, 3))
    y = y if kind is ConvNetRegressor else y > np.median(y)
    dice = random.Random(2)
    names = {*BOTH, *ATTACKS, *IMAGES} - ({"label_smoothing"} if kind is ConvNetRegressor else set())
    for some in pair_cover(names, 8, 0):
        net = kind(channels=(4, 4), epochs=1, batch_size=12, random_state=0, **combined(some, dice)).fit(X, y)
        assert np.isfinite(net.history_[:, "train_loss"]).all(), some


def test_label_smoothing_of_numbers_is_one_clear_error():
    with pytest.raises(
        SettingError, match=r"TabularNetRegressor\(label_smoothing=0.1\).*regression has none"
    ):
        TabularNetRegressor(label_smoothing=0.1).fit(np.eye(4), np.arange(4.0))


EVERYTHING = BOTH | {"adversarial": "pgd", "attack_steps": 2, "epsilon": 0.05}


@pytest.mark.parametrize("given", [{}, EVERYTHING, {"adversarial": "free"}, {"adversarial": "fgsm"}], ids=str)
def test_equal_seeds_give_equal_nets_and_global_generators_stay(given, cancer):
    X, y = cancer[0][:100], cancer[1][:100]
    before = random_states()
    nets = [
        TabularNetClassifier(hidden=(8, 8), epochs=3, batch_size=32, random_state=s, **given).fit(X, y)
        for s in (1, 1, 2)
    ]
    assert random_states() == before
    assert same_weights(nets[0], nets[1])
    assert not same_weights(nets[0], nets[2])


def test_global_seed_does_not_matter(cancer):
    nets = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            nets.append(
                ConvNetClassifier(channels=(4,), epochs=1, image_shape=(5, 6), dropout=0.2, random_state=0)
            )
            nets[-1].fit(cancer[0][:64], cancer[1][:64])
    assert same_weights(*nets)


@pytest.mark.parametrize(
    "given", [{}, EVERYTHING, {"adversarial": "free"}], ids=["plain", "everything", "free"]
)
def test_resumed_run_equals_the_unbroken_one(given, cancer, tmp_path):
    X, y = cancer[0][:100], cancer[1][:100]

    def net(epochs, callbacks=None):
        return TabularNetClassifier(
            hidden=(8, 8), epochs=epochs, batch_size=32, random_state=0, callbacks=callbacks, **given
        )

    def saved():
        return Checkpoint(monitor=None, dirname=str(tmp_path))

    whole = net(6).fit(X, y)
    net(2, [saved()]).fit(X, y)
    resumed = net(6, [LoadInitState(saved()), saved()]).fit(X, y)
    assert len(resumed.history_) == 6
    assert same_weights(whole, resumed)
    done = net(6, [LoadInitState(saved())]).fit(X, y)
    assert same_weights(whole, done)


def test_same_numbers_in_a_plain_loop_and_in_skorch(cancer):
    from hormesis.torch.adapters.loop import NoisyBatches

    X, y = cancer[0][:100], cancer[1][:100]
    made = {"hidden": (16,), "lr": 1e-3, "batch_size": 32, "random_state": 7}
    skorch = TabularNetClassifier(epochs=3, gaussian_noise=0.5, standardise="whole", **made).fit(X, y)
    start = TabularNetClassifier(epochs=0, standardise="whole", **made).fit(X, y)
    model = copy.deepcopy(start.module).train()
    rows = Rows(X, y)

    class Ordered(Batches):
        seed, epoch, dose, history = 7, 0, 1.0, ()

        def __iter__(self):
            self.net = self
            yield from super().__iter__()

    ordered = Ordered(rows, 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
    sigma = torch.full((X.shape[1],), float(torch.tensor(X).double().std(correction=0)))
    batches = NoisyBatches(ordered, GaussianLayer(0.5, scale=sigma), seed=7)
    for ordered.epoch in range(3):
        for x, target in batches:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), target).backward()
            optimizer.step()
    for a, b in zip(model.parameters(), skorch.module.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "given", [{}, EVERYTHING, {"adversarial": "free"}], ids=["plain", "everything", "free"]
)
def test_pickle_round_trip(given, cancer):
    X, y, X_test, _ = cancer
    net = TabularNetClassifier(hidden=(8, 8), epochs=2, random_state=0, **given).fit(X, y)
    again = pickle.loads(pickle.dumps(net))
    assert np.array_equal(net.predict_proba(X_test), again.predict_proba(X_test))
    assert len(again.history_) == 2


@pytest.mark.parametrize(
    "net", [TabularNetClassifier, TabularNetRegressor, ConvNetClassifier, ConvNetRegressor]
)
def test_all_settings_are_parameters_and_off_by_default(net):
    given = {k: v for k, v in (BOTH | IMAGES).items() if k in net().get_params()}
    changed = clone(net(**given))
    assert changed.get_params().items() >= given.items()
    assert clone(net().set_params(**given)).get_params() == changed.get_params()
    assert not any(net().get_params()[k] for k in given)
    assert all(word in net.__doc__ for word in given)
    assert set(net().get_params()) == {w for w in net().get_params() if w in net.__doc__}


@pytest.mark.parametrize(
    ("given", "said"),
    [({"dropout": 1.5}, r"TabularNetClassifier\(dropout=1.5\)"), ({"epochs": -1}, "epochs=-1"),
     ({"adversarial": "pdg"}, "Did you mean `pgd`"), ({"hidden": (0,)}, "hidden"),
     ({"standardise": "row"}, "'columns' or 'whole'")],
)  # fmt: skip
def test_wrong_settings_are_told(given, said):
    with pytest.raises(SettingError, match=said):
        TabularNetClassifier(**given).fit(np.eye(4), [0, 1, 0, 1])


def test_all_wrong_settings_are_told_at_once():
    with pytest.raises(SettingError, match=r"lr=0.*masking=2"):
        TabularNetClassifier(lr=0, masking=2).fit(np.eye(4), [0, 1, 0, 1])


def test_warmup_raises_doses_and_leaves_levels_as_they_were():
    seen = []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(next(m.level for m in net.module_.modules() if isinstance(m, NoiseLayer)))

    X = np.random.default_rng(0).normal(size=(20, 3))
    net = TabularNetClassifier(
        hidden=(4,), activation_noise=0.8, noise_warmup=4, epochs=6, callbacks=[Look()]
    )
    net.fit(X, X[:, 0] > 0)
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    assert next(m.level for m in net.module.modules() if isinstance(m, NoiseLayer)) == 0.8


def test_missing_values_are_answered_and_tell_the_net_something():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = rng.uniform(size=400) < 0.5
    X[y, 1] = np.nan
    net = TabularNetClassifier(epochs=20, random_state=0).fit(X, y)
    assert net.score(X, y) == 1.0
    assert (
        TabularNetClassifier(epochs=20, missing_indicator=False, random_state=0).fit(X, y).score(X, y) < 1.0
    )
    nothing = np.full((2, 3), np.nan)
    assert np.isfinite(net.predict_proba(nothing)).all()


def test_wild_values_and_constant_columns_are_answered():
    X = np.random.default_rng(0).normal(size=(100, 3))
    X[:, 2] = 0.1
    net = TabularNetClassifier(hidden=(8,), epochs=2, random_state=0).fit(X, X[:, 0] > 0)
    wild = np.array([[1e300, -1e30, 5.0]])
    assert np.isfinite(net.predict_proba(wild)).all()
    assert np.array_equal(net.predict_proba([[0.1, 0.2, 0.1]]), net.predict_proba([[0.1, 0.2, 900.0]]))


def test_mixed_frames_go_through_skrub():
    from skrub import TableVectorizer

    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(40, 10, 200), "city": rng.choice(["Bern", "Genf"], 200)})
    frame.loc[3, "age"] = None
    y = np.where((frame["city"] == "Bern") ^ (frame["age"] > 40), "yes", "no")
    model = make_pipeline(
        TableVectorizer(), TabularNetClassifier(epochs=60, gaussian_noise=0.05, random_state=0)
    )
    assert model.fit(frame, y).score(frame, y) > 0.9
    assert set(model.predict(frame)) == {"yes", "no"}
    with pytest.raises(DataError, match=r"Column `city` holds no numbers.*TableVectorizer"):
        TabularNetClassifier().fit(frame, y)


def test_frames_of_numbers_and_recipes_by_column_name():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    seen = []

    class Look(Callback):
        def on_batch_end(self, net, batch=None, training=False, **kwargs):
            seen.append((batch[0] - batch[1]["clean"]).abs().sum(0))

    recipe = hz.Recipe([GaussianNoise(0.5, columns=["bmi"]), MissingValues(0.1, columns=["age"])])
    net = TabularNetRegressor(
        hidden=(16,), epochs=2, batch_size=1000, recipe=recipe, callbacks=[Look()], random_state=0
    )
    net.fit(X, y)
    moved = torch.stack(seen)
    touched = [list(X.columns)[j] for j in range(10) if not torch.equal(moved[:, j], torch.zeros(2))]
    assert touched == ["age", "bmi"]
    assert not torch.equal(moved[0, 2], moved[1, 2])


def test_label_noise_in_a_recipe_reaches_the_targets_alone():
    X, y = load_breast_cancer(return_X_y=True)
    seen = []

    class Look(Callback):
        def on_batch_end(self, net, batch=None, training=False, **kwargs):
            assert torch.equal(batch[0], batch[1]["clean"])
            seen.append((batch[1]["target"] != batch[1]["labels"]).float().mean())

    labels = np.array(["bad", "good"])[y]
    net = TabularNetClassifier(
        hidden=(4,), epochs=1, batch_size=1000, recipe=LabelFlips(0.3), callbacks=[Look()]
    )
    net.set_params(random_state=0).fit(X, labels)
    n = len(y)
    assert abs(float(seen[0]) - 0.3) < 4.9 * np.sqrt(0.3 * 0.7 / n)
    assert set(net.predict(X)) <= {"bad", "good"}


def test_share_of_rows_stays_clean():
    from hormesis.torch.nets.techniques import GaussianInput, KeepClean, Step, chain

    x, y = torch.zeros(10_000, 2), torch.zeros(10_000).long()
    step = Step(torch.nn.Identity(), x, y, x, y, None, generator(0, "t"), 1.0, torch.sub)
    chain([GaussianInput(1.0, torch.ones(2)), KeepClean(0.3)], id)(step)
    clean = (step.x == 0).all(1).double().mean().item()
    assert abs(clean - 0.3) < 4.9 * (0.3 * 0.7 / 10_000) ** 0.5


def test_weights_of_rows_count():
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(50, 2)), 2, axis=0)
    y = np.tile([0, 1], 50)
    net = TabularNetClassifier(hidden=(8,), epochs=100, lr=1e-2, random_state=0)
    assert net.fit(X, y, sample_weight=np.where(y == 1, 9.0, 1.0)).predict(X).mean() == 1
    assert abs(net.predict_proba(X)[:, 1].mean() - 0.9) < 0.05


def test_early_stopping_keeps_the_best_net():
    X, y = load_breast_cancer(return_X_y=True)
    net = TabularNetClassifier(epochs=300, early_stopping=True, patience=5, lr=1e-2, random_state=0).fit(X, y)
    losses = net.history_[:, "valid_loss"]
    assert 5 < net.n_iter_ < 300
    assert min(losses) == losses[-6]


def test_image_shapes():
    rng = np.random.default_rng(0)
    flat = rng.uniform(size=(20, 24))
    y = flat.mean(1) > 0.5
    net = ConvNetClassifier(channels=(4,), epochs=1, random_state=0)
    square = clone(net).set_params(image_shape=(4, 6)).fit(flat, y)
    assert np.array_equal(
        square.predict_proba(flat),
        clone(net).fit(flat.reshape(20, 4, 6), y).predict_proba(flat.reshape(20, 4, 6)),
    )
    colour = clone(net).set_params(image_shape=(2, 3, 4)).fit(flat, y)
    assert colour.predict_proba(flat.reshape(20, 2, 3, 4)).shape == (20, 2)
    with pytest.raises(DataError, match="image_shape=None"):
        net.fit(flat, y)


def test_stress_finds_break_points_of_a_net_with_gradients_and_missing_values(cancer):
    X, y, X_test, y_test = cancer
    net = TabularNetClassifier(epochs=10, random_state=0).fit(X, y)
    found = hz.stress(
        net, X_test, y_test, noises=[MissingValues(), PGD(steps=3)], scoring="accuracy", progress=False
    )
    assert [len(c.levels) > 1 for c in found.curves] == [True, True]


def test_noise_hardens_a_net():
    X, y = load_digits(return_X_y=True)
    train, X_test, truth, y_test = train_test_split(
        (X / 16).astype(np.float32), y, test_size=0.4, random_state=0
    )
    made = {"epochs": 20, "standardise": "whole", "random_state": 0}
    plain, hard = (
        attacked(TabularNetClassifier(**made, **given).fit(train, truth), X_test, y_test)
        for given in ({}, {"gaussian_noise": 0.4 / train.std()})
    )
    won, lost = (hard & ~plain).sum(), (plain & ~hard).sum()
    assert (won - lost) / np.sqrt(won + lost) > 4.9


def attacked(net, X, y):
    moved = PGD(0.1).perturb(net.module, torch.tensor(X), torch.tensor(y), generator=0)
    return net.predict(moved.numpy()) == y


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    "given", [{}, EVERYTHING, {"adversarial": "free"}], ids=["plain", "everything", "free"]
)
def test_trains_on_a_gpu_and_is_read_without_one(given, cancer):
    X, y, X_test, y_test = cancer
    net = TabularNetClassifier(hidden=(16, 16), device="cuda", random_state=0, **given).fit(X, y)
    assert next(net.module.parameters()).is_cuda
    assert net.score(X_test, y_test) > 0.85


class Halt(Callback):
    """Press Ctrl-C in an epoch."""

    def __init__(self, epoch=2):
        self.epoch = epoch

    def on_batch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


def test_ctrl_c_reaches_the_caller_and_the_net_stays_as_after_fewer_epochs(cancer, tmp_path):
    X, y = cancer[0][:100], cancer[1][:100]
    saved = Checkpoint(f_pickle="net.pkl", dirname=str(tmp_path), monitor=None)
    net = TabularNetClassifier(hidden=(8,), epochs=9, callbacks=[saved, Halt(3)], random_state=0)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y)
    assert net.n_iter_ == 3
    short = clone(net).set_params(epochs=2, callbacks=None).fit(X, y)
    assert np.array_equal(net.predict_proba(X), short.predict_proba(X))
    assert "fit_loop" not in vars(net.net_)
    assert not net.module.training
    with pytest.raises(KeyboardInterrupt):
        cross_val_score(net, X, y, cv=2)


def test_callbacks_that_end_training_are_no_interruption(cancer):
    X, y = cancer[0][:100], cancer[1][:100]
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10.0, sink=lambda *_: None)
    assert TabularNetClassifier(hidden=(8,), epochs=9, callbacks=[stop], random_state=0).fit(X, y).n_iter_ < 9


@pytest.mark.parametrize("batch_size", [64, 1000])
@pytest.mark.parametrize("epochs", [1, 5])
def test_diverged_training_is_an_error_and_nothing_is_fitted(epochs, batch_size):
    X, y = load_diabetes(return_X_y=True)
    net = TabularNetRegressor(hidden=(8,), epochs=epochs, batch_size=batch_size, random_state=0).fit(X, y)
    with pytest.raises(ModelError, match=r"epoch 1 the loss is not finite|not finite; lower lr=1e\+30"):
        net.set_params(lr=1e30).fit(X, y)
    with pytest.raises(NotFittedError):
        net.predict(X)
    with pytest.raises(NotFittedError):
        check_is_fitted(net)


def test_infinity_in_a_frame_is_refused_and_nan_is_not():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=list("abc"))
    y, wild, gone = (X["a"] > 0).to_numpy(), X.copy(), X.copy()
    wild.loc[3, "b"], gone.loc[3, "b"] = -np.inf, np.nan
    net = TabularNetClassifier(hidden=(4,), epochs=1, random_state=0).fit(gone, y)
    assert np.isfinite(net.predict_proba(gone)).all()
    assert np.isfinite(net.predict_proba(X * 1e300)).all()
    with pytest.raises(DataError, match="infinity"):
        net.predict(wild)
    with pytest.raises(DataError, match="infinity"):
        clone(net).fit(wild, y)


def test_negative_weights_are_refused():
    with pytest.raises(DataError, match="goes down to -1: weights are 0 or more"):
        TabularNetClassifier(epochs=1).fit(np.eye(4), [0, 1, 0, 1], sample_weight=[1.0, 1.0, -1.0, 1.0])


def test_strings_and_percents_are_told_with_the_others():
    said = r"epochs='8'\)`: expected the int 8, not a string.*gaussian_noise='0.1'.*dropout=20\)`.*did you mean 0.2\?"
    with pytest.raises(SettingError, match=said):
        TabularNetClassifier(epochs="8", gaussian_noise="0.1", dropout=20).fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(SettingError, match="the whole number 8"):
        TabularNetClassifier(epochs=8.0).fit(np.eye(4), [0, 1, 0, 1])
