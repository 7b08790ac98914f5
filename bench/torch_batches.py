"""The torch bench's tables about training steps: TRADES, noise on batches beside timm's, and certificates."""

import contextlib
import functools
import gc
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import torch_rivals as rivals
from torch_rivals import ours
from torch_tools import Counted, Lap, cnn, mlp, race, table

Side = Callable[[], Any]
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
MIXES: dict[str, tuple[str, dict[str, Any]]] = {
    "mixup: hormesis": ("mixup", {"alpha": 1.0}),
    "cutmix: hormesis": ("cutmix", {"alpha": 1.0}),
    "erasing: hormesis, zero": ("random_erasing", {"p": 0.5}),
    "erasing: hormesis, noise": ("random_erasing", {"p": 0.5, "mode": "noise"}),
}
LAYERS = {
    "GaussianNoise": 0.1,
    "GaussianDropout": 0.1,
    "Masking": 0.1,
    "FeatureDropout": 0.1,
    "SwapNoise": 0.1,
    "DropBlock": 0.1,
}
EPSILON, STEP, STEPS, BETA = 0.1, 0.025, 10, 6.0


def divergence(moved: Tensor, clean: Tensor) -> Tensor:
    """Return the mean divergence of two answers."""
    return F.kl_div(moved.log_softmax(1), clean.softmax(1), reduction="batchmean")


def climb(model: nn.Module, x: Tensor, target: Callable[[], Tensor]) -> Tensor:
    """Return the inputs that move the answer most."""
    at = x + 0.001 * torch.randn_like(x)
    for _ in range(STEPS):
        at.requires_grad_()
        (slope,) = torch.autograd.grad(divergence(model(at), target()), at)
        moved = at.detach() + STEP * slope.sign()
        at = torch.clamp(x + torch.clamp(moved - x, -EPSILON, EPSILON), 0, 1).detach()
    return at


def trades_official(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the loss as the authors' step computes it: the clean answer anew in every step of the search."""
    model.eval()
    at = climb(model, x, lambda: model(x))
    model.train()
    clean = F.cross_entropy(model(x), y)
    return clean + BETA * divergence(model(at), model(x))


def trades_least(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the loss with no pass that is not needed."""
    clean = model(x)
    target = clean.detach()
    model.eval()
    at = climb(model, x, lambda: target)
    model.train()
    return F.cross_entropy(clean, y) + BETA * divergence(model(at), clean)


def trades() -> None:
    """Print the cost of a TRADES step."""
    losses = {"least passes": trades_least, "official step's structure": trades_official}
    if (lean := ours("trades_loss")) is not None:
        attack = ours("PGD")(EPSILON, steps=STEPS, step_size=STEP)
        space = ours("Space")(0.0, 1.0)
        losses["hormesis"] = lambda m, x, y: lean(m, x, y, attack=attack, beta=BETA, space=space)
    nets = {"MLP 64-256-256-10, b128": mlp(64, 256, 256, 10), "CNN 16/32 + BN 8x8, b128": cnn()}
    x, y = torch.rand(128, 1, 8, 8), torch.randint(10, (128,))
    laps = [
        race({name: step(net, loss, x, y) for name, loss in losses.items()}, 7, 0.03) for net in nets.values()
    ]
    rows = []
    for name, loss in losses.items():
        counted = Counted(cnn())
        step(counted, loss, x, y)()
        cells = [
            f"{lap[name].ratio:.2f}x / {lap[name].wall_ratio:.2f}x ({1e3 * lap[name].seconds:.1f} ms)"
            for lap in laps
        ]
        rows.append([name, f"{counted.passes.forwards} / {counted.passes.backwards}", *cells])
    print("\n### One TRADES-10 training step: ratio CPU / wall")
    table(("", "passes", *nets), rows)


def step(model: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> Side:
    """Return one step of training."""
    return stepping(model, torch.optim.Adam(model.parameters(), lr=1e-5), x, y, loss)


def plain(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Return the ordinary loss."""
    return F.cross_entropy(model(x), y)


def stepping(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, loss: Loss = plain
) -> Side:
    """Return one step of an optimizer."""

    def go() -> None:
        optimizer.zero_grad()
        loss(model, x, y).backward()
        optimizer.step()

    return go


def timm_sides(x: Tensor, y: Tensor) -> dict[str, Side]:
    """Return timm's batch functions; they write into the caller's batch, so they get one of their own."""
    made: dict[str, Side] = {}
    own = x.clone()
    if (mix := rivals.timm_part("mixup")) is not None:
        only = {"prob": 1.0, "switch_prob": 0.0, "label_smoothing": 0.0, "num_classes": 10}
        for mode in ("batch", "elem"):
            mixed = mix.Mixup(mixup_alpha=1.0, cutmix_alpha=0.0, mode=mode, **only)
            cut = mix.Mixup(mixup_alpha=0.0, cutmix_alpha=1.0, mode=mode, **only)
            made[f"mixup: timm, {mode}"] = lambda mixed=mixed: mixed(own, y)
            made[f"cutmix: timm, {mode}"] = lambda cut=cut: cut(own, y)
    if (erase := rivals.timm_part("random_erasing")) is not None:
        for mode in ("const", "pixel"):
            erased = erase.RandomErasing(probability=0.5, mode=mode, device="cpu")
            made[f"erasing: timm, {mode}"] = lambda erased=erased: erased(own)
    return made


def our_sides(x: Tensor, y: Tensor) -> dict[str, Side]:
    """Return hormesis' batch functions and layers."""
    made: dict[str, Side] = {}
    source = torch.Generator().manual_seed(0)
    for label, (name, settings) in MIXES.items():
        if (function := ours(name)) is not None:
            if name == "random_erasing" and x.ndim != 4:
                continue
            given = (x,) if name == "random_erasing" else (x, y)
            made[label] = lambda f=function, g=given, s=settings: f(*g, generator=source, **s)
    for name, level in LAYERS.items():
        if name == "DropBlock" and x.ndim != 4:
            continue
        if (kind := ours(name)) is not None:
            layer = kind(level, generator=0).train()
            made[f"{name}: hormesis"] = lambda layer=layer: layer(x)
    return made


def noise_sides(x: Tensor) -> dict[str, Side]:
    """Return plain torch's ways to the same noise."""
    return {
        "GaussianNoise: x + 0.1 * randn_like": lambda: x + 0.1 * torch.randn_like(x),
        "GaussianNoise: torch.randn alone": lambda: torch.randn(x.shape),
        "dropout: torch": lambda: F.dropout(x, 0.1),
    }


def batches() -> None:
    """Print the time of operations on batches, as a share of a training step."""
    nets = {"small CNN": small(), "CNN 16/32 + BN, full size": cnn(3)}
    operations("128x3x32x32", torch.rand(128, 3, 32, 32), nets)
    operations("128x64", torch.rand(128, 64), {"MLP 64-256-256-10": mlp(64, 256, 256, 10)})


def small() -> nn.Module:
    """Return a net of two convolutions with pooling after each: its step is cheap, so that noise weighs the more."""
    blocks = [(nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)) for a, b in ((3, 16), (16, 32))]
    return nn.Sequential(*blocks[0], *blocks[1], nn.Flatten(), nn.Linear(2048, 10))


def operations(label: str, x: Tensor, nets: dict[str, nn.Module]) -> None:
    """Print the time of operations on one batch."""
    y = torch.randint(10, (len(x),))
    steps = {f"train step: {name}": step(net.train(), plain, x, y) for name, net in nets.items()}
    sides: dict[str, Side] = {"copy": x.clone} | steps | noise_sides(x) | our_sides(x, y)
    if x.ndim == 4:
        sides |= timm_sides(x, y)
    laps = race({name: side for name, side in sides.items() if works(name, side)}, 11, 0.01)
    rows = [
        [
            name,
            f"{1e3 * lap.seconds:.3f}",
            f"{lap.ratio:.1f}x",
            *(f"{lap.seconds / laps[s].seconds:.2%}" for s in steps),
        ]
        for name, lap in ranked(laps)
    ]
    print(f"\n### Operations on a batch of {label}")
    table(("CPU time", "ms", "of a copy", *(f"of a step, {name}" for name in nets)), rows)


def noised_plainly(model: nn.Module, go: Side) -> Side:
    """Return a step at noisy weights as one writes it by hand: copy, add, step back."""

    def noised() -> None:
        with torch.no_grad():
            held = [w.clone() for w in model.parameters()]
            for w in model.parameters():
                w.add_(torch.randn_like(w), alpha=0.01)
        go()
        with torch.no_grad():
            for w, old in zip(model.parameters(), held, strict=True):
                w.copy_(old)

    return noised


def inside(context: Callable[[], Any], go: Side) -> Side:
    """Return a step inside a context."""

    def noised() -> None:
        with context():
            go()

    return noised


def noisy_sides(net: nn.Module, x: Tensor, y: Tensor, stack: contextlib.ExitStack) -> dict[str, Side]:
    """Return passes at noisy weights, and steps with noisy gradients."""

    def both() -> None:
        plain(net, x, y).backward()

    source = torch.Generator().manual_seed(0)
    made: dict[str, Side] = {"forward and backward": both, "weight noise by hand": noised_plainly(net, both)}
    if (noise := ours("weight_noise")) is not None:
        for relative in (False, True):
            context = functools.partial(noise, net, 0.01, relative=relative, generator=source)
            made[f"weight noise: hormesis, relative={relative}"] = inside(context, both)
    made["whole step"] = step(net, plain, x, y)
    if (noise := ours("gradient_noise")) is not None:
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-5)
        stack.enter_context(noise(optimizer, 0.01, generator=source))
        made["whole step with gradient noise: hormesis"] = stepping(net, optimizer, x, y)
    return made


def weights() -> None:
    """Print the time of a forward and backward pass at noisy weights, and of a step with noisy gradients."""
    x, y = torch.rand(128, 1, 8, 8), torch.randint(10, (128,))
    nets = {"MLP 64-256-256-10, b128": mlp(64, 256, 256, 10), "CNN 16/32 + BN 8x8, b128": cnn()}
    with contextlib.ExitStack() as stack:
        laps = [race(noisy_sides(net, x, y, stack), 9, 0.02) for net in nets.values()]
    print("\n### Noise in weights and gradients: ratio to forward and backward, CPU")
    rows = [[n, *(f"{lap[n].ratio:.2f}x ({1e3 * lap[n].seconds:.2f} ms)" for lap in laps)] for n in laps[0]]
    table(("", *nets), rows)


def ranked(laps: dict[str, Lap]) -> list[tuple[str, Lap]]:
    """Return the laps with all sides of one operation together, the fastest first."""
    first = {name: i for i, name in enumerate(dict.fromkeys(name.split(":")[0] for name in laps))}
    return sorted(laps.items(), key=lambda item: (first[item[0].split(":")[0]], item[1].seconds))


def works(name: str, side: Side) -> bool:
    """Tell whether a side runs on this batch; an error is noted."""
    try:
        side()
    except Exception as error:  # not every operation is for every shape
        rivals.missing[name] = f"{type(error).__name__}: {error}"
        return False
    return True


SIGMA, COPIES = 0.25, 10_000


def certified_plainly(model: nn.Module, x: Tensor, n: int) -> list[int]:
    """Count the winning class of noisy copies, 1,000 at a time, as the authors of randomised smoothing do."""
    wins = []
    with torch.no_grad():
        for one in x:
            for draws in (100, n):
                counts = torch.zeros(10, dtype=torch.long)
                for _ in range(math.ceil(draws / 1000)):
                    copies = one.repeat(min(1000, draws), *[1] * one.ndim)
                    out = model(copies + SIGMA * torch.randn_like(copies))
                    counts += torch.bincount(out.argmax(1), minlength=10)
            wins.append(int(counts.max()))
    return wins


def certificates() -> None:
    """Print time and peak memory of certification."""
    if (smoothed := ours("Smoothed")) is None:
        return
    x, rows = torch.rand(2, 1, 8, 8), []
    for label, net in {"MLP 64-256-256-10": mlp(64, 256, 256, 10), "CNN 16/32 + BN": cnn()}.items():
        smooth = smoothed(net.eval(), SIGMA, classes=10)
        by_hand = functools.partial(certified_plainly, net, x, COPIES)
        proven = functools.partial(smooth.certify, x, n=COPIES, progress=False)
        laps = race({"plain": by_hand, "hormesis": proven}, 3, 0.01)
        ratio = f"{laps['hormesis'].ratio:.2f}x / {laps['hormesis'].wall_ratio:.2f}x"
        rows.append([label, *(f"{500 * lap.seconds:.0f} ms" for lap in laps.values()), ratio])
    print(f"\n### Certification, {COPIES:,} draws, per image; CPU / wall over a plain loop of 1,000 copies")
    table(("", "plain loop", "hormesis", "ratio"), rows)
    print("\n### Peak memory that certifying one image adds to a fresh process")
    table(("draws", "MiB"), [[f"{n:,}", fresh_peak(n)] for n in (1_000, 10_000, 100_000)])


def fresh_peak(n: int) -> str:
    """Return the peak of a fresh process in MiB."""
    done = subprocess.run([sys.executable, __file__, str(n)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


def peak(n: int) -> float:
    """Return how far certifying one image raises this process's memory at its peak, in MiB (Linux only)."""
    torch.set_num_threads(1)
    smooth = ours("Smoothed")(mlp(64, 256, 256, 10).eval(), SIGMA, classes=10)
    x = torch.rand(1, 1, 8, 8)
    smooth.certify(x, n=10, batch_size=10, progress=False)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    smooth.certify(x, n=n, progress=False)
    return (resident("VmHWM") - before) / 1024


def resident(field: str) -> int:
    """Return `VmRSS` or `VmHWM` (its peak) of this process in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    print(f"{peak(int(sys.argv[1])):.1f}")
