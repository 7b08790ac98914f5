"""Progress of long work: a bar with the time left on a terminal, plain lines when piped."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[], None]


@contextmanager
def track(label: str, total: int, *, show: bool | None = None) -> Iterator[Advance]:
    """Yield a function to call after each of `total` steps; None shows a bar on a terminal and nothing elsewhere."""
    terminal = sys.stderr.isatty()
    if not (terminal if show is None else show):
        yield lambda: None
    elif terminal:
        with _bar(label, total) as advance:
            yield advance
    else:
        with _lines(label, total) as advance:
            yield advance


@contextmanager
def _bar(label: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def _lines(label: str, total: int) -> Iterator[Advance]:
    done, started, said = 0, time.monotonic(), 0

    def advance() -> None:
        nonlocal done, said
        done += 1
        quarter = 4 * done // max(total, 1)
        if quarter > said:
            said = quarter
            sys.stderr.write(f"{label}: {done} of {total}, {time.monotonic() - started:.0f} s\n")

    yield advance
