"""Noise on embeddings (NEFTune), scaled by the true length of each sequence, also under padding and packing."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hormesis.errors import DataError, ModelError, listed
from hormesis.torch.layers.base import NoiseLayer
from hormesis.torch.source import Seed


class EmbeddingNoise(NoiseLayer):
    """Add uniform noise to token embeddings, the longer the sequence the smaller, as fine-tuning regularisation.

    ``x + u * level / sqrt(L d)``, u uniform in (-1, 1), x of shape (n, length, d). L is the true length of the
    sequence that a token belongs to: padding does not count and gets no noise, packed sequences count one by one.

    Parameters
    ----------
    level : float
        NEFTune's alpha; 5 to 15 in the paper.

    Notes
    -----
    Source: Jain et al. (2024), NEFTune: noisy embeddings improve instruction finetuning.

    Examples
    --------
    >>> noise = EmbeddingNoise(6.0, generator=0)
    >>> x, mask = torch.zeros(1, 9, 4), torch.tensor([[1, 1, 1, 1, 0, 0, 0, 0, 0]])
    >>> noisy = noise(x, attention_mask=mask)
    >>> bool(noisy.abs().max() <= 6 / (4 * 4) ** 0.5), int((noisy != 0).sum())
    (True, 16)
    """

    most = math.inf
    rule = "NEFTune's alpha, a finite number from 0"

    def forward(
        self,
        x: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        sequence_ids: Tensor | None = None,
    ) -> Tensor:
        """Return embeddings with noise.

        Parameters
        ----------
        x : Tensor
            Embeddings (n, length, d).
        attention_mask : Tensor, optional
            (n, length): 0 or False at padding.
        position_ids : Tensor, optional
            (n, length) or (1, length): a position that does not follow its neighbour begins a packed sequence.
        sequence_ids : Tensor, optional
            (n, length): a run of one number is a packed sequence. Goes before `position_ids`.

        Raises
        ------
        DataError
            The embeddings are not floats (n, length, d), or a mask or ids are not (n, length).
        """
        if not self.noisy:
            return x
        if x.ndim != 3 or not x.is_floating_point():
            raise DataError(
                f"EmbeddingNoise got {x.dtype} of shape {tuple(x.shape)}: it needs embeddings, floats (n, length, d)."
            )
        lengths = true_lengths(x, attention_mask, position_ids, sequence_ids)
        size = torch.where(lengths > 0, self.level / (lengths.clamp(min=1) * x.shape[-1]).sqrt(), 0.0)
        noise = torch.empty(x.shape, dtype=torch.float32, device=x.device).uniform_(
            -1, 1, generator=self.source.on(x.device)
        )
        return x + noise.mul_(size.unsqueeze(-1)).to(x.dtype)

    def disturb(self, x: Tensor, source: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return embeddings with noise, each row one sequence."""
        return self.forward(x)


def true_lengths(
    x: Tensor,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    sequence_ids: Tensor | None = None,
) -> Tensor:
    """Return the length of the sequence of each token (n, length) as floats, 0 at padding.

    >>> positions = torch.tensor([[0, 1, 2, 0, 1, 0]])
    >>> true_lengths(torch.zeros(1, 6, 4), position_ids=positions)
    tensor([[3., 3., 3., 2., 2., 1.]])
    """
    shape = x.shape[:2]
    valid = x.new_ones(shape, dtype=torch.float32)
    if attention_mask is not None:
        valid = _laid(attention_mask, shape, "attention_mask").ne(0).to(torch.float32)
    starts = torch.zeros(shape, dtype=torch.int64, device=x.device)
    if sequence_ids is not None:
        ids = _laid(sequence_ids, shape, "sequence_ids")
        starts[:, 1:] = ids[:, 1:] != ids[:, :-1]
    elif position_ids is not None:
        ids = _laid(position_ids, shape, "position_ids")
        starts[:, 1:] = ids[:, 1:] != ids[:, :-1] + 1
    sequence = starts.cumsum(1)
    counts = torch.zeros_like(valid).scatter_add_(1, sequence, valid)
    return counts.gather(1, sequence) * valid


def _laid(ids: Tensor, shape: torch.Size, name: str) -> Tensor:
    if ids.ndim != 2 or ids.shape[1] != shape[1] or ids.shape[0] not in (1, shape[0]):
        raise DataError(
            f"`{name}` of shape {tuple(ids.shape)} does not fit embeddings of {shape[0]} sequences of {shape[1]} "
            "tokens: give one number per token, (n, length)."
        )
    return ids.expand(shape)


class NoisyEmbeddings:
    """Embedding noise hooked on a model: leave the `with` block or call `remove` and the model is as before.

    `noise` is the `EmbeddingNoise` at work; its level may be changed between epochs.
    """

    def __init__(self, model: nn.Module, noise: EmbeddingNoise, table: nn.Embedding) -> None:
        self.noise = noise
        self._seen: dict[str, Any] = {}
        self._handles: list[RemovableHandle] = [
            model.register_forward_pre_hook(self._notice, with_kwargs=True),
            table.register_forward_hook(self._add, with_kwargs=True),
            model.register_forward_hook(self._forget, always_call=True),
        ]

    def remove(self) -> None:
        """Take the noise off the model."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def _notice(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        named = dict(zip(inspect.signature(model.forward).parameters, args, strict=False))
        for given in (*args, kwargs):
            named |= dict(given) if isinstance(given, Mapping) else {}
        self._seen = named

    def _forget(self, *call: object) -> None:  # noqa: ARG002
        self._seen = {}

    def _add(
        self, table: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], x: Tensor
    ) -> Tensor | None:
        if not (table.training or self.noise.always):
            return None
        tokens: Tensor = args[0] if args else kwargs["input"]
        known = {name: self._about(tokens, *names) for name, names in _NAMES.items()}
        padding = getattr(table, "padding_idx", None)
        if known["attention_mask"] is None and padding is not None:
            known["attention_mask"] = tokens != padding
        return self.noise.train()(x, **known)  # type: ignore[no-any-return]

    def _about(self, tokens: Tensor, *names: str) -> Tensor | None:
        fits = {tokens.shape, (1, *tokens.shape[1:])}
        found = (self._seen.get(name) for name in names)
        return next((v for v in found if isinstance(v, Tensor) and tuple(v.shape) in fits), None)


_NAMES = {
    "attention_mask": ("attention_mask", "mask"),
    "position_ids": ("position_ids",),
    "sequence_ids": ("sequence_ids", "seq_idx"),
}


def noisy_embeddings(
    model: nn.Module,
    level: float,
    *,
    embedding: str | None = None,
    generator: Seed = None,
    always: bool = False,
) -> NoisyEmbeddings:
    """Train a language model with noise on its token embeddings, without changing the model.

    True lengths are taken from what the model is called with: `attention_mask`, `position_ids` that begin anew (packing),
    `sequence_ids`; without a mask from the padding index of the embedding. Silent in evaluation.

    Parameters
    ----------
    model : nn.Module
        Any model; of Hugging Face's the input embeddings are found, of others the only `nn.Embedding`.
    level : float
        NEFTune's alpha.
    embedding : str, optional
        Name of the embedding in the model, where there are several.
    generator, always
        As in `NoiseLayer`.

    Raises
    ------
    ModelError
        There is no embedding, or there are several and none is named.

    Notes
    -----
    Source: Jain et al. (2024), NEFTune.

    Examples
    --------
    >>> model, tokens = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), torch.tensor([[1, 2, 3]])
    >>> clean = model(tokens)
    >>> with noisy_embeddings(model, 5.0, generator=0):
    ...     bool((model(tokens) != clean).any())
    True
    >>> bool((model(tokens) == clean).all())
    True
    """
    noise = EmbeddingNoise(level, generator=generator, always=always)
    return NoisyEmbeddings(model, noise, _embedding(model, embedding))


def _embedding(model: nn.Module, name: str | None) -> nn.Embedding:
    tables = {n: m for n, m in model.named_modules() if isinstance(m, nn.Embedding)}
    finder: Callable[[], Any] | None = getattr(model, "get_input_embeddings", None)
    if name is None and finder is not None:
        return finder()  # type: ignore[no-any-return]
    if name is None and len(tables) == 1:
        return next(iter(tables.values()))
    if name is None or name not in tables:
        given = "" if name is None else f"embedding={name!r}: "
        raise ModelError(
            f"`noisy_embeddings({type(model).__name__})`: {given}the model has {len(tables)} embeddings"
            + (f": {listed(tables)}; name one with `embedding=`." if tables else ", and needs one.")
        )
    return tables[name]
