"""The mathematics font of the pages: the part of Latin Modern Math that formulas need, as woff2.

    pip install fonttools brotli
    python tools/math_font.py latinmodern-math.otf    # of Debian's fonts-lmodern, or from GUST

It may be changed and passed on under the GUST Font License, which asks that what is changed has
another name; the licence lies beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter, load_font, save_font

OUT = Path(__file__).resolve().parents[1] / "pullback" / "report" / "templates" / "math.woff2"
NAME = "Pullback Math"
RANGES = (
    "20-7E A0 AC B1 B7 BC BD D7 F7 131 302-304 307 393-3C9 3D1 3D5 3F5 2016 2026 2032 2033 "
    "2044 2070-209C 2102 210E 2113 211D 2190-2193 21A6 21D2 2200 2202 2203 2205 2207-2209 "
    "220F 2211 2212 2218 221A 221D 221E 2225 2227 2228 222B 2248 2260 2261 2264 2265 226A "
    "226B 2282 2286 2295 2297 2299 22A4 22C5 22EE 22EF 22F1 2308-230B 23DE 23DF 27E8 27E9 "
    "27F6 1D400-1D467 1D53C 1D6FC-1D71B 1D7CE-1D7D9"
)


def characters() -> list[int]:
    """The code points of the ranges."""
    ends = [[int(end, 16) for end in each.split("-")] for each in RANGES.split()]
    return [code for first, *last in ends for code in range(first, (last or [first])[0] + 1)]


def main(source: str) -> None:
    """Write the font, under a name of its own."""
    options = Options(flavor="woff2", layout_features=["ssty"], hinting=False, desubroutinize=True)
    font = load_font(source, options)
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=characters())
    subsetter.subset(font)
    for record in font["name"].names:
        if record.nameID in (1, 4, 6):
            record.string = NAME.replace(" ", "") if record.nameID == 6 else NAME
    save_font(font, str(OUT), options)
    print(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1])
