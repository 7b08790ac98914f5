"""Layers that add noise in training and are silent in evaluation."""
