"""The libraries that the torch bench compares, each behind the same call: features, labels and a seed in, an attacked batch out."""

import dataclasses
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

Call = Callable[[Tensor, Tensor, int | None], Tensor]


@dataclasses.dataclass(frozen=True)
class Plan:
    """One Linf attack: `steps=0` is FGSM; `step=None` leaves the step size to the library; bounds of the features."""

    epsilon: float
    step: float | None = None
    steps: int = 10
    low: float = 0.0
    high: float = 1.0


missing: dict[str, str] = {}  # library: the error of its import, filled while loading


def load(name: str, *modules: str) -> list[ModuleType]:
    """Import the modules of a library; an error is noted in `missing` and gives an empty list."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peers warn about numpy and each other
            return [importlib.import_module(module) for module in modules or (name,)]
    except Exception as error:  # a broken peer must not stop the others
        missing[name] = f"{type(error).__name__}: {error}"
        return []


def reseed(seed: int | None) -> None:
    """Seed the global generators, which is all that the peers listen to."""
    if seed is not None:
        torch.manual_seed(seed)
        np.random.seed(seed)


def bare(model: nn.Module, plan: Plan) -> Call:
    """Return the least that an attack can do: as many passes as steps, the gradient of the input only."""
    low, high, epsilon = plan.low, plan.high, plan.epsilon
    step = plan.step or 2.5 * epsilon / max(plan.steps, 1)

    def gradient(x: Tensor, y: Tensor) -> Tensor:
        x.requires_grad_()
        return torch.autograd.grad(F.cross_entropy(model(x), y, reduction="sum"), x)[0]

    def call(x: Tensor, y: Tensor, seed: int | None = None) -> Tensor:
        reseed(seed)
        if not plan.steps:
            start = x.detach().clone()
            return torch.clamp(x + epsilon * gradient(start, y).sign(), low, high)
        x_adv = torch.clamp(x + torch.empty_like(x).uniform_(-epsilon, epsilon), low, high)
        for _ in range(plan.steps):
            moved = x_adv.detach() + step * gradient(x_adv, y).sign()
            x_adv = torch.clamp(x + torch.clamp(moved - x, -epsilon, epsilon), low, high).detach()
        return x_adv

    return call


def torchattacks(model: nn.Module, plan: Plan) -> Call:
    """Return torchattacks' FGSM or PGD; it knows no range but [0, 1]."""
    (library,) = load("torchattacks")
    step = plan.step or 2 / 255
    attack = library.PGD(model, eps=plan.epsilon, alpha=step, steps=plan.steps) if plan.steps else None
    attack = attack or library.FGSM(model, eps=plan.epsilon)

    def call(x: Tensor, y: Tensor, seed: int | None = None) -> Tensor:
        reseed(seed)
        return attack(x, y)

    return call


def foolbox(model: nn.Module, plan: Plan) -> Call:
    """Return foolbox' FGSM or PGD."""
    library, attacks = load("foolbox", "foolbox", "foolbox.attacks")
    with_bounds = library.PyTorchModel(model, bounds=(plan.low, plan.high), device="cpu")
    attack = attacks.LinfPGD(abs_stepsize=plan.step, steps=plan.steps) if plan.steps else attacks.FGSM()

    def call(x: Tensor, y: Tensor, seed: int | None = None) -> Tensor:
        reseed(seed)
        return attack(with_bounds, x, y, epsilons=plan.epsilon)[1]

    return call


def art(model: nn.Module, plan: Plan) -> Call:
    """Return ART's FGSM or PGD, numpy in and out as it asks for."""
    estimators, evasion = load("ART", "art.estimators.classification", "art.attacks.evasion")

    def attack(x: Tensor, classes: int) -> Any:
        classifier = estimators.PyTorchClassifier(
            model,
            loss=nn.CrossEntropyLoss(),
            input_shape=tuple(x.shape[1:]),
            nb_classes=classes,
            clip_values=(plan.low, plan.high),
            device_type="cpu",
        )
        batch = {"batch_size": len(x), "num_random_init": int(plan.steps > 0)}
        if not plan.steps:
            return evasion.FastGradientMethod(classifier, eps=plan.epsilon, **batch)
        step = {} if plan.step is None else {"eps_step": plan.step}
        return evasion.ProjectedGradientDescentPyTorch(
            classifier, eps=plan.epsilon, max_iter=plan.steps, verbose=False, **step, **batch
        )

    made: dict[tuple[int, ...], Any] = {}

    def call(x: Tensor, y: Tensor, seed: int | None = None) -> Tensor:
        reseed(seed)
        if x.shape not in made:
            with torch.no_grad():
                made[x.shape] = attack(x, int(model.eval()(x[:1]).shape[1]))
        return torch.from_numpy(made[x.shape].generate(x.numpy(), y.numpy()))

    return call


def secml(model: nn.Module, plan: Plan) -> Call:
    """Return secml-torch's own PGD."""
    pgd, nets, constants = load(
        "secml-torch",
        "secmlt.adv.evasion.pgd",
        "secmlt.models.pytorch.base_pytorch_nn",
        "secmlt.adv.evasion.perturbation_models",
    )
    classifier = nets.BasePyTorchClassifier(model)
    attack = pgd.PGDNative(
        perturbation_model=constants.LpPerturbationModels.LINF,
        epsilon=plan.epsilon,
        num_steps=plan.steps,
        step_size=plan.step,
        random_start=True,
        lb=plan.low,
        ub=plan.high,
    )

    def call(x: Tensor, y: Tensor, seed: int | None = None) -> Tensor:
        reseed(seed)
        batch = DataLoader(TensorDataset(x, y), batch_size=len(x))
        return next(iter(attack(classifier, batch)))[0]

    return call


def timm_part(name: str) -> ModuleType | None:
    """Return `timm.data.<name>`; where importing timm fails (it needs torchvision), that one file by itself."""
    if modules := load("timm", f"timm.data.{name}"):
        return modules[0]
    for folder in sys.path:
        file = Path(folder, "timm", "data", f"{name}.py")
        if file.exists():
            spec = importlib.util.spec_from_file_location(f"timm_{name}", file)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            missing["timm"] = (
                f"{missing['timm'].split(' (its')[0]} (its single files were loaded by themselves)"
            )
            return module
    return None


def ours(name: str) -> Any:
    """Return a public name of `hormesis.torch`, or None with the reason noted."""
    try:
        return getattr(importlib.import_module("hormesis.torch"), name)
    except (ImportError, AttributeError) as error:
        missing[f"hormesis.torch.{name}"] = str(error)
        return None


def hormesis(model: nn.Module, plan: Plan, loss: str = "ce") -> Call:
    """Return hormesis' FGSM or PGD."""
    library = importlib.import_module("hormesis.torch")
    space, rest = library.Space(plan.low, plan.high), {"loss": loss}
    attack = library.FGSM(plan.epsilon, **rest)
    if plan.steps:
        attack = library.PGD(plan.epsilon, steps=plan.steps, step_size=plan.step, **rest)
    own = torch.Generator().manual_seed(0)

    def call(x: Tensor, y: Tensor, seed: int | None = None) -> Tensor:
        generator = own if seed is None else torch.Generator().manual_seed(seed)
        return attack.perturb(model, x, y, space=space, generator=generator)

    return call


def hormesis_default(model: nn.Module, plan: Plan) -> Call:
    """Return hormesis' attack with the loss it chooses by itself."""
    return hormesis(model, plan, "auto")


SIDES: dict[str, Callable[[nn.Module, Plan], Call]] = {
    "bare loop": bare,
    'hormesis (`loss="ce"`)': hormesis,
    "hormesis (default loss)": hormesis_default,
    "torchattacks": torchattacks,
    "foolbox": foolbox,
    "ART": art,
    "secml-torch": secml,
}


def side(name: str, model: nn.Module, plan: Plan) -> Call | None:
    """Return a library's call, None where the library is not there or has no such attack."""
    if name == "secml-torch" and not plan.steps:
        return None
    try:
        return SIDES[name](model, plan)
    except Exception as error:  # a missing or broken library must not stop the others
        missing.setdefault(name, f"{type(error).__name__}: {error}")
        return None
