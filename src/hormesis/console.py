"""What commands share: reading what was typed, printing what was found, writing files whole or not at all."""

import sys
from pathlib import Path
from typing import Any

from hormesis.errors import SettingError


def show(text: str) -> None:
    """Print a line of the answer."""
    sys.stdout.write(text + "\n")


def say(*lines: str) -> None:
    """Print lines about the work, which no pipe gets."""
    for line in lines:
        sys.stderr.write(line + "\n")


def check_folder(path: Path | None) -> None:
    """Refuse a file where a folder is to be."""
    if path is not None and path.exists() and not path.is_dir():
        raise SettingError(f"`--out {path}` is a file; give a folder.")


def trained(
    source: Any, model: str | None, trust: list[str] | None, seed: int, groups: str | None = None
) -> tuple[Any, Any, Any, Any, str]:
    """Return a fitted model with rows to test it on: one from a file, or the default trained on a part of the rows."""
    from hormesis.model_files import load_model

    if model:
        return load_model(model, trust), source.X, source.y.to_numpy(), None, f"model: {model}"
    from hormesis.hardening import train_default

    return train_default(source.X, source.y, seed, groups)


def noises_of(names: list[str] | None, recipe: Path | None) -> Any:
    """Return the noises that were asked for, by name or in a recipe file."""
    if names and recipe:
        raise SettingError("Give --noise or --recipe, not both.")
    if recipe:
        from hormesis.recipe import Recipe

        return Recipe.load(recipe)
    from hormesis.trials.plans import noise_of

    return [noise_of(name) for name in names] if names else None


def levels_of(text: str | None) -> list[float] | None:
    """Return levels typed with commas between."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(
            f"`--levels {text}`: give numbers with commas between, as in 0.05,0.1,0.2."
        ) from None


def write_folder(result: Any, folder: Path) -> list[str]:
    """Write what hardening found; return what was written, in words."""
    from hormesis.errors import MissingExtraError
    from hormesis.files.aside import write_aside
    from hormesis.model_files import dump_model

    folder.mkdir(parents=True, exist_ok=True)
    write_aside(folder / "recipe.yaml", result.recipe.to_yaml())
    result.to_json(folder / "result.json")
    written = f"wrote {folder / 'recipe.yaml'}, {folder / 'result.json'}"
    if result.model is None:
        return [written]
    try:
        write_aside(folder / "model.skops", dump_model(result.model))
    except MissingExtraError as error:
        return [f"{written}; no model file: {error}"]
    return [f"{written}, {folder / 'model.skops'}"]


def finish(result: Any, words: list[str], json: Path | None, html: Path | None) -> int:
    """Print or write a result; return the exit code."""
    if html is not None:
        result.to_html(html)
        words.append(f"report: {html}")
    if json is not None and str(json) == "-":
        show(result.to_json())
    else:
        for line in words:
            show(line)
        if json is not None:
            result.to_json(json)
            show(f"result: {json}")
    if not result.finished:
        say("hormesis: not everything was measured; what was finished is above.")
    interrupted = any("interrupted" in n for n in getattr(result, "proof", result).notes)
    return 130 if interrupted else 0
