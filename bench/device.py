"""Keyed noise where the tensor is: bandwidth against a copy of the same bytes, and nanoseconds per value on a CPU."""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from hormesis import Profile
from hormesis.key import Draw
from hormesis.noise import GaussianNoise, SwapNoise
from hormesis.torch import keyed
from hormesis.torch.doors import device
from hormesis.torch.doors.tensors import TensorTable


def seconds(call: Callable[[], object], where: torch.device, rounds: int) -> float:
    """Return the median time of a call, the device waited for."""
    times = []
    for i in range(rounds + 2):
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        started = time.perf_counter()
        call()
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        if i > 1:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def calls(x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Return what is timed, on a table of floats."""
    profile = Profile.learn(x[:10_000])
    lanes = keyed.lane(torch.arange(len(x), device=x.device))
    draw = Draw(lanes.cpu().numpy().view("u8"), 0)

    def noisy(noise) -> object:
        table = TensorTable(x)
        assert device.made(table, noise, profile, draw.within(noise.name), None, None)
        return table.close()

    return {
        "copy": x.clone,
        "torch.randn": lambda: torch.randn(x.shape, device=x.device),
        "keyed normal": lambda: keyed.normal_like(x, 0, "bench"),
        "keyed below 0.1": lambda: keyed.below_like(x, 0.1, 0, "bench"),
        "GaussianNoise on the device": lambda: noisy(GaussianNoise(0.1)),
        "SwapNoise 0.1 on the device": lambda: noisy(SwapNoise(0.1)),
        "GaussianNoise, any table": lambda: GaussianNoise(0.1).apply(x, profile=profile),
        "SwapNoise 0.1, any table": lambda: SwapNoise(0.1).apply(x, profile=profile),
    }


def table(where: torch.device, rows: int, columns: int, rounds: int) -> None:
    """Print one device's table."""
    x = torch.randn(rows, columns, generator=torch.Generator(where).manual_seed(0), device=where)
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "CPU, 1 thread"
    print(
        f"{name}: float32, {rows:,} x {columns}, median of {rounds}; GB/s counts the table once read, once written"
    )
    print(f"{'what':<30}{'ms':>10}{'ns/value':>10}{'GB/s':>9}{'x copy':>9}")
    base = None
    for what, call in calls(x).items():
        took = seconds(call, where, rounds)
        base = base or took
        rate = 2 * x.numel() * x.element_size() / took / 1e9
        print(f"{what:<30}{took * 1e3:>10.3f}{took / x.numel() * 1e9:>10.2f}{rate:>9.1f}{took / base:>9.1f}")


def main() -> None:
    """Time the CPU, and each CUDA device that is here."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=100_000)
    asked.add_argument("--columns", type=int, default=20)
    asked.add_argument("--rounds", type=int, default=7)
    given = asked.parse_args()
    torch.set_num_threads(1)
    table(torch.device("cpu"), given.rows, given.columns, given.rounds)
    if not torch.cuda.is_available():
        print("no CUDA device here")
    for i in range(torch.cuda.device_count()):
        table(torch.device("cuda", i), given.rows * 20, given.columns, given.rounds)


if __name__ == "__main__":
    main()
