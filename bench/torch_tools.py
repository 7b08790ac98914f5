"""What the torch bench measures with: clocks, counters of passes, nets, bundled data."""

import copy
import gc
import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

Side = Callable[[], Any]


@dataclass(frozen=True)
class Lap:
    """The median of the rounds of one side: CPU seconds per call, and ratios to the first side of the same round."""

    seconds: float
    ratio: float
    wall_ratio: float


def once(side: Side, calls: int) -> tuple[float, float]:
    """Return wall and CPU seconds per call."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        side()
    return (time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls


def race(sides: Mapping[str, Side], rounds: int = 7, least: float = 0.01) -> dict[str, Lap]:
    """Time all sides in turn, round after round; the first is what the others are compared with."""
    calls = {}
    for name, side in sides.items():
        side()
        calls[name] = max(1, int(least / max(once(side, 1)[0], 1e-7)))
    gc.collect()
    laps = [{name: once(side, calls[name]) for name, side in sides.items()} for _ in range(rounds)]
    first = next(iter(sides))
    return {
        name: Lap(
            statistics.median(lap[name][1] for lap in laps),
            statistics.median(lap[name][1] / lap[first][1] for lap in laps),
            statistics.median(lap[name][0] / lap[first][0] for lap in laps),
        )
        for name in sides
    }


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a Markdown table."""
    print("\n| " + " | ".join(head) + " |\n|---" + "|--:" * (len(head) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


@dataclass
class Passes:
    """How often a model ran, forwards and backwards, in calls and in rows; two outputs in one backward call are one."""

    forwards: int = 0
    calls: set[int] = field(default_factory=set)
    rows_forward: int = 0
    rows_backward: int = 0
    weight_gradients: bool = False

    @property
    def backwards(self) -> int:
        """Calls of backward (or of `autograd.grad`) that went through the model."""
        return len(self.calls)


class Counted(nn.Module):
    """A model that counts its passes; `passes` is set anew to start again."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = model
        self.passes = Passes()
        for weight in model.parameters():
            weight.register_hook(self._weight)

    def _weight(self, gradient: Tensor) -> None:  # noqa: ARG002
        self.passes.weight_gradients = True

    def forward(self, x: Tensor) -> Tensor:
        self.passes.forwards += 1
        self.passes.rows_forward += len(x)
        out: Tensor = self.inner(x)
        if out.requires_grad:
            out.register_hook(self._back)
        return out

    def _back(self, gradient: Tensor) -> None:
        self.passes.calls.add(torch._C._current_graph_task_id())
        self.passes.rows_backward += len(gradient)


@dataclass
class Witness:
    """What a call left behind in a model in training, with one BatchNorm frozen and gradients of the user's."""

    model: nn.Module
    state: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, model: nn.Module, x: Tensor, y: Tensor) -> "Witness":
        """Prepare a copy of the model as a user has it in the middle of a training step."""
        model = copy.deepcopy(model).train()
        next(part for part in model.modules() if isinstance(part, nn.BatchNorm2d)).eval()
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        witness = cls(model)
        witness.state = witness.now()
        return witness

    def now(self) -> dict[str, Any]:
        """Return what must not change."""
        return {
            "modes": [m.training for m in self.model.modules()],
            "needs grad": [w.requires_grad for w in self.model.parameters()],
            "buffers": [b.clone() for b in self.model.buffers()],
            "gradients": [w.grad.clone() for w in self.model.parameters() if w.grad is not None],
            "random": [torch.get_rng_state(), torch.from_numpy(np.random.get_state()[1].copy())],  # type: ignore[index,union-attr]
        }

    def changed(self) -> list[str]:
        """Name what did change."""
        return [name for name, old in self.state.items() if not _same(old, self.now()[name])]


def _same(old: list[Any], new: list[Any]) -> bool:
    if len(old) != len(new):
        return False
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in zip(old, new, strict=True))


def mlp(*sizes: int) -> nn.Module:
    """Return a net of dense layers with ReLU between them; it flattens its input."""
    layers: list[nn.Module] = [nn.Flatten()]
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        layers += [nn.ReLU()] * (i > 0) + [nn.Linear(a, b)]
    return nn.Sequential(*layers)


def cnn(channels: int = 1, classes: int = 10, pool: int = 2) -> nn.Module:
    """Return two convolutions of 16 and 32 channels with BatchNorm, pooling, and one dense layer."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(8 // pool),
        nn.Flatten(),
        nn.Linear(32 * (8 // pool) ** 2, classes),
    )


def trained(model: nn.Module, x: Tensor, y: Tensor, epochs: int) -> nn.Module:
    """Train with Adam on batches of 128 and return the model in eval mode."""
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model.eval()


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the share of rows predicted right."""
    with torch.no_grad():
        return float((model(x).argmax(1) == y).double().mean())


def split(bunch: Any, scale: Callable[[Any, Any], Any], shape: tuple[int, ...]) -> tuple[Tensor, ...]:
    """Return training and test features and labels, two fifths of the rows for testing."""
    parts = train_test_split(bunch.data, bunch.target, test_size=0.4, random_state=0, stratify=bunch.target)
    a, b = (
        torch.tensor(scale(part, parts[0]), dtype=torch.float32).reshape(-1, *shape) for part in parts[:2]
    )
    return a, b, torch.tensor(parts[2]), torch.tensor(parts[3])


def digits() -> tuple[Tensor, ...]:
    """Return the digits as images in [0, 1]: 1,078 to train with, 719 to test with."""
    return split(load_digits(), lambda part, _: part / 16, (1, 8, 8))


def cancer() -> tuple[Tensor, ...]:
    """Return breast cancer, standardised: 341 rows to train with, 228 to test with."""
    return split(load_breast_cancer(), lambda part, train: (part - train.mean(0)) / train.std(0), (30,))
