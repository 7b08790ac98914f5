"""The fingerprint of a model: equal for equal fitted state and code, in any process.

`joblib.hash` is not used: it tells equal objects apart by which of them are one object and by the strides of arrays (both
change when a model is pickled), orders sets by a hash that differs between processes, and knows functions by name alone.
"""

import copyreg
import functools
import hashlib
import sys
import types
from collections.abc import Iterable
from typing import Any

import numpy as np

from hormesis.engine.origins import (
    home_of,
    imports_in,
    imports_of,
    is_importable,
    is_installed,
    loaded_in,
    names_in,
    text_of,
    version_of,
)
from hormesis.errors import SettingError

BASE = (
    "numpy",
    "scipy",
    "sklearn",
    "pandas",
    "hormesis",
)  # their versions decide predictions, whatever the model
PLAIN = (type(None), bool, int, float, complex, str, bytes, range, type(...), type(NotImplemented))
BUILTIN = (types.BuiltinFunctionType, types.MethodWrapperType)
DESCRIPTOR = (types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType)
SLOT = (types.GetSetDescriptorType, types.MemberDescriptorType)
METHOD = (types.FunctionType, staticmethod, classmethod, property)
OF_ONE_RUN = {"_stop_words_id", "cv_results_", "refit_time_"}  # an address in memory, seconds
OF_TRAINING = ("optimizer", "history", "callbacks")  # what a skorch net holds and no prediction reads


def fingerprint_model(model: Any) -> str:
    """Return 32 hexadecimal digits for a model: what it learnt, its settings, its code and its packages' versions.

    Functions and classes of installed packages are known by name and version; yours by their bytecode, with the values
    that they close over and the globals that they name.

    Raises
    ------
    SettingError
        The model holds what cannot be compared between two runs, such as an open file, a lock or a connection.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> a, b = Ridge().fit([[0], [1]], [0, 1]), Ridge().fit([[0], [1]], [0, 2])
    >>> fingerprint_model(a) == fingerprint_model(a), fingerprint_model(a) == fingerprint_model(b)
    (True, False)
    """
    walk = _Walk()
    try:
        state = walk.digest(model)
    except (_OpaqueError, RecursionError) as error:
        what = str(error) if isinstance(error, _OpaqueError) else "objects inside objects without end"
        raise SettingError(
            f"`store=...`: the model ({type(model).__name__}) holds {what}, which cannot be compared between two runs, so "
            "that its answers cannot be stored for another run. Leave out `store`, or keep that out of the model."
        ) from None
    versions = [f"{name} {version_of(name)}".encode() for name in sorted(walk.packages | set(BASE))]
    return _hashed(b"model", state, *versions).hex()


class _OpaqueError(Exception):
    """Something in a model has no value that could be compared."""


class _Walk:
    """One walk through a model: each object becomes the digest of its kind and of its parts' digests."""

    def __init__(self) -> None:
        self.packages: set[str] = set()
        self.kept: dict[int, tuple[bytes, Any]] = {}  # with the objects, so that no id is given away
        self.above: dict[int, int] = {}  # objects being walked through, by depth: a cycle ends there
        self.modules: dict[str, bytes] = {}
        self.evaluated = False  # inside a net that is put into eval mode for each prediction

    def digest(self, value: Any) -> bytes:
        """Return 16 bytes that stand for a value."""
        if type(value) in PLAIN:
            return _hashed(type(value).__name__.encode(), _plain_bytes(value))
        if id(value) in self.kept:
            return self.kept[id(value)][0]
        if id(value) in self.above:
            return _hashed(b"cycle", str(len(self.above) - self.above[id(value)]).encode())
        self.above[id(value)] = len(self.above)
        before, self.evaluated = self.evaluated, self.evaluated or _is_evaluated(value)
        try:
            found = self._container(value) or self._code(value) or self._peer(value) or self._reduced(value)
        finally:
            del self.above[id(value)]
            self.evaluated = before
        self.kept[id(value)] = found, value
        return found

    def all(self, kind: str, values: Iterable[Any]) -> bytes:
        """Return the digest of values in their order."""
        return _hashed(kind.encode(), *map(self.digest, values))

    def _container(self, value: Any) -> bytes | None:
        kind = type(value)
        if kind in (tuple, list):
            return self.all(kind.__name__, value)
        if kind is dict:  # in its order, which may decide the order of columns
            return self.all("dict", (part for item in value.items() for part in item))
        if kind in (set, frozenset):
            return _hashed(kind.__name__.encode(), *sorted(map(self.digest, value)))
        if kind in (np.ndarray, np.memmap):
            return self._array(value)
        if isinstance(value, np.generic):
            return _hashed(b"scalar", self._array(np.asarray(value)))
        return _dtype(value) if isinstance(value, np.dtype) else None

    def _array(self, values: Any) -> bytes:
        shape, kind = str(values.shape).encode(), _dtype(values.dtype)
        if values.dtype.names:  # field by field: the bytes between fields are anything
            return _hashed(b"fields", shape, kind, *(self._array(values[n]) for n in values.dtype.names))
        if values.dtype.kind in "OT":
            return _hashed(b"objects", shape, kind, self.all("list", values.ravel().tolist()))
        flat = np.ascontiguousarray(values).reshape(-1)
        return _hashed(b"array", shape, kind, flat.view(np.uint8).data if flat.nbytes else b"")

    def _code(self, value: Any) -> bytes | None:
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.CodeType):
            return self._bytecode(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return self._module(value.__name__)
        if isinstance(value, types.MethodType):
            return self.all("method", [value.__self__, value.__func__])
        parts = _wrapped(value)
        return self.all(type(value).__name__, parts) if parts is not None else None

    def _function(self, function: types.FunctionType) -> bytes:
        """Know a function of an installed package by its name, yours by its bytecode and the globals that it names."""
        if self._installed(function.__module__ or "") and is_importable(function):
            return self.all("name", [function.__module__, function.__qualname__])
        if hasattr(function, "registry") and hasattr(function, "_clear_cache"):  # by functools.singledispatch
            return self.all("dispatch", [dict(function.registry)])
        parts = [function.__defaults__, function.__kwdefaults__, function.__closure__, vars(function)]
        if not self._installed(function.__module__ or ""):
            parts += self._read_globals(function)
        return self.all("function", [function.__code__, *parts])

    def _read_globals(self, function: types.FunctionType) -> list[Any]:
        """Return the globals that a function names, what it reads of your modules, and what it imports when called."""
        space, named = function.__globals__, sorted(names_in(function.__code__))
        used = [(n, space[n]) for n in sorted(loaded_in(function.__code__)) if n in space]
        inside = self._inside([value for _, value in used], named)
        called = [self._module(name) for name in imports_in(function.__code__, space.get("__package__"))]
        return [used, inside, called]

    def _inside(self, values: list[Any], named: list[str]) -> list[Any]:
        """Return what some names may stand for in your modules, and in modules inside those."""
        found, seen = list(values), set(map(id, values))
        for value in found:  # grows as it goes
            if isinstance(value, types.ModuleType) and not self._installed(value.__name__):
                fresh = [vars(value)[n] for n in named if n in vars(value) and id(vars(value)[n]) not in seen]
                found += fresh
                seen |= set(map(id, fresh))
        return found

    def _bytecode(self, code: types.CodeType) -> bytes:
        shape = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
        names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
        return self.all(
            "code",
            [*shape, *names, code.co_code, code.co_exceptiontable, code.co_consts, sys.version_info[:2]],
        )

    def _class(self, kind: type) -> bytes:
        """Know a class of an installed package by its name, yours by its bases and all that its body holds."""
        if self._installed(kind.__module__):
            return self.all("name", [kind.__module__, kind.__qualname__])
        body = [(name, part) for name, part in sorted(vars(kind).items()) if _counts(name, part)]
        return self.all("class", [kind.__qualname__, kind.__bases__, body])

    def _module(self, name: str) -> bytes:
        """Know an installed module by its name, yours by the text of its file and of your modules that it imports."""
        if self._installed(name) or name in self.modules:
            return self.modules.get(name, name.encode())
        self.modules[name] = name.encode()  # for modules that import each other
        text = text_of(name)
        if text is None and name in sys.modules:
            raise _OpaqueError(f"the module `{name}`, which has no file,")
        imports = [self._module(other) for other in imports_of(name, text)]
        self.modules[name] = self.all("module", [name, text, imports])
        return self.modules[name]

    def _installed(self, module: str) -> bool:
        installed = is_installed(module)
        if installed:
            self.packages.add(module.partition(".")[0])
        return installed

    def _peer(self, value: Any) -> bytes | None:
        """Objects of other libraries whose own state says too much or too little."""
        top, name = str(type(value).__module__).partition(".")[0], type(value).__name__
        if (top, name) == ("lightgbm", "Booster"):
            self._installed(top)
            trees = value.model_to_string(num_iteration=-1)
            return self.all("lightgbm", [trees, max(value.best_iteration, 0), value.pandas_categorical])
        if (top, name) == ("xgboost", "Booster"):
            self._installed(top)
            trees = bytes(value.save_raw("ubj"))
            return self.all("xgboost", [trees, value.feature_names, value.feature_types])
        if (
            name.startswith(("KDTree", "BallTree")) and top == "sklearn"
        ):  # their state counts the questions asked
            parts = value.__getstate__()
            return self.all("tree", [*map(np.asarray, value.get_arrays()), parts[4], parts[11], parts[12]])
        return self._torch(value)

    def _torch(self, value: Any) -> bytes | None:
        """Tensors by value and kind of device; nets without their mode where each prediction sets it."""
        torch, skorch = sys.modules.get("torch"), sys.modules.get("skorch")
        if torch is not None and isinstance(value, torch.Tensor):
            return self._tensor(value)
        if torch is not None and isinstance(value, torch.nn.Module):
            if isinstance(value, torch.jit.ScriptModule):
                raise _OpaqueError("a net compiled by torch.jit")
            inner = getattr(value, "_orig_mod", None)
            return self.all("compiled", [inner]) if inner is not None else self._net(value)
        if skorch is not None and isinstance(value, skorch.NeuralNet):
            state = {k: v for k, v in vars(value).items() if not k.startswith(OF_TRAINING)}
            return self.all("skorch", [type(value), *sorted(state.items())])
        return None

    def _net(self, module: Any) -> bytes:
        state = dict(vars(module))
        if self.evaluated:
            state.pop("training", None)
        for name in [n for n in state if "_hooks" in n and isinstance(state[n], dict)]:
            state[name] = list(state[name].values())  # their keys count the hooks of a process
        return self.all("net", [type(module), *sorted(state.items())])

    def _tensor(self, tensor: Any) -> bytes:
        if tensor.is_quantized or type(tensor).__name__.startswith("Uninitialized"):
            raise _OpaqueError("a quantized or uninitialized tensor")
        self._installed("torch")
        plain = tensor.detach()
        plain = plain.to_dense() if plain.layout is not sys.modules["torch"].strided else plain
        plain = plain.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        values = plain.view(sys.modules["torch"].uint8).numpy() if plain.numel() else np.empty(0)
        return self.all("tensor", [str(tensor.dtype), tuple(tensor.shape), tensor.device.type, values])

    def _reduced(self, value: Any) -> bytes:
        """Any other object, as pickle would take it apart."""
        if isinstance(getattr(value, "py_func", None), types.FunctionType):  # compiled by numba
            return self.all("compiled", [type(value), value.py_func, getattr(value, "targetoptions", None)])
        try:
            known = copyreg.dispatch_table.get(type(value))
            parts = known(value) if known is not None else value.__reduce_ex__(4)
        except Exception as error:  # whatever an object's own code raises, it cannot be taken apart
            raise _OpaqueError(f"an object of type `{type(value).__name__}`") from error
        if isinstance(parts, str):
            inner = getattr(value, "__wrapped__", None)
            home = inner if isinstance(inner, types.FunctionType) else home_of(value)
            return self.all("global", [parts, type(value), home])
        make, args, *more = parts
        state, items, pairs = (more + [None] * 3)[:3]
        held = [_without_cache(value, state), list(items or ()), list(pairs or ())]
        return self.all("object", [type(value), make, args, *held])


def _hashed(*parts: Any) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _plain_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    said = value if isinstance(value, str) else f"{value:x}" if isinstance(value, int) else repr(value)
    return said.encode("utf-8", "surrogatepass")


def _dtype(dtype: Any) -> bytes:
    return _hashed(b"dtype", str(dtype.descr if dtype.names else dtype.str).encode())


def _without_cache(value: Any, state: Any) -> Any:
    """Return an object's state in the order of its names, without caches and what tells of one run only."""
    if state is None:
        return []
    if type(state) is not dict or not all(isinstance(name, str) for name in state):
        return state
    kinds = type(value).__mro__
    left = {n for k in kinds for n, v in vars(k).items() if isinstance(v, functools.cached_property)}
    if any(k.__module__.startswith("sklearn.") for k in kinds):
        left |= OF_ONE_RUN
    return [(name, state[name]) for name in sorted(state.keys() - left)]


def _is_evaluated(value: Any) -> bool:
    """Tell a net that hormesis or skorch puts into eval mode before it predicts."""
    skorch = sys.modules.get("skorch")
    ours = str(type(value).__module__).startswith("hormesis.torch.")
    return ours or (skorch is not None and isinstance(value, skorch.NeuralNet))


def _counts(name: str, part: Any) -> bool:
    """Tell what a class's body says of its behaviour from what Python and pydantic keep there for themselves."""
    if name.startswith("__") and name.endswith("__"):
        return isinstance(part, METHOD)
    return not isinstance(part, SLOT) and name != "_abc_impl"


def _wrapped(value: Any) -> list[Any] | None:
    """Return what Python's own wrappers of functions hold; None for anything else."""
    if isinstance(value, BUILTIN):
        owner = value.__self__
        return [value.__name__, owner.__name__ if isinstance(owner, types.ModuleType) else owner]
    if isinstance(value, DESCRIPTOR):
        return [value.__name__, value.__objclass__]
    if isinstance(value, property):
        return [value.fget, value.fset, value.fdel]
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    if isinstance(value, functools.cached_property):
        return [value.func]
    if isinstance(value, types.CellType):
        return [] if value == types.CellType() else [value.cell_contents]
    return None
