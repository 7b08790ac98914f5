"""Where code comes from: which modules are installed and which are yours, and what a function's bytecode reads."""

import dis
import functools
import importlib.util
import sys
import sysconfig
import types
import warnings
from collections.abc import Iterator
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)


def loaded_in(code: types.CodeType) -> set[str]:
    """Return the names of the globals that a function reads, those inside it too."""
    return {i.argval for c in _codes(code) for i in dis.get_instructions(c) if i.opname in LOADS}


def names_in(code: types.CodeType) -> set[str]:
    """Return all names of globals and attributes in a function."""
    return {name for c in _codes(code) for name in c.co_names}


def imports_in(code: types.CodeType, package: str | None) -> list[str]:
    """Return what a function or a module's text imports, by full names: modules, and what is taken from them."""
    found = set()
    for c in _codes(code):
        steps = [i for i in dis.get_instructions(c) if i.opname != "EXTENDED_ARG"]
        for level, taken, step in zip(steps, steps[1:], steps[2:], strict=False):
            if step.opname == "IMPORT_NAME":
                name = importlib.util.resolve_name("." * (level.argval or 0) + step.argval, package)
                found |= {name, *(f"{name}.{part}" for part in taken.argval or () if part != "*")}
    return sorted(found)


def imports_of(name: str, text: bytes | None) -> list[str]:
    """Return what a module imports, by the text of its file; of one that is not Python text, nothing."""
    spec = _spec(name)
    if text is None or spec is None or not str(spec.origin).endswith(".py"):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # said when the module itself is imported
        try:
            return imports_in(compile(text, name, "exec", dont_inherit=True), spec.parent)
        except SyntaxError:  # such a module is never imported either
            return []


def home_of(value: Any) -> types.ModuleType | None:
    """Return the module that something is, or was defined in."""
    if isinstance(value, types.ModuleType):
        return value
    name = getattr(value, "__module__", None)
    return sys.modules.get(name) if isinstance(name, str) else None


def text_of(name: str) -> bytes | None:
    """Return what is in a module's file, without importing it; None where there is no such file."""
    spec = _spec(name)
    file = getattr(sys.modules.get(name), "__file__", None) or (spec.origin if spec is not None else None)
    return Path(file).read_bytes() if file is not None and Path(file).is_file() else None


def _spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # what is no module, or one that was made by hand
        return None


@functools.cache
def _roots() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return tuple({Path(paths[k]).resolve() for k in ("stdlib", "platstdlib", "purelib", "platlib")})


@functools.cache
def is_installed(name: str) -> bool:
    """Tell a module of Python or of an installed package from one of yours, by where its file lies."""
    if name in ("", "__main__"):
        return False
    if name.partition(".")[0] in (*sys.builtin_module_names, "hormesis"):
        return True
    module = sys.modules.get(name)
    if module is None and "." in name:
        return is_installed(name.partition(".")[0])
    spec = _spec(name)
    places = [
        getattr(module, "__file__", None),
        getattr(spec, "origin", None),
        *(getattr(module, "__path__", None) or ()),
    ]
    files = [Path(p) for p in places if p]
    if not files:
        return False
    return any(
        str(f) in ("built-in", "frozen")
        or {"site-packages", "dist-packages"} & set(f.parts)
        or any(f.resolve().is_relative_to(root) for root in _roots())
        for f in files
    )


@functools.cache
def version_of(package: str) -> str:
    """Return the version of an installed package by the name that it is imported by."""
    if package in sys.stdlib_module_names:
        return sys.version.split()[0]
    known = {"sklearn": "scikit-learn"}.get(package, package)
    try:
        return metadata.version(known)
    except metadata.PackageNotFoundError:
        owners = metadata.packages_distributions().get(package, [])
        return ", ".join(sorted(f"{o} {metadata.version(o)}" for o in set(owners)))


def is_importable(function: types.FunctionType) -> bool:
    """Tell a function that is found under its own name in its module."""
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function
