"""Model files, loaded only where every type in them has been reviewed."""

import functools
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from hormesis.errors import MissingExtraError, ModelError, SettingError, listed

# Types of the default model, of its training wrapper and of scikit-learn's forests and boosted trees; ours, the noises, come
# from the catalogue. A partial is safe
# here because the function that it holds is checked by name as well.
REVIEWED: frozenset[str] = frozenset(
    {
        "functools.partial",
        "hormesis.guard.Guard",
        "hormesis.models.names_rows",
        "hormesis.noise.where.Where",
        "hormesis.profile.ColumnProfile",
        "hormesis.profile.Profile",
        "hormesis.recipe.Recipe",
        "hormesis.rules.AtMost",
        "hormesis.rules.Sum",
        "hormesis.rules.Within",
        "hormesis.step.Step",
        "hormesis.training.NoisyTraining",
        "numpy.dtype",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        "sklearn.utils.validation.check_array",
        "skrub._apply_to_cols.ApplyToCols",
        "skrub._apply_to_each_col.ApplyToEachCol",
        "skrub._check_input.CheckInputDataFrame",
        "skrub._clean_categories.CleanCategories",
        "skrub._clean_null_strings.CleanNullStrings",
        "skrub._dataframe._common.is_any_date",
        "skrub._dataframe._common.is_categorical",
        "skrub._dataframe._common.is_numeric",
        "skrub._dataframe._common.is_string",
        "skrub._datetime_encoder.DatetimeEncoder",
        "skrub._drop_uninformative.DropUninformative",
        "skrub._duration_to_float.DurationToFloat",
        "skrub._select_cols.DropCols",
        "skrub._string_encoder.StringEncoder",
        "skrub._table_vectorizer.PassThrough",
        "skrub._table_vectorizer.ShortReprDict",
        "skrub._table_vectorizer.TableVectorizer",
        "skrub._table_vectorizer._created_by_predicate",
        "skrub._to_categorical.ToCategorical",
        "skrub._to_datetime.ToDatetime",
        "skrub._to_float.ToFloat",
        "skrub._to_float32.ToFloat32",
        "skrub._to_str.ToStr",
        "skrub.selectors._base.All",
        "skrub.selectors._base.And",
        "skrub.selectors._base.Cols",
        "skrub.selectors._base.Filter",
        "skrub.selectors._base.Sub",
        "skrub.selectors._selectors._cardinality_below",
    }
)


def load_model(source: str, trust: list[str] | None = None) -> Any:
    """Load a model from a `.skops` file, or from ``package.module:object``, which runs that module's code."""
    suffix = Path(source).suffix.lower()
    if suffix == ".skops":
        return _load_skops(Path(source), trust or [])
    if suffix in (".pkl", ".pickle", ".joblib"):
        raise ModelError(
            f"`{source}` is a pickle, which can run any code while it loads. Save the model as skops where it was "
            "trained: `skops.io.dump(model, 'model.skops')`."
        )
    if ":" in source:
        return _import(source)
    raise ModelError(f"`{source}` is not a model: give a `.skops` file or `package.module:object`.")


def _import(source: str) -> Any:
    import importlib

    module, _, name = source.partition(":")
    try:
        return functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise ModelError(f"`{source}` cannot be imported: {error}.") from None


def _skops() -> Any:
    try:
        import skops.io
    except ImportError:
        raise MissingExtraError("Model files need skops: pip install 'hormesis[models]'.") from None
    return skops.io


def _load_skops(path: Path, trust: list[str]) -> Any:
    io = _skops()
    if not path.is_file():
        raise ModelError(f"`{path}` does not exist.")
    try:
        known = REVIEWED | _noises()
        unknown = sorted(set(io.get_untrusted_types(file=path)) - known - set(trust))
        if unknown:
            raise SettingError(
                f"`{path}` holds types that nobody has reviewed: {listed(unknown)}. If you know where the file comes "
                f"from, trust them by name: {' '.join('--trust ' + u for u in unknown)}"
            )
        return io.load(path, trusted=sorted(known | set(trust)))
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        if isinstance(error, SettingError):
            raise
        raise ModelError(f"`{path}` is not a readable skops file: {error}.") from None


def _noises() -> set[str]:
    """Return our own noises, which are records and run nothing while they load."""
    from hormesis.noise import CATALOGUE

    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in CATALOGUE.values())
    return {name for name in names if name.startswith("hormesis.noise.")}


def dump_model(model: Any) -> bytes:
    """Return a model in skops form."""
    made: bytes = _skops().dumps(model)
    return made
