"""Torch through the house's doors: tensors as tables, modules as models."""
