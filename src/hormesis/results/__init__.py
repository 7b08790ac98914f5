"""What was measured, as records that print, tabulate and travel as JSON."""

from hormesis.limits import Checked, Limit
from hormesis.results.base import SCHEMA_VERSION, STRICT, Numbers, dump, load
from hormesis.results.curves import BreakPoint, Crash, Curve, Distribution, Estimate, Slice, Word
from hormesis.results.findings import Difference, Fragility
from hormesis.results.running import Cost, Provenance
from hormesis.results.stress import StressResult
from hormesis.results.tables import Library, framed
from hormesis.results.words import spoken, title

__all__ = [
    "SCHEMA_VERSION",
    "STRICT",
    "BreakPoint",
    "Checked",
    "Cost",
    "Crash",
    "Curve",
    "Difference",
    "Distribution",
    "Estimate",
    "Fragility",
    "Library",
    "Limit",
    "Numbers",
    "Provenance",
    "Slice",
    "StressResult",
    "Word",
    "dump",
    "framed",
    "load",
    "spoken",
    "title",
]
