"""The command line: one thin command per verb."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hormesis.console import check_folder, finish, levels_of, noises_of, say, show, trained, write_folder
from hormesis.errors import HormesisError
from hormesis.files.aside import check_writable

# typer keeps click inside itself in some versions and beside it in others
UsageError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


class Verbs(TyperGroup):
    """The commands; Ctrl-C comes out of them as it went in, where newer typers end without a word."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None


app = typer.Typer(
    cls=Verbs,
    name="hormesis",
    help="A dose of noise makes models stronger: find the dose, train with it, prove what it bought.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
recipes = typer.Typer(no_args_is_help=True, help="Check a recipe file, or print the schema of recipes.")
app.add_typer(recipes, name="recipe")

Data = Annotated[
    str,
    typer.Argument(
        help="A .csv or .parquet file, or sklearn:NAME (breast_cancer, diabetes, digits, iris, wine)."
    ),
]
Target = Annotated[str | None, typer.Option(help="The column to predict.", show_default=False)]
Model = Annotated[
    str | None,
    typer.Option(
        help="A .skops file, or package.module:object (runs its code). Default: gradient-boosted trees on raw tables."
    ),
]
Trust = Annotated[
    list[str] | None, typer.Option(help="Trust a type in a .skops file, by its full name. Repeat for more.")
]
NoiseNames = Annotated[
    list[str] | None,
    typer.Option("--noise", help="A noise by name; repeat for more. Default: what fits the columns."),
]
RecipeFile = Annotated[Path | None, typer.Option(help="Take the noises from a recipe file.")]
Scorers = Annotated[
    list[str] | None,
    typer.Option(help="Any scorer of scikit-learn; repeat for more (stress). Default: by the task."),
]
Levels = Annotated[str | None, typer.Option(help="Levels to test, as in 0.05,0.1,0.2.", show_default=False)]
MaxDrop = Annotated[float, typer.Option(help="Tolerated loss of score under noise.")]
MaxRows = Annotated[int, typer.Option(min=0, help="Use at most this many rows, a random sample; 0 uses all.")]
Budget = Annotated[
    float | None, typer.Option(help="Seconds after which nothing new is started.", show_default=False)
]
Groups = Annotated[
    str | None, typer.Option(help="The column that says which rows belong together.", show_default=False)
]
Seed = Annotated[int, typer.Option(help="Seed of noise, sample and split.")]
Json = Annotated[
    Path | None, typer.Option("--json", help="Write the result as JSON; - prints it instead of the words.")
]
Html = Annotated[Path | None, typer.Option(help="Write a self-contained report.")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", help="Threads over levels. Default: the model's own threads.")
]


@app.command(epilog="Example: hormesis stress sklearn:breast_cancer --noise MissingValues --html report.html")
def stress(
    data: Data,
    target: Target = None,
    model: Model = None,
    trust: Trust = None,
    noise: NoiseNames = None,
    recipe: RecipeFile = None,
    scoring: Scorers = None,
    levels: Levels = None,
    resolution: Annotated[int, typer.Option(min=1, help="Levels that the search tells apart.")] = 12,
    max_drop: MaxDrop = 0.05,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Draws of the noise per level. Default: by rows and noise.")
    ] = None,
    groups: Groups = None,
    by_column: Annotated[bool, typer.Option("--by-column", help="Test every column alone too.")] = False,  # noqa: FBT002
    max_rows: MaxRows = 10_000,
    budget: Budget = None,
    store: Annotated[
        Path | None, typer.Option(help="Keep every answer in this file: a killed run goes on from there.")
    ] = None,
    plan: Annotated[  # noqa: FBT002 (a flag of the command line)
        bool, typer.Option("--plan", help="Say what would be run, how many rows and how long; run nothing.")
    ] = False,
    thresholds: Annotated[
        Path | None, typer.Option(help="Write the break points as limits for data, YAML.")
    ] = None,
    jobs: Jobs = None,
    seed: Seed = 0,
    json: Json = None,
    html: Html = None,
) -> int:
    """Score a model under every noise: what it passes, where it fails.

    Without --levels the break point is searched, each level on as few rows as decide it. Without --model, the default
    model is trained on three quarters of the rows (half of a small table) and tested on the rest.
    """
    from hormesis.engine.store import Store
    from hormesis.files.sources import read
    from hormesis.stressing import stress as run

    check_writable(json, html, thresholds)
    if store is not None:
        Store.open(store).close()
    noises, grid = noises_of(noise, recipe), levels_of(levels)
    source = read(data, target)
    fitted, X, y, profile, how = trained(source, model, trust, seed, groups)
    say(
        f"{source.name}: {len(source.X):,} rows, {source.X.shape[1]} columns, target {source.target}",
        *source.notes,
        how,
    )
    result = run(
        fitted, X, y, noises=noises, levels=grid, resolution=resolution,
        scoring=scoring or None, max_drop=max_drop, repeats=repeats, groups=groups, by_column=by_column,
        max_rows=max_rows or None, budget=budget, n_jobs=jobs, store=store, dry_run=plan, profile=profile, seed=seed,
        progress=True,
    )  # fmt: skip
    if plan:
        for line in result.words():
            show(line)
        return 0
    if thresholds is not None:
        result.thresholds().to_yaml(thresholds)
    return finish(result, result.lines(), json, html)


@app.command(epilog="Example: hormesis harden churn.csv --target churned --out hardened/ --html report.html")
def harden(
    data: Data,
    target: Target = None,
    out: Annotated[
        Path | None, typer.Option(help="Write recipe.yaml, result.json and the model into this folder.")
    ] = None,
    model: Model = None,
    trust: Trust = None,
    noise: NoiseNames = None,
    recipe: RecipeFile = None,
    scoring: Annotated[
        str | None, typer.Option(help="One scorer of scikit-learn. Default: by the task.")
    ] = None,
    levels: Levels = None,
    max_clean_drop: Annotated[float, typer.Option(help="Clean score that robustness may cost.")] = 0.01,
    max_drop: MaxDrop = 0.05,
    copies: Annotated[int, typer.Option(min=1, help="Noisy copies of the training rows.")] = 3,
    max_rows: MaxRows = 20_000,
    search_rows: Annotated[
        int, typer.Option(min=0, help="Training rows used by the search; 0 uses all.")
    ] = 5_000,
    budget: Annotated[float | None, typer.Option(help="Seconds for the search.", show_default=False)] = None,
    jobs: Jobs = None,
    seed: Seed = 0,
    json: Json = None,
    html: Html = None,
) -> int:
    """Find the dose of noise that makes a model robust, train with it, and prove it on untouched rows.

    A quarter of the rows is kept for the proof (half of a small table). The answer may be: keep your model.
    """
    from hormesis.files.sources import read
    from hormesis.hardening import harden as run
    from hormesis.model_files import load_model

    check_writable(json, html)
    check_folder(out)
    source = read(data, target)
    say(
        f"{source.name}: {len(source.X):,} rows, {source.X.shape[1]} columns, target {source.target}",
        *source.notes,
    )
    given = load_model(model, trust) if model else None
    result = run(
        given, source.X, source.y, noises=noises_of(noise, recipe), levels=levels_of(levels), scoring=scoring,
        max_clean_drop=max_clean_drop, max_drop=max_drop, copies=copies, max_rows=max_rows or None,
        search_rows=search_rows or None, budget=budget, n_jobs=jobs, seed=seed, progress=True,
    )  # fmt: skip
    files = write_folder(result, out) if out else []
    head = [
        f"{result.scoring} on {result.proof.provenance.sampled}",
        *(f"  note: {n}" for n in result.proof.notes),
    ]
    return finish(result, [*head, *files, *result.words()], json, html)


@app.command(epilog="Example: hormesis scenarios sklearn:breast_cancer --noise LabelFlips --levels 0.1,0.3")
def scenarios(
    data: Data,
    target: Target = None,
    noise: NoiseNames = None,
    recipe: RecipeFile = None,
    scoring: Scorers = None,
    levels: Levels = None,
    groups: Groups = None,
    repeats: Annotated[int, typer.Option(min=1, help="Draws of the noise, each with a fit of its own.")] = 3,
    max_drop: MaxDrop = 0.05,
    max_rows: MaxRows = 20_000,
    jobs: Jobs = None,
    seed: Seed = 0,
    json: Json = None,
) -> int:
    """Tell what noise costs in the test rows only, in the training rows only, and in both.

    The default model, gradient-boosted trees on the raw table, is fitted anew for every noise, level and draw.
    """
    from hormesis.files.sources import read
    from hormesis.scenario import scenarios as run

    check_writable(json)
    source = read(data, target)
    say(
        f"{source.name}: {len(source.X):,} rows, {source.X.shape[1]} columns, target {source.target}",
        *source.notes,
    )
    result = run(
        None, source.X, source.y, noises=noises_of(noise, recipe), levels=levels_of(levels), scoring=scoring or None,
        groups=groups, repeats=repeats, max_drop=max_drop, max_rows=max_rows or None, n_jobs=jobs, seed=seed,
        progress=True,
    )  # fmt: skip
    return finish(result, result.words(), json, None)


@app.command(epilog="Example: hormesis apply clean.csv --recipe recipe.yaml --out noisy.csv")
def apply(
    data: Data,
    recipe: Annotated[Path, typer.Option(help="The recipe file, YAML or JSON.")],
    out: Annotated[Path, typer.Option(help="The noisy table, .csv or .parquet.")],
    train: Annotated[
        str | None, typer.Option(help="Scale the noise by this table. Default: the data itself.")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Scale the noise by a profile, the JSON of Profile.to_json.")
    ] = None,
    row_id: Annotated[
        str | None, typer.Option(help="The column that says who a row is. Default: its position.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The column that only noise on labels may change.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed. Default: the recipe's.", show_default=False)] = None,
) -> None:
    """Add a recipe's noise to a table of any size, and say what really changed.

    The file is read and written piece by piece, in constant memory, and appears under its name when it is whole.
    """
    from hormesis.recipe import Recipe
    from hormesis.sampling import load_profile
    from hormesis.streaming import apply_file

    done = apply_file(
        data, Recipe.load(recipe), out, seed=seed, profile=load_profile(profile) if profile else None,
        train=train, row_id=row_id, target=target, progress=True,
    )  # fmt: skip
    say(*done.notes)
    for line in done.words():
        show(line)
    show(f"{out}: {done.rows_after:,} rows")


@app.command()
def noises(
    name: Annotated[
        str | None, typer.Argument(help="One noise, to see its settings.", show_default=False)
    ] = None,
) -> None:
    """List the noises, or show one with its settings, ranges and source."""
    from hormesis.listing import all_noises, one_noise

    for line in one_noise(name) if name else all_noises():
        show(line)


@recipes.command()
def check(file: Annotated[Path, typer.Argument(help="A recipe, YAML or JSON.")]) -> None:
    """Check a recipe: all mistakes at once, each with its path and the nearest valid word."""
    from hormesis.recipe import Recipe

    made = Recipe.load(file)
    for step in made.steps:
        show(f"{step.name}: {step.noise!r}")
    show(f"{file}: {len(made.steps)} steps, no mistakes")


@recipes.command()
def schema() -> None:
    """Print the JSON schema of recipe files, for editors."""
    import json

    from hormesis.notation import schema as made

    show(json.dumps(made(), indent=1))


def main() -> None:
    """Run the command line; every mistake is one sentence and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except UsageError as error:
        error.show()
        code = 2
    except HormesisError as error:
        sys.stderr.write(f"hormesis: {error}\n")
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("hormesis: interrupted before anything was finished; nothing was written.\n")
        code = 130
    except (
        Exception
    ) as error:  # the last door: a bug of ours is one sentence too, with the way to its traceback
        if os.environ.get("HORMESIS_DEBUG"):
            raise
        sys.stderr.write(f"hormesis: {type(error).__name__}: {error}. Set HORMESIS_DEBUG=1 to see where.\n")
        code = 2
    sys.exit(code or 0)
