"""Fingerprints of models: the same for the same model in any process, another for anything that changes its answers."""

import copy
import functools
import importlib
import os
import pickle
import subprocess
import sys
import threading
import types
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from hormesis.engine.fingerprints import fingerprint_model
from hormesis.errors import SettingError
from hormesis.guard import Guard
from hormesis.models import default_model


def frame(seed=0, n=150):
    rng = np.random.default_rng(seed)
    days = pd.to_timedelta(rng.integers(0, 1000, n), "D")
    X = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": rng.normal(size=n),
            "kind": rng.choice(["x", "y", "z"], n),
            "day": pd.Timestamp("2020-01-01") + days,
        }
    )
    return X, (X["a"] + rng.normal(size=n) > 0).to_numpy().astype(int)


def numbers(X):
    return X[["a", "b"]].to_numpy(np.float32)


def lightgbm_model():
    return pytest.importorskip("lightgbm").LGBMClassifier(n_estimators=10, verbose=-1, random_state=0)


def xgboost_model():
    return pytest.importorskip("xgboost").XGBClassifier(n_estimators=10, random_state=0)


def net_model():
    torch = pytest.importorskip("torch")
    skorch = pytest.importorskip("skorch")
    torch.manual_seed(0)
    layers = [torch.nn.Linear(2, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(), torch.nn.Linear(8, 2)]
    net = torch.nn.Sequential(*layers, torch.nn.Softmax(-1))
    return skorch.NeuralNetClassifier(net, max_epochs=2, verbose=0, criterion=torch.nn.NLLLoss)


def text_model():
    words = FunctionTransformer(words_of)
    return make_pipeline(words, TfidfVectorizer(), LogisticRegression())


def words_of(X):
    return [f"word{a:.0f} word{b:.0f}" for a, b in X]


MODELS = {
    "linear": LogisticRegression,
    "forest": lambda: RandomForestClassifier(10, random_state=0, n_jobs=2),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=10, early_stopping=True, random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=10, random_state=0),
    "lightgbm": lightgbm_model,
    "xgboost": xgboost_model,
    "neighbours": KNeighborsClassifier,
    "support": lambda: make_pipeline(StandardScaler(), CalibratedClassifierCV(SVC())),
    "perceptron": lambda: MLPClassifier(max_iter=10, random_state=0),
    "search": lambda: GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3),
    "text": text_model,
    "net": net_model,
    "guarded": lambda: make_pipeline(Guard(), StandardScaler(), LogisticRegression()),
}


def fitted(name, seed=0):
    X, y = frame(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "default":
            return default_model("classification").fit(X, y), X
        return MODELS[name]().fit(numbers(X), y), numbers(X)


@pytest.mark.parametrize("name", [*MODELS, "default"])
def test_the_same_after_predicting_and_pickling_and_another_after_refitting(name):
    model, X = fitted(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = fingerprint_model(model)
        assert fingerprint_model(pickle.loads(pickle.dumps(model))) == first
        assert fingerprint_model(copy.deepcopy(model)) == first
        model.predict(X)
        model.predict_proba(X[:20])
        assert fingerprint_model(model) == first
        assert fingerprint_model(pickle.loads(pickle.dumps(model))) == first
    assert fingerprint_model(fitted(name)[0]) == first
    assert fingerprint_model(fitted(name, seed=1)[0]) != first


IN_ANOTHER = """
import sys
sys.path.insert(0, sys.argv[1])
import pytest
from test_fingerprints import MODELS, fitted, fingerprint_model, callables
for name in [*MODELS, "default"]:
    try:
        print(name, fingerprint_model(fitted(name)[0]))
    except pytest.skip.Exception:
        pass
for name, call in callables().items():
    print(name, fingerprint_model(call))
"""


def test_the_same_in_another_process_with_another_order_of_sets():
    here = os.path.dirname(__file__)  # noqa: PTH120
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_ANOTHER, here],
        env={**os.environ, "PYTHONHASHSEED": "12"},
        capture_output=True,
        text=True,
        check=True,
    )
    there = dict(line.rsplit(" ", 1) for line in run.stdout.splitlines())
    here = {name: fingerprint_model(call) for name, call in callables().items()}
    here |= {name: fingerprint_model(fitted(name)[0]) for name in there if name not in here}
    assert len(here) > 12
    assert there == here


class Linear(BaseEstimator, ClassifierMixin):
    def __init__(self, words=("a",)):
        self.words = words

    def predict(self, X):
        return (numbers(X)[:, 0] > LIMIT).astype(int)


LIMIT = 0.5
CHOICES = {"red", "green", "blue", None, 3, (1, "a")}


def callables():
    """Return callables whose state is a set, a closure, a default, a global, a partial and a method."""
    limit = 0.25
    return {
        "set": functools.partial(lambda X, among: X in among, among=CHOICES),
        "closure": lambda X: limit < X,
        "global": lambda X: X > LIMIT and words_of(X),
        "partial": functools.partial(np.clip, a_min=0, a_max=1),
        "method": Linear().predict,
        "builtin": len,
        "ufunc": np.add,
        "installed": pd.DataFrame.mean,
    }


def made(source, name="f", **space):
    """Return what some source text defines, as a module of the user's would."""
    held = {"__name__": "theirs", "np": np, **space}
    exec(source, held)
    return held[name]


FUNCTION = """
def helper(x):
    return x + 1
def f(X, top=2):
    def inner(v):
        return helper(v) * SCALE
    return inner(X[:top]) > 3
"""
EDITS = {
    "constant": ("> 3", "> 4"),
    "operator": ("inner(v)", "inner(v, /)"),
    "default": ("top=2", "top=3"),
    "inner": ("* SCALE", "/ SCALE"),
    "helper": ("x + 1", "x + 2"),
    "name": ("X[:top]", "X.top"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_a_function_is_another_model(edit):
    first = fingerprint_model(made(FUNCTION, SCALE=2.0))
    assert fingerprint_model(made(FUNCTION, SCALE=2.0)) == first
    assert fingerprint_model(made("\n\n" + FUNCTION, SCALE=2.0)) == first  # moved down in its file
    edited = FUNCTION.replace(*EDITS[edit])
    assert edited != FUNCTION
    assert fingerprint_model(made(edited, SCALE=2.0)) != first


def test_what_a_function_reads_is_part_of_it():
    first = fingerprint_model(made(FUNCTION, SCALE=2.0))
    assert fingerprint_model(made(FUNCTION, SCALE=2.5)) != first
    assert fingerprint_model(made(FUNCTION, SCALE=2.0, unused=threading.Lock())) == first

    def closed(limit):
        return lambda X: limit < X

    assert fingerprint_model(closed(1)) == fingerprint_model(closed(1))
    assert len({fingerprint_model(closed(limit)) for limit in (1, 2, 1.0, True, np.array([1]))}) == 5
    assert fingerprint_model(lambda X, *, a=1: X + a) != fingerprint_model(lambda X, *, a=2: X + a)


CLASS = """
class Base:
    def score(self, X):
        return helper(X)
def helper(X):
    return X > LIMIT
class f(Base):
    scale = 2
    def __init__(self, learnt):
        self.learnt = learnt
    @property
    def half(self):
        return self.learnt / 2
    @staticmethod
    def shift(X):
        return X + 1
    @functools.lru_cache
    def cached(self, X):
        return X * 3
    def __call__(self, X):
        return self.score(X)
"""


@pytest.mark.parametrize(
    "edit",
    [
        ("> LIMIT", ">= LIMIT"),
        ("scale = 2", "scale = 3"),
        ("/ 2", "/ 3"),
        ("X + 1", "X + 2"),
        ("X * 3", "X * 4"),
    ],
)
def test_an_edit_of_a_class_or_of_what_it_calls_is_another_model(edit):
    space = {"LIMIT": 1, "functools": functools}
    first = fingerprint_model(made(CLASS, **space)(1.5))
    assert fingerprint_model(made(CLASS, **space)(1.5)) == first
    assert fingerprint_model(made(CLASS, **space)(1.6)) != first
    assert CLASS.replace(*edit) != CLASS
    assert fingerprint_model(made(CLASS.replace(*edit), **space)(1.5)) != first
    assert fingerprint_model(made(CLASS, **{**space, "LIMIT": 2})(1.5)) != first


@pytest.mark.parametrize(
    "how", ["import theirs.rules", "from theirs import rules", "from theirs.rules import cut"]
)
def test_an_edit_of_a_module_that_a_function_uses_is_another_model(tmp_path, monkeypatch, how):
    package = tmp_path / "theirs"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "rules.py").write_text(
        "".join(f"v{i} = {i}\n" for i in range(300))  # so many names that bytecode needs longer arguments
        + "from theirs.limits import LIMIT\nimport theirs.limits\ndef cut(X): return X > LIMIT\n"
    )
    (package / "limits.py").write_text("LIMIT = 1\n")
    call = {"import theirs.rules": "theirs.rules.cut(X)", "from theirs import rules": "rules.cut(X)"}.get(
        how, "cut(X)"
    )
    monkeypatch.syspath_prepend(tmp_path)
    seen = []
    for limit, inside in ((1, False), (1, False), (22, False), (1, True), (1, True), (22, True)):
        (package / "limits.py").write_text(f"LIMIT = {limit}\n")
        for name in [n for n in sys.modules if n.startswith("theirs")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        lines = (
            f"def f(X):\n    {how}\n    return {call}" if inside else f"{how}\ndef f(X):\n    return {call}"
        )
        f = made(lines)
        seen.append(fingerprint_model(f))
        f(np.zeros(3))
        assert fingerprint_model(f) == seen[-1]
    assert seen[0] == seen[1] != seen[2]
    assert seen[3] == seen[4] != seen[5]
    for name in [n for n in sys.modules if n.startswith("theirs")]:
        del sys.modules[name]


def test_settings_are_part_of_a_model():
    one = LogisticRegression(C=1.0).fit([[0.0], [1.0]], [0, 1])
    other = copy.deepcopy(one).set_params(C=2.0)
    assert fingerprint_model(one) != fingerprint_model(other)
    assert fingerprint_model(Linear()) != fingerprint_model(Linear(words=("b",)))


def test_equal_values_are_equal_however_they_lie_in_memory():
    grid = np.arange(12.0).reshape(3, 4)
    shared = [1.5, "a"]
    pairs = [
        (grid.T, np.ascontiguousarray(grid.T)),
        (grid[:, ::2], grid[:, ::2].copy()),
        ([shared, shared], [shared, list(shared)]),
        ([grid, grid], [grid, grid.copy()]),
        ({"a": 1, "b": np.dtype("f8")}, {"a": 1, "b": pickle.loads(pickle.dumps(np.dtype("f8")))}),
        (np.array(["a", None], dtype=object), np.array(["a", None], dtype=object)),
        (set("abc"), set("cba")),
    ]
    for one, other in pairs:
        assert fingerprint_model(Linear(one)) == fingerprint_model(Linear(other))
    padded = [
        np.frombuffer(fill * 32, np.uint8).copy().view(np.dtype("u1, f8", align=True))
        for fill in (b"\0", b"\1")
    ]
    for array in padded:
        array["f0"], array["f1"] = 1, 2
    assert padded[0].tobytes() != padded[1].tobytes()
    assert fingerprint_model(Linear(padded[0])) == fingerprint_model(Linear(padded[1]))


def test_values_that_differ_at_all_differ():
    values = [
        1,
        1.0,
        True,
        "1",
        b"1",
        None,
        (1,),
        [1],
        {1},
        frozenset([1]),
        {1: 1},
        np.int64(1),
        np.float64(1),
    ]
    values += [
        np.array(1),
        np.array([1]),
        np.array([[1]]),
        np.array([1.0]),
        np.array([1], np.int32),
        np.array(["1"]),
    ]
    values += [
        np.array([1], object),
        0.0,
        -0.0,
        float("nan"),
        {"a": 1, "b": 2},
        {"b": 2, "a": 1},
        [[1], []],
        [[], [1]],
    ]
    values += [
        types.SimpleNamespace(a=1),
        range(1),
        slice(1),
        np.dtype("i8"),
        int,
        np.int64,
        pd.Timestamp(1),
        pd.NA,
    ]
    values += [pd.Series([1]), pd.Series([1], name="a"), pd.Series([1], index=[1]), pd.DataFrame({"a": [1]})]
    assert len({fingerprint_model(Linear(v)) for v in values}) == len(values)


def test_what_is_remembered_while_predicting_does_not_count():
    source = """
import functools
class f:
    @functools.cached_property
    def table(self): return [1, 2]
    @functools.singledispatchmethod
    def part(self, X): return X
    @functools.lru_cache
    def slow(self, X): return X
    def __call__(self, X): return self.table, several(X), self.slow(X)
@functools.singledispatch
def several(X): return X
"""
    model = made(source)()
    first = fingerprint_model(model)
    model(3)
    model(4)
    assert "table" in vars(model)
    assert fingerprint_model(model) == first
    assert fingerprint_model(made(source.replace("[1, 2]", "[1, 3]"))()) != first


def test_cycles_end():
    one, other = [1], [1]
    one.append(one)
    other.append(other)
    assert (
        fingerprint_model(Linear(one))
        == fingerprint_model(Linear(other))
        != fingerprint_model(Linear([1, [1]]))
    )


@pytest.mark.parametrize("held", [threading.Lock(), (i for i in ()), sys.stdout, memoryview(b"")])
def test_what_cannot_be_compared_is_refused_in_words(held):
    with pytest.raises(
        SettingError, match=f"type `{type(held).__name__}`, which cannot be .* Leave out `store`"
    ):
        fingerprint_model(Linear(held))


def test_objects_too_deep_are_refused_in_words():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SettingError, match="objects inside objects without end"):
        fingerprint_model(Linear(deep))
    while deep:  # a chain so long is taken down link by link
        deep = deep.pop()


def test_versions_of_the_packages_used_are_part_of_it(monkeypatch):
    from hormesis.engine import fingerprints

    seen = []
    real = fingerprints.version_of
    monkeypatch.setattr(fingerprints, "version_of", lambda name: seen.append(name) or real(name))
    first = fingerprint_model(fitted("linear")[0])
    assert {"numpy", "scipy", "sklearn", "pandas", "hormesis"} <= set(seen)
    assert "skrub" not in seen
    monkeypatch.setattr(fingerprints, "version_of", lambda name: "9.9" if name == "sklearn" else real(name))
    assert fingerprint_model(fitted("linear")[0]) != first
    seen.clear()
    monkeypatch.setattr(fingerprints, "version_of", lambda name: seen.append(name) or real(name))
    fingerprint_model(fitted("default")[0])
    assert "skrub" in seen
    # a compiled module of an older scikit-learn calls itself `_loss`: that of scikit-learn stands for it
    assert all(real(name) for name in seen if name != "_loss")


class TestNets:
    def net(self):
        torch = pytest.importorskip("torch")
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout())

    def test_weights_and_buffers_count_and_hooks_by_what_they_do(self):
        net, other = self.net(), self.net()
        first = fingerprint_model(net)
        assert fingerprint_model(other) == first
        assert fingerprint_model(pickle.loads(pickle.dumps(net))) == first
        other[1].running_mean[0] += 1
        assert fingerprint_model(other) != first
        for n in (net, other := self.net()):
            n[0].register_forward_hook(hook)
        assert first != fingerprint_model(net) == fingerprint_model(other)

    def test_the_mode_counts_only_where_predictions_leave_it_as_it_is(self):
        pytest.importorskip("torch")
        from hormesis.models import as_model

        net = self.net()
        X, y = numbers(frame()[0]), np.arange(150) % 3
        plain, model = fingerprint_model(net), fingerprint_model(as_model(net, X, y))
        as_model(net, X, y).predict(X)
        assert fingerprint_model(as_model(net, X, y)) == model
        net.eval()
        assert fingerprint_model(as_model(net, X, y)) == model
        assert fingerprint_model(net) != plain

    def test_tensors_by_kind_shape_and_value(self):
        torch = pytest.importorskip("torch")
        x = torch.arange(4)
        values = [
            x,
            x.float(),
            x.bfloat16(),
            x.half(),
            x.reshape(2, 2),
            x + 1,
            x[:0],
            x[0],
            torch.tensor(True),
        ]
        prints = [fingerprint_model(Linear(v)) for v in values]
        assert len(set(prints)) == len(values)
        assert fingerprint_model(Linear(x.reshape(2, 2).T)) == fingerprint_model(
            Linear(x.reshape(2, 2).T.contiguous())
        )
        assert fingerprint_model(Linear(x.float().to_sparse())) == fingerprint_model(Linear(x.float()))

    def test_a_graphics_card_is_another_place_than_the_processor(self):
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("no graphics card")
        net = self.net()
        first = fingerprint_model(net)
        there = fingerprint_model(net.cuda())
        assert there != first
        assert fingerprint_model(net.cuda()) == there
        assert fingerprint_model(net.cpu()) == first

    def test_a_scripted_net_is_refused_in_words(self):
        torch = pytest.importorskip("torch")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scripted = torch.jit.script(self.net())
        with pytest.raises(SettingError, match=r"a net compiled by torch\.jit"):
            fingerprint_model(scripted)


def hook(module, args, output):
    return output


def test_compiled_functions_by_what_was_compiled():
    numba = pytest.importorskip("numba")
    source = "def f(X): return X + 1"
    first = fingerprint_model(numba.njit(made(source)))
    assert fingerprint_model(numba.njit(made(source))) == first
    assert fingerprint_model(numba.njit(made(source.replace("1", "2")))) != first
