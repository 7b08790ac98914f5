"""Each law catches the noise that breaks it: a new noise needs no test of its own to be held to them."""

import functools

import numpy as np
import pytest
import test_dose as dose
import test_keeping as keeping
import test_randomness as randomness
import test_records as records

from hormesis.noise import CATALOGUE
from hormesis.noise.base import CellNoise, ColumnNoise, Columns, Fraction, Sigmas, noise
from hormesis.noise.where import Where


@pytest.fixture
def catalogue():
    """The catalogue, restored afterwards."""
    before = dict(CATALOGUE)
    yield CATALOGUE
    CATALOGUE.clear()
    CATALOGUE.update(before)


def cell_noise(become):
    """Make a noise of what becomes of hit cells."""

    @noise
    class Careless(CellNoise):
        """Do what must not be done."""

        level: Fraction = 0.1
        columns: Columns = "numeric"
        where: Where = Where()
        applies_to = ("number", "integer")

        def cells(self, values, column, draw):
            return become(self, values, column, draw)

    return Careless


def sparing_noise(become):
    """Make a cell noise that says it spares the values that it cannot change."""
    made = cell_noise(become)
    made.spares = "values"
    return made


def column_noise(become):
    @noise
    class Careless(ColumnNoise):
        """Do what must not be done."""

        level: Sigmas = 0.1
        columns: Columns = "numeric"
        applies_to = ("number", "integer")

        def column(self, values, column, draw):
            return become(self, values, column, draw)

    return Careless


def spared_by_chance(noise, values, column, draw):
    return np.where(draw.uniform("spared") < 0.5, values + 1000, values)


def from_a_global_generator(noise, values, column, draw):
    return values + np.random.default_rng().integers(1, 1000, values.size)


def from_the_seeded_global_generator(noise, values, column, draw):
    return values + 1 + np.random.random(values.size)  # noqa: NPY002


def by_position(noise, values, column, draw):
    return values + 1000.0 * np.arange(1, values.size + 1)


def by_batch(noise, values, column, draw):
    return values + values.std() + 1000


def by_level(noise, values, column, draw):
    return values + 1000 * (1 + draw.uniform(f"fresh at {noise.level}"))


def half_of_them(noise, values, column, draw):
    return np.where(draw.uniform("again") < noise.level, values + 1000, values)


def same_again(noise, values, column, draw):
    return np.where(draw.uniform("other") < 0.9, values + 1000, values)


def into_infinity(noise, values, column, draw):
    return np.full(values.size, np.inf)


def without_a_seed(noise, values, column, draw):
    return values + 1000


def in_place(noise, values, column, draw):
    values += noise.level * column.spread
    return values


def over_missing_cells(noise, values, column, draw):
    return np.nan_to_num(values) + noise.level * column.spread * draw.normal("z")


def one_sided(noise, values, column, draw):
    return values + noise.level * column.spread * draw.uniform("u")


def in_squares(noise, values, column, draw):
    return values + noise.level**2 * column.spread * draw.normal("z")


def at_one_half(law):
    return functools.partial(law, level=0.5)


GUILTY = [
    (
        cell_noise,
        from_a_global_generator,
        randomness.test_global_generators_are_neither_read_nor_moved,
        False,
    ),
    (
        cell_noise,
        from_the_seeded_global_generator,
        randomness.test_global_generators_are_neither_read_nor_moved,
        False,
    ),
    (cell_noise, from_a_global_generator, randomness.test_all_libraries_get_the_same_noise, False),
    (cell_noise, by_position, randomness.test_a_row_keeps_its_noise_in_any_batch_subset_and_order, True),
    (cell_noise, by_batch, randomness.test_a_row_keeps_its_noise_in_any_batch_subset_and_order, True),
    (cell_noise, by_level, dose.test_harm_is_nested, True),
    (cell_noise, half_of_them, at_one_half(dose.test_the_realised_rate_is_the_level), False),
    (sparing_noise, spared_by_chance, dose.test_at_the_full_level_every_present_cell_changes, False),
    (cell_noise, same_again, dose.test_at_the_full_level_every_present_cell_changes, False),
    (
        cell_noise,
        into_infinity,
        keeping.test_no_cell_is_lost_or_infinite_unless_the_noise_is_about_that,
        True,
    ),
    (column_noise, without_a_seed, randomness.test_another_seed_gives_other_noise, False),
    (column_noise, without_a_seed, randomness.test_another_name_gives_other_noise, False),
    (column_noise, in_place, keeping.test_the_input_is_untouched_and_shares_nothing_with_the_output, True),
    (column_noise, over_missing_cells, keeping.test_missing_cells_stay_missing, True),
    (column_noise, one_sided, randomness.test_mirrored_noise_is_the_exact_complement, False),
    (column_noise, in_squares, dose.test_harm_is_nested, True),
    (column_noise, in_squares, records.test_a_noise_is_documented, False),
]


@pytest.mark.parametrize(("make", "become", "law", "in_a_library"), GUILTY)
def test_a_careless_noise_is_caught(make, become, law, in_a_library, catalogue):
    careless = make(become)
    assert catalogue["Careless"] is careless
    with pytest.raises((AssertionError, ValueError, RuntimeWarning)):
        law(kind=careless, **{"library": "pandas"} if in_a_library else {})
