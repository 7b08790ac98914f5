"""A result line by line, as a terminal shows it: whole table first, columns alone only where they say more."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hormesis.errors import listed
from hormesis.results.tables import column_of, idle
from hormesis.results.words import fewer, title

if TYPE_CHECKING:
    from hormesis.results.curves import Curve
    from hormesis.results.findings import Fragility
    from hormesis.results.stress import StressResult

MOST = 12  # columns that are named in one line
_LONGEST = 400  # characters of a note
_STILL = " changed nothing in these rows"
_UNDONE = ("cut short", "left out", "were not ranked")
Alone = list[tuple[str, "Curve"]]


def printed(result: "StressResult") -> list[str]:
    """Return what the command line prints."""
    head = f"{', '.join(result.scoring)} on {result.provenance.sampled}, tolerated drop {result.max_drop:g}:"
    loses = [f"{_who(result, f)}{title(f.noise)} in {f}" for f in result.fragile if f.matters]
    cost = [str(result.cost)] if result.cost else []
    lines = [
        *(f"note: {n}" for n in notes(result)),
        *_clean(result),
        *verdicts(result),
        *loses,
        *differences(result),
        *cost,
    ]
    return [head, *("  " + line for line in lines)]


def shown(result: "StressResult") -> list[str]:
    """Return what `repr` shows: verdicts, differences, what is missing, and what the verdicts are about."""
    rows = result.provenance.rows
    undone = "" if result.finished else " (not finished)"
    head = (
        f"StressResult{undone}: {', '.join(result.scoring)}, tolerated drop {result.max_drop:g}, {rows} rows"
    )
    lines = [
        *verdicts(result, every=rows),
        *differences(result),
        *(f"note: {n}" for n in notes(result) if any(word in n for word in _UNDONE)),
        f"every verdict is about the score {result.estimand}",
    ]
    return [head, *("  " + line for line in lines)]


def notes(result: "StressResult") -> list[str]:
    """Return the notes, those about levels that changed nothing in one."""
    still = [n for n in result.notes if _STILL in n]
    rest = [_cut(n) for n in result.notes if len(still) < 2 or n not in still]
    if len(still) > 1:
        names = listed((n.partition(_STILL)[0] for n in still), most=6)
        rest.append(
            f"changed nothing in these rows at some levels, so that passing there shows nothing: {names}"
        )
    return rest


def verdicts(result: "StressResult", every: int | None = None) -> list[str]:
    """Return a sentence per curve of a noise in all its columns, then what columns alone add to that."""
    joint = [c for c in result.curves if column_of(c) is None]
    return [verdict(result, c, every) for c in joint] + alone(result)


def verdict(result: "StressResult", curve: "Curve", every: int | None = None) -> str:
    """Return a curve's sentence; with `every`, the number of test rows, also on how many of them it rests."""
    part = None if every is None else fewer(curve.rows, every)
    return f"{_who(result, curve)}{curve.break_point}{idle(curve)}{f' ({part})' if part else ''}"


def alone(result: "StressResult") -> list[str]:
    """Say what noise in one column alone does: lines for the columns that do not hold, one for all that do."""
    found: dict[tuple[str, str], Alone] = {}
    for curve in result.curves:
        about = column_of(curve)
        if about is not None:
            found.setdefault((_who(result, curve), about[0]), []).append((about[1], curve))
    out: list[str] = []
    for (who, noise), several in found.items():
        whole = any(c.break_point.whole for _, c in several)
        said = [_whole(noise, several)] if whole else _levels(noise, several)
        out += [who + line for line in said]
    return out


def _levels(noise: str, several: Alone) -> Iterator[str]:
    """Say a noise with levels: those that break, those undecided, then all others by their words."""
    order = {"breaks": 0, "undecided": 1}
    loud = [(n, c) for n, c in several if c.break_point.verdict in order and not idle(c)]
    loud.sort(key=lambda one: (order[one[1].break_point.verdict], one[1].break_point.passes_to))
    told: dict[str, list[str]] = {}
    for n, c in loud:
        told.setdefault(c.break_point.words, []).append(n)
    yield from (f"{title(noise)} in {_named(some)} alone: {words}" for words, some in told.items())
    names = {n for n, _ in loud}
    quiet: dict[str, list[str]] = {}
    for n, c in several:
        if n not in names:
            quiet.setdefault("nothing changed in these rows" if idle(c) else c.break_point.words, []).append(
                n
            )
    for words, some in quiet.items():
        yield f"{title(noise)} in {_each(some, other=bool(loud))} alone: {words}"


def _named(names: Sequence[str]) -> str:
    return f"{'each of ' * (len(names) > 1)}{listed(names, most=MOST)}"


def _each(names: Sequence[str], *, other: bool) -> str:
    return f"`{names[0]}`" if len(names) == 1 else f"each of {len(names)} {'other ' * other}columns"


def _whole(noise: str, several: Alone) -> str:
    """Say a noise that hits a column whole, worst first: how many columns it harms, and how."""
    kinds: dict[str, Alone] = {}
    for name, c in several:
        b = c.break_point
        kinds.setdefault("raises" if b.raises else b.words, []).append((name, c))
    parts = []
    for words in sorted(kinds, key=lambda w: (w == "within the tolerance", w != "raises")):
        some = kinds[words]
        count = f"{len(some)} of {len(several)} column{'s' * (len(several) > 1)}"
        if words == "raises":
            parts.append(f"raises for {count}: {some[0][1].break_point.raises}")
        elif words == "within the tolerance":
            parts.append(f"{words} for {count}")
        else:
            parts.append(f"{words} for {listed((n for n, _ in some), most=6)}")
    return f"{title(noise)}, one column at a time: {'; '.join(parts)}"


def differences(result: "StressResult") -> list[str]:
    """Say how models differ: under each noise in all its columns, and under noise in one column where it is sure."""
    about = {c.noise: column_of(c) for c in result.curves}
    several = len(result.scoring) > 1
    out: list[str] = []
    sure: dict[tuple[str, str], list[str]] = {}
    unsure = 0
    for d in result.differences:
        who, column = f"{d.scoring}: " if several else "", about.get(d.noise)
        if column is None:
            out.append(f"{who}{d}")
        elif d.sure:
            same = f"{who}{title(column[0])} in", f"alone, {d.one} and {d.other}: {d.words}"
            sure.setdefault(same, []).append(column[1])
        else:
            unsure += 1
    out += [f"{before} {_named(names)} {after}" for (before, after), names in sure.items()]
    times = f"{unsure} time{'s' * (unsure > 1)}"
    return out + ([f"noise in one column alone: break points not shown to differ, {times}"] if unsure else [])


def _who(result: "StressResult", found: "Curve | Fragility") -> str:
    who = [found.model] if len(result.models) > 1 else []
    who += [found.scoring] if len(result.scoring) > 1 else []
    return f"{', '.join(who)}: " if who else ""


def _clean(result: "StressResult") -> list[str]:
    """Return the clean scores, named by model where there are several."""
    several = len(result.models) > 1
    said = {
        (c.model, c.scoring): f"{f'{c.model}: ' if several else ''}clean {c.scoring} {c.clean:.3f} "
        f"[{c.clean_low:.3f}, {c.clean_high:.3f}]"
        for c in result.curves
    }
    return list(said.values())


def _cut(note: str) -> str:
    """Cut a long list of names, and count those left out."""
    if len(note) <= _LONGEST:
        return note
    kept = note[:_LONGEST].rpartition(", ")[0] or note[:_LONGEST]
    return f"{kept} and {note[len(kept) :].count(', ') or 'some'} more"
