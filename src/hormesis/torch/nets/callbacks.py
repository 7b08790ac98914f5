"""skorch callbacks: robustness told epoch by epoch, doses that rise, and the alarm of fast adversarial training."""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from skorch.callbacks import Callback
from skorch.dataset import unpack_data
from torch import Tensor, nn

from hormesis.errors import SettingError
from hormesis.torch.attacks.base import Attack
from hormesis.torch.attacks.gradient import FGSM, PGD
from hormesis.torch.attacks.space import Space
from hormesis.torch.attacks.training import OverfittingAlarm
from hormesis.torch.layers.cells import seed_noise
from hormesis.torch.nets.techniques import Layers
from hormesis.torch.nets.training import Stop
from hormesis.torch.nets.worst_batches import filled
from hormesis.torch.quiet import attacking, outputs
from hormesis.torch.source import generator


class RobustnessLog(Callback):  # type: ignore[misc]
    """Record accuracy on clean, noisy and worst-case validation rows while a net trains.

    Writes into the net's history, for each epoch measured: `rows` (the number, so that an interval can be drawn),
    `clean_acc`, `gaussian_acc`, `fgsm_acc` and `pgd_acc`. Mode, gradients, weights and all random generators are left
    as they are: a net trains to the same weights with the log as without it. After Kim et al., MAIR (2021).

    Parameters
    ----------
    sigma, epsilon : float
        Size of Gaussian noise and of attacks, in units of `scale`.
    X, y : arrays, optional
        Validation rows as the module takes them, with labels as numbers from 0. None: the net's own validation set.
    scale : float or tensor, optional
        What 1 means for each feature. None: the robust spread of the validation rows.
    steps : int
        Steps of PGD.
    every : int
        Measure every so many epochs; the last one of a multiple.
    most : int
        Rows used at most, the first ones.
    seed : int
        Noise is a function of it alone: every epoch meets the same noise.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from hormesis.torch.nets.estimators import TabularNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> log = RobustnessLog(sigma=0.5, epsilon=0.1)
    >>> net = TabularNetClassifier(epochs=2, validation_fraction=0.2, callbacks=[log], random_state=0).fit(X, y)
    >>> net.history_[:, "rows"], len(net.history_[:, "pgd_acc"])
    ([30, 30], 2)
    """

    def __init__(
        self,
        sigma: float = 0.5,
        epsilon: float = 0.1,
        *,
        X: Any = None,
        y: Any = None,
        scale: Any = None,
        steps: int = 10,
        every: int = 1,
        most: int = 1000,
        seed: int = 0,
    ) -> None:
        self.sigma, self.epsilon, self.X, self.y, self.scale = sigma, epsilon, X, y, scale
        self.steps, self.every, self.most, self.seed = steps, every, most, seed

    def on_epoch_end(self, net: Any, dataset_valid: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Measure, if this epoch's turn has come."""
        if len(net.history) % self.every:
            return
        x, y = self._rows(net, dataset_valid)
        scale = self._scale(x)
        said = robustness(
            net.module_, x, y, sigma=self.sigma, attacks=self._attacks(), scale=scale, seed=self.seed
        )
        net.history.record("rows", len(y))
        for name, accuracy in said.items():
            net.history.record(f"{name}_acc", accuracy)

    def _attacks(self) -> Sequence[Attack]:
        return FGSM(self.epsilon), PGD(self.epsilon, steps=self.steps)

    def _rows(self, net: Any, held: Any) -> tuple[Tensor, Tensor]:
        if self.X is not None:
            x, y = torch.as_tensor(self.X), torch.as_tensor(self.y)
        elif held is not None:
            batches = [unpack_data(b) for b in net.get_iterator(held, training=False)]
            x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
        else:
            raise SettingError(
                "RobustnessLog has no validation rows: give `X` and `y`, or train with `validation_fraction=0.1`."
            )
        here = next(net.module_.parameters()).device
        x = x.to(torch.float32) if x.dtype == torch.float64 else x
        return x[: self.most].to(here), y[: self.most].to(here)

    def _scale(self, x: Tensor) -> Any:
        if self.scale is not None:
            return self.scale
        return torch.as_tensor(Space.learn(x).scale, dtype=x.dtype)


def robustness(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    sigma: float,
    attacks: Sequence[Attack],
    scale: Any = 1.0,
    seed: int = 0,
) -> dict[str, float]:
    """Return accuracy by name: `clean`, `gaussian`, and that under each attack; the model is left as it was.

    >>> model, x = nn.Linear(2, 2), torch.zeros(3, 2)
    >>> list(robustness(model, x, torch.zeros(3).long(), sigma=0.1, attacks=[FGSM(0.1)]))
    ['clean', 'gaussian', 'fgsm']
    """
    z = torch.randn(x.shape, generator=generator(seed, "robustness", "gaussian"), dtype=x.dtype).to(x.device)
    noisy = x + sigma * torch.as_tensor(scale, dtype=x.dtype, device=x.device) * z
    with attacking(model) as quiet, torch.no_grad():
        found = {
            name: (outputs(quiet, rows).argmax(1) == y).double().mean().item()
            for name, rows in (("clean", x), ("gaussian", noisy))
        }
    whole, _ = filled(model, x)
    space = Space(scale=scale)
    for attack in attacks:
        found[attack.name] = float(
            attack.run(model, whole, y, space=space, seed=seed, progress=False).robust_accuracy[0]
        )
    return found


class DoseWarmup(Callback):  # type: ignore[misc]
    """Let the levels of noise layers rise in a line over the first epochs of a skorch net, and seed them per epoch.

    The nets of hormesis have this inside (`noise_warmup`); it is for nets of your own. Epoch e of E has e / E of each level; a
    resumed net goes on where it was. After training the levels are as they were.

    Parameters
    ----------
    epochs : int
        Epochs until the full dose.
    seed : int
        Noise is a function of it and the epoch.

    Examples
    --------
    >>> DoseWarmup(5).dose(2)
    0.4
    """

    def __init__(self, epochs: int = 5, *, seed: int = 0) -> None:
        self.epochs, self.seed = epochs, seed

    def dose(self, epoch: int) -> float:
        """Return the factor of all levels in an epoch, counted from 1."""
        return min(1.0, epoch / max(self.epochs, 1))

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Take note of the levels."""
        self.layers_ = Layers()

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Set the epoch's dose."""
        epoch = len(net.history)
        seed_noise(net.module_, self.seed, "layers", epoch - 1)
        self.layers_.start_epoch(net.module_, self.dose(epoch), generator(self.seed))

    def on_train_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Put the levels back."""
        self.layers_.finish(net.module_)


class OverfittingStop(Callback):  # type: ignore[misc]
    """Stop fast adversarial training when it has learnt to fool its own single step, and go back to before.

    Every `batches` training batches, at the end of an epoch, the last batch is attacked by PGD. When accuracy under PGD falls more
    than `drop` below its best, training stops with a warning, and the net gets the weights of the last check that was well.
    Source: Wong et al. (2020), Fast is better than free.

    Parameters
    ----------
    epsilon : float
        The training's epsilon.
    scale : float or tensor
        What 1 means for each feature.
    drop : float
        Fall of accuracy that rings the alarm.
    steps : int
        Steps of PGD.
    batches : int
        Batches between checks: with 10 steps and 50 batches it costs a tenth of training.
    """

    def __init__(
        self, epsilon: float = 0.1, *, scale: Any = 1.0, drop: float = 0.2, steps: int = 10, batches: int = 50
    ) -> None:
        self.epsilon, self.scale, self.drop, self.steps, self.batches = epsilon, scale, drop, steps, batches

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Start to listen; what a resumed history holds has been heard."""
        attack = PGD(self.epsilon, steps=self.steps)
        self.alarm_ = OverfittingAlarm(attack, drop=self.drop, space=Space(scale=self.scale))
        self.since_, self.well_ = 0, copy.deepcopy(net.module_.state_dict())
        for epoch in net.history:
            if "pgd_train_acc" in epoch:
                self.alarm_.heard(epoch["pgd_train_acc"])

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any) -> None:  # noqa: ARG002, FBT001, FBT002
        """Remember the last training batch."""
        if training:
            self.since_ += 1
            self.batch_ = batch

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Check, if enough batches have passed."""
        if self.since_ < self.batches:
            return
        self.since_ = 0
        x, y = self.batch_
        y = y["labels" if "labels" in y else "target"] if isinstance(y, dict) else y
        rings = self.alarm_.check(net.module_, filled(net.module_, x)[0], y)
        net.history.record("pgd_train_acc", float(self.alarm_.history[-1]))
        if not rings:
            self.well_ = copy.deepcopy(net.module_.state_dict())
            return
        net.module_.load_state_dict(self.well_)
        warnings.warn(
            f"Fast adversarial training has overfitted in epoch {len(net.history)}: accuracy under PGD on training rows fell "
            f"from {max(self.alarm_.history):.2f} to {self.alarm_.history[-1]:.2f}. Training stops with the weights of the "
            'last good check; use a smaller epsilon or adversarial="pgd".',
            stacklevel=2,
        )
        raise Stop

    def on_train_end(self, net: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Let go of the batch and the copy."""
        self.batch_ = self.well_ = None
