"""Trials: what goes onto the bench, which noises at which levels, and what is read off when it was measured."""
