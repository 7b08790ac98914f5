"""Our own tables of what is taken for what: by eyes, by scanners, by those who deceive."""

from collections import defaultdict
from collections.abc import Iterable

from hormesis.noise.edits.pieces import Pieces

Table = dict[str, tuple[str, ...]]
# What optical character recognition confuses, either way; pairs of characters as proof-readers list them.
SCANNED = """
0 O|0 o|0 D|0 8|0 9|1 l|1 I|1 i|1 4|1 7|2 Z|2 z|5 S|5 s|5 8|6 b|6 G|8 B|8 S|8 s|8 &|9 g|9 q|4 A
O D|O U|O Q|C G|E B|E F|P R|c e|o a|o u|h b|f t|i l|l I|I T|v y|n u|r k|, .|: ;
rn m|in m|ri n|ii u|cl d|li h|dl th|vv w|fi A
"""
CYRILLIC = ("aeopcxyijsABEHIJKMOPCSTX", "аеорсхуіјѕАВЕНІЈКМОРСЅТХ")
GREEK = ("aiouvABEHIKMNOPTXYZ", "αιουνΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
FULLWIDTH = ("".join(map(chr, range(0x21, 0x7F))), "".join(map(chr, range(0xFF01, 0xFF5F))))
SCRIPTS = {"cyrillic": CYRILLIC, "greek": GREEK, "fullwidth": FULLWIDTH}


def _either_way(pairs: Iterable[Iterable[str]]) -> Table:
    table: dict[str, list[str]] = defaultdict(list)
    for a, b in pairs:
        table[a].append(b)
        table[b].append(a)
    return {piece: tuple(targets) for piece, targets in table.items()}


def scanned_table() -> Table:
    """Return what scanners confuse with each character or pair."""
    return _either_way(p.split() for line in SCANNED.split("\n") for p in line.split("|") if p)


def homoglyph_table(scripts: tuple[str, ...]) -> Table:
    """Return the characters of other scripts that look like Latin ones, and the way back."""
    return _either_way(pair for s in scripts for pair in zip(*SCRIPTS[s], strict=True))


def scanned() -> Pieces:
    """Return the confusions of scanners, ready for use."""
    return Pieces.of(scanned_table())


def homoglyphs(scripts: tuple[str, ...]) -> Pieces:
    """Return the look-alikes of other scripts, ready for use."""
    return Pieces.of(homoglyph_table(scripts))
