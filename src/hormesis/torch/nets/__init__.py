"""Nets as scikit-learn estimators over skorch, with every technique as a setting."""
