"""The result of `stress`: curves, break points and what was found beside them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic.dataclasses import dataclass

from hormesis.errors import SettingError
from hormesis.limits import Checked, Limit
from hormesis.results import tables
from hormesis.results.base import SCHEMA_VERSION, STRICT, dump, load
from hormesis.results.curves import Curve, Distribution
from hormesis.results.findings import Difference, Fragility
from hormesis.results.lines import printed, shown, verdict
from hormesis.results.page import page
from hormesis.results.running import Cost, Provenance


@dataclass(frozen=True, config=STRICT)
class StressResult:
    """The score of one or several models under every noise and level: what `stress` returns.

    Frames come out in the user's library (`library`). `differences` are of models in pairs, `fragile` of columns one at
    a time, `limits` for data, `checked` what a validator noticed; each is empty where it was not asked for.
    """

    curves: tuple[Curve, ...]
    max_drop: float
    scoring: tuple[str, ...]
    provenance: Provenance
    distributions: tuple[Distribution, ...] = ()
    notes: tuple[str, ...] = ()
    finished: bool = True
    schema_version: int = SCHEMA_VERSION
    differences: tuple[Difference, ...] = ()
    fragile: tuple[Fragility, ...] = ()
    limits: tuple[Limit, ...] = ()
    checked: tuple[Checked, ...] = ()
    cost: Cost | None = None
    library: tables.Library = "pandas"

    @property
    def estimand(self) -> str:
        """What every number is about, in words."""
        count = self.provenance.groups
        sample = "rows as the sample" if count is None else f"{count:,} groups of rows as the sample"
        return (
            "on rows like these that the model has not seen, and new noise of this kind; 95 % intervals, "
            f"{sample}, one kind of noise at a time, this fitted model, noise scaled by the training data"
        )

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order given."""
        return tuple(dict.fromkeys(c.model for c in self.curves))

    def select(
        self, model: str | None = None, noise: str | None = None, scoring: str | None = None
    ) -> Iterator[Curve]:
        """Yield the curves of a model, a noise and a scorer; None means any."""
        for c in self.curves:
            if model in (None, c.model) and noise in (None, c.noise) and scoring in (None, c.scoring):
                yield c

    def break_points(self) -> Any:
        """Return one row per curve: where it stops passing and where it surely fails."""
        points = [c.break_point for c in self.curves]
        rows = ({name: getattr(b, name) for name in tables.BREAKS} for b in points)
        return tables.framed(rows, tables.BREAKS, self.library)

    def robustness(self) -> Any:
        """Return the area under each score-level curve as a share of the clean score, one row per curve."""
        rows = ({name: getattr(c, name) for name in tables.ROBUSTNESS} for c in self.curves)
        return tables.framed(rows, tables.ROBUSTNESS, self.library)

    def to_frame(self) -> Any:
        """Return the tidy table: one row per model, noise, scorer and level.

        A level that was stopped early has the score of its own `rows`, which differs from the clean score of all rows by
        chance too. `drop` is paired with the clean answers to the same rows: compare drops between levels, not scores.
        """
        every = self.provenance.rows
        rows = (row for c in self.curves for row in tables.level_rows(c, self.max_drop, every))
        return tables.framed(rows, tables.LEVELS, self.library)

    def crashes(self) -> Any:
        """Return where the model raised, and what noise of whole columns did to it, loud or silent.

        `outcome` is "raises" (loud), "silent" (answers, and loses more than the tolerated drop), "within tolerance"
        (shown to lose no more than that; predictions may well change: see `flips`) or "undecided".
        """
        rows = (row for c in self.curves for row in tables.crash_rows(c, self.max_drop))
        return tables.framed(rows, tables.CRASHES, self.library)

    def fragility(self) -> Any:
        """Return what the model loses when one column alone goes bad, the column that loses most first.

        Raises
        ------
        SettingError
            Columns were not tested one at a time.
        """
        if not self.fragile:
            raise SettingError(
                "`fragility()`: columns were not tested one at a time. Ask for it: `stress(..., by_column=True)`."
            )
        return tables.framed(map(tables.fragile_row, self.fragile), tables.FRAGILE, self.library)

    def compare(self) -> Any:
        """Return the paired differences of models: of score and drop at each level, and of the break points.

        A difference above 0 speaks for `other`, with a 95 % interval of its own: two intervals that overlap say less.

        Raises
        ------
        SettingError
            One model was measured: there is nothing to compare.
        """
        if not self.differences:
            raise SettingError(
                f"`compare()`: {_count(self.models)} measured. Give two or more in a dict: "
                "`stress({'old': old, 'new': new}, X, y)`."
            )
        rows = (row for d in self.differences for row in tables.difference_rows(d))
        return tables.framed(rows, tables.DIFFERENCES, self.library)

    def thresholds(self) -> Any:
        """Return the break points as limits for data: how much damage a batch may hold before it is stopped."""
        from hormesis.thresholds import Thresholds

        return Thresholds(self.limits)

    def noticed(self) -> Any:
        """Return what the validator noticed: *harmful and unnoticed*, harmful and noticed, harmless and rejected.

        Raises
        ------
        SettingError
            No validator was given.
        """
        from hormesis.validating import Noticed

        if not self.checked:
            raise SettingError(
                "`noticed()`: no validator was given. Ask for it: `stress(..., validator=schema)`."
            )
        return Noticed(self.checked)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the result as JSON; with `path`, write it there too (whole or not at all)."""
        return dump(StressResult, self, path)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; a text that is cut off, of another record or version is a DataError."""
        found: Self = load(cls, text)
        return found

    def to_html(self, path: str | Path) -> None:
        """Write a self-contained report: no request goes outside."""
        from hormesis.report import write

        write(self, path)

    def verdicts(self) -> list[str]:
        """One sentence per curve."""
        return [verdict(self, c) for c in self.curves]

    def lines(self) -> list[str]:
        """Return the result line by line, as the command line prints it."""
        return printed(self)

    def __repr__(self) -> str:
        return "\n".join(shown(self))

    def _repr_html_(self) -> str:
        return page(self)


def _count(models: tuple[str, ...]) -> str:
    return f"one model, `{models[0]}`, was" if len(models) == 1 else "no difference of models was"
