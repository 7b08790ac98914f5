"""Records of what a break point means for a pipeline: limits of data quality, and what a validator said of noisy tables."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, get_args

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hormesis.errors import listed

STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
Quantity = Literal[
    "missing", "outside", "unknown", "equal", "coarse", "pinned", "shifted", "absent", "retyped"
]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
Side = Literal["both", "up", "down"]
Word = Literal["passes", "fails", "undecided", "not measurable"]
Value = bool | int | float | str


@dataclass(frozen=True, config=STRICT)
class Bound:
    """What is read off one column of a batch, and how far it may go.

    `baseline` is its value in the training data, `limit` the value up to which the model was shown to pass, `fails_from` the
    one from which it surely fails; `low` and `high` are the continuous interval of the break point. All are shares of the
    cells, 0 to 1, but for a shifted median, which is in robust standard deviations. Where nothing can be read off,
    `reason` says why and the numbers are None. The other fields are what the reading needs of the training data.
    """

    column: str | int
    kind: str
    baseline: float | None = None
    limit: float | None = None
    fails_from: float | None = None
    low: float | None = None
    high: float | None = None
    center: float | None = None
    spread: float | None = None
    side: Side = "both"
    smallest: float | None = None
    largest: float | None = None
    value: Value | None = None
    known: tuple[Value, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, config=STRICT)
class Limit:
    """A limit of data quality, from the break point of one model under one noise.

    `columns` went bad together, so that the limit is about them together: with `over` "each", the batch is stopped when any of
    them is beyond its bound (only up to all bounds at once is the model known to pass); with "mean", when they are so on
    average, which is enough where each column has a limit of its own. `passes_to` and `fails_from` are levels of
    the noise, in `unit`. Where no limit can be given, `reason` says why.
    """

    model: str
    scoring: str
    noise: str
    step: dict[str, Any]
    columns: tuple[str | int, ...]
    unit: str
    passes_to: float
    fails_from: float | None
    quantity: Quantity | None = None
    bounds: tuple[Bound, ...] = ()
    over: Literal["each", "mean"] = "each"
    reason: str | None = None

    @property
    def checked(self) -> tuple[Bound, ...]:
        """The bounds that can be checked on a batch."""
        return tuple(b for b in self.bounds if b.limit is not None) if self.reason is None else ()

    @property
    def words(self) -> str:
        """The limit as a sentence.

        >>> bound = Bound("income", "number", baseline=0.02, limit=0.12, fails_from=0.22)
        >>> Limit("model", "roc_auc", "missing-values", {"noise": "MissingValues", "level": 0.0}, ("income",),
        ...       "fraction", 0.1, 0.2, "missing", (bound,)).words
        'Stop the batch when more than 12 % of `income` is missing: the model surely fails at 22 %.'
        """
        bounds = self.checked
        if self.quantity is None or not bounds:
            return f"No limit for {_listed(self.columns)}: {self.reason or _reasons(self.bounds)}."
        if len(bounds) == 1:
            said = saying(self.quantity, bounds[0])
        elif self.over == "mean":
            said = on_average(self.quantity, bounds)
        else:
            said = _general(self.quantity, bounds, f"any of {_listed(b.column for b in bounds)}")
        together = "" if len(self.columns) == 1 else " (measured with these columns hit together)"
        fails = _fails(self.quantity, bounds, several=len(self.columns) > 1, average=self.over == "mean")
        return f"Stop the batch when {said}{together}{fails}."


@dataclass(frozen=True, config=STRICT)
class Checked:
    """What a validator said of a noisy table, beside what the noise did to the model there (`word`)."""

    noise: str
    level: float
    unit: str
    word: Word
    accepted: bool
    reason: str = ""
    model: str = ""
    scoring: str = ""

    @property
    def verdict(self) -> str:
        """Harm and notice in words; what is undecided is never counted as harmful or harmless.

        >>> Checked("outliers", 0.1, "fraction", "fails", True).verdict
        'harmful and unnoticed'
        """
        if self.word == "fails":
            return "harmful and unnoticed" if self.accepted else "harmful and noticed"
        harm = "harmless" if self.word == "passes" else self.word
        return f"{harm} and {'accepted' if self.accepted else 'rejected'}"


def share(value: float) -> str:
    """Say a share of cells.

    >>> share(0.12), share(0.1234), share(0.0)
    ('12 %', '12.3 %', '0 %')
    """
    return f"{100 * value:.3g} %"


def sized(quantity: Quantity, value: float) -> str:
    """Say a value of a quantity with its unit."""
    return f"{value:.3g} sd" if quantity == "shifted" else share(value)


def up_to(quantity: Quantity, limit: float) -> str:
    """Say a limit with two digits, never above it: who keeps to the words keeps to the limit.

    >>> up_to("missing", 0.1534), up_to("shifted", 2.018), up_to("missing", 0.29)
    ('15 %', '2 sd', '29 %')
    """
    return sized(quantity, _digits(limit, 2, math.floor))


def surely(quantity: Quantity, fails_from: float) -> str:
    """Say with two digits from where a model fails, never below it (but for half a percent of it).

    >>> surely("missing", 0.4013), surely("missing", 0.2215)
    ('40 %', '23 %')
    """
    return sized(quantity, _digits(0.995 * fails_from, 2, math.ceil))


def beyond(quantity: Quantity, value: float) -> str:
    """Say with three digits what a batch shows beyond a limit, never below it.

    >>> beyond("missing", 0.15004), beyond("missing", 0.25)
    ('15.1 %', '25 %')
    """
    return sized(quantity, _digits(value, 3, math.ceil))


def _digits(value: float, digits: int, whole: Callable[[float], int]) -> float:
    """Cut a number to its first digits, up or down; the last bits of a float count for nothing."""
    if not value or not math.isfinite(value):
        return value
    places = digits - 1 - math.floor(math.log10(abs(value)))
    moved = round(value * 10.0**places, 6)
    return whole(moved) / 10.0**places


def saying(quantity: Quantity, bound: Bound, value: float | None = None) -> str:
    """Say that one column is beyond its bound; with `value`, how far it is."""
    name, limit = f"`{bound.column}`", bound.limit or 0.0
    if quantity == "absent":
        return f"the column {name} is not there"
    if quantity == "retyped":
        return f"{name} does not hold {_TYPES.get(bound.kind, bound.kind)}"
    much = f"more than {up_to(quantity, limit)}" if value is None else beyond(quantity, value)
    if quantity == "shifted":
        verb = {"both": "from", "up": "above", "down": "below"}[bound.side]
        return f"the median of {name} lies {much} {verb} {bound.center:.6g}"
    return f"{much} of {name} {_tail(quantity, bound)}"


_TYPES = {"number": "numbers", "integer": "numbers", "datetime": "dates"}
_PLURAL = {"is": "are", "lies": "lie", "was": "were", "holds": "hold", "repeats": "repeat"}
_TAILS: dict[Quantity, str] = {
    "missing": "is missing",
    "outside": "lies outside what training holds",
    "unknown": "was not seen in training",
    "equal": "holds a stand-in",
    "coarse": "is as coarse as this noise makes it",
    "pinned": "repeats the smallest or the largest value",
}


def _tail(quantity: Quantity, bound: Bound) -> str:
    if quantity == "outside":
        return f"lies outside {bound.smallest:.6g} to {bound.largest:.6g}"
    if quantity == "unknown":
        return f"is none of the {len(bound.known)} values known from training"
    return f"holds {bound.value!r}" if quantity == "equal" else _TAILS[quantity]


def _general(quantity: Quantity, bounds: tuple[Bound, ...], whose: str) -> str:
    """Say a limit of several columns."""
    if quantity == "absent":
        return f"{whose} is not there"
    if quantity == "retyped":
        return f"{whose} does not hold {_TYPES.get(bounds[0].kind, bounds[0].kind)}"
    ends = dict.fromkeys(up_to(quantity, end([b.limit or 0.0 for b in bounds])) for end in (min, max))
    much = f"more than {_range(list(ends))}"
    if quantity == "shifted":
        return f"the median of {whose} lies {much} from that in training"
    return f"{much} of {whose} {_TAILS[quantity]}"


def on_average(quantity: Quantity, bounds: tuple[Bound, ...], value: float | None = None) -> str:
    """Say that several columns are beyond their bounds on average; with `value`, how far they are."""
    limit = mean([b.limit or 0.0 for b in bounds])
    much = f"more than {up_to(quantity, limit)}" if value is None else beyond(quantity, value)
    who = f"on average over {_listed(b.column for b in bounds)}"
    if quantity == "shifted":
        return f"{who}, the median lies {much} from that in training"
    verb, _, rest = _TAILS[quantity].partition(" ")
    return f"{who}, {much} of the cells {_PLURAL[verb]} {rest}"


def mean(values: Sequence[float]) -> float:
    """Return the mean of some numbers."""
    return sum(values) / len(values)


def _range(ends: list[str]) -> str:
    return ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[1]} (by column)"


def _fails(quantity: Quantity, bounds: tuple[Bound, ...], *, several: bool, average: bool) -> str:
    known = [b.fails_from for b in bounds if b.fails_from is not None]
    if quantity in ("absent", "retyped"):
        return f": the model surely fails {'where all are so' if several else 'then'}"
    if len(known) < len(bounds):
        return ": no failure was measured, nor a pass beyond that"
    ends = [mean(known)] if average else [min(known), max(known)]
    return f": the model surely fails at {_range(list(dict.fromkeys(surely(quantity, v) for v in ends)))}"


def _listed(names: Iterable[str | int]) -> str:
    return listed(names, most=4)


def _reasons(bounds: tuple[Bound, ...]) -> str:
    return "; ".join(dict.fromkeys(b.reason for b in bounds if b.reason)) or "no column can be checked"
