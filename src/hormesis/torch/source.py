"""Where training noise in torch comes from: one generator per device, seeded by a key; torch's global one is left alone."""

import secrets
from typing import Any

import torch

from hormesis.key import key

Seed = int | torch.Generator | None


def generator(seed: int, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a generator seeded by the key of a seed and a path of names.

    >>> a, b = generator(0, "mixup", 3), generator(0, "mixup", 3)
    >>> bool(torch.rand(2, generator=a).equal(torch.rand(2, generator=b)))
    True
    """
    return torch.Generator(device).manual_seed(key(seed, *path) >> 1)


class Source:
    """Generators for the devices that ask, all seeded from one seed and path.

    Parameters
    ----------
    seed : int, torch.Generator or None
        None draws a new seed; a generator is used as it is, on its own device only.
    path : names
        What the noise is for: two purposes of one seed are independent.
    """

    def __init__(self, seed: Seed = None, *path: str | int) -> None:
        self.path = path
        self.reseed(seed)

    def reseed(self, seed: Seed, *path: str | int) -> None:
        """Start again from a seed (and, if given, another path)."""
        self.path = path or self.path
        self.given = seed if isinstance(seed, torch.Generator) else None
        self.seed = secrets.randbits(63) if seed is None else 0 if self.given is not None else int(seed)  # type: ignore[arg-type]
        self._made: dict[str, torch.Generator] = {}

    def on(self, device: torch.device | str) -> torch.Generator:
        """Return the generator of a device."""
        where = torch.device(device)
        if self.given is not None:
            return self.given
        if str(where) not in self._made:
            self._made[str(where)] = generator(self.seed, *self.path, device=where)
        return self._made[str(where)]

    def __getstate__(self) -> dict[str, Any]:
        states = {name: made.get_state() for name, made in self._made.items()}
        given = None if self.given is None else (str(self.given.device), self.given.get_state())
        return {"path": self.path, "seed": self.seed, "given": given, "states": states}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self.seed = state["path"], state["seed"]
        given = state["given"]
        self.given = None if given is None else _restored(*given)
        self._made = {name: _restored(name, old) for name, old in state["states"].items()}


def _restored(device: str, state: torch.Tensor) -> torch.Generator:
    made = torch.Generator(device)
    made.set_state(state)
    return made
