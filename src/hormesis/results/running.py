"""What a run was and what it cost, as records."""

from pydantic.dataclasses import dataclass

from hormesis.results.base import STRICT


@dataclass(frozen=True, config=STRICT)
class Provenance:
    """What is needed to repeat a run: seed, scheme of randomness, versions, data.

    `repeats` None lets each noise have the draws that it needs; `groups` is the number of groups of rows that belong together (None: every row stands alone).
    """

    seed: int
    repeats: int | None
    rows: int
    sampled: str
    fingerprint: str
    seconds: float
    versions: dict[str, str]
    scheme: str
    groups: int | None = None


@dataclass(frozen=True, config=STRICT)
class Cost:
    """Rows predicted, clean ones included, and time.

    `test_rows` are the rows of the test set, `from_store` the rows whose answers an earlier run had kept, `grid_rows` the
    rows that a full grid of the same levels would take. `seconds` is the whole run, `predict_seconds` the
    model's part in it.

    >>> Cost(34_120, 10_000, 45, 12.1, 12.9, 10_000, grid_rows=130_000)
    predicted 34,120 rows (3.4 times the 10,000 test rows; a grid of the same levels takes 13.0), 12.1 s in 45 calls of 12.9 s
    """

    rows: int
    clean_rows: int
    calls: int
    predict_seconds: float
    seconds: float
    test_rows: int
    from_store: int = 0
    grid_rows: int | None = None

    @property
    def multiple(self) -> float:
        """Rows predicted as a multiple of the test rows."""
        return self.rows / self.test_rows if self.test_rows else 0.0

    def __repr__(self) -> str:
        grid = ""
        if self.grid_rows and self.test_rows:
            grid = f"; a grid of the same levels takes {self.grid_rows / self.test_rows:.1f}"
        times = f"{self.multiple:.1f} times the {self.test_rows:,} test rows{grid}"
        calls = f"{self.calls:,} call{'' if self.calls == 1 else 's'}"
        store = f"; {self.from_store:,} rows more came from the store" if self.from_store else ""
        return (
            f"predicted {self.rows:,} rows ({times}), {self.predict_seconds:.1f} s in {calls} "
            f"of {self.seconds:.1f} s{store}"
        )

    __str__ = __repr__
