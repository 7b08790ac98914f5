"""hormesis for torch: noise in inputs, activations, weights, gradients and labels; worst-case noise; certificates."""

import importlib
from typing import Any

from hormesis.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("hormesis.torch needs PyTorch: pip install 'hormesis[torch]'.") from error

_ROOMS = {
    "attacks.apgd": ("APGD",),
    "attacks.attacked": ("Attacked",),
    "attacks.ensemble": ("Ensemble",),
    "attacks.gradient": ("FGSM", "PGD"),
    "attacks.space": ("Space",),
    "attacks.square": ("Square",),
    "attacks.training": ("FreeTraining", "OverfittingAlarm", "trades_loss"),
    "attacks.worst": ("Adversarial",),
    "batches.erase": ("cutout", "random_erasing"),
    "batches.mix": ("cutmix", "manifold_mixup", "mixup"),
    "batches.targets": ("MixedTarget", "label_smoothing"),
    "certificates": ("CertifiedAccuracy", "Certificates"),
    "keyed": ("below_like", "normal_like", "uniform_like"),
    "layers.base": ("NoiseLayer",),
    "layers.cells": (
        "FeatureDropout", "GaussianDropout", "GaussianNoise", "Masking", "SwapNoise", "seed_noise"
    ),
    "layers.embedding": ("EmbeddingNoise", "noisy_embeddings"),
    "layers.paths": ("DropBlock", "StochasticDepth", "linear_depth"),
    "nets.callbacks": ("DoseWarmup", "OverfittingStop", "RobustnessLog"),
    "nets.estimators": ("ConvNetClassifier", "ConvNetRegressor", "TabularNetClassifier", "TabularNetRegressor"),
    "quiet": ("attacking",),
    "smoothing": ("Smoothed",),
    "weights.curve": ("WeightCurve", "weight_curve"),
    "weights.gradients": ("add_gradient_noise", "gradient_noise", "noise_at"),
    "weights.noise": ("weight_noise",),
    "weights.sharpness": ("AWP", "SAM"),
}  # fmt: skip
_WHERE = {name: room for room, names in _ROOMS.items() for name in names}
__all__ = sorted(_WHERE)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'hormesis.torch' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hormesis.torch.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
