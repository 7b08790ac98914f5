"""Noisy weights made at the moment they are used: the weights themselves are never overwritten.

Putting noise into a tensor in place and taking it out again without a copy cannot be exact: near 0 there are far more
floats than near 0.1, so no sum of both can be undone for all of them. Here a torch function that is given a weight gets
a noisy one instead, which is freed as soon as the function returns; what autograd saves of it is an address, from which
the same noise is made again in the backward pass.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hormesis.errors import ModelError, SettingError

Make = Callable[[Tensor], Tensor]
_active: ContextVar["OnTheFly | None"] = ContextVar("noise made on the fly", default=None)

_ABOUT = """
    __get__ __set__ __delete__ __hash__ __len__ __deepcopy__ __reduce_ex__ __setitem__ __iadd__ __isub__ __imul__
    __itruediv__ backward grad size dim numel stride data_ptr storage_offset untyped_storage is_contiguous
    is_floating_point is_complex is_inference register_hook register_post_accumulate_grad_hook zeros_like ones_like
    empty_like"""
ABOUT = frozenset(
    _ABOUT.split()
)  # functions that ask about a weight or write to it, and compute nothing from its values


class OnTheFly(TorchFunctionMode):
    """Give torch functions noisy weights in place of the weights.

    Parameters
    ----------
    weights : sequence of (tensor, function)
        The function returns a noisy copy of the tensor, the same one each time.
    """

    def __init__(self, weights: Sequence[tuple[Tensor, Make]]) -> None:
        super().__init__()
        self._make = {id(tensor): (tensor, make) for tensor, make in weights}
        self._live: dict[int, Tensor] = {}
        self._outer: OnTheFly | None = None

    def __enter__(self) -> Self:
        self._outer = _active.get()
        with ExitStack() as undo:
            token = _active.set(self)
            undo.callback(_active.reset, token)
            hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, _unpack)
            undo.enter_context(hooks)
            super().__enter__()  # type: ignore[no-untyped-call]
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._undo.close()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a torch function with noisy weights."""
        if torch.compiler.is_compiling():
            raise ModelError(COMPILED)
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name in ABOUT:
            return func(*args, **kwargs)
        made: dict[int, Tensor] = {}
        writes = name.endswith("_") and not name.endswith("__")
        given = (*args[:1], *self._swap(args[1:], made)) if writes else self._swap(args, made)
        named = {k: v if k == "out" else self._swap(v, made) for k, v in kwargs.items()}
        fresh = {m.untyped_storage().data_ptr(): self._make[i][0] for i, m in made.items()} if made else {}
        self._live |= fresh
        try:
            return func(*given, **named)
        finally:
            for pointer in fresh:
                del self._live[pointer]

    def _swap(self, given: Any, made: dict[int, Tensor]) -> Any:
        if isinstance(given, Tensor):
            if id(given) in self._make and id(given) not in made:
                with torch._C.DisableTorchFunction():
                    made[id(given)] = self.noisy(given)
            return made.get(id(given), given)
        if type(given) in (list, tuple):
            return type(given)(self._swap(one, made) for one in given)
        return given

    def noisy(self, weight: Tensor) -> Tensor:
        """Return a weight with the noise of this block and of those around it; gradients go to the weight."""
        base = weight if self._outer is None else self._outer.noisy(weight)
        if id(weight) not in self._make:
            return base
        out: Tensor = _Noisy.apply(base, self._make[id(weight)][1])  # type: ignore[no-untyped-call]
        return out

    def _pack(self, saved: Tensor) -> "Tensor | _Address":
        around: OnTheFly | None = self
        while around is not None and saved.layout is torch.strided:
            weight = around._live.get(saved.untyped_storage().data_ptr())
            if weight is not None:
                return _Address(
                    around, weight, weight._version, saved.size(), saved.stride(), int(saved.storage_offset())
                )
            around = around._outer
        return saved


COMPILED = "a compiled model would keep one draw of the noise in its code; use `memory='copy'`, which works with compiled models."


class _Noisy(torch.autograd.Function):
    """The noise is a constant: its derivative by the weight is one."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, make: Make) -> Tensor:  # noqa: ARG004
        return make(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return grads[0], None


@dataclass(frozen=True)
class _Address:
    """A view of a noisy weight that autograd saved, as what is needed to make it again."""

    block: OnTheFly
    weight: Tensor
    version: int
    size: torch.Size
    stride: tuple[int, ...]
    offset: int


def _unpack(saved: "Tensor | _Address") -> Tensor:
    if isinstance(saved, Tensor):
        return saved
    if saved.weight._version != saved.version:
        raise ModelError("A weight was changed between the forward and the backward pass under weight noise.")
    with torch._C.DisableTorchFunction(), torch.no_grad():
        return saved.block.noisy(saved.weight).as_strided(saved.size, saved.stride, saved.offset)


def current(weight: Tensor) -> Tensor:
    """Return a weight as the functions inside the blocks around see it."""
    around = _active.get()
    if around is None:
        return weight
    with torch._C.DisableTorchFunction(), torch.no_grad():
        return around.noisy(weight)


def check_reachable(model: nn.Module) -> None:
    """Refuse models whose weights are used where no torch function is seen.

    Raises
    ------
    SettingError
        A compiled, scripted or data-parallel model.
    """
    for module in model.modules():
        if "_orig_mod" in module._modules or module._compiled_call_impl is not None:
            raise SettingError(f"`memory='none'`: {COMPILED}")
        if isinstance(module, torch.jit.ScriptModule | nn.DataParallel):
            raise SettingError(
                f"`memory='none'` cannot reach the weights inside {type(module).__name__}: use `memory='copy'`."
            )
