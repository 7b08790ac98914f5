"""Tensors overwritten for a while, and put back bit for bit whatever happens in between."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from hormesis.errors import ModelError

WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def write(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Overwrite tensors by values, one after the other, outside of autograd.

    Cached casts of them are dropped, or autocast would use them.
    """
    with torch._C.DisableTorchFunction(), torch.no_grad():
        for tensor, value in pairs:
            if tensor.is_inference() == torch.is_inference_mode_enabled():
                tensor.copy_(value)
            else:
                with torch.inference_mode(mode=tensor.is_inference()), torch.no_grad():
                    tensor.copy_(value)
    torch.clear_autocast_cache()


class Kept:
    """Copies of tensors, made before anything is written to them."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        with torch._C.DisableTorchFunction(), torch.no_grad():
            self._copies = [(t, t.detach().clone()) for t in tensors]
        self._sums: list[Tensor] = []

    def seal(self) -> None:
        """Remember what the tensors hold now, to tell whether somebody else writes to them."""
        self._sums = self._checksums()

    def broken(self) -> bool:
        """Tell whether a sealed tensor holds other bits by now: restoring would undo somebody's work."""
        return any(not torch.equal(*pair) for pair in zip(self._sums, self._checksums(), strict=False))

    def _checksums(self) -> list[Tensor]:
        with torch._C.DisableTorchFunction(), torch.no_grad():
            words = [t.view(WORDS[t.element_size()]) for t, _ in self._copies]
            return [w.sum(dtype=torch.promote_types(w.dtype, torch.int32)) for w in words]

    def restore(self) -> None:
        """Write the copies back; an interrupt waits until all are back."""
        try:
            write(self._copies)
        except KeyboardInterrupt:
            self.restore()
            raise


@contextmanager
def kept(tensors: Sequence[Tensor], what: str) -> Iterator[Kept]:
    """Put tensors back to their exact bits at the end of a block, also after an exception or Ctrl-C.

    Raises
    ------
    ModelError
        Sealed tensors were written to inside the block, as `optimizer.step()` does: what was written is undone.

    >>> w = torch.ones(2)
    >>> with kept([w], "this block"):
    ...     write([(w, torch.zeros(2))])
    >>> w
    tensor([1., 1.])
    """
    held, lost = Kept(tensors), False
    try:
        yield held
        lost = held.broken()
    finally:
        held.restore()
    if lost:
        raise ModelError(
            f"Weights were written to inside {what}, by `optimizer.step()` or `load_state_dict`: "
            "that was undone with the noise; call it after the block."
        )
