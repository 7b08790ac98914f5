"""Theory that can be run: what noise does to a model, as penalties and closed forms to hold experiments against."""

from hormesis.theory.equivalence import Equivalence, equivalence
from hormesis.theory.labels import corrected_cross_entropy, label_noise_matrix, smooth_targets
from hormesis.theory.margins import (
    accuracy_under_noise,
    certified_radius,
    linear_radius,
    proportion_bound,
    radius_cap,
    robust_accuracy,
)
from hormesis.theory.nets import gaussian_penalty, measured_increase
from hormesis.theory.ridge import (
    Line,
    dropout_as_ridge,
    expected_softplus,
    logistic_dropout_penalty,
    noise_as_ridge,
    weight_noise_penalty,
)

__all__ = [
    "Equivalence",
    "Line",
    "accuracy_under_noise",
    "certified_radius",
    "corrected_cross_entropy",
    "dropout_as_ridge",
    "equivalence",
    "expected_softplus",
    "gaussian_penalty",
    "label_noise_matrix",
    "linear_radius",
    "logistic_dropout_penalty",
    "measured_increase",
    "noise_as_ridge",
    "proportion_bound",
    "radius_cap",
    "robust_accuracy",
    "smooth_targets",
    "weight_noise_penalty",
]
