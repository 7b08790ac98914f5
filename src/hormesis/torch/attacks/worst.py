"""Attacks as noise: what `stress` makes against each model, its level epsilon in spreads of the training data."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hormesis.columns import Table
from hormesis.errors import ModelError, SettingError
from hormesis.frames import is_tensor, open_table, take
from hormesis.key import key
from hormesis.noise.base import Columns, Epsilons
from hormesis.noise.worst import Victim, WorstCase
from hormesis.profile import Kind, Profile
from hormesis.torch.attacks.space import Space
from hormesis.torch.doors.model import ALONE, has_module, inputs, module_of

BATCH = 1024


class Gaps(nn.Module):
    """A module that meets missing cells as they are, whatever an attack makes of them."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, values: Tensor, cells: Tensor, gone: Tensor) -> Any:
        """Answer rows with their gaps."""
        return self.module(torch.where(gone, cells, values))


@dataclasses.dataclass(frozen=True)
class Adversarial(WorstCase):
    """The rows that an attack makes against a model: each column moves by at most epsilon times its spread.

    Constant columns stay as they are, whole numbers and booleans stay whole. A gradient attack needs a torch module
    (bare, in skorch, or trained by `harden`); Square and other attacks that only look at answers take any model with
    `predict_proba`, or a regressor. Words and missing cells stay as they are. A row is moved until its label is wrong and no
    further: accuracy is the score to read, and a ranking such as roc_auc could be made to fall more. Unit of `level`:
    epsilon, in robust standard deviations of the training data.

    Parameters
    ----------
    level : float
        Epsilon.
    attack : attack
        Such as `hormesis.torch.PGD()`; `stress` takes it directly.
    space : Space, optional
        Where a gradient attack may go, such as ``Space.image()``; epsilon is in its units. None: the training data's.

    Raises
    ------
    SettingError
        No attack was given.

    Source: Madry et al. (2018), towards deep learning models resistant to adversarial attacks.

    Examples
    --------
    >>> from hormesis.torch import PGD
    >>> PGD(0.1, steps=5).as_noise().name
    'pgd'
    """

    level: Epsilons = 0.1
    attack: Any = None
    space: Space | None = None
    columns: Columns = "any"
    applies_to: ClassVar[tuple[Kind, ...]] = ("number", "integer", "boolean")
    stops: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not hasattr(self.attack, "run"):
            raise SettingError(
                f"`Adversarial(attack={self.attack!r})`: give an attack such as PGD(steps=20)."
            )
        if isinstance(self.level, bool) or not self.level >= 0:
            raise SettingError(
                f"`{type(self.attack).__name__}(epsilon={self.level!r})`: epsilon is 0 or more."
            )

    @property
    def name(self) -> str:  # noqa: D102
        norm = getattr(self.attack, "norm", "linf")
        return str(self.attack.name) if norm == "linf" else f"{self.attack.name}-{norm}"

    @property
    def gradients(self) -> bool:
        """Whether the attack follows gradients."""
        return bool(getattr(self.attack, "needs_gradients", True))

    def settings(self) -> dict[str, Any]:  # noqa: D102
        fields = dataclasses.fields(self.attack)
        said = {f.name: getattr(self.attack, f.name) for f in fields if f.name != "epsilon"}
        return {"attack": type(self.attack).__name__} | {
            k: _plain(v) for k, v in said.items() if v is not None
        }

    def targets(self, profile: Profile) -> list[str | int]:  # noqa: D102
        movable = {
            c.name for c in profile.columns if c.spread or (c.kind == "boolean" and len(c.categories) > 1)
        }
        return [name for name in super().targets(profile) if name in movable]

    def selected(self, table: Table, profile: Profile) -> list[int]:  # noqa: D102
        moved = set(self.targets(profile))
        return [j for j, name in enumerate(table.names) if name in moved]

    def check(self, model: Any) -> None:  # noqa: D102
        if self.gradients and not has_module(model):
            raise ModelError(
                f"`{type(self.attack).__name__}` follows gradients, and {type(model).__name__} is no torch module: use "
                "Square(), or WorstOf(GaussianNoise()), which only look at answers."
            )

    def against(  # noqa: D102
        self, victim: Victim, data: Any, *, profile: Profile, seed: int, repeat: int = 0
    ) -> Any:
        own = key(seed, "repeat", repeat) >> 1 if repeat else seed
        open_ = open_table(data)
        if self.gradients or (has_module(victim.model) and is_tensor(data)):
            return self._by_gradient(victim, data, open_, profile, own)
        return self._by_answers(victim, data, open_, profile, own)

    def _run(self, model: Any, x: Any, y: Tensor, space: Space, seed: int, **more: Any) -> Tensor:
        with ALONE:
            found = self.attack.run(
                model,
                x,
                y,
                space=space,
                epsilons=[self.level],
                seed=seed,
                batch_size=BATCH,
                progress=False,
                **more,
            )
        adversarial: Tensor = found.adversarial[0]
        return adversarial

    def _by_gradient(self, victim: Victim, data: Any, table: Table, profile: Profile, seed: int) -> Any:
        module = module_of(victim.model, table.names)
        cells = inputs(module, data)
        cells = cells if cells.is_floating_point() else cells.to(torch.float32)
        gone, columns = ~cells.isfinite(), list(range(len(table.names)))
        where = _target(victim, cells), self._room(table, profile, cells), seed
        if not gone.any():
            return written(data, columns, cells, self._run(module, cells, *where))
        x = cells.masked_fill(gone, 0.0)
        found = self._run(Gaps(module), {"values": x, "cells": cells, "gone": gone}, *where, part="values")
        return written(data, columns, x, torch.where(gone, x, found))

    def _room(self, table: Table, profile: Profile, x: Tensor) -> Space:
        if self.space is not None:
            return self.space
        still = set(range(len(table.names))) - set(self.selected(table, profile))
        space = _space(table, profile, list(range(len(table.names))), sorted(still))
        return space._shaped(tuple(x.shape[1:]))

    def _by_answers(self, victim: Victim, data: Any, table: Table, profile: Profile, seed: int) -> Any:
        """Attack the movable columns of any table, by the answers to tables of its own kind."""
        chosen = self.selected(table, profile)
        given = torch.from_numpy(np.column_stack([table.numbers(j) for j in chosen]))
        gone, x = given.isnan(), given.nan_to_num(nan=0.0)

        def asked(values: Tensor, rows: Tensor) -> Tensor:
            present = torch.where(gone[rows], x[rows], values)
            noisy = written(take(data, rows.numpy()), chosen, x[rows], present)
            return torch.from_numpy(victim.logits(noisy))

        batch = {"values": x, "rows": torch.arange(len(x))}
        space = _space(table, profile, chosen, [])
        found = self._run(asked, batch, _target(victim, x), space, seed, part="values")
        return written(data, chosen, x, torch.where(gone, x, found))


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    known = isinstance(value, bool | int | float | str)
    return value if known else getattr(value, "__name__", type(value).__name__)


def _space(table: Table, profile: Profile, columns: list[int], still: list[int]) -> Space:
    """Return the space of some columns, in the order of the table; booleans from 0 to 1."""
    known = [profile[table.names[j]] for j in columns]
    space = Space.of(Profile(tuple(known), profile.rows), frozen=still)
    boolean = torch.tensor([c.kind == "boolean" for c in known])
    if not boolean.any():
        return space
    limit = torch.full((len(known),), torch.inf, dtype=torch.float64)
    return dataclasses.replace(
        space, low=torch.where(boolean, 0.0, -limit), high=torch.where(boolean, 1.0, limit)
    )


def _target(victim: Victim, x: Tensor) -> Tensor:
    """Return labels as the numbers of the model's outputs, or a regression's numbers."""
    if not victim.classes.size:
        return torch.tensor(victim.y, dtype=x.dtype, device=x.device)
    return torch.from_numpy(np.searchsorted(victim.classes, victim.y)).to(x.device)


def written(data: Any, columns: list[int], clean: Tensor, moved: Tensor) -> Any:
    """Return a table of the same kind with the cells that moved; the others keep every bit."""
    if is_tensor(data) and len(columns) == data[0].numel():
        there = (moved != clean).reshape(data.shape)
        return torch.where(there, moved.reshape(data.shape).to(data.dtype).to(data.device), data.detach())
    hit, values = ((t.reshape(len(t), -1).cpu().numpy()) for t in (moved != clean, moved.double()))
    if isinstance(data, np.ndarray) and data.dtype.kind == "f" and data.ndim == 2:
        out = data.copy()
        out[:, columns] = np.where(hit, values, data[:, columns])
        return out
    table = open_table(data)
    for i, j in enumerate(columns):
        if hit[:, i].any():
            _write(table, j, hit[:, i], values[:, i])
    return table.close()


def _write(table: Table, j: int, hit: NDArray[np.bool_], values: NDArray[np.float64]) -> None:
    if table.dtype(j) == "boolean":
        rows = np.flatnonzero(hit)
        table.put(j, rows, values[rows] > 0.5)
    else:
        table.replace(j, np.where(hit, values, table.numbers(j)))
