"""A result as a notebook shows it: one calm table of verdicts, what they are about, what else was seen."""

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from hormesis.results.lines import alone, differences, notes
from hormesis.results.tables import column_of, idle
from hormesis.results.words import fewer, spoken, title

if TYPE_CHECKING:
    from hormesis.limits import Checked
    from hormesis.results.curves import Curve
    from hormesis.results.stress import StressResult

_INK = {"breaks": "#c0392b", "holds": "#2e8b57"}
_CELL = "text-align:left;padding:.2em 1em .2em 0;vertical-align:top"


def page(result: "StressResult") -> str:
    """Return HTML without scripts, in the colours of its surroundings but for the two clear verdicts."""
    head = f"{', '.join(result.scoring)}; tolerated drop {result.max_drop:g}; {result.provenance.sampled}"
    parts = [f"<p><strong>Stress</strong>: {escape(head)}</p>", _table(result)]
    parts += [_listed("One column alone", alone(result))]
    parts += [_listed("Differences", differences(result))]
    parts += [_listed("Fragile columns", (str(f) for f in result.fragile if f.matters))]
    parts += [_listed("Limits", (limit.words for limit in result.limits))]
    parts += [_listed("Validator", (_noticed(c) for c in result.checked))]
    parts += [_listed("Notes", notes(result))]
    small = [f"Every verdict is about the score {result.estimand}."]
    small += [f"Cost: {result.cost}."] if result.cost else []
    parts += [f'<p style="opacity:.75">{escape(line)}</p>' for line in small]
    return f'<div class="hormesis" style="max-width:60em">{"".join(parts)}</div>'


def _table(result: "StressResult") -> str:
    several = len(result.models) > 1, len(result.scoring) > 1
    names = [n for n, there in zip(("model", "scoring"), several, strict=True) if there]
    names += ["noise", "verdict", "in words", "robustness", "rows"]
    head = "".join(f'<th scope="col" style="{_CELL}">{n}</th>' for n in names)
    body = "".join(
        f"<tr>{_row(c, several, result.provenance.rows)}</tr>" for c in result.curves if column_of(c) is None
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(curve: "Curve", several: tuple[bool, bool], every: int) -> str:
    point = curve.break_point
    cells = [escape(n) for n, there in zip((curve.model, curve.scoring), several, strict=True) if there]
    ink = _INK.get(point.verdict)
    word = f'<span style="color:{ink}">{point.verdict}</span>' if ink else point.verdict
    cells += [escape(title(curve.noise)), word, escape(point.words + idle(curve))]
    cells += ["" if curve.robustness is None else f"{curve.robustness:.3f}"]
    cells += [fewer(curve.rows, every) or f"all {every:,}"]
    return "".join(f'<td style="{_CELL}">{c}</td>' for c in cells)


def _noticed(found: "Checked") -> str:
    return f"{title(found.noise)} at {spoken(found.level, found.unit)}: {found.verdict}"


def _listed(name: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<p>{name}</p><ul>{items}</ul>" if items else ""
