"""Edits of strings: every string that can change does, none is broken, and the shares are those of the tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2

from hormesis.key import Draw, lane
from hormesis.noise import edits
from hormesis.noise.edits import characters, lookalikes
from hormesis.noise.edits.keyboard import _NEAR, MIXES
from hormesis.noise.edits.runs import Run, Splices

CASES, SPACES = tuple(characters.CASES), tuple(characters.SPACES)
ENCODINGS = ("cp1252", "latin-1", "question", "replacement")
ODD = [
    "", "\n", "a\nb\n", "\ud800", "👩‍👩‍👧", "e\u0301", "שלום עולם", "\u202eabc",
    "ß", "İ", "\ufffd", "\0", " ", "\u00a0", "東京",
]  # fmt: skip
strings = st.lists(st.text(st.characters(), max_size=12) | st.sampled_from(ODD), min_size=1, max_size=30)
seeds = st.integers(0, 10**9)
RECORDED = edits.Recorded(
    {"their": ("thier", "there"), "Ulm": ("Ulm", "Olm"), "a lot": ("alot",), "same": ("same",)}
)
WORDS = ["background", "Zurich", "receive", "committee", "aa", "x"]

OPERATORS = {
    **{mix: lambda x, d, mix=mix: edits.misspell(x, d, mix) for mix in MIXES},
    "per character": lambda x, d: edits.misspell(x, d, rate=0.4),
    "scanned": lambda x, d: edits.confuse(x, d, edits.scanned()),
    "homoglyphs": lambda x, d: edits.confuse(x, d, edits.homoglyphs(("cyrillic", "greek")), 0.5),
    "cases": lambda x, d: edits.recase(x, d, CASES),
    "spaces": lambda x, d: edits.respace(x, d, SPACES),
    "truncated": lambda x, d: edits.truncate(x, d, None),
    "encodings": lambda x, d: edits.misread(x, d, ENCODINGS),
    "recorded": lambda x, d: edits.misremember(x, d, RECORDED, 0.3)[0],
}
CAN_CHANGE = {
    "scanned": lambda s: any(p in s for p in lookalikes.scanned_table()),
    "homoglyphs": lambda s: any(p in s for p in lookalikes.homoglyph_table(("cyrillic", "greek"))),
    "cases": lambda s: any(form(s) != s for form in characters.CASES.values()),
    "truncated": lambda s: len(s) > 1,
    "encodings": lambda s: not s.isascii(),
    "recorded": lambda s: (
        s == "a lot" or any(w in s for w in ("their", "Their", "THEIR", "Ulm", "ulm", "ULM"))
    ),
}
every_operator = pytest.mark.parametrize("name", OPERATORS)


def draw_for(words, seed=0):
    return Draw(lane(np.arange(len(words))), seed)


def edited(name, words, seed=0):
    return OPERATORS[name](np.array([*words, None], object)[:-1], draw_for(words, seed)).tolist()


def distance(a, b):
    """Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours."""
    d = np.add.outer(np.arange(len(a) + 1), np.arange(len(b) + 1))
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return d[-1, -1]


def within(found, n, share):
    """Tell whether a count lies in the binomial band of 1e-6."""
    low, high = binom.ppf([5e-7, 1 - 5e-7], n, share)
    return low <= found <= high


def alike(counts, shares):
    """Tell whether counts have these shares: chi-square at 1e-6."""
    counts, shares = np.asarray(counts), np.asarray(shares)
    expected = counts.sum() * shares / shares.sum()
    return ((counts - expected) ** 2 / expected).sum() < chi2.ppf(1 - 1e-6, counts.size - 1)


@every_operator
@given(words=strings, seed=seeds)
def test_strings_change_wherever_they_can_and_only_there(name, words, seed):
    can = CAN_CHANGE.get(name, lambda _: True)
    for old, new in zip(words, edited(name, words, seed), strict=True):
        assert isinstance(new, str)
        assert (new != old) or not can(old)
        assert name == "recorded" or (new == old) or can(old)


@every_operator
@given(words=strings, seed=seeds)
def test_an_edit_depends_on_its_own_string_alone(name, words, seed):
    together = edited(name, words, seed)
    for i, word in enumerate(words):
        alone = OPERATORS[name](np.array([word, None], object)[:1], draw_for(words, seed).at([i]))
        assert alone.tolist() == [together[i]]


@every_operator
def test_more_strings_than_a_chunk_holds(name):
    words = ["Their Ümlaut 10"] * 40_000
    new = edited(name, words)
    assert len(new) == 40_000
    assert all(a != "Their Ümlaut 10" for a in new)
    assert edited(name, words[:17_000]) == new[:17_000]


@every_operator
def test_no_strings_are_no_strings(name):
    assert edited(name, []) == []


@given(words=strings)
def test_a_run_gives_its_strings_back(words):
    run = Run.of(np.array([*words, None], object)[:-1])
    nothing = np.zeros(0, np.int64)
    assert (
        run.spliced(Splices(nothing, nothing, nothing, np.zeros((0, 1), np.int64), nothing)).tolist() == words
    )


@pytest.mark.parametrize("mix", MIXES)
@given(words=strings, seed=seeds)
def test_a_misspelling_is_exactly_one_edit_away(mix, words, seed):
    assert all(distance(a, b) == 1 for a, b in zip(words, edited(mix, words, seed), strict=True))


def test_a_single_letter_is_never_deleted_and_no_string_is_emptied():
    assert all(edited("fast_typist", ["x"] * 500))
    assert all(edited("per character", ["xy", "xyz"] * 500))


def kind_of(old, new):
    if len(new) != len(old):
        return 0 if len(new) > len(old) else 1
    return 3 if sum(a != b for a, b in zip(old, new, strict=True)) == 2 else 2


@pytest.mark.parametrize("mix", MIXES)
def test_the_kinds_of_edits_are_those_of_the_mix(mix):
    """A word without repeated letters, in which each kind of edit shows."""
    found = np.bincount(
        [kind_of("background", new) for new in edited(mix, ["background"] * 20_000)], minlength=4
    )
    for count, share in zip(found, MIXES[mix].shares, strict=True):
        assert within(count, 20_000, share)


@pytest.mark.parametrize("mix", ["fast_typist", "weak_speller"])
def test_first_letters_are_as_safe_as_the_mix_says(mix):
    """Edits aimed at a vowel leave the first letter alone; of all others a share `first` hits it."""
    settings = MIXES[mix]
    new = [w for w in edited(mix, ["background"] * 40_000) if len(w) < 11]
    insertion, _, substitution, _ = settings.shares
    aimed = substitution * settings.vowel / (1 - insertion)
    assert within(sum(w[0] != "b" for w in new), len(new), settings.first * (1 - aimed))


def test_every_place_of_a_word_is_hit_alike_without_protection():
    new = [w for w in edited("phone", ["abcdefgh"] * 40_000) if len(w) == 7]
    places = [next((i for i in range(7) if w[i] != "abcdefgh"[i]), 7) for w in new]
    assert alike(np.bincount(places, minlength=8), np.ones(8))


def test_adjacent_keys_are_struck_as_often_as_the_mix_says():
    """An adjacent key is meant with a probability and met by chance among the 25 other letters."""
    mix, near = MIXES["phone"], {chr(c) for c in _NEAR[ord("g") - 97]}
    struck = [new for new in edited("phone", ["g"] * 60_000) if len(new) == 1]
    assert near == set("ftyhvb")
    assert within(
        sum(s in near for s in struck), len(struck), mix.adjacent + (1 - mix.adjacent) * len(near) / 25
    )
    assert alike(np.unique([s for s in struck if s in near], return_counts=True)[1], np.ones(6))


def test_vowels_are_taken_for_vowels_as_often_as_the_mix_says():
    """A vowel is meant with a probability; else the vowel's place is met by chance, and then a vowel again."""
    mix, n = MIXES["weak_speller"], 60_000
    new = [w for w in edited("weak_speller", ["bcdefgh"] * n) if kind_of("bcdefgh", w) == 2]
    chance = (1 - mix.first) / 6 * 4 / 25
    vowels = sum(w[3] in "aiou" for w in new)
    assert within(vowels, len(new), mix.vowel + (1 - mix.vowel) * chance)


def test_doubles_are_made_as_often_as_the_mix_says():
    """A double is meant with a probability; else one of 26 letters meets its one or two neighbours by chance."""
    mix = MIXES["fast_typist"]
    longer = [w for w in edited("fast_typist", ["bcdefgh"] * 60_000) if len(w) == 8]
    ends = mix.first + (1 - mix.first) / 7
    chance = (ends + 2 * (1 - ends)) / 26
    double = sum(any(map(str.__eq__, w, w[1:])) for w in longer)
    assert within(double, len(longer), mix.doubled + (1 - mix.doubled) * chance)


def test_doubles_are_undone_as_often_as_the_mix_says():
    mix = MIXES["fast_typist"]
    shorter = [w for w in edited("fast_typist", ["bcddfgh"] * 60_000) if len(w) == 6]
    chance = (1 - mix.first) / 6 * 2
    assert within(shorter.count("bcdfgh"), len(shorter), mix.undoubled + (1 - mix.undoubled) * chance)


def test_letters_stay_letters_of_their_case_and_digits_stay_digits():
    assert all(new.isupper() for new in edited("fast_typist", ["ABC"] * 300))
    assert all(new.islower() for new in edited("fast_typist", ["abc", "абв"] * 300))
    assert all(new.isdigit() for new in edited("fast_typist", ["123"] * 300))
    assert not any(c.isascii() for new in edited("phone", ["東京都"] * 300) for c in new)


@pytest.mark.parametrize("length", [20, 200, 2000])
@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_long_strings_suffer_the_error_rate_that_was_asked_for(length, rate):
    """Edits per string are ``rate * length`` rounded at random; insertions less deletions show the shares."""
    word = ("abcdefghijklmnopqrstuvwxyz" * 80)[:length]
    n = 40_000 // length
    new = edits.misspell(np.array([word] * n, object), draw_for(range(n)), "scanner", rate)
    total = rate * length * n
    less = length * n - sum(map(len, new))
    shares = MIXES["scanner"].shares
    spread = np.sqrt(total * (shares[0] + shares[1]) + n / 4)
    assert abs(less - total * (shares[1] - shares[0])) < 4.9 * spread


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_the_distance_is_the_number_of_edits(rate):
    word = "abcdefghijklmnopqrstuvwxyz" * 2
    far = [
        distance(word, new)
        for new in edits.misspell(np.array([word] * 60, object), draw_for([word] * 60), rate=rate)
    ]
    assert max(far) <= np.ceil(rate * 52)
    assert abs(np.mean(far) / 52 - rate) < 0.15 * rate


def test_every_confusion_of_a_scanner_is_alike():
    new = edited("scanned", ["m0"] * 20_000)
    kinds, counts = np.unique(new, return_counts=True)
    m, zero = (lookalikes.scanned_table()[p] for p in "m0")
    expected = {a + "0": 0.5 / len(m) for a in m} | {"m" + b: 0.5 / len(zero) for b in zero}
    assert set(kinds) == set(expected)
    assert alike(counts, [expected[k] for k in kinds])


def test_scanners_confuse_two_characters_with_one():
    assert "bum" in edited("scanned", ["burn"] * 300)
    assert "clog" in edited("scanned", ["dog"] * 300)


def test_overlapping_confusions_do_not_collide():
    assert all(
        isinstance(w, str) and w
        for w in edits.confuse(
            np.array(["rnirniclvvri" * 3] * 200, object), draw_for(range(200)), edits.scanned(), 1.0
        )
    )


def test_the_tables_of_lookalikes_go_both_ways():
    for table in (lookalikes.scanned_table(), lookalikes.homoglyph_table(tuple(lookalikes.SCRIPTS))):
        assert all(piece in table[other] for piece, others in table.items() for other in others)
        assert all(piece != other for piece, others in table.items() for other in others)


def test_homoglyphs_leave_the_length_and_the_alphabet():
    for script, block in [("cyrillic", range(0x400, 0x500)), ("greek", range(0x370, 0x400))]:
        new = edits.confuse(
            np.array(["Hope"] * 50, object), draw_for(range(50)), edits.homoglyphs((script,)), 1.0
        )
        assert all(len(w) == 4 and any(ord(c) in block for c in w) for w in new)


def test_every_case_that_changes_a_string_is_alike():
    kinds, counts = np.unique(edited("cases", ["new York"] * 20_000), return_counts=True)
    assert kinds.tolist() == ["NEW YORK", "NEW yORK", "New York", "new york"]
    assert alike(counts, np.ones(4))
    assert set(edited("cases", ["Bern"] * 100)) == {"BERN", "bern", "bERN"}


def test_every_damage_of_white_space_is_alike():
    kinds, counts = np.unique(edited("spaces", ["a b"] * 20_000), return_counts=True)
    assert set(kinds) == {" a b", "a b ", "a  b", "ab", "a\u00a0b", "a\tb"}
    assert alike(counts, np.ones(6))
    assert set(edited("spaces", ["ab", " ab", " "] * 100)) == {" ab", "ab ", "  ab", " ab ", "  "}


def test_inner_spaces_are_hit_alike():
    new = edits.respace(np.array(["a b c d"] * 20_000, object), draw_for(range(20_000)), ("lost",))
    kinds, counts = np.unique(new.tolist(), return_counts=True)
    assert kinds.tolist() == ["a b cd", "a bc d", "ab c d"]
    assert alike(counts, np.ones(3))


def test_white_space_that_a_string_does_not_have_spares_it():
    words = np.array(["Bern", " Bern ", ""], object)
    assert edits.respace(words, draw_for(words), ("lost", "tab")).tolist() == words.tolist()


def test_cuts_fall_anywhere_alike():
    kinds, counts = np.unique(edited("truncated", ["abcd"] * 20_000), return_counts=True)
    assert kinds.tolist() == ["a", "ab", "abc"]
    assert alike(counts, np.ones(3))
    assert edits.truncate(np.array(["abcd", "ab"], object), draw_for("ab"), 3).tolist() == ["abc", "ab"]


@given(words=st.lists(st.text(st.characters(codec="utf-8"))))
def test_mojibake_is_what_a_wrong_decoder_reads(words):
    array = np.array([*words, None], object)[:-1]
    read = edits.misread(array, draw_for(words), ("latin-1",))
    assert read.tolist() == [w.encode().decode("latin-1") for w in words]
    lost = edits.misread(array, draw_for(words), ("question",))
    assert lost.tolist() == [w.encode("ascii", "replace").decode() for w in words]
    windows = edits.misread(array, draw_for(words), ("cp1252",)).tolist()
    for word, new in zip(words, windows, strict=True):
        if not set(word.encode()) & {0x81, 0x8D, 0x8F, 0x90, 0x9D}:
            assert new == word.encode().decode("cp1252")


def test_every_wrong_encoding_is_alike():
    kinds, counts = np.unique(edited("encodings", ["é€"] * 20_000), return_counts=True)
    assert kinds.size == 4
    assert alike(counts, np.ones(4))


def recorded(words, **settings):
    return edits.misremember(np.array(words, object), draw_for(words), RECORDED, **settings)


def test_recorded_misspellings_are_drawn_alike():
    kinds, counts = np.unique(recorded(["on their way"] * 10_000)[0].tolist(), return_counts=True)
    assert kinds.tolist() == ["on there way", "on thier way"]
    assert alike(counts, np.ones(2))


def test_recorded_misspellings_keep_capitals_and_know_whole_cells():
    out, known = recorded(["Their", "THEIR", "(their)", "a lot", "Ulm", "same", "theirs", ""] * 50)
    assert set(out.tolist()) == {
        "Thier", "There", "THIER", "THERE", "(thier)", "(there)", "alot", "Olm", "same", "theirs", ""
    }  # fmt: skip
    assert known.tolist() == ([True] * 5 + [False] * 3) * 50


def test_more_known_words_go_wrong_in_long_texts():
    text = "their x " * 50
    out, _ = recorded([text] * 20, rate=0.05)
    wrong = [50 - w.count("their") for w in out]
    assert set(wrong) == {20}
