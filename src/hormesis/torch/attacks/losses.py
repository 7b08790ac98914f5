"""Losses of one number per row: what an attack climbs, for classes, one logit and numbers."""

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from hormesis.errors import DataError, SettingError, nearest

PerRow = Callable[[Tensor, Tensor], Tensor]
LEAD = 7.0  # nats
FLAT = 13.8  # -log(1e-6): single precision keeps one digit of 1 - p
SURE = 10  # rows from which a habit is no chance


def per_row(values: Tensor) -> Tensor:
    """Return one number per row: the mean over whatever else there is."""
    return values if values.ndim == 1 else values.flatten(1).mean(1)


def ce(output: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of logits (rows, classes) or of one logit (rows,) or (rows, 1)."""
    if one_logit(output):
        return bce(output, y)
    return per_row(F.cross_entropy(output, y.long(), reduction="none"))


def bce(output: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy of logits; several logits are several labels."""
    each = F.binary_cross_entropy_with_logits(output, y.reshape(output.shape).to(output), reduction="none")
    return per_row(each)


def mse(output: Tensor, y: Tensor) -> Tensor:
    """Squared error."""
    return per_row((output - y.reshape(output.shape).to(output)).square())


def margin(output: Tensor, y: Tensor) -> Tensor:
    """Best other logit minus the true one (Carlini and Wagner 2017): above 0 the row is lost; never flat, from two classes on.

    Of several labels the worst one counts, of pixels the mean.
    """
    if one_logit(output) or y.shape == output.shape:
        return (output * (1 - 2 * y.reshape(output.shape).to(output))).reshape(len(output), -1).amax(1)
    true = y.long().unsqueeze(1)
    others = output.scatter(1, true, -torch.inf)
    return per_row(others.amax(1) - output.gather(1, true).squeeze(1))


def dlr(output: Tensor, y: Tensor) -> Tensor:
    """Difference of logits ratio (Croce and Hein 2020); for two classes, where it is undefined, the margin."""
    if one_logit(output) or output.shape[1] < 3 or y.shape == output.shape:
        return margin(output, y)
    top = output.topk(3, dim=1).values
    return margin(output, y) / (top[:, 0] - top[:, 2] + 1e-12)


def odds(output: Tensor, y: Tensor) -> Tensor:
    """Log odds of being wrong, ``logsumexp(other logits) - true logit``.

    It rises with cross-entropy and has the gradient of cross-entropy without the factor ``1 - p(true)``, which is what
    rounds to zero when logits are large: scaled logits cannot fake robustness. With one logit or two classes it is
    the margin, and with very large logits it becomes the margin.
    """
    if one_logit(output) or output.shape[1] == 2:
        return margin(output, y)
    true = y.long().unsqueeze(1)
    others = output.scatter(1, true, -torch.inf).logsumexp(1)
    return per_row(others - output.gather(1, true).squeeze(1))


def odds_slope(output: Tensor, y: Tensor) -> Tensor:
    """Return the direction that raises `odds`, per logit (rows, classes): the softmax of the others, -1 at the truth.

    Where the true logit leads by more than `LEAD`, logits are taken as if it led by just that: a direction through all
    near classes finds more than one through the nearest alone, whatever the scale of the logits.
    """
    true = y.long().unsqueeze(1)
    others = output.scatter(1, true, -torch.inf)
    lead = output.gather(1, true).sub_(others.amax(1, keepdim=True)).div_(LEAD).clamp_(min=1.0)
    return others.div_(lead).softmax(1).scatter_(1, true, -1.0)


def saturated(output: Tensor, y: Tensor) -> Tensor:
    """Tell the rows whose cross-entropy is flat: the true class has all of the probability."""
    return odds(output.detach().float(), y) < -FLAT


def one_logit(output: Tensor) -> bool:
    """Tell an output of one number per row."""
    return output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1)


LOSSES: dict[str, PerRow] = {
    "auto": odds, "ce": ce, "bce": bce, "mse": mse, "margin": margin, "dlr": dlr
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Goal:
    """What an attack climbs, and when a row is lost; `classes` is False for a regression."""

    loss: PerRow
    classes: bool

    def wrong(self, output: Tensor, y: Tensor) -> Tensor:
        """Tell the rows whose prediction is not the label, NaN being none; of several labels or pixels any counts."""
        if not self.classes:
            return torch.zeros(len(output), dtype=torch.bool, device=output.device)
        if one_logit(output) or y.shape == output.shape:
            bad = ((output > 0) != (y.reshape(output.shape) > 0)) | output.isnan()
        else:
            bad = (output.argmax(1) != y) | output.isnan().any(1)
        return bad.reshape(len(output), -1).any(1)

    def slope(self, output: Tensor, y: Tensor) -> Tensor | None:
        """Return the gradient of the loss with respect to the output where it is known in closed form."""
        ranked = self.loss is odds and output.ndim == 2 and output.shape[1] > 1 and y.ndim == 1
        return odds_slope(output, y) if ranked else None

    def height(self, output: Tensor, y: Tensor) -> Tensor:
        """Return how far each row is towards being lost: the margin of classes, the loss of numbers; NaN is lost for good."""
        far = margin(output, y) if self.classes else self.loss(output, y)
        return far.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)


def goal_of(loss: str | PerRow, output: Tensor, y: Tensor, labels: Tensor | None = None) -> Goal:
    """Return the goal for a loss (a name, or any function of output and y with one number per row) on such an output.

    `labels` are those of the whole evaluation where `y` is one batch of it: 0 and 1 everywhere mean classes.

    Raises
    ------
    SettingError
        The loss is unknown, or the default cannot be chosen.
    DataError
        Labels and outputs do not fit together.
    """
    task = _task(output, y, loss, y if labels is None else labels)
    if callable(loss):
        return Goal(_checked(loss), task == "classes")
    if loss not in LOSSES:
        raise SettingError(f"`loss={loss!r}` is unknown.{nearest(loss, LOSSES)} Known: {', '.join(LOSSES)}.")
    if loss != "auto":
        return Goal(LOSSES[loss], task == "classes")
    if task == "numbers":
        return Goal(mse, classes=False)
    several = y.shape == output.shape and not one_logit(output)
    return Goal(margin if several else odds, classes=True)


def _task(output: Tensor, y: Tensor, loss: str | PerRow, labels: Tensor) -> str:
    if len(y) != len(output):
        raise DataError(f"The model answers {len(output)} rows and there are {len(y)} labels.")
    if loss == "mse":
        return "numbers"
    if not callable(loss) and loss != "bce":
        _check_shape(output, y, labels)
    whole = not y.is_floating_point()
    if one_logit(output):
        two = bool(((labels == 0) | (labels == 1)).all())
        if (whole or loss in ("bce", "ce", "margin", "dlr")) and not two:
            raise DataError(
                "The model answers one logit, so labels are 0 and 1; "
                f"{sorted(set(labels.reshape(-1).tolist()))[:5]} were given."
            )
        return "classes" if two else "numbers"
    if whole and len(y):
        _check_range(y, 2 if y.shape == output.shape else output.shape[1])
    if whole or loss == "bce":
        return "classes"
    return "classes" if callable(loss) and y.ndim < output.ndim else "numbers"


def _check_range(y: Tensor, classes: int) -> None:
    least, most = int(y.min()), int(y.max())
    if least < 0 or most >= classes:
        worst = most if least >= 0 else least
        raise DataError(f"Label {worst} was given; the model answers {classes} classes, from 0.")


def _check_shape(output: Tensor, y: Tensor, labels: Tensor) -> None:
    """Refuse labels that are neither one per answer nor numbers like the answers."""
    hot = y.shape == output.shape and output.ndim == 2 and output.shape[1] > 1 and len(labels) >= SURE
    if hot and bool(((labels == 0) | (labels == 1)).all()) and bool((labels.sum(1) == 1).all()):
        raise DataError(
            "The labels are one-hot: give class numbers, as in `y.argmax(1)`, or for several labels per row `loss='bce'`."
        )
    classes = output.shape[:1] + output.shape[2:]
    fits = y.shape == classes and not y.is_floating_point()
    if one_logit(output) or y.shape == output.shape or fits:
        return
    mend = "`y.long()`" if y.shape == classes else "one whole number per row, as in `y.reshape(-1).long()`"
    raise DataError(
        f"Labels of {y.dtype} with shape {tuple(y.shape)} do not fit answers of shape {tuple(output.shape)}: give {mend}."
    )


def _checked(loss: PerRow) -> PerRow:
    def checked(output: Tensor, y: Tensor) -> Tensor:
        said = loss(output, y)
        if said.shape != (len(output),):
            raise SettingError(
                f"The loss returns shape {tuple(said.shape)} for {len(output)} rows: "
                "it needs one number per row, as with reduction='none'."
            )
        return said

    return checked
