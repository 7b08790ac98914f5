"""hormesis: a dose of noise makes models stronger. Find the dose, train with it, prove what it bought."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hormesis.display import RobustnessCurveDisplay as RobustnessCurveDisplay
    from hormesis.frames import changed as changed
    from hormesis.guard import Guard as Guard
    from hormesis.hard_examples import hardness as hardness
    from hormesis.hardening import harden as harden
    from hormesis.profile import Profile as Profile
    from hormesis.proof import HardenResult as HardenResult
    from hormesis.recipe import Recipe as Recipe
    from hormesis.results import StressResult as StressResult
    from hormesis.robust import robust_scorer as robust_scorer
    from hormesis.scenario import ScenariosResult as ScenariosResult
    from hormesis.scenario import scenarios as scenarios
    from hormesis.step import Step as Step
    from hormesis.stressing import stress as stress
    from hormesis.thresholds import Thresholds as Thresholds
    from hormesis.training import NoisyTraining as NoisyTraining

__version__ = "0.1.0"

_WHERE = {
    "Guard": "guard",
    "HardenResult": "proof",
    "NoisyTraining": "training",
    "Profile": "profile",
    "Recipe": "recipe",
    "RobustnessCurveDisplay": "display",
    "ScenariosResult": "scenario",
    "Step": "step",
    "StressResult": "results",
    "Thresholds": "thresholds",
    "changed": "frames",
    "harden": "hardening",
    "hardness": "hard_examples",
    "robust_scorer": "robust",
    "scenarios": "scenario",
    "stress": "stressing",
}
__all__ = [
    "Guard",
    "HardenResult",
    "NoisyTraining",
    "Profile",
    "Recipe",
    "RobustnessCurveDisplay",
    "ScenariosResult",
    "Step",
    "StressResult",
    "Thresholds",
    "changed",
    "harden",
    "hardness",
    "robust_scorer",
    "scenarios",
    "stress",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'hormesis' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hormesis.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
