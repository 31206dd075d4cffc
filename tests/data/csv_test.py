"""A .csv is read right, or what cannot be known is said or refused, with the place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from pullback.data import load
from pullback.errors import PullbackError

X, LABELS = load_iris(return_X_y=True)
WORDS = np.array(["setosa", "versicolor", "virginica"])[LABELS]


@pytest.fixture
def read(tmp_path):
    def of(content, **options):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load(str(path), **options)

    return of


def said(data):
    return " | ".join(data.notes)


@pytest.mark.parametrize("labels", [LABELS, WORDS], ids=["numbers", "words"])
@pytest.mark.parametrize("index", [False, True])
def test_a_header_of_numbers_is_no_sample(read, labels, index):
    data = read(pd.DataFrame(X).assign(target=labels).to_csv(index=index))
    assert (data.X.shape, data.features, len(data.classes)) == ((150, 4), ("0", "1", "2", "3"), 3)
    assert data.target == "target"
    assert np.array_equal(data.X, X)
    assert "the first line is read as the names" in said(data)
    assert ("column 1, which has no name, is left out: it is an index" in said(data)) == index


def test_without_a_header_every_line_is_a_sample(read):
    for labels in (LABELS, WORDS):
        data = read(pd.DataFrame(X).assign(y=labels).to_csv(header=False, index=False))
        assert (data.X.shape, len(data.classes)) == ((150, 4), 3)
        assert "read as a sample" in said(data)


@pytest.mark.parametrize("index", [False, True])
def test_a_header_that_may_be_a_sample_is_refused_until_it_is_said(read, index):
    text = pd.DataFrame(np.c_[X, LABELS]).to_csv(index=index)
    with pytest.raises(PullbackError, match=r"name the columns, or is it a sample\?.*header=True"):
        read(text)
    data = read(text, header=True)
    assert (data.X.shape, data.target, data.classes) == ((150, 4), "4", ("0", "1", "2"))


@pytest.mark.parametrize(
    ("text", "features", "rows"),
    [
        ("a,b\n1,2\n2,5\n", ("a",), 2),
        (" a , b c\n1,2\n2,5\n", ("a",), 2),
        ("1,2,cat\n3,4,dog\n5,6,bird\n", ("1", "2"), 3),
        ("1,2,3\n4,5,6\n", ("1", "2"), 2),
        ("# a,b\n1,2\n2,5\n", ("a",), 2),
        ("# by me\n# today\na,b\n1,2\n2,5\n", ("a",), 2),
        ("#,a,b\n1,7,2\n2,3,5\n", ("#", "a"), 2),
        (",a,b\n0,7,2\n1,3,5\n2,3,5\n", ("a",), 3),
        ("Unnamed: 0,a,b\n7,7,2\n3,3,5\n", ("a",), 2),
        ('"","mpg","cyl"\n"Mazda",7,2\n"Ford",3,5\n', ("mpg",), 2),
        ("a,b,\n1,2,\n3,5,\n", ("a",), 2),
        ("a,b\r\n1,2\r\n2,5\r\n", ("a",), 2),
        ("a,b\r1,2\r2,5\r", ("a",), 2),
        ("a|b\n1|2\n2|5\n", ("a",), 2),
        ("a b\n1 2\n2 5\n", ("a",), 2),
        ("  1.5  2 \n 10.5\t5\n", ("1",), 2),
        ('"a" "b"\n"u" 1 2\n"v" 2 5\n', ("a",), 2),
        ("a,b\n1,2\n,\n2,5\n", ("a",), 2),
        ("u,v\nu,w\nz,v\nz,w\n", ("1=u", "1=z"), 4),
        ("\n\na,b\n1,2\n\n2,5\n", ("a",), 2),
    ],
)
def test_names_and_samples_are_told_apart(read, text, features, rows):
    data = read(text)
    assert (data.features, len(data)) == (features, rows)


@pytest.mark.parametrize("header", ["0,1", "0,1,2", "2019,2020,2021"])
def test_all_numbers_that_may_be_names_are_refused(read, header):
    row = ",".join("1.5" for _ in header.split(","))
    text = f"{header}\n{row}\n"
    with pytest.raises(PullbackError, match="is it a sample"):
        read(text)
    assert len(read(text, header=False)) == 2
    assert len(read(text, header=True)) == 1


MISSING = ("NA", "N/A", "n/a", "nan", "NaN", "null", "", "?", "-", "none", "#N/A")


def with_a_cell(cell, column):
    """300 rows of x and y, with that cell in the line 201."""
    rows = [[f"{i}", f"{i / 7}"] for i in range(1, 301)]
    rows[199][column] = cell
    return "x,y\n" + "\n".join(map(",".join, rows))


@pytest.mark.parametrize("cell", MISSING)
def test_a_missing_number_becomes_the_median_and_is_said(read, cell):
    data = read(with_a_cell(cell, 0))
    held = sorted({*range(1, 301)} - {200})
    assert data.X[:, 0].tolist() == [*range(1, 200), np.median(held), *range(201, 301)]
    assert "1 missing value filled with the median" in said(data)


@pytest.mark.parametrize("cell", MISSING)
def test_a_missing_target_is_refused_with_its_place_or_its_row_left_out(read, cell):
    with pytest.raises(PullbackError, match=r"'y' has no finite value in line 201.*--drop-un"):
        read(with_a_cell(cell, 1))
    data = read(with_a_cell(cell, 1), unlabelled="drop")
    assert data.X[:, 0].tolist() == [*range(1, 200), *range(201, 301)]
    assert "1 row without 'y' left out" in said(data)


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e400"])
@pytest.mark.parametrize("column", [0, 1])
def test_an_infinite_number_is_refused_with_its_place(read, cell, column):
    with pytest.raises(PullbackError, match=f"'{'xy'[column]}' has no finite value in line 201"):
        read(with_a_cell(cell, column))


@pytest.mark.parametrize("marker", ["-200", "-200,0", "none of it"])
def test_what_is_said_to_be_missing_is(read, marker):
    rows = [f"{i};{marker if i % 5 == 0 else f'{i},5'};{i},25" for i in range(1, 41)]
    data = read("k;x;y\n" + "\n".join(rows), missing=[marker, "-200"])
    assert "8 missing values" in said(data)
    assert data.X[:, 1].min() == 1.5
    if marker == "-200":
        told = read("k;x;y\n" + "\n".join(rows))
        assert "holds -200 in 8 rows, far from all others: --missing -200" in said(told)


@pytest.mark.parametrize(
    "cell", ["1_000", "١", "１", "12%", "$3", "1,5,7", "0x1F", "2020-01-31", "abc"]
)
def test_what_is_no_plain_number_is_no_number(read, cell):
    rows = [[f"{i}", f"{i / 7}"] for i in range(1, 301)]
    for column in (0, 1):
        held = [row.copy() for row in rows]
        held[199][column] = f'"{cell}"'
        with pytest.raises(PullbackError, match=r"in line 201") as fault:
            read("x,y\n" + "\n".join(map(",".join, held)))
        assert cell in str(fault.value)


@pytest.mark.parametrize(
    ("text", "X", "Y", "note"),
    [
        ("a;b\n1,5;2,5\n2,5;3,75\n", [1.5, 2.5], [2.5, 3.75], "decimal mark"),
        ("1,5;2,5\n4,5;5,5\n", [1.5, 4.5], [2.5, 5.5], "decimal mark"),
        ('a,b\n"1,234,567",2.5\n"1,234",3.5\n', [1234567, 1234], [2.5, 3.5], "mark of thousands"),
        ('a,b\n"1,234",2.5\n1.5,3.5\n', [1234, 1.5], [2.5, 3.5], "mark of thousands"),
        ("a;b\n1.234;0,5\n987;1,5\n", [1234, 987], [0.5, 1.5], "point read as a mark of thousands"),
        ("a;b\n1.234,5;0,5\n987;1,5\n", [1234.5, 987], [0.5, 1.5], "mark of thousands"),
        ("a;b\n1.5;0,5\n2.125;1,5\n", [1.5, 2.125], [0.5, 1.5], "decimal mark"),
        ("a;b\n1,234;0,5\n2,345;1,5\n", [1.234, 2.345], [0.5, 1.5], "'1,234', with the comma"),
        ("a;b\n12'345;2\n678;5\n", [12345, 678], [2, 5], "groups of three digits"),
        ("a;b\n12\u202f345,5;2\n678,0;5\n", [12345.5, 678], [2, 5], "groups of three digits"),
        ("a;b\n(1.5);2\n3;5\n", [-1.5, 3], [2, 5], "brackets read as a minus"),
        ("a;b\n74 bhp;2\n103 bhp;5\n", [74, 103], [2, 5], "read without its unit"),
        ("sep=;\na;b\n1,5;2\n2,5;5\n", [1.5, 2.5], [2, 5], "decimal mark"),
        ("a,b\nTRUE,2.5\nfalse,3.5\n", [1, 0], [2.5, 3.5], "true and false"),
        ("a,b\n007,2.5\n010,3.5\n", [7, 10], [2.5, 3.5], "leading zeros"),
        ('a,b\n"1","2.5"\n" 2 ","3.5"\n', [1, 2], [2.5, 3.5], ""),
        ("a,b\n-.5e1,2.5\n+3.,3.5\n", [-5, 3], [2.5, 3.5], ""),
        ("a,b\n1e300,2.5\n2e300,3.5\n", [1e300, 2e300], [2.5, 3.5], ""),
    ],
)
def test_numbers_as_people_write_them(read, text, X, Y, note):
    data = read(text)
    assert (data.X[:, 0].tolist(), data.Y.tolist()) == (X, Y)
    assert note in said(data)


@pytest.mark.parametrize("target", ["a", "b"])
def test_a_thousand_that_may_be_a_decimal_is_refused(read, target):
    with pytest.raises(PullbackError, match=r"'1,234' in line 2, which may be 1234 or 1\.234"):
        read('a,b\n"1,234",2.5\n"2,345",3.5\n"3,456",5.5\n', target=target)


def test_titles_above_the_names_are_no_rows(read):
    data = read('Flats of 2023\n\n"our own"\nsize,price\n1,2.5\n2,3.5\n')
    assert (data.X.tolist(), data.Y.tolist()) == ([[1], [2]], [2.5, 3.5])
    assert "titles above the names are left out: 'Flats of 2023', …" in said(data)
    with pytest.raises(PullbackError, match="line 2 has 2 columns; expected 1, as in line 1"):
        read("flats\n1,2.5\n2,3.5\n")  # which may be a name


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["00123", "00124", "00123", "10000"], ("00123", "00124", "10000")),
        ([str(2**60), str(2**60 + 1)] * 2, (str(2**60), str(2**60 + 1))),
        ([str(2**63), str(2**63 + 1)] * 2, (str(2**63), str(2**63 + 1))),
        ([str(10**30), str(10**30 + 1)] * 2, (str(10**30), str(10**30 + 1))),
        (["1.0", "1", "2", "2.0"], ("1", "2")),
        (["-0.0", "0", "2", "2.0"], ("0", "2")),
        (["+", "-", "-", "+"], ("+", "-")),
        (["True", "TRUE", "false", "False"], ("false", "true")),
        (["a\u2028b", "c\x0bd", "c\x0bd", "e\x0cf"], ("a\u2028b", "c\x0bd", "e\x0cf")),
        (['"a\nb"', "c", "c", '"d""e"'], ("a\nb", "c", 'd"e')),
        (["a", " a", "b ", "b"], ("a", "b")),
        (["0x1F", "0x20", "0x1F", "0x20"], ("0x1F", "0x20")),
        (["1", "2", "1", "2", "low", "low"], ("1", "2", "low")),
    ],
)
def test_labels_never_merge(read, cells, classes):
    text = "x,k\n" + "\n".join(f"{at / 3},{cell}" for at, cell in enumerate(cells))
    assert read(text).classes == classes


def test_what_was_guessed_is_said(read):
    for text, note in [
        ("x,k\n.5,1\n1,2\n2,1\n3,2\n", "2 whole numbers: classification (--task regression"),
        ("x,k\n.5,1\n1,2\n2,4\n3,5\n", "target: k, 4 whole numbers: regression"),
        ("x,k\n" + ".5,3\n1,4\n2,5\n" * 2, "3 whole numbers: regression (--task classification"),
        ("id,x,k\n1,3,.5\n2,1,.7\n3,2,.1\n", "1 dropped: id (numbers the rows)"),
        ("t,x,k\n1,3,.5\n2,1,.7\n3,2,.1\n", "column 't' numbers the rows; drop it if"),
        ("x,k\n1,a\n2,a \n3,b\n", "differ in blanks"),
        ("x,k\n.5,01\n1,02\n2,01\n3,02\n", "target: k, 2 codes: classification"),
    ]:
        assert note in said(read(text))
    assert read("x,k\n.5,1.5\n1,2.5\n").notes == (
        "1 column: 1 number; target: k, numbers: regression",
    )


def test_64_bit_numbers_that_float64_merges_are_kept_apart(read):
    big = [1_700_000_000_000_000_000 + at for at in range(50)]
    rows = [f"{t},{at % 7},{at / 3}" for at, t in enumerate(big)]
    data = read("t,x,y\n" + "\n".join(rows))
    assert (data.features, "t (an id of 64 bits)" in said(data)) == (("x",), True)
    halves = [f"{t},{at / 3}" for at, t in enumerate(big[:2] * 25)]
    assert read("t,y\n" + "\n".join(halves)).features == (f"t={big[0]}", f"t={big[1]}")
    with pytest.raises(PullbackError, match="column 't' holds whole numbers beyond"):
        read("x,t\n" + "\n".join(f"{at / 3},{t}" for at, t in enumerate(big)))


def test_columns_are_dropped_and_kept_by_name(read):
    text = "name,city,x,y\n" + "".join(f"n{i},{'ab'[i % 2]},{i % 3},.5\n" for i in range(12))
    assert read(text).features == ("city=a", "city=b", "x")
    assert read(text, drop=["name", "city"]).features == ("x",)
    assert len(read(text, keep=["name"]).features) == 15
    for option in ("drop", "keep"):
        with pytest.raises(PullbackError, match="did you mean 'city'"):
            read(text, **{option: ["ctiy"]})
    with pytest.raises(PullbackError, match="'y' is the target"):
        read(text, target="y", drop=["y"])
    with pytest.raises(PullbackError, match=r"no column to learn from; left out:.* name \(names"):
        read(text, drop=["city", "x"])


def test_a_task_that_is_said_counts(read):
    text = "x,k\n" + "".join(f"{i / 7},{3 + i % 4}\n" for i in range(20))
    assert read(text).classes == ()
    assert read(text, task="classification").classes == ("3", "4", "5", "6")
    zeros = "x,k\n" + "".join(f"{i / 7},{i % 2}\n" for i in range(20))
    assert read(zeros, task="regression").Y.tolist() == [0.0, 1.0] * 10
    words = zeros.replace(",1", ",yes").replace(",0", ",no")
    with pytest.raises(PullbackError, match=r"holds text, such as .* --task regression cannot"):
        read(words, task="regression")
    with pytest.raises(PullbackError, match="unknown task 'clasification': did you mean"):
        read(words, task="clasification")
    with pytest.raises(PullbackError, match="30 different numbers in 30 rows"):
        read("x,k\n" + "".join(f"{i / 7},{i / 3}\n" for i in range(30)), task="classification")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_so_are_read(read, encoding):
    data = read("größe,k\n1,a\n2,b\n".encode(encoding))
    assert (data.features, data.classes) == (("größe",), ("a", "b"))
    assert ("is read as" in said(data)) == encoding.startswith(("utf-16", "utf-32"))


LONG = "9" * 100_000


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("größe,k\n1,a\n2,b\n".encode("latin-1"), "line 1 holds the byte 0xf6; save it as UTF-8"),
        ("x,y\n1,2\n3,4\n".encode("utf-16-le"), "zero byte"),
        (b"x,y\n1,2\0\n", "line 2 holds a zero byte"),
        (b"\0" * 1000, "zero byte"),
        (b'x,y\n1,"2\n3,4\n', "damaged, or not a text file with columns"),
        (b'x,y\n1,"2"3\n', "damaged, or not a text file with columns"),
        (f"x,y\n{LONG}{LONG},1\n".encode(), "field larger than field limit"),
        (f"x,y\n{LONG}x,1\n2,3\n4,5\n".encode(), "holds numbers, and text: first '999"),
        (b"x,y\n1,2\n3,\n4,5\n", "no finite value in line 3"),
        (b"x,y\n1,2,\n3,4,\n", "line 2 has 3 columns; expected 2"),
        (b"x,y\n1,2\n3,4,5\n", "line 3 has 3 columns; expected 2"),
        (b"1 2 3\n4 5\n", "columns are separated by commas, semicolons, tabs, bars or blanks"),
        (b"x,x\n1,2\n", "two columns called 'x'"),
        (b"#\n# only\n", "is empty"),
        (b"x,y\n-,1\n-,2\n", r"no column to learn from; left out: x \(empty\)"),
        (b"x,k\n1,yes\n2,NA\n3,no\n", "in line 3: 'NA'.*rename it if it is a class"),
        ("".join(["x,k\n", *(f"{i},id{i}\n" for i in range(50))]).encode(), "names, not classes"),
        (b"1,abc\n2,3\n5,\n", "no finite value in line 3"),
    ],
)
def test_what_is_no_table_is_refused(read, content, text):
    with pytest.raises(PullbackError, match=text) as fault:
        read(content)
    assert len(str(fault.value)) < 400
