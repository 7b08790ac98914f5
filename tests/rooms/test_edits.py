"""Misspellings: one edit each, every string really changed, in the measured mix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from hormesis.key import Draw, lane
from hormesis.noise.edits import _NEAR, ADJACENT, MIX, misspell


def distance(a, b):
    """Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours."""
    d = np.add.outer(np.arange(len(a) + 1), np.arange(len(b) + 1))
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return d[-1, -1]


def misspelled(words, seed=0):
    words = np.array(words, dtype=object)
    return misspell(words, Draw(lane(np.arange(words.size)), seed)).tolist()


@given(words=st.lists(st.text(max_size=8), min_size=1, max_size=30), seed=st.integers(0, 10**9))
def test_every_string_is_exactly_one_edit_away(words, seed):
    assert all(distance(a, b) == 1 for a, b in zip(words, misspelled(words, seed), strict=True))


@pytest.mark.parametrize("word", ["", "a", "Z", "7", "é", "東", "😀", "aa", "aaaa", "  ", "1111"])
def test_short_and_foreign_strings_change_too(word):
    assert all(distance(word, new) == 1 for new in misspelled([word] * 500))


def test_a_single_letter_is_never_deleted():
    assert all(misspelled(["x"] * 500))


def kind_of(old, new):
    if len(new) != len(old):
        return 0 if len(new) > len(old) else 1
    return 3 if sum(a != b for a, b in zip(old, new, strict=True)) == 2 else 2


def test_the_mix_of_edits_is_the_measured_one():
    """Word without repeated letters; a swap at the last letter, 1 in 10, becomes a substitution. Bands of 1e-6."""
    word, n = "background", 20_000
    found = np.bincount([kind_of(word, new) for new in misspelled([word] * n)], minlength=4)
    swap = MIX[3] * 0.9
    for count, share in zip(found, (MIX[0], MIX[1], MIX[2] + MIX[3] - swap, swap), strict=True):
        low, high = binom.ppf([5e-7, 1 - 5e-7], n, share)
        assert low <= count <= high


def test_adjacent_keys_are_struck_as_often_as_measured():
    """An adjacent key is meant with ADJACENT and met by chance among the 25 other letters. Band of 1e-6."""
    n, near = 60_000, {chr(c) for c in _NEAR[ord("g") - 97]}
    struck = [new for new in misspelled(["g"] * n) if len(new) == 1]
    share = ADJACENT + (1 - ADJACENT) * len(near) / 25
    low, high = binom.ppf([5e-7, 1 - 5e-7], len(struck), share)
    assert low <= sum(s in near for s in struck) <= high
    assert near == set("ftyhvb")


def test_letters_stay_letters_of_their_case_and_digits_stay_digits():
    assert all(new.isupper() or not new for new in misspelled(["ABC"] * 300))
    assert all(new.islower() for new in misspelled(["abc"] * 300))
    assert all(new.isdigit() for new in misspelled(["123"] * 300))
