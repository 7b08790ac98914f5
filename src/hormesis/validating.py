"""What a check of the pipeline says of noisy tables: harm that it notices, and harm that passes it by."""

import dataclasses
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

from hormesis.errors import DataError, SettingError
from hormesis.limits import Checked, Word
from hormesis.results import spoken, title
from hormesis.thresholds import Thresholds

_LONGEST = 300  # characters of a reason
_CRASHES = (
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    NotImplementedError,
    RecursionError,
    SyntaxError,
    TypeError,
)
VERDICTS = (
    "harmful and unnoticed",
    "harmful and noticed",
    "harmless and rejected",
    "harmless and accepted",
    "undecided and accepted",
    "undecided and rejected",
    "not measurable and accepted",
    "not measurable and rejected",
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a table was accepted; where it was not, why. `error` is what was raised, if anything was."""

    accepted: bool
    reason: str = ""
    error: Exception | None = dataclasses.field(default=None, repr=False, compare=False)


def as_validator(given: Any) -> Callable[[Any], Verdict]:
    """Return a validator as a function of a table that answers with a `Verdict`.

    Parameters
    ----------
    given : callable, pandera schema, great_expectations ValidationDefinition or Checkpoint, or Thresholds
        A callable accepts by returning True, None or a table, and rejects by returning False, by a list of
        complaints, or by raising; what it returns may also carry `success`, as great_expectations' results do. Of an object
        with `validate`, as pandera's schemas and models are, that is called (lazily where it can be).

    Raises
    ------
    SettingError
        Neither of these.

    Examples
    --------
    >>> import pandas as pd
    >>> validator = as_validator(lambda table: table.notna().all().all())
    >>> validator(pd.DataFrame({"age": [31.0, None]}))
    Verdict(accepted=False, reason='it returned False')
    """
    ask = _asker(given)

    def judge(table: Any) -> Verdict:
        try:
            return _read(ask(_own(table)))
        except SettingError:
            raise
        except Exception as error:
            return Verdict(accepted=False, reason=_short(_said(error)), error=error)

    return judge


class Validation:
    """A validator that accepts the clean table, and what it says of noisy ones.

    Parameters
    ----------
    validator : see `as_validator`
    clean_table : table
        Rows without noise, which it must accept: what it rejects there has nothing to do with noise.

    Raises
    ------
    DataError
        The validator rejects the clean rows.
    SettingError
        It crashes on them, or is no validator.

    Examples
    --------
    >>> import pandas as pd
    >>> clean = pd.DataFrame({"age": [31.0, 45.0]})
    >>> validation = Validation(lambda table: table.age.max() < 120, clean)
    >>> validation.look("outliers", 0.1, "fraction", "fails", clean * 10).verdict
    'harmful and noticed'
    """

    def __init__(self, validator: Any, clean_table: Any) -> None:
        self._judge = as_validator(validator)
        self._known: dict[tuple[str, float], Verdict] = {}
        clean = self._judge(clean_table)
        if isinstance(clean.error, _CRASHES):
            raise SettingError(
                f"`validator` crashes on the clean rows: {clean.reason}. It is given the table alone, and accepts by "
                "returning True or None, rejects by returning False or raising: mend it."
            ) from clean.error
        if not clean.accepted:
            raise DataError(
                f"`validator` rejects the clean rows: {clean.reason}. What it says of noisy rows would mean nothing: "
                "give it rows that it accepts, or loosen it."
            )

    def look(
        self,
        noise: str,
        level: float,
        unit: str,
        word: Word,
        table: Any,
        *,
        model: str = "",
        scoring: str = "",
    ) -> Checked:
        """Return what the validator says of the noisy table; it is asked once per noise and level."""
        if (noise, level) not in self._known:
            self._known[noise, level] = self._judge(table)
        said = self._known[noise, level]
        return Checked(noise, level, unit, word, said.accepted, said.reason, model, scoring)


class Noticed(Sequence[Checked]):
    """What a validator noticed of the harm that noise does.

    Examples
    --------
    >>> Noticed([Checked("outliers", 0.1, "fraction", "fails", True), Checked("typos", 0.1, "fraction", "passes", True)])
    Noticed: 1 harmful and unnoticed, 1 harmless and accepted
      outliers at 10 %: harmful and unnoticed
    """

    def __init__(self, checked: Iterable[Checked]) -> None:
        self._checked = tuple(checked)

    @overload
    def __getitem__(self, at: int) -> Checked: ...
    @overload
    def __getitem__(self, at: slice) -> "Noticed": ...
    def __getitem__(self, at: int | slice) -> "Checked | Noticed":
        return Noticed(self._checked[at]) if isinstance(at, slice) else self._checked[at]

    def __len__(self) -> int:
        return len(self._checked)

    def __iter__(self) -> Iterator[Checked]:
        return iter(self._checked)

    def counts(self) -> dict[str, int]:
        """Return how many noisy tables got each verdict; the four that matter are always there."""
        found = Counter(c.verdict for c in self)
        return {v: found[v] for i, v in enumerate(VERDICTS) if i < 4 or found[v]}

    def to_frame(self) -> Any:
        """Return one row per noise and level, the worst news first (pandas DataFrame)."""
        import pandas as pd

        names = ["model", "scoring", "noise", "level", "unit", "word", "accepted", "reason"]
        rows = sorted(self, key=lambda c: VERDICTS.index(c.verdict))
        data = [{"verdict": c.verdict} | {name: getattr(c, name) for name in names} for c in rows]
        return pd.DataFrame(data, columns=["verdict", *names])

    def __repr__(self) -> str:
        head = ", ".join(f"{n} {verdict}" for verdict, n in self.counts().items() if n)
        news = [c for c in self if c.verdict in VERDICTS[:1] + VERDICTS[2:3]]
        said = [f"  {title(c.noise)} at {spoken(c.level, c.unit)}: {c.verdict}{_why(c)}" for c in news]
        return "\n".join([f"Noticed: {head or 'nothing'}", *said])

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(index=False))


def _why(checked: Checked) -> str:
    return f" ({checked.reason})" if checked.reason else ""


def _asker(given: Any) -> Callable[[Any], Any]:
    """Return the function to be asked."""
    if isinstance(given, Thresholds):
        return given.check
    if "batch_parameters" in _parameters(getattr(given, "run", None)):
        return lambda table: given.run(batch_parameters={"dataframe": table})
    if callable(getattr(given, "validate", None)):
        lazily = "lazy" in _parameters(given.validate)
        return lambda table: given.validate(table, lazy=True) if lazily else given.validate(table)
    if callable(given) and not isinstance(given, type):
        ask: Callable[[Any], Any] = given
        return ask
    raise SettingError(
        f"`validator` is a function of a table, a pandera schema, great_expectations' Checkpoint or "
        f"`result.thresholds()`; {given!r} was given."
    )


def _parameters(function: Any) -> Mapping[str, Any]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _read(answer: Any) -> Verdict:
    """Read what a validator returned."""
    success = _success(answer)
    if success is not None:
        return Verdict(accepted=True) if success else Verdict(accepted=False, reason=_short(_failed(answer)))
    if answer is None or hasattr(answer, "columns") or (isinstance(answer, np.ndarray) and answer.ndim == 2):
        return Verdict(accepted=True)  # a table handed on
    if isinstance(answer, list | tuple) and all(isinstance(said, str) for said in answer):
        return Verdict(not answer, _short("; ".join(answer)))
    if isinstance(answer, bool | np.bool_):
        return Verdict(bool(answer), "" if answer else "it returned False")
    raise SettingError(
        f"`validator` returned {_short(' '.join(repr(answer).split()))}; it accepts by True, None or the table, rejects by False, a list of "
        "complaints or an exception, or returns an object with `success`."
    )


def _success(answer: Any) -> Any:
    return answer.get("success") if isinstance(answer, Mapping) else getattr(answer, "success", None)


def _failed(answer: Any) -> str:
    """Say which expectations failed, where a result of great_expectations lists them."""
    plain = answer if isinstance(answer, Mapping) else _plain(answer)
    runs = plain.get("run_results")
    if isinstance(runs, Mapping):  # a Checkpoint: one result per validation
        return "; ".join(_failed(run) for run in runs.values() if not _success(run))
    failed = [r for r in plain.get("results") or () if not r.get("success", True)]
    return "; ".join(_expectation(r.get("expectation_config") or {}) for r in failed) or "success is False"


def _plain(answer: Any) -> Mapping[str, Any]:
    made = answer.to_json_dict() if hasattr(answer, "to_json_dict") else vars(answer)
    return made if isinstance(made, Mapping) else {}


def _expectation(config: Mapping[str, Any]) -> str:
    kind = str(config.get("type") or config.get("expectation_type") or "an expectation")
    column = (config.get("kwargs") or {}).get("column")
    return kind.replace("_", " ") + (f" (`{column}`)" if column is not None else "")


def _said(error: Exception) -> str:
    """Say an exception: pandera's by its failed checks, an assertion by its own words."""
    several = getattr(error, "schema_errors", None) or [error]
    checks = [_check_of(one) for one in several]
    if any(checks):
        return "; ".join(dict.fromkeys(c or str(one) for c, one in zip(checks, several, strict=True)))
    text = " ".join(str(error).split())
    if isinstance(error, AssertionError) and text:
        return str(error).strip().splitlines()[0]  # its own words; pytest explains on further lines
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _check_of(error: Any) -> str:
    check = getattr(error, "check", None)
    if check is None or not type(error).__module__.startswith("pandera"):
        return ""
    words = getattr(check, "error", None)
    return str(words) if words and " " in str(words) else " ".join(str(error).split())


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 4] + " ..."


def _own(table: Any) -> Any:
    """Return a copy for the validator, which may change it; Arrow tables cannot be changed."""
    copy = getattr(table, "copy", None) or getattr(table, "clone", None)
    return copy() if callable(copy) else table
