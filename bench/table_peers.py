"""How fast and how true noises of tables are beside other libraries, each as its current release installs.

Every library has an environment of its own (made when absent) and a process of its own, and gets the same table.
Processes take turns in every round; a ratio is the median over rounds of the time per row of the other library divided
by that of hormesis. Prints Markdown. Peak memory needs Linux.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from table_rivals.workers import PACKAGES, Answer, Worker, environment

TALL, WIDE, SMALL = 1_000_000, 20_000, 5_000
SEEDLESS, SEEDED = ("pucktrick", "jenga"), "by global seeds alone"


class Race(NamedTuple):
    """One task of one library: how many rows it gets, of which dtype its strings are, what to remark."""

    peer: str
    task: str
    rows: int = TALL
    note: str = ""
    strings: str = "default"
    columns: int = 20


RACES = {
    "Missing values, 10 % of all 20 columns": [
        Race("gecko", "missing"),
        Race("tab_err", "missing", TALL // 2),
        Race("pucktrick", "missing", TALL // 2),
        Race("jenga", "missing", TALL // 10),
        Race("badgers", "missing", TALL // 10),
    ],
    "Missing values, 10 % of 12 columns of floats alone": [
        Race("badgers", "missing numbers"),
        Race("gecko", "missing numbers"),
        Race("tab_err", "missing numbers", TALL // 2),
    ],
    "Gaussian noise, 0.1 standard deviations on 16 columns of numbers": [
        Race("badgers", "gaussian"),
        Race("jenga", "gaussian", TALL // 5, "1 to 5 standard deviations"),
    ],
    "Category noise, 10 % of 4 columns": [
        Race("gecko", "category", TALL // 5),
        Race("tab_err", "category", note="category dtype", strings="category"),
        Race("jenga", "category"),
        Race("pucktrick", "category", TALL // 400),
    ],
    "Missing values, 400 columns, 20,000 rows": [
        Race("tab_err", "missing", WIDE, columns=400),
        Race("gecko", "missing", WIDE, columns=400),
        Race("pucktrick", "missing", WIDE, columns=400),
    ],
    "Typos in 10 % of 4 columns, at equal error rates of characters": [
        Race("badgers", "typos", TALL // 4, "swap of letters"),
        Race("tab_err", "typos", TALL // 5, "adjacent key"),
        Race("gecko", "typos", TALL // 10, "substitution"),
        Race("gecko", "typos: delete", TALL // 10, "deletion"),
        Race("augmentex", "typos", TALL // 10, "adjacent key"),
        Race("augmentex", "typos: delete", TALL // 10, "deletion"),
    ],
}
HEAD = "rows/s | hormesis rows/s | ratio, CPU | ratio, wall | least, most | ratio, CPU, object dtype |"


class Bench:
    """The libraries that run, what failed, and how long to measure."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.rounds, self.scale = (2, 10) if options.quick else (options.rounds, 1)
        self.failed: list[str] = []
        found = {name: environment(name, options.envs, self.failed) for name in PACKAGES}
        self.pythons = {"hormesis": Path(sys.executable)} | {n: p for n, p in found.items() if p}
        self.workers = {name: Worker(name, python) for name, python in self.pythons.items()}
        self.races = {title: [r for r in races if r.peer in self.workers] for title, races in RACES.items()}

    def race(self, race: Race, level: float = 0.1) -> str:
        """Return the cells of one row: the other library, then hormesis on both dtypes, in every round."""
        tall = (TALL if race.columns == 20 else WIDE) // self.scale
        rows = race.rows // self.scale
        theirs = {"task": race.task, "rows": rows, "strings": race.strings, "columns": race.columns}
        ours = theirs | {"task": race.task.split(":")[0], "rows": tall, "level": level}
        sides = [(race.peer, theirs), ("hormesis", ours), ("hormesis", ours | {"strings": "object"})]
        rounds = []
        for _ in range(1 + (self.rounds if race.columns == 20 else 2)):
            times = [self.workers[who].ask("time", **asked) for who, asked in sides]
            if error := next((t["error"] for t in times if "error" in t), ""):
                self.failed.append(f"{race.peer}, {race.task}: `{error}`")
                return "does not run | | | | | | |"
            rounds.append(times)
        half = self.workers[race.peer].ask("time", **theirs | {"rows": rows // 2}) if rows < tall else {}
        return f"{row(rounds[1:], rows, tall)} {growth(rounds[1:], half)} |"

    def speed(self, title: str) -> None:
        """Print one table of ratios."""
        print(f"\n### {title}\n\n|  | rows | {HEAD} twice the rows |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|")
        for race in self.races[title]:
            name = f"{race.peer}, {race.note}" if race.note else race.peer
            print(f"| {name} | {race.rows // self.scale:,} | {self.race(race)}", flush=True)

    def typos(self, title: str) -> None:
        """Print the ratios of typos at the level at which hormesis makes as many errors per character."""
        print(
            f"\n### {title}\n\n|  | rows | errors per character | level, errors of hormesis | {HEAD} twice the rows |"
        )
        print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        size = {"rows": TALL // 10 // self.scale}
        ours = self.workers["hormesis"].ask("cer", task="typos", **size)["cer"]
        for race in self.races[title]:
            theirs = self.workers[race.peer].ask("cer", task=race.task, **size)
            name = f"| {race.peer}, {race.note} | {race.rows // self.scale:,} |"
            if "error" in theirs:
                self.failed.append(f"{race.peer}, {race.task}: `{theirs['error']}`")
                print(name, "does not run | | | | | | | | |")
                continue
            level = round(0.1 * theirs["cer"] / ours, 5)
            equal = self.workers["hormesis"].ask("cer", task="typos", level=level, **size)["cer"]
            found = f"{theirs['cer']:.5f} | {level:.4f}, {equal:.5f}"
            print(name, found, "|", self.race(race, level), flush=True)

    def truths(self) -> None:
        """Print what each call really did to a small table."""
        print("\n### What one call does, 5,000 rows, 10 % asked\n")
        print(
            "|  | realised, by column | mask is the real change | same seed, same result | in another process ",
            end="",
        )
        print(
            "| input and global random state left alone | dtypes changed | other categories reached |\n|---|--:|---|---|---|---|---|--:|"
        )
        seen = [(race.peer, race.task, race.strings) for races in self.races.values() for race in races]
        ours = [("hormesis", t, "default") for t in ("missing", "gaussian", "category", "typos")]
        for peer, task, strings in dict.fromkeys(ours + seen):
            asked = {"task": task, "rows": SMALL, "strings": strings}
            with (
                Worker(peer, self.pythons[peer], PYTHONHASHSEED="1") as one,
                Worker(peer, self.pythons[peer], PYTHONHASHSEED="2") as other,
            ):
                found = [worker.ask("truth", **asked) for worker in (one, other)]
            if peer in SEEDLESS:
                found[0]["same"] = found[0].get("same") and SEEDED
            print(f"| {peer}, {task} | {truth(*found)}", flush=True)

    def memory(self) -> None:
        """Print peak memory of one call in a fresh process, of calls on many rows."""
        print(
            "\n### Peak memory of one call\n\n|  | rows | MiB per million rows | x the columns changed |\n|---|--:|--:|--:|"
        )
        seen = [(r.peer, r.task, r.rows, r.strings) for races in self.races.values() for r in races]
        tasks = ("missing", "gaussian", "category", "typos")
        ours = [("hormesis", t, TALL, s) for t in tasks for s in ("default", "object")]
        for peer, task, rows, strings in dict.fromkeys(
            ours + [s for s in seen if s[1] in tasks and s[2] >= TALL // 10]
        ):
            with Worker(peer, self.pythons[peer], MALLOC_ARENA_MAX="1") as worker:
                asked = {"task": task, "rows": rows // self.scale, "strings": strings}
                found = worker.ask("peak", **asked)
            name = f"{peer}, {task}" + (f", {strings}" if strings != "default" else "")
            print(f"| {name} | {rows // self.scale:,} | {memory(found)} |", flush=True)


def row(rounds: list[list[Answer]], rows: int, tall: int) -> str:
    """Return speeds and ratios of the rounds of one race."""
    speeds = [statistics.median(n / t[k]["wall"] for t in rounds) for k, n in ((0, rows), (1, tall))]
    per_row = {
        k: [[t[0][k] / t[j][k] * tall / rows for t in rounds] for j in (1, 2)] for k in ("cpu", "wall")
    }
    cpu, wall, plain = map(statistics.median, (per_row["cpu"][0], per_row["wall"][0], per_row["cpu"][1]))
    spread = f"{min(per_row['cpu'][0]):.1f}, {max(per_row['cpu'][0]):.1f}"
    return f"{speeds[0]:,.0f} | {speeds[1]:,.0f} | **{cpu:.1f}** | {wall:.1f} | {spread} | {plain:.1f} |"


def growth(rounds: list[list[Answer]], half: Answer) -> str:
    """Return how much longer a library takes for twice the rows, where it got fewer rows than hormesis."""
    return f"{statistics.median(t[0]['cpu'] for t in rounds) / half['cpu']:.2f} x" if "cpu" in half else "-"


def truth(first: Answer, second: Answer) -> str:
    """Return the cells of one row of the table of truths."""
    if "error" in first:
        return f"`{first['error']}` | | | | | | |"
    low, high = min(first["rates"]), max(first["rates"])
    words: dict[Any, str] = {True: "yes", False: "**no**", None: "no mask", SEEDED: SEEDED}
    cells = [
        f"{low:.3f} to {high:.3f}",
        words[first["mask"]],
        words[first["same"]],
        words[first["digest"] == second["digest"]],
        words[first["input"]] + ", " + words[first["random"]],
        ", ".join(first["dtypes"]) or "none",
        "-" if first["reached"] is None else f"{first['reached']:.1f} of 7",
    ]
    return " | ".join(cells) + " |"


def memory(found: Answer) -> str:
    """Return the cells of one row of the table of memory."""
    if "error" in found:
        return f"`{found['error']}` | "
    mebibytes = found["peak"] / found["rows"] * 1e6 / 2**20
    return f"{mebibytes:,.0f} | {found['peak'] / found['size']:.2f}"


def versions(bench: Bench) -> str:
    """Return which releases run."""
    said = []
    for name, worker in bench.workers.items():
        package = PACKAGES.get(name, name)
        found = worker.ask("versions", packages=[package, "numpy", "pandas"])
        said.append(f"{package} {found[package]} (NumPy {found['numpy']}, pandas {found['pandas']})")
    return "; ".join(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parent.parent
    parser.add_argument("--envs", type=Path, default=root / ".venv-peers", help="where environments are made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, two rounds")
    bench = Bench(parser.parse_args())
    start = time.perf_counter()
    load = " ".join(f"{x:.2f}" for x in os.getloadavg())
    print(f"{versions(bench)}. Python {platform.python_version()}; load average at the start {load}.")
    *fast, typos = RACES
    for title in fast:
        bench.speed(title)
    bench.typos(typos)
    print(f"races: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    learning = [
        bench.workers["hormesis"].ask("time", task="learn", rows=TALL // bench.scale) for _ in range(3)
    ]
    print(f"\nLearning the profile once: {statistics.median(t['wall'] for t in learning):.2f} s.")
    bench.truths()
    bench.memory()
    print(f"\n{time.perf_counter() - start:.0f} s.")
    for line in bench.failed:
        print(f"\n- {line}")
    for worker in bench.workers.values():
        worker.__exit__()


if __name__ == "__main__":
    main()
