"""What noise costs in the test rows only, in the training rows only and in both, as a record."""

from html import escape
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic.dataclasses import dataclass

from hormesis.results import (
    SCHEMA_VERSION,
    STRICT,
    Estimate,
    Library,
    Provenance,
    dump,
    framed,
    load,
    spoken,
    title,
)
from hormesis.results.tables import Columns
from hormesis.results.words import within

Place = Literal["test", "training", "both"]
PLACES: tuple[Place, ...] = ("test", "training", "both")
_INTERVALS = [f"{name}{end}" for name in ("score", "drop", "gain") for end in ("", "_low", "_high")]
_TEXTS = ("noise", "unit", "scoring", "noise in", "verdict", "note")
_ORDER = ("noise", "level", "unit", "scoring", "noise in", "clean", *_INTERVALS, "verdict", "changed", "note")
FRAME: Columns = {name: "text" if name in _TEXTS else "number" for name in _ORDER}


@dataclass(frozen=True, config=STRICT)
class Cell:
    """A score with noise in one place, and the drop to no noise anywhere; where there is none, why not.

    `raises` says what the model raised, `absent` why the noise has no place here.
    """

    score: Estimate | None = None
    drop: Estimate | None = None
    raises: str | None = None
    absent: str | None = None

    def verdict(self, max_drop: float) -> str:
        """Say in one word whether the drop is shown to be tolerable: passes, fails, undecided, or not applicable."""
        if self.absent is not None:
            return "not applicable"
        if self.drop is None:
            return "fails"
        if self.drop.high <= max_drop:
            return "passes"
        return "fails" if self.drop.low > max_drop else "undecided"

    @property
    def words(self) -> str:
        """What the noise costs here."""
        if self.absent is not None:
            return f"not applicable ({self.absent})"
        if self.drop is None:
            return f"raises {self.raises}"
        if self.drop.value >= 0:
            return f"loses {_shown(self.drop)}"
        return f"gains {_shown(Estimate(-self.drop.value, -self.drop.high, -self.drop.low))}"


@dataclass(frozen=True, config=STRICT)
class Scenarios:
    """One noise at one level and one scorer: in the test rows only, in the training rows only, in both.

    `gain` is what training on the noise changes for noisy test rows: the score of both minus that of test only.
    `changed` is the share of cells that changed in the test rows, in the columns this noise applies to.
    """

    noise: str
    step: dict[str, Any]
    unit: str
    level: float
    scoring: str
    test: Cell
    training: Cell
    both: Cell
    gain: Estimate | None
    changed: float | None

    @property
    def helps(self) -> Literal["yes", "no", "not shown", "not applicable"]:
        """Whether training on the noise helps against it."""
        if self.gain is None:
            return "not applicable"
        if self.gain.low > 0:
            return "yes"
        return "no" if self.gain.high < 0 else "not shown"

    @property
    def words(self) -> str:
        """The four cells in one sentence."""
        name = f"{title(self.noise)} {spoken(self.level, self.unit)}"
        places = {"test only": self.test, "training only": self.training, "both": self.both}
        said = ", ".join(f"{place} {cell.words}" for place, cell in places.items() if cell.absent is None)
        absent = [f"{place} {cell.words}" for place, cell in places.items() if cell.absent is not None]
        still = "" if self.changed is None or self.changed else " (nothing changed in the test rows)"
        return "; ".join([f"{name}: {said}{still}", *absent[:1]]) + self._answer

    @property
    def _answer(self) -> str:
        if self.gain is None:
            return ""
        if self.helps == "not shown":
            return f": that training on it changes anything is not shown, {_shown(self.gain, '+')}"
        return (
            f": training on it wins back {_shown(self.gain)}"
            if self.helps == "yes"
            else f": training on it makes it worse, {_shown(self.gain, '+')}"
        )


@dataclass(frozen=True, config=STRICT)
class ScenariosResult:
    """Scores with noise in the test rows only, in the training rows only and in both: what `scenarios` returns."""

    cells: tuple[Scenarios, ...]
    clean: dict[str, Estimate]
    max_drop: float
    training_rows: int
    provenance: Provenance
    notes: tuple[str, ...] = ()
    library: Library = "pandas"
    finished: bool = True
    schema_version: int = SCHEMA_VERSION

    estimand: ClassVar[str] = (
        "models learnt from these training rows under new noise of this kind, on new rows like the test rows; "
        "95 % intervals over the test rows and the draws of the noise"
    )

    def to_frame(self) -> Any:
        """Return the tidy table, one row per noise, level, scorer and place, in the library of the user's table."""
        rows = (self._row(found, place) for found in self.cells for place in PLACES)
        return framed(rows, FRAME, self.library)

    def _row(self, found: Scenarios, place: Place) -> dict[str, Any]:
        cell: Cell = getattr(found, place)
        gain = found.gain if place == "both" else None
        return {
            "noise": found.noise,
            "level": found.level,
            "unit": found.unit,
            "scoring": found.scoring,
            "noise in": place,
            "clean": self.clean[found.scoring].value,
            **_parts("score", cell.score),
            **_parts("drop", cell.drop),
            **_parts("gain", gain),
            "verdict": cell.verdict(self.max_drop),
            "changed": None if place == "training" else found.changed,
            "note": cell.raises or cell.absent or "",
        }

    def table(self) -> Any:
        """Return the scores side by side, one row per noise and level (pandas DataFrame)."""
        import pandas as pd

        rows = [
            {
                "noise": title(c.noise),
                "level": spoken(c.level, c.unit),
                "scoring": c.scoring,
                "no noise": f"{self.clean[c.scoring].value:.3f}",
                "test only": _scored(c.test),
                "training only": _scored(c.training),
                "both": _scored(c.both),
                "training on it helps": c.helps,
                "gain": "" if c.gain is None else _shown(c.gain, "+"),
            }
            for c in self.cells
        ]
        several = len(self.clean) > 1
        return pd.DataFrame(rows).drop(columns=[] if several or not rows else ["scoring"])

    def words(self) -> list[str]:
        """Return one sentence per noise and level, and the notes."""
        several = len(self.clean) > 1
        return [f"{c.scoring}: {c.words}" if several else c.words for c in self.cells] + list(self.notes)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the result as JSON; with `path`, write it there too (whole or not at all)."""
        return dump(ScenariosResult, self, path)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        found: Self = load(cls, text)
        return found

    def __repr__(self) -> str:
        clean = ", ".join(f"{name} {_shown(score)}" for name, score in self.clean.items())
        head = f"ScenariosResult: without noise {clean}, {self.provenance.rows} test rows"
        return "\n".join([head, *("  " + line for line in self.words())])

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return str(self.table().to_html(index=False, na_rep="")) + f"<p>{escape(self.estimand)}</p>" + notes


def _shown(found: Estimate, sign: str = "") -> str:
    return f"{found.value:{sign}.3f} {within(found.low, found.high)}"


def _scored(cell: Cell) -> str:
    if cell.score is None:
        return "not applicable" if cell.absent is not None else "raises"
    return _shown(cell.score)


def _parts(name: str, found: Estimate | None) -> dict[str, float | None]:
    names = (name, f"{name}_low", f"{name}_high")
    return {
        key: getattr(found, part, None) for key, part in zip(names, ("value", "low", "high"), strict=True)
    }
