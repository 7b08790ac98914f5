"""What was measured, as records: curves, break points and verdicts that print, tabulate and travel as JSON."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from hormesis.errors import DataError
from hormesis.files.aside import write_aside

SCHEMA_VERSION = 1
_OF = {"rank": " of ranks", "relative": " of the value"}
Numbers = tuple[float | None, ...]
STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


def spoken(level: float, unit: str) -> str:
    """Say a level with its unit.

    >>> spoken(0.125, "fraction"), spoken(0.5, "sigma"), spoken(0.1, "epsilon"), spoken(0.2, "rank")
    ('12.5 %', '0.5 sd', 'epsilon 0.1', '20 % of ranks')
    """
    if unit == "epsilon":
        return f"epsilon {level:.3g}"
    return f"{level:.3g} sd" if unit == "sigma" else f"{100 * level:.3g} %{_OF.get(unit, '')}"


@dataclass(frozen=True, config=STRICT)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


@dataclass(frozen=True, config=STRICT)
class BreakPoint:
    """Where a model stops passing: the unbroken run of passes from clean, and of failures from the top.

    `passes_to` is the last level of the passes (0: not even the first level passed), `fails_from` the first
    of the failures (None: none failed). `low` and `high` are where the interval's curves cross the tolerance.
    """

    model: str
    noise: str
    scoring: str
    unit: str
    tested_to: float
    passes_to: float
    fails_from: float | None
    low: float
    high: float | None
    reason: str | None = None
    raises: str | None = None
    failed_below: tuple[float, ...] = ()

    @property
    def verdict(self) -> Literal["holds", "breaks", "undecided", "not measurable"]:
        """One word; an undecided level never counts as a pass."""
        if self.reason is not None:
            return "not measurable"
        if self.fails_from is not None:
            return "breaks"
        return "holds" if self.passes_to >= self.tested_to else "undecided"

    @property
    def words(self) -> str:
        """The verdict in words a manager understands, without the name of the noise."""
        say = functools.partial(spoken, unit=self.unit)
        if self.reason is not None:
            return f"not measurable: {self.reason}"
        passes = f"passes {say(self.passes_to)}" if self.passes_to > 0 else "no level passes"
        why = f" (the model raises {self.raises})" if self.raises else ""
        if self.fails_from is None:
            if self.verdict == "holds":
                return f"holds to {say(self.tested_to)}, the highest level tested"
            return f"{passes}, undecided from there to {say(self.tested_to)}"
        if self.passes_to == 0:
            return f"fails at {say(self.fails_from)}{why}, and no lower level was shown to pass"
        return f"{passes}, fails at {say(self.fails_from)}{why}"

    def __str__(self) -> str:
        return f"{title(self.noise)}: {self.words}"


@dataclass(frozen=True, config=STRICT)
class Curve:
    """Score against level for one model, noise and scorer, with 95 % intervals over new rows and new noise.

    Scores are scikit-learn's (greater is better); a drop is the clean score minus the noisy one. `changed` is the
    share of cells that really changed in the columns this noise applies to. A level at which the model raised has
    its error and None for numbers.
    """

    model: str
    noise: str
    step: dict[str, Any]
    unit: str
    scoring: str
    clean: float
    clean_low: float
    clean_high: float
    levels: tuple[float, ...]
    score: Numbers
    score_low: Numbers
    score_high: Numbers
    drop: Numbers
    drop_low: Numbers
    drop_high: Numbers
    changed: Numbers
    errors: tuple[str | None, ...]
    robustness: float | None
    break_point: BreakPoint


@dataclass(frozen=True, config=STRICT)
class Distribution:
    """One column before and after a noise: counts per bin (`edges`) or per value (`labels`)."""

    column: str
    noise: str
    level: float
    unit: str
    importance: float
    before: tuple[int, ...]
    after: tuple[int, ...]
    missing_before: int
    missing_after: int
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, config=STRICT)
class Provenance:
    """What is needed to repeat a run: seed, scheme of randomness, versions, data."""

    seed: int
    repeats: int
    rows: int
    sampled: str
    fingerprint: str
    seconds: float
    versions: dict[str, str]
    scheme: str


@dataclass(frozen=True, config=STRICT)
class StressResult:
    """The score of one or several models under every noise and level: what `stress` returns."""

    curves: tuple[Curve, ...]
    max_drop: float
    scoring: tuple[str, ...]
    provenance: Provenance
    distributions: tuple[Distribution, ...] = ()
    notes: tuple[str, ...] = ()
    finished: bool = True
    schema_version: int = SCHEMA_VERSION

    estimand: ClassVar[str] = (
        "on rows like these that the model has not seen, and new noise of this kind; 95 % intervals, "
        "rows as the sample, one kind of noise at a time"
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
        """Return one row per curve: where it stops passing and where it surely fails (pandas DataFrame)."""
        import pandas as pd

        rows = [c.break_point for c in self.curves]
        names = [
            "model",
            "noise",
            "scoring",
            "unit",
            "passes_to",
            "fails_from",
            "low",
            "high",
            "verdict",
            "words",
        ]
        return pd.DataFrame([{name: getattr(b, name) for name in names} for b in rows], columns=names)

    def robustness(self) -> Any:
        """Return the area under each score-level curve as a share of the clean score (pandas DataFrame)."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"model": c.model, "noise": c.noise, "scoring": c.scoring, "robustness": c.robustness}
                for c in self.curves
            ]
        )

    def to_frame(self) -> Any:
        """Return the tidy table: one row per model, noise, scorer and level (pandas DataFrame)."""
        import pandas as pd

        columns = ["score", "score_low", "score_high", "drop", "drop_low", "drop_high", "changed"]
        rows = [
            {"model": c.model, "noise": c.noise, "unit": c.unit, "scoring": c.scoring, "level": level}
            | {name: getattr(c, name)[i] for name in columns}
            | {"error": c.errors[i]}
            for c in self.curves
            for i, level in enumerate(c.levels)
        ]
        return pd.DataFrame(rows)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the result as JSON; with `path`, write it there too (whole or not at all)."""
        return dump(StressResult, self, path)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        found: Self = load(cls, text)
        return found

    def to_html(self, path: str | Path) -> None:
        """Write a self-contained report: no request goes outside."""
        from hormesis.report import write

        write(self, path)

    def verdicts(self) -> list[str]:
        """One sentence per curve."""
        several = len(self.models) > 1, len(self.scoring) > 1
        out = []
        for c in self.curves:
            who = [c.model] if several[0] else []
            who += [c.scoring] if several[1] else []
            idle = "" if any(c.changed) else " (nothing changed in these rows, so this shows nothing)"
            out.append(f"{', '.join(who)}: {c.break_point}{idle}" if who else f"{c.break_point}{idle}")
        return out

    def __repr__(self) -> str:
        head = f"StressResult: {', '.join(self.scoring)}, tolerated drop {self.max_drop:g}, {self.provenance.rows} rows"
        return "\n".join([head, *("  " + v for v in self.verdicts())])

    def _repr_html_(self) -> str:
        return str(self.break_points().to_html(index=False, na_rep=""))


def title(name: str) -> str:
    """Say the name of a step: ``missing-values`` is `missing values`."""
    return name.replace("-", " ")


def dump(kind: type, value: Any, path: str | Path | None) -> str:
    """Return a record as JSON; with `path`, write it there too (whole or not at all)."""
    text = TypeAdapter(kind).dump_json(value, indent=1).decode()
    if path is not None:
        write_aside(path, text + "\n")
    return text


def load(kind: Any, text: str) -> Any:
    """Read a record of this schema version."""
    found = json.loads(text).get("schema_version")
    if found != SCHEMA_VERSION:
        raise DataError(
            f"This result has schema version {found}; this hormesis reads version {SCHEMA_VERSION}."
        )
    return TypeAdapter(kind).validate_json(text)
