"""Environments and processes of the libraries compared: made when absent, asked by lines of JSON."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
PACKAGES = {
    "tab_err": "tab_err",
    "pucktrick": "pucktrick",
    "badgers": "badgers",
    "gecko": "gecko-syndata",
    "augmentex": "augmentex",
    "jenga": "jenga",
}
OLDER = {"jenga": "python3.9"}  # the last Python that its release installs on
EXTRA = {"pucktrick": "scikit-learn", "augmentex": "pandas"}  # imported there or by our script, not declared
Answer = dict[str, Any]


class Worker:
    """A process of one library that answers questions about the common table."""

    def __init__(self, name: str, python: Path, **environment: str) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self.process = subprocess.Popen(
            [python, HERE / f"run_{name}.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=os.environ | environment,
        )

    def ask(self, ask: str, **question: Any) -> Answer:
        """Return the answer to one question; a library that fails answers with its error."""
        given = {"rows": 1000, "columns": 20, "strings": "default", "seed": 1, "level": 0.1, "ask": ask}
        assert self.process.stdin
        assert self.process.stdout
        try:
            print(json.dumps(given | question), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        found: Answer = json.loads(line) if line else {"error": self.last_words()}
        return found

    def last_words(self) -> str:
        """Return the last line that an ended process said."""
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        return lines[-1] if lines else f"ended with {code}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()
        self.errors.close()


def environment(name: str, folder: Path, said: list[str]) -> Path | None:
    """Return the Python of a library's environment; None, and why in `said`, where it cannot be had."""
    python = folder / name / "bin" / "python"
    if not python.exists():
        subprocess.run([base(name), "-m", "venv", folder / name], check=True)
    if not installed(python, PACKAGES[name]):
        error = install(python, PACKAGES[name])
        if error:
            said.append(f"{name} does not install: `{error}`")
            return None
    error, note = started(name, python), folder / name / "note.txt"
    if error and name in EXTRA:
        note.write_text(
            f"{name} does not start as it installs: `{error}`; it runs with {EXTRA[name]} beside it"
        )
        error = install(python, EXTRA[name]) or started(name, python)
    if note.exists():
        said.append(note.read_text())
    if error:
        said.append(f"{name} does not run: `{error}`")
    return None if error else python


def base(name: str) -> str:
    """Return the Python that an environment is made with: this one, or an older one that runs here and is needed."""
    older = shutil.which(OLDER.get(name, "python"))
    runs = older and subprocess.run([older, "-c", ""], check=False, capture_output=True).returncode == 0
    return older if older and runs and name in OLDER else sys.executable


def installed(python: Path, package: str) -> bool:
    """Return whether an environment holds a package."""
    command = [python, "-m", "pip", "show", "--quiet", package]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def install(python: Path, package: str) -> str:
    """Install a package as its current release asks for; return what went wrong, or nothing."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return (errors or ["ERROR"])[0] if done.returncode else ""


def started(name: str, python: Path) -> str:
    """Return the error with which a library's script ends at once, or nothing."""
    with Worker(name, python) as worker:
        return str(worker.ask("tasks").get("error", ""))
