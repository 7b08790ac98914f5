"""A result as one self-contained HTML page that asks nothing of any network."""

from importlib.resources import files
from pathlib import Path

from hormesis.files.aside import write_aside
from hormesis.proof import HardenResult
from hormesis.results import StressResult

__all__ = ["render", "write"]


def render(result: StressResult | HardenResult) -> str:
    """Return a result as one HTML page: verdict, break points, curves, distributions, everything measured.

    The page holds its own styles and scripts, and its content policy forbids the browser to load anything
    else. It is made of aggregates only and cuts what is long, saying so; its size does not depend on the
    size of the data. The figures need scripts; every figure also says its content in words.
    """
    from jinja2 import Environment, StrictUndefined

    from hormesis.report.page import context

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = files(__name__).joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(context(result))


def write(result: StressResult | HardenResult, path: str | Path) -> None:
    """Write a result as one HTML page, whole or not at all.

    Raises
    ------
    DataError
        If the path cannot be written.
    """
    write_aside(path, render(result))
