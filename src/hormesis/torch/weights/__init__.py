"""Noise in weights and gradients, and the flatness of what is learnt."""
