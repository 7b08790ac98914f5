"""Functions of a batch: mixing and erasing, per sample."""
