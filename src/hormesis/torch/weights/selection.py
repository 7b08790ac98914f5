"""Which weights of a model are meant: by name, by pattern, by kind of layer."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from hormesis.errors import ModelError, SettingError, listed, nearest

Names = str | re.Pattern[str] | Sequence[str | re.Pattern[str]] | None
Kinds = str | type | Sequence[str | type] | None


@dataclass(frozen=True)
class Weight:
    """One tensor of a model with all names that lead to it; tied weights are one weight."""

    name: str
    names: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    owners: tuple[nn.Module, ...]

    @property
    def tensor(self) -> Tensor:
        """The tensor itself; the others of `tensors` are the same memory."""
        return self.tensors[0]


def weights_of(
    model: nn.Module,
    include: Names = None,
    exclude: Names = None,
    types: Kinds = None,
    *,
    buffers: bool = False,
) -> list[Weight]:
    """Return the floating-point weights asked for, sorted by name.

    A name is asked for by itself, by the path of a module above it, by a pattern (`*`, `?`) or a regular expression;
    a kind of layer by its class or the name of its class. The names are the model's own, also where it is wrapped.

    Raises
    ------
    SettingError
        A name or a kind that nothing in the model has, or nothing is left.
    ModelError
        What was given is no module, or its weights have no shape yet.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    >>> [w.name for w in weights_of(net, exclude="*.bias", types="Linear")]
    ['0.weight']
    """
    every = _grouped(_named(plain(model), buffers=buffers))
    asked = [_by_name(w, every, "include") for w in _many(include)]
    barred = [_by_name(w, every, "exclude") for w in _many(exclude)]
    kinds = [_by_kind(w, every) for w in _many(types)]
    found = [
        w
        for w in every
        if (not asked or any(test(w) for test in asked))
        and (not kinds or any(test(w) for test in kinds))
        and not any(test(w) for test in barred)
    ]
    if not found:
        raise SettingError(
            f"`include={include!r}, exclude={exclude!r}, types={types!r}` leave no weight of this model: "
            f"it has {listed(w.name for w in every)}."
        )
    return found


def plain(model: Any) -> nn.Module:
    """Return the module inside wrappers that change names: compiled, data-parallel."""
    if not isinstance(model, nn.Module):
        raise ModelError(f"{type(model).__name__} was given; weight noise needs the torch module itself.")
    inner: nn.Module = model
    while True:
        if isinstance(inner, nn.parallel.DistributedDataParallel | nn.DataParallel):
            inner = inner.module
        elif isinstance(under := inner._modules.get("_orig_mod"), nn.Module):
            inner = under
        else:
            return inner


def _named(model: nn.Module, *, buffers: bool) -> Iterator[tuple[str, Tensor, nn.Module]]:
    for path, module in model.named_modules(remove_duplicate=False):
        own = [*module._parameters.items(), *(module._buffers.items() if buffers else ())]
        for name, tensor in own:
            if tensor is not None and (is_lazy(tensor) or tensor.is_floating_point()):
                yield f"{path}.{name}".removeprefix(".").replace("_orig_mod.", ""), tensor, module


def _grouped(found: Iterator[tuple[str, Tensor, nn.Module]]) -> list[Weight]:
    groups: dict[Any, list[tuple[str, Tensor, nn.Module]]] = {}
    for name, tensor, owner in found:
        groups.setdefault(_memory(name, tensor), []).append((name, tensor, owner))
    weights = []
    for group in groups.values():
        names, tensors, owners = zip(*sorted(group, key=lambda one: one[0]), strict=True)
        weights.append(Weight(names[0], names, tuple({id(t): t for t in tensors}.values()), owners))
    return sorted(weights, key=lambda w: w.name)


def _memory(name: str, tensor: Tensor) -> Any:
    if is_lazy(tensor):
        raise ModelError(
            f"`{name}` has no shape yet, as the layer is lazy: run one batch through the model first."
        )
    if tensor.device.type == "meta" or not tensor.numel():
        return id(tensor)
    where = tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.device
    return *where, tensor.shape, tensor.stride(), tensor.dtype


def _many(words: Any) -> tuple[Any, ...]:
    if words is None:
        return ()
    return tuple(words) if isinstance(words, Sequence) and not isinstance(words, str) else (words,)


def _by_name(word: str | re.Pattern[str], every: list[Weight], setting: str) -> Callable[[Weight], bool]:
    def meant(weight: Weight) -> bool:
        if isinstance(word, re.Pattern):
            return any(word.search(name) for name in weight.names)
        return any(fnmatchcase(name, word) or fnmatchcase(name, word + ".*") for name in weight.names)

    if not any(meant(w) for w in every):
        names = [name for w in every for name in w.names]
        raise SettingError(
            f"`{setting}={_said(word)}` names no weight of this model.{nearest(_said(word), names)} "
            f"It has {listed(names)}."
        )
    return meant


def _by_kind(kind: str | type, every: list[Weight]) -> Callable[[Weight], bool]:
    def meant(weight: Weight) -> bool:
        if isinstance(kind, type):
            return any(isinstance(owner, kind) for owner in weight.owners)
        return any(kind == base.__name__ for owner in weight.owners for base in type(owner).__mro__)

    if not any(meant(w) for w in every):
        there = sorted({type(owner).__name__ for w in every for owner in w.owners})
        word = kind.__name__ if isinstance(kind, type) else kind
        raise SettingError(
            f"`types={word}`: no layer with weights of this model is one.{nearest(word, there)} It has {listed(there)}."
        )
    return meant


def _said(word: str | re.Pattern[str]) -> str:
    return word.pattern if isinstance(word, re.Pattern) else word
