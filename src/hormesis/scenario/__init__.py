"""Scenarios: what noise costs in the test rows only, in the training rows only and in both."""

from hormesis.scenario.run import scenarios
from hormesis.scenario.table import Cell, Scenarios, ScenariosResult

__all__ = ["Cell", "Scenarios", "ScenariosResult", "scenarios"]
