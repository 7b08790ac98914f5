"""Training noise in the Hugging Face Trainer: a callback that acts while the model trains, never while it is evaluated."""

from typing import Any

from torch import nn

from hormesis.errors import MissingExtraError, SettingError, listed, nearest
from hormesis.torch.layers.base import NoiseLayer
from hormesis.torch.layers.cells import seed_noise
from hormesis.torch.layers.embedding import noisy_embeddings
from hormesis.torch.source import generator

try:
    from transformers import TrainerCallback
except ImportError as error:
    raise MissingExtraError(
        "This adapter needs transformers: pip install transformers accelerate."
    ) from error


class TrainingNoise(TrainerCallback):  # type: ignore[misc]
    """Add noise to what a model is trained on: to its token embeddings (NEFTune), its inputs, or both.

    Lengths for NEFTune are the true ones under padding and packing. Noise is a function of seed and step, so a resumed run
    repeats it. At the end of training the model is as it was.

    Parameters
    ----------
    embedding : float
        NEFTune's alpha; 5 to 15 are usual, 0 is none.
    inputs : mapping of names to noise layers
        As ``{"input_ids": Masking(0.1, value=tokenizer.mask_token_id)}`` or ``{"pixel_values": GaussianNoise(0.1)}``.
    seed : int

    Raises
    ------
    SettingError
        The first training batch does not hold one of `inputs`.

    Examples
    --------
    >>> TrainingNoise(5.0, seed=1).embedding
    5.0
    """

    def __init__(
        self, embedding: float = 0.0, *, inputs: dict[str, NoiseLayer] | None = None, seed: int = 0
    ) -> None:
        self.embedding, self.inputs, self.seed, self._hooks = embedding, dict(inputs or {}), seed, []  # type: ignore[var-annotated]

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Put hooks on the model."""
        self._checked = False
        self._hooks = [model.register_forward_pre_hook(self._disturb, with_kwargs=True)]
        if self.embedding:
            self._hooks.append(noisy_embeddings(model, self.embedding, generator=self.seed))

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Give the step its own noise."""
        self._step, self._call = state.global_step, 0
        seed_noise(model, self.seed, "layers", state.global_step)
        for hook in self._hooks[1:]:
            hook.noise.source.reseed(self.seed, "embedding", state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Take the noise off the model."""
        while self._hooks:
            self._hooks.pop().remove()

    def _disturb(self, model: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        if not model.training:
            return None
        self._check(kwargs)
        noisy = dict(kwargs)
        for name in self.inputs.keys() & kwargs.keys():
            x, noise = kwargs[name], self.inputs[name]
            rng = generator(self.seed, "batches", self._step, self._call, name, device=x.device)
            noisy[name] = noise.disturb(x, rng) if noise.level else x
        self._call += 1
        return args, noisy

    def _check(self, batch: dict[str, Any]) -> None:
        """Refuse names that the first training batch does not hold, and leave the model without hooks."""
        unknown = [] if self._checked else [name for name in self.inputs if name not in batch]
        self._checked = True
        if unknown:
            while self._hooks:
                self._hooks.pop().remove()
            raise SettingError(
                f"`TrainingNoise(inputs={{{unknown[0]!r}: ...}})`: the training batches hold {listed(batch)}."
                f"{nearest(unknown[0], batch)}"
            )
