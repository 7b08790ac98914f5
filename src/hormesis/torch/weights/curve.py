"""Score against noise in the weights: many levels and draws in one call, with intervals and a break point."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hormesis import statistics
from hormesis.breaks import break_point_of
from hormesis.errors import HormesisError, SettingError
from hormesis.models import Answers, Task
from hormesis.results import Curve
from hormesis.scoring import Scorer, scorers
from hormesis.statistics import Sample
from hormesis.torch.quiet import attacking, check_logit, outputs
from hormesis.torch.weights.models import NoisyModels, Rows, Said
from hormesis.torch.weights.noise import check_kind, check_level, scale_of
from hormesis.torch.weights.selection import Kinds, Names, plain, weights_of

LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
SCORES = ("score", "score_low", "score_high", "drop", "drop_low", "drop_high")
Z95 = 1.959963984540054


@dataclass(frozen=True)
class WeightCurve:
    """What `weight_curve` returns.

    Parameters
    ----------
    curve : Curve
        Score and drop per level with 95 % intervals over new rows and new draws, and the break point.
    draws : tuple of tuples
        The score of each draw of the noise, shape (levels, repeats): how much one noisy device differs from the next.
    method : str
        ``"vmap"`` or ``"loop"``: how it was computed.
    """

    curve: Curve
    draws: tuple[tuple[float, ...], ...]
    method: str

    def __str__(self) -> str:
        return str(self.curve.break_point)

    def to_frame(self) -> Any:
        """Return one row per level (pandas DataFrame)."""
        import pandas as pd

        worst = [min(d, default=None) for d in self.draws]
        columns = {name: getattr(self.curve, name) for name in SCORES} | {"worst_draw": worst}
        return pd.DataFrame({"level": self.curve.levels} | columns)


def weight_curve(
    model: nn.Module,
    X: Any,
    y: Any,
    levels: Sequence[float] | float = LEVELS,
    *,
    repeats: int = 16,
    scoring: str | Callable[..., float] | None = None,
    max_drop: float = 0.05,
    kind: str = "gaussian",
    relative: bool = True,
    include: Names = None,
    exclude: Names = None,
    types: Kinds = None,
    seed: int = 0,
    batch_size: int = 4096,
    method: str = "auto",
) -> WeightCurve:
    """Measure a model's score against the level of noise in its weights.

    Each draw z of `weight_noise` is one noisy device, used at every level, so that a curve is smooth and levels are compared in
    pairs. All rows share a draw, so the intervals add the spread between draws to the spread between rows. The model is
    measured in eval mode and left as it was.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (n, classes), one logit (n,) or (n, 1), or numbers.
    X : tensor, array or mapping of tensors, n rows
        The rows, passed by name where they are a mapping.
    y : tensor or array, shape (n,)
        Classes from 0 as integers, or numbers; 0.0 and 1.0 with one logit are classes.
    levels : sequence of floats
        In standard deviations of each weight tensor (`relative`), or in the weights' own unit.
    repeats : int
        Draws of the noise, at least 2.
    scoring : str or callable, optional
        Any scikit-learn scorer of labels or probabilities; accuracy or r2 by default.
    max_drop : float
        The tolerated drop, for the break point.
    kind, relative, include, exclude, types
        As in `weight_noise`.
    seed : int
        Same seed, same noise, on every device.
    batch_size : int
        Rows times noisy models in one pass.
    method : {"auto", "vmap", "loop"}
        Many noisy models in one pass (`torch.func`), or one after another; "auto" takes the first where it can. The noise is
        the same to the bit; outputs agree up to the rounding of floating-point sums.

    Raises
    ------
    SettingError, DataError, ModelError
        A setting out of its range, labels that do not fit, a model that answers NaN without any noise.

    Examples
    --------
    >>> net = nn.Linear(1, 2)
    >>> with torch.no_grad():
    ...     _ = net.weight.copy_(torch.tensor([[-1.0], [1.0]])), net.bias.zero_()
    >>> x = torch.linspace(-1, 1, 200)[:, None]
    >>> print(weight_curve(net, x, (x[:, 0] > 0).long(), [0.01, 30.0], repeats=64))
    weight noise: passes 0.01 sd, fails at 30 sd
    """
    doses = _checked(levels, repeats, method, batch_size)
    check_kind(kind)
    weights = weights_of(model, include, exclude, types)
    noised = [(w, s) for w in weights if (s := scale_of(w, relative=relative))]
    rows = Rows.of(X, y, weights[0].tensor)
    with attacking(plain(model)) as quiet, torch.no_grad():
        said = rows.asked(lambda x: outputs(quiet, x)[None], batch_size)[0]
        judge = _Judge.of(said, rows, scoring, seed)
        models = NoisyModels(plain(model), noised, doses, repeats, kind, seed)
        answers, how = models.answers(rows, method, batch_size)
        cells = [judge.cell(said) for said in answers]
    found = [cells[i :: len(doses)] for i in range(len(doses))]
    share = sum(w.tensor.numel() for w, _ in noised) / sum(w.tensor.numel() for w in weights_of(model))
    step = {"noise": "WeightNoise", "level": doses[-1], "kind": kind, "relative": relative}
    draws = tuple(tuple(c.value for c in level if isinstance(c, Sample)) for level in found)
    return WeightCurve(judge.curve(doses, found, step, share, max_drop), draws, how)


def _checked(
    levels: Sequence[float] | float, repeats: int, method: str, batch_size: int
) -> tuple[float, ...]:
    levels = [levels] if isinstance(levels, int | float) else levels
    for level in levels:
        check_level(level)
    doses = tuple(sorted({float(level) for level in levels} - {0.0}))
    if not doses:
        raise SettingError(f"`levels={levels!r}`: give at least one level above 0.")
    if repeats < 2 or batch_size < 1:
        raise SettingError(
            f"`repeats={repeats}, batch_size={batch_size}`: at least 2 draws and 1 row are needed."
        )
    if method not in ("auto", "vmap", "loop"):
        raise SettingError(f"`method={method!r}`: it is 'auto', 'vmap' or 'loop'.")
    return doses


@dataclass(frozen=True)
class _Judge:
    """One scorer on one set of rows, with the clean score: intervals over rows and over draws."""

    scorer: Scorer
    clean: Sample
    classes: Any
    task: Task

    @classmethod
    def of(cls, said: Said, rows: Rows, scoring: str | Callable[..., float] | None, seed: int) -> "_Judge":
        one = said.ndim == 1 or said.shape[1] == 1
        known = np.isin(rows.y, (0, 1)) if one else rows.y == np.rint(rows.y)
        whole = rows.y.dtype.kind in "iub" or bool(known.all())
        if one and whole:
            check_logit(torch.as_tensor(said))
        task: Task = "classification" if whole else "regression"
        classes = np.arange(2 if one else said.shape[1]) if whole else np.unique(rows.y)
        truth = rows.y.astype(np.int64) if whole else rows.y
        if whole and not np.isin(truth, classes).all():
            raise SettingError(
                f"Labels go from {truth.min()} to {truth.max()}; the model answers {classes.size} classes, from 0."
            )
        scorer = scorers(scoring, None, truth, classes, task, seed)[0]
        clean = scorer.sample(_answers(said, classes, task))
        return cls(scorer, clean, classes, task)

    def cell(self, said: Said) -> Sample | str:
        """Return the score of one noisy model, or what is wrong with its answers."""
        try:
            return self.scorer.sample(_answers(said, self.classes, self.task))
        except HormesisError as error:
            return str(error)

    def curve(
        self,
        levels: tuple[float, ...],
        found: list[list[Sample | str]],
        step: Any,
        share: float,
        max_drop: float,
    ) -> Curve:
        """Return the house's curve over the levels."""
        errors = tuple(next((c for c in level if isinstance(c, str)), None) for level in found)
        rows = [self._row(level) for level in found]
        said: dict[str, Any] = dict(zip(SCORES, zip(*rows, strict=True), strict=True))
        clean, low, high = statistics.score_interval(
            [self.clean], share=self.scorer.share, smallest=self.scorer.smallest
        )
        known = None not in said["score"]
        about: dict[str, Any] = {"model": "model", "noise": "weight-noise", "unit": "sigma"}
        drops = said["drop_low"], said["drop_high"]
        return Curve(
            **about,
            **said,
            step=step,
            scoring=self.scorer.name,
            clean=clean,
            clean_low=low,
            clean_high=high,
            levels=levels,
            changed=(share,) * len(levels),
            errors=errors,
            robustness=statistics.area(levels, said["score"], clean, self.scorer.floor) if known else None,
            break_point=break_point_of(
                levels, *drops, errors, scorer=self.scorer, max_drop=max_drop, **about
            ),
        )

    def _row(self, cells: list[Sample | str]) -> tuple[float | None, ...]:
        samples = [c for c in cells if isinstance(c, Sample)]
        if len(samples) < len(cells):
            return (None,) * 6
        return (*self._score(samples), *self._drop(samples))

    def _drop(self, samples: list[Sample]) -> tuple[float, float, float]:
        value, low, high = statistics.difference(self.clean, samples, self.scorer.unseen(self.clean))
        units = self.clean.influence.size
        error = (high - low) / 2 / statistics.t_quantile(units - 1)
        half = _half(error, units - 1, samples)
        return value, value - half, value + half

    def _score(self, samples: list[Sample]) -> tuple[float, float, float]:
        """Widen the rows' influences until their interval holds the draws too."""
        value = float(np.mean([s.value for s in samples]))
        f = np.mean([s.influence for s in samples], axis=0)
        error = float(np.sqrt(f @ f)) / f.size
        known = Z95 if self.scorer.share else statistics.t_quantile(f.size - 1)
        wider = _half(error, f.size - 1, samples) / (known * error) if error else 1.0
        both = Sample(value, f * wider, samples[0].rows)
        return statistics.score_interval([both], share=self.scorer.share, smallest=self.scorer.smallest)


def _half(error: float, degrees: float, samples: list[Sample]) -> float:
    """Return half the interval of a mean over rows and draws (Satterthwaite 1946); a little wide, never narrow."""
    rows, draws = error**2, float(np.var([s.value for s in samples], ddof=1)) / len(samples)
    if rows + draws == 0:
        return 0.0
    freedom = (rows + draws) ** 2 / (rows**2 / degrees + draws**2 / (len(samples) - 1))
    return statistics.t_quantile(freedom) * float(np.sqrt(rows + draws))


def _answers(said: Said, classes: Any, task: Task) -> Answers:
    """Return a model's outputs as answers: probabilities of logits, numbers as they are."""
    flat = said.reshape(len(said), -1)
    values = torch.from_numpy(flat)
    made: Tensor = values[:, 0]
    if task == "classification":
        made = values.softmax(1) if flat.shape[1] > 1 else values[:, 0].sigmoid()
    return Answers(lambda _: made.numpy(), None, classes, task)
