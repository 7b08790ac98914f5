"""Attacks: worst-case noise, by gradient and without."""
