"""What an attack found: adversarial inputs, who fell, and how far the numbers can be trusted."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


@dataclasses.dataclass(eq=False)
class Found:
    """One batch while it is attacked: per size the inputs, their heights and who is lost."""

    x: Tensor
    lost0: Tensor
    height0: Tensor
    saturated: Tensor
    classes: bool
    at: list[Tensor]
    height: list[Tensor]
    lost: list[Tensor]
    flat: Tensor
    forward: Tensor
    backward: Tensor
    took: list[dict[str, int]]
    notes: tuple[str, ...] = ()

    @classmethod
    def start(
        cls, x: Tensor, lost: Tensor, height: Tensor, saturated: Tensor, sizes: int, *, classes: bool
    ) -> "Found":
        """Return the batch before any attack."""
        return cls(
            x, lost, height, saturated, classes,
            [x.clone() for _ in range(sizes)], [height.clone() for _ in range(sizes)],
            [lost.clone() for _ in range(sizes)], torch.zeros_like(lost),
            torch.zeros(len(x), dtype=torch.int64), torch.zeros(len(x), dtype=torch.int64),
            [{} for _ in range(sizes)],
        )  # fmt: skip

    def carry(self, k: int) -> None:
        """Begin a size with what the next smaller one found: the balls are nested."""
        if k:
            self.at[k] = self.at[k - 1].clone()
            self.height[k] = self.height[k - 1].clone()
            self.lost[k] = self.lost[k - 1].clone()
            self.took[k] = dict(self.took[k - 1])

    def standing(self, k: int) -> Tensor:
        """Return the rows that are not lost yet; in a regression all of them."""
        return (~self.lost[k]).nonzero().flatten()

    def keep(
        self, k: int, rows: Tensor, better: tuple[Tensor, Tensor, Tensor], flat: Tensor | None, by: str = ""
    ) -> None:
        """Take over an attempt where it is worse for the model than what was there."""
        at, height, lost = better
        self.took[k][by] = self.took[k].get(by, 0) + int(lost.sum())
        won = (height > self.height[k][rows]) | lost
        chosen = rows[won]
        self.at[k][chosen], self.height[k][chosen] = at[won], height[won].to(self.height[k].dtype)
        self.lost[k][rows] |= lost
        if flat is not None:
            self.flat[rows] |= flat


@dataclasses.dataclass(frozen=True, eq=False)
class Attacked:
    """The rows of an evaluation under attack, at one size of epsilon or several.

    `adversarial[k]` are the inputs at `epsilons[k]`; `success[k]` tells the rows that the model gets wrong there, those
    that it got wrong before any attack among them. `height[k]` is the margin by which a row is lost (its squared error or
    other loss in a regression). `saturated` is the share of rows whose cross-entropy is flat, on which other attacks see
    nothing; `zero_gradient` the share on which this attack saw no gradient either. `queries` and `gradients` are the
    passes forward and backward that each row took part in; `took[k]` says how many rows each attack felled first.
    """

    attack: str
    epsilons: tuple[float, ...]
    adversarial: tuple[Tensor, ...]
    success: Tensor
    height: Tensor
    clean: Tensor
    clean_height: Tensor
    classes: bool
    saturated: float
    zero_gradient: float
    queries: Tensor
    gradients: Tensor
    took: tuple[dict[str, int], ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def joined(cls, name: str, sizes: tuple[float, ...], found: Sequence[Found], x: Tensor) -> "Attacked":
        """Put the batches together."""
        at = tuple(torch.cat([f.at[k] for f in found]).to(x.dtype) for k in range(len(sizes)))
        lost = torch.stack([torch.cat([f.lost[k] for f in found]) for k in range(len(sizes))])
        height = torch.stack([torch.cat([f.height[k] for f in found]) for k in range(len(sizes))])
        clean = ~torch.cat([f.lost0 for f in found])
        saturated = float(torch.cat([f.saturated for f in found]).float().mean())
        flat = float(torch.cat([f.flat & ~f.lost[-1] for f in found]).float().mean())
        height0, classes = torch.cat([f.height0 for f in found]), found[0].classes
        spent = torch.cat([f.forward for f in found]), torch.cat([f.backward for f in found])
        took = tuple(_summed([f.took[k] for f in found]) for k in range(len(sizes)))
        made = cls(name, sizes, at, lost, height, clean, height0, classes, saturated, flat, *spent, took)
        own = dict.fromkeys(note for f in found for note in f.notes)
        return dataclasses.replace(made, notes=(*_notes(made), *own))

    @property
    def robust_accuracy(self) -> tuple[float, ...]:
        """Share of rows still right, per epsilon; in a regression not a number."""
        return tuple(_share(~row) if self.classes else float("nan") for row in self.success)

    @property
    def clean_accuracy(self) -> float:
        """Share of rows right before the attack."""
        return _share(self.clean) if self.classes else float("nan")

    @property
    def mean_loss(self) -> tuple[float, ...]:
        """Mean height per epsilon: the mean loss of a regression."""
        return tuple(float(row.mean(dtype=torch.float64)) for row in self.height)

    def interval(self, confidence: float = 0.95) -> tuple[tuple[float, float], ...]:
        """Return the Clopper-Pearson interval of each robust accuracy, for new rows from the same source."""
        from scipy.stats import binomtest

        n = self.success.shape[1]
        right = [int((~row).sum()) for row in self.success]
        found = [binomtest(k, n).proportion_ci(confidence, "exact") for k in right]
        return tuple((float(f.low), float(f.high)) for f in found)

    def to_frame(self) -> Any:
        """Return one row per epsilon as a pandas DataFrame."""
        import pandas as pd

        frame = pd.DataFrame(
            {"attack": self.attack.split("(")[0], "epsilon": self.epsilons, "rows": self.success.shape[1]}
        )
        if not self.classes:
            return frame.assign(clean_loss=float(self.clean_height.mean()), loss=self.mean_loss)
        low, high = zip(*self.interval(), strict=True)
        return frame.assign(
            clean_accuracy=self.clean_accuracy, robust_accuracy=self.robust_accuracy, low=low, high=high,
            saturated=self.saturated, zero_gradient=self.zero_gradient,
        )  # fmt: skip

    def __repr__(self) -> str:
        n = self.success.shape[1]
        if not self.classes:
            lines = [f"{self.attack} on {n} rows, clean loss {float(self.clean_height.mean()):.4g}"]
            lines += [
                f"  epsilon {e:g}: loss {m:.4g}" for e, m in zip(self.epsilons, self.mean_loss, strict=True)
            ]
        else:
            lines = [f"{self.attack} on {n} rows, clean accuracy {self.clean_accuracy:.3f}"]
            for e, a, (low, high) in zip(self.epsilons, self.robust_accuracy, self.interval(), strict=True):
                lines.append(f"  epsilon {e:g}: robust accuracy {a:.3f} [{low:.3f}, {high:.3f}]")
        return "\n".join([*lines, *(f"  note: {n}" for n in self.notes)])


def noted(made: Attacked, notes: Iterable[str]) -> Attacked:
    """Return the result with more notes."""
    return dataclasses.replace(made, notes=(*made.notes, *notes))


def _summed(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    names = dict.fromkeys(name for each in counts for name in each)
    return {name: sum(each.get(name, 0) for each in counts) for name in names}


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())


def _notes(made: Attacked) -> list[str]:
    said = []
    if made.saturated > 0.01:
        said.append(
            f"cross-entropy is flat on {made.saturated:.0%} of the rows (very large logits): attacks that climb it see no slope there"
        )
    if made.zero_gradient > 0.01:
        said.append(
            f"no gradient at all on {made.zero_gradient:.0%} of the rows, which stand: robustness may be masked, try Square"
        )
    gone = _share(made.clean_height == torch.inf)
    if gone:
        said.append(f"the model answers NaN on {gone:.0%} of the rows before any attack: they count as wrong")
    return said
