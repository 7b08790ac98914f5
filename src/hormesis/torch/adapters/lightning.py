"""Training noise in Lightning: a callback that touches training batches and no others."""

from typing import Any

from hormesis.errors import DataError, MissingExtraError
from hormesis.torch.adapters.loop import BatchNoise, noised
from hormesis.torch.layers.base import NoiseLayer
from hormesis.torch.layers.cells import seed_noise
from hormesis.torch.source import generator

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as error:
    raise MissingExtraError("This adapter needs Lightning: pip install lightning.") from error


class NoisyBatches(Callback):  # type: ignore[misc]
    """Add noise to training batches [x, y, ...], and seed the noise layers of the module; evaluation is untouched.

    Noise is a function of seed, epoch, batch and rank, so a run resumed from a checkpoint repeats it. `noises` are as in
    `adapters.loop.NoisyBatches`. Attacks work in test loops as they are, also under Lightning's inference mode.

    >>> from hormesis.torch.layers.cells import GaussianNoise
    >>> NoisyBatches(GaussianNoise(0.1), seed=3).seed
    3
    """

    def __init__(self, *noises: NoiseLayer | BatchNoise, seed: int = 0) -> None:
        self.noises, self.seed = noises, seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Replace inputs and targets in the batch's list."""
        address = (
            trainer.current_epoch,
            batch_idx,
            *([trainer.global_rank] if trainer.world_size > 1 else []),
        )
        seed_noise(pl_module, self.seed, "layers", *address)
        if not self.noises:
            return
        if not isinstance(batch, list):
            raise DataError(
                f"The batch is a {type(batch).__name__}; noise goes into a list [x, y, ...], as torch's default collation gives."
            )
        rng = generator(self.seed, "batches", *address, device=batch[0].device)
        batch[:2] = noised(self.noises, batch[0], batch[1], rng)
