"""What hardening tried and proved, as a record."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic.dataclasses import dataclass

from hormesis.recipe import Recipe
from hormesis.results import SCHEMA_VERSION, STRICT, Estimate, StressResult, dump, load, title


@dataclass(frozen=True, config=STRICT)
class Trial:
    """One candidate of the dose ladder: its noise, dose and cross-validated scores (inside the training part)."""

    recipe: str
    dose: float | None
    clean: float | None
    robust: float | None
    kept: bool
    note: str = ""


@dataclass(frozen=True, config=STRICT)
class HardenResult:
    """The answer of `harden`: the model, the recipe it was trained with, and the proof on untouched rows.

    `gain` is the difference in mean score over all levels of the noises searched, `held_out_gain` of those held out;
    `clean_cost` is the clean score lost. They are None where no candidate came to the proof. `verdict` is "harden" when
    the gain is shown (lower bound above 0) at a clean cost shown to be within `max_clean_drop` (upper bound), else
    "keep": keep your model. `model` is the one to use in either case, trained on the training part; None where Ctrl-C
    left nothing proven.
    """

    model: Any
    recipe: Recipe
    verdict: Literal["harden", "keep"]
    reason: str
    scoring: str
    guard: bool
    copies: int
    clean_before: float
    clean_after: float
    clean_cost: Estimate | None
    max_clean_drop: float
    gain: Estimate | None
    held_out_gain: Estimate | None
    searched: tuple[str, ...]
    held_out: tuple[str, ...]
    trials: tuple[Trial, ...]
    proof: StressResult
    finished: bool = True
    schema_version: int = SCHEMA_VERSION

    def part_of(self, noise: str) -> Literal["yes", "searched", "held out"]:
        """Say what part a noise had: trained on, searched and not taken, or held out for the proof."""
        if noise in {s.name for s in self.recipe.steps}:
            return "yes"
        return "searched" if noise in self.searched else "held out"

    def table(self) -> Any:
        """Return break points and robustness before and after, one row per noise (pandas DataFrame)."""
        import pandas as pd

        rows = []
        for before in self.proof.select(model="plain"):
            after = next(self.proof.select("hardened", before.noise, before.scoring), None)
            rows.append(
                {
                    "noise": title(before.noise),
                    "trained on": self.part_of(before.noise),
                    "before": before.break_point.words,
                    "after": after.break_point.words if after else None,
                    "robustness before": before.robustness,
                    "robustness after": after.robustness if after else None,
                }
            )
        return pd.DataFrame(rows)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return everything but the model as JSON; with `path`, write it there too (whole or not at all)."""
        import dataclasses

        return dump(HardenResult, dataclasses.replace(self, model=None), path)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; the model itself travels apart, and is None here."""
        found: Self = load(cls, text)
        return found

    def to_html(self, path: str | Path) -> None:
        """Write a self-contained report: no request goes outside."""
        from hormesis.report import write

        write(self, path)

    def words(self) -> list[str]:
        """Return the answer line by line: break points before and after, the gain elsewhere, the verdict last."""
        lines = (
            [f"break points before -> after (tolerated drop {self.proof.max_drop:g}):"]
            if self.proof.curves
            else []
        )
        for row in self.table().to_dict("records"):
            part = "" if row["trained on"] == "yes" else f" ({row['trained on']})"
            after = f" -> {row['after']}" if row["after"] else ""
            lines.append(f"  {row['noise']}{part}: {row['before']}{after}")
        if self.gain is not None:
            lines.append(f"gain under the noises searched, mean {self.scoring}: {self.gain}")
        if self.held_out_gain is not None:
            lines.append(f"gain under the noises held out: {self.held_out_gain}")
        if self.clean_cost is not None:
            lines.append(f"clean cost: {self.clean_cost}, allowed {self.max_clean_drop:g}")
        return [*lines, self.reason]

    def __repr__(self) -> str:
        return f"HardenResult({self.verdict}): {self.reason}\n{self.table().to_string(index=False)}"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p>{escape(self.reason)}</p>" + str(self.table().to_html(index=False, na_rep=""))
