"""How `hormesis.torch` stands beside torchattacks, foolbox, ART, secml-torch, AutoAttack and timm, in one run on one core.

Every round times all sides in turn; tables give medians over rounds and the ratio to the least that could be done. A library
that cannot be imported is named with its error and left out. `python bench/torch_peers.py` takes some four minutes on an idle core;
`--only passes speed` picks tables.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import importlib.metadata
import logging
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import torch_rivals as rivals
from torch_rivals import Plan, ours
from torch_tools import (
    Counted,
    Lap,
    Witness,
    accuracy,
    cancer,
    cnn,
    digits,
    mlp,
    race,
    table,
    trained,
)

PLAN = Plan(0.1, 0.025, 10)
LIBRARIES = (
    "hormesis",
    "torch",
    "torchattacks",
    "foolbox",
    "adversarial-robustness-toolbox",
    "secml-torch",
    "autoattack",
    "pyautoattack",
    "timm",
)


def versions() -> None:
    """Print what is compared."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    load = " ".join(f"{part:.2f}" for part in os.getloadavg())
    print(f"{'; '.join(found)}. One thread; load average at the start {load}.")


def images(rows: int, channels: int = 1, side: int = 8) -> tuple[Tensor, Tensor]:
    """Return random images and labels."""
    torch.manual_seed(0)
    return torch.rand(rows, channels, side, side), torch.randint(10, (rows,))


def passes() -> None:
    """Print passes per call and what a call leaves behind in a model that is being trained."""
    x, y = images(32)
    rows = []
    for name in rivals.SIDES:
        cells = [name, "-", "-", "-", "-"]
        for i, steps in enumerate((0, 10)):
            counted = Counted(cnn()).eval()
            call = rivals.side(name, counted, Plan(0.1, 0.025, steps))
            if call is not None:
                call(x, y, 0)
                counted.passes = type(counted.passes)()
                call(x, y, 0)
                cells[1 + i] = f"{counted.passes.forwards} / {counted.passes.backwards}"
                cells[3] = "yes" if counted.passes.weight_gradients else "no"
        cells[4] = left_behind(name, x, y)
        rows.append(cells)
    print("\n### Passes forward / backward of one call, and what it leaves changed")
    table(("", "FGSM", "PGD-10", "weight gradients computed", "changed afterwards"), rows)


def left_behind(name: str, x: Tensor, y: Tensor) -> str:
    """Return what a library's PGD changes in a model in the middle of a training step."""
    witness = Witness.of(cnn(), x, y)
    with warnings.catch_warnings(record=True):
        if (call := rivals.side(name, witness.model, PLAN)) is None:
            return "-"
        witness.state = witness.now()
        call(x, y, None)
    return ", ".join(witness.changed()) or "nothing"


def cell(lap: Lap | None) -> str:
    """Return a lap as ratios of CPU and wall time and CPU milliseconds."""
    return "-" if lap is None else f"{lap.ratio:.2f}x / {lap.wall_ratio:.2f}x ({1e3 * lap.seconds:.2f} ms)"


def speed() -> None:
    """Print the time of PGD-10."""
    nets: dict[str, tuple[nn.Module, Tensor, Tensor]] = {
        "MLP 20-64-4, b64": (mlp(20, 64, 4), torch.rand(64, 20), torch.randint(4, (64,))),
        "MLP 64-256-256-10, b128": (mlp(64, 256, 256, 10), *images(128)),
        "MLP 64-256-256-10, b256": (mlp(64, 256, 256, 10), *images(256)),
        "CNN 16/32 + BN 8x8, b256": (cnn(), *images(256)),
    }
    laps = []
    for net, x, y in nets.values():
        calls = {name: rivals.side(name, net.eval(), PLAN) for name in rivals.SIDES}
        laps.append(race({name: _bind(call, x, y) for name, call in calls.items() if call}, 7, 0.03))
    rows = [[name, *(cell(lap.get(name)) for lap in laps)] for name in rivals.SIDES]
    print("\n### PGD-10: ratio to the bare loop, CPU / wall (CPU of a call)")
    table(("", *nets), rows)


def _bind(call: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return lambda: call(*arguments)


def scores(nets: dict[str, nn.Module], x: Tensor, y: Tensor) -> None:
    """Print robust accuracy on digits, same seeds everywhere."""
    rows = []
    for name in rivals.SIDES:
        cells = [name]
        for net in nets.values():
            for steps in (0, 10):
                call = rivals.side(name, net, Plan(0.1, 0.025, steps))
                seeds = (0,) if not steps else (0, 1, 2)
                cells.append(
                    " ".join(f"{accuracy(net, call(x, y, s), y):.4f}" for s in seeds) if call else "-"
                )
        rows.append(cells)
    clean = ", ".join(f"{name} {accuracy(net, x, y):.4f}" for name, net in nets.items())
    print(
        f"\n### Robust accuracy, digits, {len(x)} test images, eps 0.1, step eps/4, seeds 0 1 2; clean: {clean}"
    )
    table(("", *(f"{n} {a}" for n in nets for a in ("FGSM", "PGD-10"))), rows)


Strong = Callable[[nn.Module, Tensor, Tensor], Tensor]


def strong_sides() -> dict[str, Strong]:
    """Return the strongest attacks, each as a function of model and batch."""
    made: dict[str, Strong] = {}
    space = ours("Space") and ours("Space")(0.0, 1.0)
    if (apgd := ours("APGD")) is not None:
        for loss in ("ce", "auto"):
            made[f"hormesis APGD-50 (`loss={loss!r}`)"] = _ours(apgd(0.1, steps=50, loss=loss), space)
    if library := rivals.load("torchattacks"):
        made["torchattacks APGD-50"] = lambda m, x, y: library[0].APGD(m, eps=0.1, steps=50)(x, y)
        made["torchattacks AutoAttack"] = lambda m, x, y: library[0].AutoAttack(
            m, eps=0.1, n_classes=10, seed=0
        )(x, y)
    if official := rivals.load("autoattack"):
        made["AutoAttack"] = lambda m, x, y: (
            official[0]
            .AutoAttack(m, eps=0.1, seed=0, device="cpu", verbose=False)
            .run_standard_evaluation(x, y, bs=250)
        )
    elif copied := rivals.load("pyautoattack"):
        logging.getLogger("auto-attack").setLevel(logging.ERROR)
        made["AutoAttack (pyautoattack)"] = lambda m, x, y: (
            copied[0].AutoAttack(m, eps=0.1, seed=0).run_standard_evaluation(x, y, batch_size=250)[0]
        )
    if (ensemble := ours("Ensemble")) is not None:
        made["hormesis Ensemble"] = _ours(ensemble(0.1), space)
    return made


def _ours(attack: Any, space: Any) -> Strong:
    return lambda m, x, y: attack.run(m, x, y, space=space, seed=0, progress=False).adversarial[0]


def strongest(nets: dict[str, nn.Module], x: Tensor, y: Tensor) -> None:
    """Print robust accuracy under the strongest attacks, and what they cost."""
    rows = []
    for name, attack in strong_sides().items():
        cells = [name]
        for net, some in zip(nets.values(), (200, 400), strict=True):
            counted = Counted(net).eval()
            start = time.process_time()
            found = attack(counted, x[:some], y[:some])
            seconds, done = time.process_time() - start, counted.passes
            per_row = f"{done.rows_forward / some:.0f} / {done.rows_backward / some:.0f}"
            far = float((found - x[:some]).abs().max())
            note = "" if far <= 0.1 + 1e-6 else f", eps broken: {far:.4f}"
            cells.append(f"{accuracy(net, found, y[:some]):.4f} ({per_row}, {seconds:.1f} s{note})")
        rows.append(cells)
    print("\n### Strongest attacks: robust accuracy (passes forward / backward per image, CPU s), eps 0.1")
    table(("", *(f"{n}, {s} images" for n, s in zip(nets, (200, 400), strict=True))), rows)


class Scaled(nn.Module):
    """A model whose logits are multiplied: the same decisions."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x) * self.factor
        return out


def scaled() -> None:
    """Print how scaled logits fool PGD-20 as each library comes."""
    a, x, ya, y = cancer()
    torch.manual_seed(0)
    net = trained(mlp(30, 64, 64, 2), a, ya, 60)
    low, high = float(x.min()) - 1, float(x.max()) + 1
    plans = {"own step size": Plan(0.3, None, 20, low, high), "step eps/4": Plan(0.3, 0.075, 20, low, high)}
    rows = []
    for name in rivals.SIDES:
        for label, plan in plans.items():
            if plan.step is None and name in ("torchattacks", "secml-torch"):
                continue  # they have none that fits the steps
            cells = [f"{name}, {label}"]
            for factor in (1.0, 100.0, 10000.0):
                call = rivals.side(name, Scaled(net, factor).eval(), plan)
                cells.append(_score_inside(net, call, x, y, plan) if call else "-")
            rows.append(cells)
    print(
        f"\n### Logits scaled, breast_cancer MLP, PGD-20, eps 0.3, {len(x)} test rows, clean {accuracy(net, x, y):.3f}"
    )
    table(("", "x1", "x100", "x10000"), rows)


def _score_inside(net: nn.Module, call: rivals.Call, x: Tensor, y: Tensor, plan: Plan) -> str:
    found = call(x, y, 0)
    far = float((found - x).abs().max())
    return f"{accuracy(net, found, y):.3f}" + ("" if far < plan.epsilon + 1e-5 else f" (moved {far:.1f})")


IMPORTS = {
    "torch": "import torch",
    "hormesis.torch": "import torch, hormesis.torch",
    "hormesis.torch: PGD, mixup, GaussianNoise used": (
        "import torch, hormesis.torch as ht\nfor n in ('PGD', 'mixup', 'GaussianNoise'): getattr(ht, n, None)"
    ),
    "torchattacks": "import torchattacks",
    "foolbox": "import torch, foolbox, foolbox.attacks",
    "ART, PGD and PyTorchClassifier": (
        "from art.attacks.evasion import ProjectedGradientDescent\n"
        "from art.estimators.classification import PyTorchClassifier"
    ),
    "timm": "import timm",
}


def imports(rounds: int = 3) -> None:
    """Print the time of imports in fresh processes."""
    laps: dict[str, list[list[float]]] = {name: [] for name in IMPORTS}
    for _ in range(rounds):
        for name, code in IMPORTS.items():
            timed = f"import time; w, c = time.perf_counter(), time.process_time()\n{code}\nprint(time.perf_counter() - w, time.process_time() - c)"
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", timed], capture_output=True, text=True, check=False
            )
            if done.returncode:
                rivals.missing.setdefault(name, done.stderr.strip().splitlines()[-1])
            else:
                laps[name].append([float(part) for part in done.stdout.split()[-2:]])
    base = [statistics.median(lap[i] for lap in laps["torch"]) for i in (0, 1)]
    rows = []
    for name, times in laps.items():
        mid = [statistics.median(lap[i] for lap in times) for i in (0, 1)] if times else None
        extra = mid and [m - b for m, b in zip(mid, base, strict=True)]
        rows.append(
            [name, *(f"{t:.2f} s" for t in [*(mid or []), *(extra or [])])] if times else [name, *"----"]
        )
    print("\n### Import in a fresh process")
    table(("", "wall", "CPU", "beyond torch, wall", "beyond torch, CPU"), rows)


def digit_nets() -> tuple[dict[str, nn.Module], Tensor, Tensor]:
    """Return the two trained nets and the test images."""
    a, x, ya, y = digits()
    torch.manual_seed(0)
    nets = {"CNN": trained(cnn(), a, ya, 6), "MLP": trained(mlp(64, 256, 256, 10), a, ya, 12)}
    return nets, x, y


def main() -> None:
    from torch_batches import batches, certificates, trades, weights

    tables: dict[str, Callable[[], None]] = {
        "passes": passes,
        "speed": speed,
        "trades": trades,
        "batches": batches,
        "weights": weights,
        "scores": lambda: scores(*digit_nets()),
        "scaled": scaled,
        "strongest": lambda: strongest(*digit_nets()),
        "certificates": certificates,
        "imports": imports,
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=tables, default=list(tables), metavar="TABLE", help=", ".join(tables)
    )
    torch.set_num_threads(1)
    for name in rivals.SIDES:
        rivals.side(name, cnn().eval(), PLAN)
    warnings.simplefilter("ignore")  # the peers' own; they reset the filters while being imported
    versions()
    start = time.perf_counter()
    for name in parser.parse_args().only:
        tables[name]()
    print(f"\n{time.perf_counter() - start:.0f} s.")
    for name, error in rivals.missing.items():
        print(f"Not imported: {name}: {error}")


if __name__ == "__main__":
    main()
