"""hormesis for torch: noise in inputs, activations, weights, gradients and labels; worst-case noise; certificates."""

import importlib
from typing import Any

from hormesis.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("hormesis.torch needs PyTorch: pip install 'hormesis[torch]'.") from error

_ROOMS = {
    "adversarial": ("FreeTraining", "OverfittingAlarm", "trades_loss"),
    "attacks.apgd": ("APGD",),
    "attacks.attacked": ("Attacked",),
    "attacks.ensemble": ("Ensemble",),
    "attacks.gradient": ("FGSM", "PGD"),
    "attacks.square": ("Square",),
    "callbacks": ("DoseWarmup", "OverfittingStop", "RobustnessLog"),
    "certificates": ("CertifiedAccuracy", "Certificates"),
    "embedding": ("EmbeddingNoise", "noisy_embeddings"),
    "erase": ("cutout", "random_erasing"),
    "gradients": ("add_gradient_noise", "gradient_noise", "noise_at"),
    "noise_layer": ("NoiseLayer",),
    "keyed": ("below_like", "normal_like", "uniform_like"),
    "layers": (
        "FeatureDropout", "GaussianDropout", "GaussianNoise", "Masking", "SwapNoise", "seed_noise"
    ),
    "mix": ("cutmix", "manifold_mixup", "mixup"),
    "nets": ("ConvNetClassifier", "ConvNetRegressor", "TabularNetClassifier", "TabularNetRegressor"),
    "paths": ("DropBlock", "StochasticDepth", "linear_depth"),
    "quiet": ("attacking",),
    "sharpness": ("AWP", "SAM"),
    "smoothing": ("Smoothed",),
    "space": ("Space",),
    "targets": ("MixedTarget", "label_smoothing"),
    "weight_curve": ("WeightCurve", "weight_curve"),
    "weights": ("weight_noise",),
    "worst": ("Adversarial",),
}  # fmt: skip
_WHERE = {name: room for room, names in _ROOMS.items() for name in names}
__all__ = sorted(_WHERE)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'hormesis.torch' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hormesis.torch.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
