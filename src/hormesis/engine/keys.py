"""The address of an answer in the store: who answered what about which noisy rows of which data."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hormesis.columns import present_rows
from hormesis.engine.bench import Bench, signature
from hormesis.engine.fingerprints import fingerprint_model
from hormesis.engine.oracle import Oracle
from hormesis.engine.store import key_of
from hormesis.frames import is_tensor, open_table
from hormesis.key import SCHEME
from hormesis.rules import write_rule
from hormesis.step import Step

if TYPE_CHECKING:
    from hormesis.engine.rounds import Want


@dataclass(frozen=True)
class Keys:
    """The fingerprints of the data and of the models of one run."""

    data: str
    models: Mapping[str, str]
    seed: int

    @classmethod
    def of_run(cls, bench: Bench, oracles: Mapping[str, Oracle]) -> "Keys":
        """Take the fingerprints; they are of what is inside, not of where it lies.

        Raises
        ------
        SettingError
            A model of which none can be taken.
        """
        who = {
            name: "\x1f".join([fingerprint_model(o.model), *o.kinds, str(o.row_wise)])
            for name, o in oracles.items()
        }
        digest = hashlib.blake2b(digest_size=16)
        order = bench.known[bench.order]
        kind = type(bench.X), signature(bench.X), kinds_of(bench.X)
        for value in (fingerprint(bench.X, bench.y), kind, bench.profile.to_json(), bench.task, SCHEME):
            digest.update(f"{value}\x1f".encode())
        digest.update(np.ascontiguousarray(order).tobytes())
        return cls(digest.hexdigest(), who, bench.seed)

    def named(self, model: str, name: str) -> bytes:
        """Return the key of one model's answers to what has a name: the rows as they are, or columns shuffled."""
        return key_of(self.data, self.models[model], self.seed, name)

    def of(self, want: "Want", model: str) -> bytes:
        """Return the key of one model's answer to a want."""
        return key_of(
            self.data,
            self.models[model],
            self.seed,
            told(want.step),
            float(want.level),
            want.repeat,
            want.start,
            want.stop,
        )


def kinds_of(X: Any) -> str:
    """Return the types inside columns of objects: 1 and "1" are written alike, and a model tells them apart."""
    dtypes = list(getattr(X, "dtypes", [])) if hasattr(X, "iloc") else [getattr(X, "dtype", None)]
    objects = [j for j, dtype in enumerate(dtypes) if str(dtype) == "object"]
    columns = (X.iloc[:, j] if hasattr(X, "iloc") else X.ravel() for j in objects)
    return "|".join(" ".join(type(v).__name__ for v in column) for column in columns)


def told(step: Step) -> str:
    """Return all of a step but its level as one text."""
    plain: dict[str, Any] = {
        **step.to_dict(),
        "name": step.name,
        "rules": [write_rule(r) for r in step.rules],
    }
    return json.dumps({k: v for k, v in plain.items() if k != "level"}, sort_keys=True, default=str)


def fingerprint(X: Any, y: Any) -> str:
    """Return a short hash of a table and its target, equal for equal values in any library."""
    digest = hashlib.blake2b(digest_size=8)
    if is_tensor(X) and X.ndim > 2:
        X = X.reshape(len(X), -1)
    table = open_table(X)
    for j, name in enumerate(table.names):
        rows = present_rows(table, j)
        values = table.pick(j, rows)
        digest.update(f"{name}\x1f".encode() + rows.astype(np.int64).tobytes())
        if values.dtype.kind == "f":
            digest.update(values.astype(np.float64).tobytes())
        else:
            digest.update("\x1f".join(map(str, values.tolist())).encode())
    digest.update("\x1f".join(map(str, y.tolist())).encode())
    return digest.hexdigest()
