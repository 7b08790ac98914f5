"""What a level of a noise did to one model: scores, drops, changed predictions, calibration, the worst slice."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hormesis.engine.bench import Bench
from hormesis.engine.oracle import Oracle, Told, joined
from hormesis.engine.rounds import Reply
from hormesis.scoring import Scorer
from hormesis.scoring.scorer import FEW
from hormesis.statistics import Drop, Sample, drop_of, groups_of, score_interval, unit_drops
from hormesis.statistics.calibration import Calibration, calibration, calibration_change, top_label
from hormesis.statistics.paired import Condensed, condense
from hormesis.statistics.slices import Slices, WorstSlice
from hormesis.step import Step

MOVED = 0.1  # of the clean predictions' standard deviation: a number that moves by less has not changed
Judged = tuple[Drop, list[Sample]]
Parts = Sequence[Sequence[Reply]]  # per repeat, the replies to consecutive parts of the rows


@dataclass(frozen=True)
class Read:
    """One scorer at one level: the score and its interval, the drop, the sample behind it."""

    score: float
    low: float
    high: float
    drop: Drop
    sample: Sample
    h: float
    worst: WorstSlice | None = None
    condensed: Condensed | None = None  # what a comparison with another model needs


@dataclass(frozen=True)
class Level:
    """One noise at one level for one model, on the first `rows` rows; `reads` by scorer, none where the model raised."""

    step: str
    model: str
    level: float
    rows: int
    reads: Mapping[str, Read]
    error: str | None
    share: float
    widened: Mapping[str | int, str]
    flips: float | None = None
    calibration: float | None = None
    worse: Drop | None = None  # calibration error under noise minus the clean one


@dataclass(frozen=True)
class Reader:
    """Reads one model's replies against its clean answers."""

    name: str
    bench: Bench
    oracle: Oracle
    clean: Told
    max_drop: float
    slices: Slices | None = None

    def judge(self, scorer: int, rows: int) -> Scorer:
        """Return a scorer on the first rows, as they are looked at."""
        judge = self.bench.judges[scorer]
        return judge if rows == self.bench.rows else judge.on(slice(0, rows))

    def first(self, rows: int) -> Told:
        """Return the clean answers to the first rows."""
        return {kind: values[:rows] for kind, values in self.clean.items()}

    @functools.cached_property
    def _samples(self) -> dict[tuple[int, int], tuple[Scorer, Sample, float]]:
        return {}

    def clean_sample(self, scorer: int, rows: int) -> tuple[Scorer, Sample, float]:
        """Return a scorer on the first rows, its clean sample, and the influence of a row that went wrong unseen."""
        if (scorer, rows) not in self._samples:
            judge = self.judge(scorer, rows)
            answers = self.oracle.held(self.first(rows))
            sample = judge.sample(answers)
            self._samples[scorer, rows] = judge, sample, judge.unseen(sample, answers)
        return self._samples[scorer, rows]

    def error(self, parts: Parts) -> str | None:
        """Return what the model raised in any part."""
        return next((r.error for repeat in parts for r in repeat if r.error is not None), None)

    def judged(self, step: Step, parts: Parts, rows: int) -> list[Judged] | None:
        """Return the drop of each scorer, without bound where the rows cannot tell; None where the model raised."""
        if self.error(parts):
            return None
        told = [joined(r.told for r in repeat if r.told is not None) for repeat in parts]
        return [self._drop(i, told, step, rows) for i in range(len(self.bench.scorers))]

    def row_drops(self, parts: Parts, rows: int) -> list[NDArray[np.float64]]:
        """Return, per scorer, one number per row (group, block) whose mean is the drop."""
        told = [joined(r.told for r in repeat if r.told is not None) for repeat in parts]
        known = [self.clean_sample(i, rows) for i in range(len(self.bench.scorers))]
        return [
            unit_drops(clean, [judge.sample(self.oracle.held(t)) for t in told]) for judge, clean, _ in known
        ]

    def _drop(self, i: int, told: Sequence[Told], step: Step, rows: int) -> Judged:
        if rows < self.bench.rows and self._early(i, rows):
            return Drop(np.nan, np.inf, 1.0), []
        judge, clean, h = self.clean_sample(i, rows)
        samples = [judge.sample(self.oracle.held(t)) for t in told]
        return drop_of(clean, samples, h, shared=step.noise.shared), samples

    @functools.cached_property
    def _few(self) -> dict[tuple[int, int], bool]:
        return {}

    def _early(self, scorer: int, rows: int) -> bool:
        """Tell whether the first rows are too few for a scorer, which is found out once."""
        if (scorer, rows) not in self._few:
            self._few[scorer, rows] = self._too_few(self.judge(scorer, rows))
        return self._few[scorer, rows]

    def _too_few(self, judge: Scorer) -> bool:
        """Tell whether rows are too few for a scorer; one that is not known may need every class."""
        if judge.metric is None and self.bench.task == "classification":
            every = np.unique(self.bench.y)
            if any(int((judge.y == c).sum()) < FEW for c in every):
                return True
        return judge.too_few(self.max_drop) is not None

    def level(
        self, step: Step, level: float, parts: Parts, rows: int, judged: Sequence[Judged] | None = None
    ) -> Level:
        """Return all that is said of a level; `judged` are its drops where they are known already."""
        replies = [r for repeat in parts for r in repeat]
        sizes = np.array([r.changed.size for r in replies], float)
        share = float(np.average([r.share for r in replies], weights=sizes)) if sizes.sum() else 0.0
        widened = {name: how for r in replies for name, how in r.widened.items()}
        error = self.error(parts)
        if error is not None:
            return Level(step.name, self.name, level, rows, {}, error, share, widened)
        told = [joined(r.told for r in repeat if r.told is not None) for repeat in parts]
        judged = judged or self.judged(step, parts, rows) or []
        reads = {
            s.name: self._read(i, told, step, rows, *judged[i]) for i, s in enumerate(self.bench.scorers)
        }
        known = {name: read for name, read in reads.items() if read is not None}
        flips, errors = self._flips(told, rows), [self.calibration(t, rows) for t in told]
        made = Level(step.name, self.name, level, rows, known, None, share, widened, flips)
        before, after = self.calibration(self.first(rows), rows), [e for e in errors if e is not None]
        if before is None or not after:
            return made
        worse = calibration_change(before, after, shared=step.noise.shared)
        return replace(made, calibration=float(np.mean([e.value for e in after])), worse=worse)

    def _read(
        self, i: int, told: Sequence[Told], step: Step, rows: int, drop: Drop, samples: Sequence[Sample]
    ) -> Read | None:
        if not samples:
            return None
        judge, clean, h = self.clean_sample(i, rows)
        mean = Sample(
            float(np.mean([s.value for s in samples])),
            np.mean([s.influence for s in samples], axis=0),
            clean.rows,
        )
        score = score_interval(samples, share=judge.share, smallest=judge.smallest, shared=step.noise.shared)
        worst, condensed = None, None
        if self.slices is not None and judge.metric is not None:
            d = unit_drops(clean, [mean]) if judge.group is None else self._by_row(judge, told, rows)
            few = min(rows, self.slices.rows)
            group = None if judge.group is None else judge.group[:few]
            worst = self.slices.worst(d[:few], h, rows=few, cluster=group)
        if len(self.bench.models) > 1:
            block = groups_of(clean.influence.size, self.bench.seed)
            condensed = condense(clean, samples, h, block, shared=step.noise.shared)
        return Read(*score, drop, mean, h, worst, condensed)

    def _by_row(self, judge: Scorer, told: Sequence[Told], rows: int) -> NDArray[np.float64]:
        """Return one number per row whose mean is the drop, whether or not rows come in groups."""
        plain = replace(judge, group=None)
        clean = plain.sample(self.oracle.held(self.first(rows)))
        return unit_drops(clean, [plain.sample(self.oracle.held(t)) for t in told])

    def _flips(self, told: Sequence[Told], rows: int) -> float | None:
        """Return the share of predictions that changed, over rows and repeats."""
        before = self._decided[:rows]
        if not rows:
            return None
        after = [self.oracle.decided(t) for t in told]
        if self.bench.task == "regression":
            scale = MOVED * float(np.std(self.clean["labels"]))
            moved = [np.abs(a - before) > scale for a in after]
        else:
            moved = [a != before for a in after]
        return float(np.mean([m.mean() for m in moved]))

    @functools.cached_property
    def _decided(self) -> NDArray[Any]:
        return self.oracle.decided(self.clean)

    def calibration(self, told: Told, rows: int) -> Calibration | None:
        """Return the expected calibration error of answers to the first rows; None without probabilities."""
        if self.bench.task == "regression" or "proba" not in told:
            return None
        groups = None if self.bench.groups is None else self.bench.groups[self.bench.order][:rows]
        return calibration(*top_label(told["proba"], self._codes[:rows]), groups)

    @functools.cached_property
    def clean_calibration(self) -> float | None:
        """The expected calibration error of the answers to all rows as they are."""
        found = self.calibration(self.clean, self.bench.rows)
        return None if found is None else found.value

    @functools.cached_property
    def _codes(self) -> NDArray[Any]:
        codes = np.searchsorted(self.bench.classes, self.bench.y[self.bench.order])
        return np.asarray(codes)
