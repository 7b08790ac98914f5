"""The verdict on a hardened model: what it gained under noise, what it cost on clean rows, and whether both are shown."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from hormesis import statistics
from hormesis.engine.bench import Bench
from hormesis.engine.levels import Level
from hormesis.engine.measuring import Measured
from hormesis.ladder import Ladder
from hormesis.proof import HardenResult
from hormesis.results import Estimate, Provenance, StressResult, title
from hormesis.statistics import Sample
from hormesis.step import Step


def judged(
    bench: Bench,
    done: Measured,
    ladder: Ladder,
    searched: Sequence[Step],
    others: Sequence[Step],
    proof: StressResult,
) -> HardenResult:
    """Return the answer of `harden`: hardened only where gain and clean cost are both shown."""
    scorer, found = bench.judges[0], "hardened" in bench.models
    before, after = (
        done.clean["plain", scorer.name],
        done.clean["hardened" if found else "plain", scorer.name],
    )
    h = scorer.unseen(before)
    cost = Estimate(*statistics.difference(before, [after], h)) if found else None
    gains = [_gain(bench, done, steps, h) if found else None for steps in (searched, others)]
    verdict, reason = _verdict(bench, done, ladder, proof.max_drop, cost, gains[0], before.value, after.value)
    if done.interrupted:
        verdict, reason = "keep", f"Interrupted before the proof was complete. So far: {reason}"
    return HardenResult(
        model=bench.models["hardened" if verdict == "harden" else "plain"],
        recipe=ladder.best.recipe,
        verdict=verdict,
        reason=reason,
        scoring=scorer.name,
        guard=ladder.best.guard is not None,
        copies=ladder.copies if ladder.best.recipe.steps else 0,
        clean_before=before.value,
        clean_after=after.value,
        clean_cost=cost,
        max_clean_drop=ladder.max_clean_drop,
        gain=gains[0][2] if gains[0] else None,
        held_out_gain=gains[1][2] if gains[1] else None,
        searched=tuple(s.name for s in searched),
        held_out=tuple(s.name for s in others),
        trials=tuple(ladder.trials),
        proof=proof,
        finished=proof.finished,
    )


def unproven(
    ladder: Ladder,
    searched: Sequence[Step],
    others: Sequence[Step],
    scoring: str,
    max_drop: float,
    provenance: Provenance,
    when: str,
) -> HardenResult:
    """Return what an interrupted run found: candidates, no proof, and no model."""
    plain = (ladder.trials[0].clean if ladder.trials else None) or 0.0
    notes = (*ladder.notes, f"interrupted during the {when}")
    return HardenResult(
        model=None,
        recipe=ladder.best.recipe,
        verdict="keep",
        reason=f"Interrupted during the {when}, after {len(ladder.trials)} candidates; the best so far is {ladder.best}. "
        "Nothing was proven: keep your model.",
        scoring=scoring,
        guard=ladder.best.guard is not None,
        copies=ladder.copies,
        clean_before=plain,
        clean_after=plain,
        clean_cost=None,
        max_clean_drop=ladder.max_clean_drop,
        gain=None,
        held_out_gain=None,
        searched=tuple(s.name for s in searched),
        held_out=tuple(s.name for s in others),
        trials=tuple(ladder.trials),
        proof=StressResult((), max_drop, (scoring,), provenance, (), notes, finished=False),
        finished=False,
    )


Gain = tuple[float, float, Estimate]


def _gain(bench: Bench, done: Measured, steps: Sequence[Step], h: float) -> Gain | None:
    """Return the mean score under some noises before and after, and the difference with its interval.

    A model that raises in a cell has no skill there.
    """
    scorer = bench.judges[0]

    def at(level: Level) -> Sample:
        read = level.reads.get(scorer.name)
        return scorer.held(read.sample) if read else scorer.no_skill

    theirs, ours = ([at(x) for s in steps for x in done.of(s.name, model)] for model in ("plain", "hardened"))
    if not ours:
        return None
    before, after = (float(np.mean([s.value for s in side])) for side in (theirs, ours))
    return before, after, Estimate(*statistics.mean_difference(ours, theirs, h))


def _newly_raising(done: Measured) -> str | None:
    """Name a noise under which the hardened model raises and the plain one answers."""
    for step in done.steps:
        for plain, hardened in zip(*(done.of(step.name, m) for m in ("plain", "hardened")), strict=True):
            if hardened.error and not plain.error:
                return f"{title(step.name)} ({hardened.error})"
    return None


def _verdict(
    bench: Bench,
    done: Measured,
    ladder: Ladder,
    max_drop: float,
    cost: Estimate | None,
    gain: Gain | None,
    before: float,
    after: float,
) -> tuple[Literal["harden", "keep"], str]:
    name, allowed = bench.judges[0].name, ladder.max_clean_drop
    if "hardened" not in bench.models:
        plain, tried = ladder.trials[0], ladder.trials[1:]
        best = max([t.robust for t in tried if t.robust is not None], default=plain.robust)
        return "keep", (
            f"Keep your model: none of {len(tried)} candidates made it more robust within the clean budget "
            f"(cross-validated {name} under noise {plain.robust:.3f}, best candidate {best:.3f})."
        )
    few = bench.judges[0].too_few(max_drop)
    if few:
        return "keep", f"Keep your model: nothing can be shown with {few}."
    raising = _newly_raising(done)
    if raising:
        return "keep", f"Keep your model: the one trained with {ladder.best} raises under {raising}."
    if gain is None or cost is None:
        return "keep", "Keep your model: nothing of the proof was measured."
    rise = f"mean {name} under noise goes from {gain[0]:.3f} to {gain[1]:.3f}, clean from {before:.3f} to {after:.3f}"
    if gain[2].low <= 0:
        return "keep", f"Keep your model: a gain from training with {ladder.best} is not shown ({rise})."
    if cost.high > allowed:
        few = f"cannot be shown to stay within {allowed:g} on {bench.y.size:,} rows"
        beyond = f"is beyond the {allowed:g} allowed" if cost.low > allowed else few
        return (
            "keep",
            f"Keep your model: training with {ladder.best} helps, but its clean cost {beyond} ({rise}).",
        )
    return "harden", f"Hardened with {ladder.best}: {rise}."
