"""Results as tidy tables in the user's own library."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from hormesis.errors import MissingExtraError
from hormesis.results.base import Numbers
from hormesis.results.curves import Curve, Word
from hormesis.results.findings import Difference, Fragility
from hormesis.results.words import spoken, within

Library = Literal["pandas", "polars", "pyarrow"]
Kind = Literal["text", "number", "whole", "yes"]
Row = dict[str, Any]
Columns = Mapping[str, Kind]

BREAKS: Columns = {
    "model": "text",
    "noise": "text",
    "scoring": "text",
    "unit": "text",
    "passes_to": "number",
    "fails_from": "number",
    "low": "number",
    "high": "number",
    "verdict": "text",
    "words": "text",
}
ROBUSTNESS: Columns = {"model": "text", "noise": "text", "scoring": "text", "robustness": "number"}
LEVELS: Columns = {
    "model": "text",
    "noise": "text",
    "unit": "text",
    "scoring": "text",
    "level": "number",
    "verdict": "text",
    "rows": "whole",
    "score": "number",
    "score_low": "number",
    "score_high": "number",
    "drop": "number",
    "drop_low": "number",
    "drop_high": "number",
    "changed": "number",
    "flips": "number",
    "calibration": "number",
    "calibration_change": "number",
    "calibration_change_low": "number",
    "calibration_change_high": "number",
    "worst_column": "text",
    "worst_value": "text",
    "worst_drop": "number",
    "error": "text",
}
FRAGILE: Columns = {
    "model": "text",
    "noise": "text",
    "scoring": "text",
    "unit": "text",
    "level": "number",
    "column": "text",
    "pair_with": "text",
    "drop": "number",
    "low": "number",
    "high": "number",
    "p": "number",
    "matters": "yes",
    "rank_low": "number",
    "rank_high": "number",
    "extra": "number",
    "extra_low": "number",
    "extra_high": "number",
}
DIFFERENCES: Columns = {
    "one": "text",
    "other": "text",
    "noise": "text",
    "scoring": "text",
    "unit": "text",
    "measure": "text",
    "level": "number",
    "difference": "number",
    "low": "number",
    "high": "number",
    "words": "text",
}
CRASHES: Columns = {
    "model": "text",
    "noise": "text",
    "scoring": "text",
    "unit": "text",
    "level": "number",
    "outcome": "text",
    "kind": "text",
    "message": "text",
    "share": "number",
    "drop": "number",
    "low": "number",
    "high": "number",
    "words": "text",
}


_OUTCOME: Mapping[Word, str] = {
    "passes": "within tolerance",
    "fails": "silent",
    "undecided": "undecided",
    "not measurable": "undecided",
}


def framed(rows: Iterable[Row], columns: Columns, library: Library) -> Any:
    """Return rows as a frame of a library, with the columns and types named, also where there is no row.

    Raises
    ------
    MissingExtraError
        The library is not installed here.
    """
    import narwhals.stable.v2 as nw

    kinds = {"text": nw.String(), "number": nw.Float64(), "whole": nw.Int64(), "yes": nw.Boolean()}
    rows = list(rows)
    data = {name: [row[name] for row in rows] for name in columns}
    schema = {name: kinds[kind] for name, kind in columns.items()}
    try:
        made = nw.from_dict(data, schema=schema, backend=library).to_native()
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"This result makes {library} tables, and {library} is not installed here: `pip install {library}`, or "
            "`dataclasses.replace(result, library='pandas')`."
        ) from error
    if library == "pandas":  # pandas 2 writes None in a column of texts as a word
        for name in (n for n, kind in columns.items() if kind == "text" and made[n].dtype == object):
            made[name] = data[name]
    return made


def level_rows(curve: Curve, max_drop: float, every: int) -> Iterable[Row]:
    """Yield one row per level of a curve; `every` is the number of test rows."""
    words = curve.words_at(max_drop)
    for i, level in enumerate(curve.levels):
        worst = curve.worst[i] if curve.worst else None
        yield {
            **_named(curve),
            "level": level,
            "verdict": words[i],
            "rows": curve.rows[i] if curve.rows else every,
            **{name: getattr(curve, name)[i] for name in LEVELS if name.startswith(("score", "drop"))},
            "changed": curve.changed[i],
            **{name: _at(getattr(curve, name), i) for name in LEVELS if name.startswith(("flips", "calib"))},
            "worst_column": worst.column if worst else None,
            "worst_value": worst.value if worst else None,
            "worst_drop": worst.drop if worst else None,
            "error": curve.errors[i],
        }


def _at(numbers: Numbers, i: int) -> float | None:
    return numbers[i] if numbers else None


def _named(curve: Curve) -> Row:
    return {name: getattr(curve, name) for name in ("model", "noise", "scoring", "unit")}


def fragile_row(found: Fragility) -> Row:
    """Return one column, or pair of columns, as a row."""
    extra = {
        f"extra{end}": getattr(found.extra, side) if found.extra else None
        for end, side in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
    return extra | {name: getattr(found, name) for name in FRAGILE if not name.startswith("extra")}


def difference_rows(found: Difference) -> Iterable[Row]:
    """Yield the paired difference of two models: of drops and scores at each level, then of the break points."""
    same = {name: getattr(found, name) for name in ("one", "other", "noise", "scoring", "unit")}
    for i, level in enumerate(found.levels):
        for measure, of in (("drop", "difference"), ("score", "score")):
            ends = (of, "low", "high") if of == "difference" else (of, f"{of}_low", f"{of}_high")
            value, low, high = (side[i] if (side := getattr(found, end)) else None for end in ends)
            if measure == "score" and value is None:
                continue
            words = found.words_at(i) if measure == "drop" else _better(found, i)
            yield same | _measured(measure, level, value, low, high, words)
    yield same | _measured(
        "break point", None, found.break_value, found.break_low, found.break_high, found.words
    )


def _measured(
    measure: str, level: float | None, value: float | None, low: float | None, high: float | None, words: str
) -> Row:
    return {
        "measure": measure,
        "level": level,
        "difference": value,
        "low": low,
        "high": high,
        "words": words,
    }


def _better(found: Difference, i: int) -> str:
    at, value, low, high = (
        spoken(found.levels[i], found.unit),
        found.score[i],
        found.score_low[i],
        found.score_high[i],
    )
    if value is None or low is None or high is None:
        return f"not measured at {at}"
    if low > 0:
        return f"{found.other} scores {value:.3f} more at {at} {within(low, high)}"
    if high < 0:
        return f"{found.other} scores {-value:.3f} less at {at} {within(-high, -low)}"
    return f"not shown to differ at {at} {within(low, high)}"


def crash_rows(curve: Curve, max_drop: float) -> Iterable[Row]:
    """Yield the levels at which the model raised, and every level of a noise that changes whole columns."""
    whole = changes_columns(curve)
    for i, word in enumerate(curve.words_at(max_drop)):
        crash = curve.crash(i)
        if crash is None and not whole:
            continue
        yield {
            **_named(curve),
            "level": curve.levels[i],
            "outcome": _OUTCOME[word] if crash is None else "raises",
            "kind": crash.kind if crash else None,
            "message": crash.message if crash else None,
            "share": crash.share if crash else None,
            "drop": curve.drop[i],
            "low": curve.drop_low[i],
            "high": curve.drop_high[i],
            "words": str(crash) if crash else _quiet(curve, i, word),
        }


def _quiet(curve: Curve, i: int, word: Word) -> str:
    drop, low, high = curve.drop[i], curve.drop_low[i], curve.drop_high[i]
    if word == "not measurable":
        return f"raises nothing; {curve.break_point.words}"
    if drop is None or low is None or high is None:
        return "raises nothing; not measured"
    says = {"passes": "within the tolerance: loses", "fails": "silently loses"}.get(word, "undecided: loses")
    return f"{says} {drop:.3f} {within(low, high)}"


def changes_columns(curve: Curve) -> bool:
    """Whether the noise of a curve changes whole columns: their names, order, types or unit."""
    from hormesis.noise import CATALOGUE

    kind = CATALOGUE.get(str(curve.step.get("noise")))
    return curve.break_point.whole or (kind is not None and kind.changes == "schema")


def column_of(curve: Curve) -> tuple[str, str] | None:
    """Return the noise and the column of a curve about one column alone; None for any other curve."""
    columns = curve.step.get("columns")
    if not isinstance(columns, list | tuple) or len(columns) != 1:
        return None
    name = str(columns[0])
    noise = curve.noise.removesuffix(f"@{name}")
    return None if noise in ("", curve.noise) else (noise, name)


def idle(curve: Curve) -> str:
    """Return words for a curve whose noise changed nothing, so that passing shows nothing; else nothing."""
    if any(curve.changed) or any(curve.errors) or changes_columns(curve):
        return ""
    return " (nothing changed in these rows, so this shows nothing)"
