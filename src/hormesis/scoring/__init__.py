"""Any scikit-learn scorer as a value with influences, so that it gets an interval."""

from hormesis.scoring.choosing import Scoring, clusters, fits_model, scorers
from hormesis.scoring.scorer import FEW, Recording, Scorer

__all__ = ["FEW", "Recording", "Scorer", "Scoring", "clusters", "fits_model", "scorers"]
