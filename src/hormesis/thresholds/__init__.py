"""Break points turned into limits of data quality: checks for a pipeline, as a frame, YAML or a pandera schema."""

from hormesis.thresholds.deriving import limits_of
from hormesis.thresholds.shelf import Thresholds

__all__ = ["Thresholds", "limits_of"]
