"""49 small tables written as the well-known teaching sets are: separators, marks, names and all.

The values are drawn; what a reader trips over is not. Each says what is expected of it: the line of
the preprocessing up to the target, and the task; or the refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

ROWS = 48
RNG = np.random.default_rng(0)
Cells = Sequence[object]


@dataclass(frozen=True)
class Case:
    """A file by its name, how it is loaded, and what has to come of it."""

    file: str
    content: str | bytes
    said: str  # how the line begins, or what a refusal says
    task: str  # "classification", "regression" or "refused"
    options: dict[str, Any] = field(default_factory=dict)


def numbers(low: float, high: float, digits: int = 2, rows: int = ROWS) -> Cells:
    return [f"{each:.{digits}f}" for each in RNG.uniform(low, high, rows)]


def whole(low: int, high: int, rows: int = ROWS) -> Cells:
    """Whole numbers; all of them come where there are few."""
    turn = [low + at % (high - low + 1) for at in range(rows)]
    return RNG.permutation(turn).tolist() if high - low < rows else RNG.integers(low, high, rows)


def of(*values: object, rows: int = ROWS) -> Cells:
    """The values in turn, shuffled."""
    return RNG.permutation([str(values[at % len(values)]) for at in range(rows)]).tolist()


def with_gaps(cells: Cells, mark: str, count: int = 3) -> Cells:
    held = list(cells)
    for at in range(count):
        held[7 * at + 2] = mark
    return held


def numbered(prefix: str = "", start: int = 1, rows: int = ROWS) -> Cells:
    return [f"{prefix}{start + at}" for at in range(rows)]


def days(pattern: str, start: str = "2011-01-01", step: int = 1, rows: int = ROWS) -> Cells:
    first = np.datetime64(start, "D")
    return [(first + at * step).item().strftime(pattern) for at in range(rows)]


def table(
    columns: dict[str, Cells],
    separator: str = ",",
    header: bool = True,
    quote: Callable[[str], bool] = lambda cell: False,
    end: str = "\n",
) -> str:
    def shown(cell: object) -> str:
        text = str(cell)
        return f'"{text}"' if separator in text or quote(text) else text

    lines = [separator.join(map(shown, columns))] if header else []
    rows = zip(*columns.values(), strict=True)
    return end.join([*lines, *(separator.join(map(shown, row)) for row in rows)]) + end


def titanic() -> str:
    first = of("Braund, Mr. Owen", "Cumings, Mrs. John", "Heikkinen, Miss. Laina")
    return table(
        {
            "PassengerId": numbered(),
            "Survived": whole(0, 1),
            "Pclass": whole(1, 3),
            "Name": [f"{name} {at}" for at, name in enumerate(first)],
            "Sex": of("male", "female"),
            "Age": with_gaps(numbers(1, 80, 0), ""),
            "SibSp": whole(0, 4),
            "Parch": whole(0, 2),
            "Ticket": [f"A/5 {each}" for each in range(21171, 21171 + ROWS)],
            "Fare": numbers(7, 90, 4),
            "Cabin": [f"C{at}" if at % 4 == 0 else "" for at in range(ROWS)],
            "Embarked": with_gaps(of("S", "C", "Q"), "", 2),
        },
        end="\r\n",
    )


def iris(header: bool) -> str:
    kinds = of("Iris-setosa", "Iris-versicolor", "Iris-virginica")
    return table(
        {
            **({"Id": numbered()} if header else {}),
            **{
                name: numbers(1, 7, 1)
                for name in ("SepalLengthCm", "SepalWidthCm", "PetalLengthCm", "PetalWidthCm")
            },
            "Species": kinds,
        },
        header=header,
    ) + ("" if header else "\n")


def wine_quality() -> str:
    names = ["fixed acidity", "volatile acidity", "citric acid", "residual sugar", "chlorides"]
    return table(
        {**{name: numbers(0, 9) for name in names}, "quality": whole(3, 8)},
        ";",
        quote=lambda cell: cell[0].isalpha(),
    )


def auto_mpg(blanks: bool) -> str:
    names = [f'"chevrolet chevelle {at}"' if blanks else f"chevy {at}" for at in range(ROWS)]
    columns = {
        "mpg": numbers(10, 40, 1),
        "cylinders": of(4, 6, 8),
        "displacement": numbers(70, 400, 1),
        "horsepower": with_gaps(numbers(50, 200, 1 if blanks else 0), "?"),
        "weight": numbers(1600, 5000, 0),
        "acceleration": numbers(8, 24, 1),
        "model year": whole(70, 82),
        "origin": whole(1, 3),
        "car name": names,
    }
    if not blanks:
        return table(columns)
    rows = zip(*columns.values(), strict=True)
    return "".join("   ".join(map(str, row[:-1])) + "\t" + row[-1] + "\n" for row in rows)


def adult() -> str:
    columns = {
        "age": whole(17, 90),
        "workclass": with_gaps(of("Private", "State-gov", "Self-emp-not-inc"), "?"),
        "fnlwgt": whole(20000, 400000),
        "education": of("Bachelors", "HS-grad", "11th"),
        "education-num": whole(1, 16),
        "marital": of("Never-married", "Divorced"),
        "sex": of("Male", "Female"),
        "gain": of(0, 0, 0, 2174),
        "hours": whole(20, 60),
        "country": with_gaps(of("United-States", "Cuba", "India"), "?", 2),
        "income": of("<=50K", "<=50K", ">50K"),
    }
    return table(columns, ", ", header=False, quote=lambda cell: False)


def boston() -> str:
    rows = [" " + "  ".join(map(str, row)) for row in zip(*(numbers(0, 90, 3) for _ in range(14)),
                                                          strict=True)]  # fmt: skip
    return "\n".join(rows) + "\n"


def penguins() -> str:
    return table(
        {
            "species": of("Adelie", "Gentoo", "Chinstrap"),
            "island": of("Torgersen", "Biscoe", "Dream"),
            "bill_length_mm": with_gaps(numbers(32, 60, 1), "NA"),
            "bill_depth_mm": with_gaps(numbers(13, 22, 1), "NA"),
            "flipper_length_mm": with_gaps(whole(172, 231), "NA"),
            "body_mass_g": with_gaps(whole(2700, 6300), "NA"),
            "sex": with_gaps(of("male", "female"), "NA"),
            "year": of(2007, 2008, 2009),
        }
    )


def diamonds() -> str:
    return table(
        {
            "": numbered(),
            "carat": numbers(0.2, 3),
            "cut": of("Ideal", "Premium", "Good", "Very Good"),
            "color": of(*"DEFGHIJ"),
            "clarity": of("SI2", "VS1", "VVS2"),
            "depth": numbers(55, 66, 1),
            "table": numbers(53, 63, 1),
            "price": whole(326, 18000),
        },
        quote=lambda cell: not cell.replace(".", "").isdigit(),
    )


def tips() -> str:
    return table(
        {
            "total_bill": numbers(3, 50),
            "tip": numbers(1, 10),
            "sex": of("Female", "Male"),
            "smoker": of("No", "Yes"),
            "day": of("Sun", "Sat", "Thur", "Fri"),
            "time": of("Dinner", "Lunch"),
            "size": whole(1, 6),
        }
    )


def flights() -> str:
    moments = [f"2013-01-{1 + at // 24:02} {at % 24:02}:00:00" for at in range(ROWS)]
    return table(
        {
            "year": ["2013"] * ROWS,
            "month": ["1"] * ROWS,
            "dep_time": with_gaps(whole(500, 2300), ""),
            "carrier": of("UA", "AA", "B6"),
            "tailnum": [f"N{14228 + at}" for at in range(ROWS)],
            "origin": of("EWR", "LGA", "JFK"),
            "distance": whole(200, 2500),
            "time_hour": moments,
            "arr_delay": with_gaps(whole(-40, 120), ""),
        }
    )


def stocks(pattern: str) -> str:
    return table(
        {
            "Date": days(pattern, "2019-01-02", 21),
            **{name: numbers(90, 120, 6) for name in ("Open", "High", "Low")},
            "Volume": [f"{each:,}" for each in RNG.integers(10**6, 10**8, ROWS)],
            "Close": numbers(90, 120, 6),
        }
    )


def air_quality() -> str:
    comma = {
        name: with_gaps([each.replace(".", ",") for each in numbers(0.5, 9, 1)], "-200", 4)
        for name in ("CO(GT)", "C6H6(GT)", "T", "RH")
    }
    text = table(
        {
            "Date": days("%d/%m/%Y", "2004-03-10"),
            "Time": [f"{at % 24:02}.00.00" for at in range(ROWS)],
            **comma,
            "AH": [each.replace(".", ",") for each in numbers(0.2, 2, 4)],
            "": [""] * ROWS,
            " ": [""] * ROWS,
        },
        ";",
    )
    return text + ";;;;;;;;\n" * 5


def bike_sharing() -> str:
    return table(
        {
            "instant": numbered(),
            "dteday": days("%Y-%m-%d", "2011-01-01", 16),
            "season": whole(1, 4),
            "yr": whole(0, 1),
            "holiday": of(0, 0, 0, 1),
            "temp": numbers(0, 1, 6),
            "casual": whole(0, 900),
            "cnt": whole(22, 8714),
        }
    )


def sonar() -> str:
    columns = {str(at): numbers(0, 1, 4) for at in range(60)}
    return table({**columns, "y": of("R", "M")}, header=False)


def pima(header: bool) -> str:
    names = ["Pregnancies", "Glucose", "BloodPressure", "SkinThickness", "Insulin", "BMI"]
    columns = {name: whole(0, 99) for name in names[:-1]}
    return table({**columns, "BMI": numbers(18, 60, 1), "Outcome": whole(0, 1)}, header=header)


def breast_cancer() -> str:
    """Wisconsin's, with ids and a column of nothing at the end, as it is passed around."""
    names = ("radius_mean", "texture_mean", "perimeter_mean", "area_mean")
    columns = {name: numbers(1, 40) for name in names}
    ids = RNG.permutation(np.arange(842302, 842302 + ROWS)).tolist()
    return table({"id": ids, "diagnosis": of("M", "B"), **columns, "": [""] * ROWS})


def mushrooms(header: bool) -> str:
    columns = {
        "class": of("p", "e"),
        "cap-shape": of(*"xbsfkc"),
        "cap-color": of(*"nywgepbucr"),
        "stalk-root": with_gaps(of(*"ebcr"), "?", 5),
        "veil-type": ["p"] * ROWS,
        "habitat": of(*"ugmdpl"),
    }
    return table(columns, header=header)


def bank() -> str:
    return table(
        {
            "age": whole(18, 90),
            "job": of("admin.", "blue-collar", "unknown"),
            "marital": of("married", "single"),
            "balance": whole(-900, 9000),
            "month": of("may", "jun", "jul"),
            "pdays": of(999, 999, 999, 6, 3),
            "y": of("no", "no", "yes"),
        },
        ";",
        quote=lambda cell: not cell.lstrip("-").isdigit(),
    )


def credit() -> str:
    big = [10**17 + int(each) for each in RNG.permutation(ROWS)]
    return table(
        {
            "account": big,
            "LIMIT_BAL": whole(10000, 500000),
            "SEX": whole(1, 2),
            "EDUCATION": whole(1, 4),
            "AGE": whole(21, 70),
            "PAY_0": whole(-2, 3),
            "default payment next month": whole(0, 1),
        }
    )


def students() -> str:
    return table(
        {
            "school": of("GP", "MS"),
            "sex": of("F", "M"),
            "age": whole(15, 22),
            "Mjob": of("at_home", "health", "other", "services"),
            "G1": whole(0, 19),
            "G2": whole(0, 19),
            "G3": of(0, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20),
        },
        ";",
        quote=lambda cell: not cell.isdigit(),
    )


def churn() -> str:
    return table(
        {
            "customerID": [f"{7590 + at}-VHVEG" for at in range(ROWS)],
            "gender": of("Female", "Male"),
            "SeniorCitizen": of(0, 0, 0, 1),
            "tenure": whole(0, 72),
            "Contract": of("Month-to-month", "One year", "Two year"),
            "TotalCharges": with_gaps(numbers(18, 8000), " "),
            "Churn": of("No", "No", "Yes"),
        }
    )


def forest_fires() -> str:
    return table(
        {
            "X": whole(1, 9),
            "Y": whole(2, 9),
            "month": of("mar", "aug", "sep"),
            "day": of("fri", "tue", "sat", "sun"),
            "FFMC": numbers(18, 97, 1),
            "rain": of("0.0", "0.0", "0.2"),
            "area": of("0", "0", "0.36", "6.44", "54.29"),
        }
    )


def weather() -> str:
    return table(
        {
            "Date": days("%Y-%m-%d", "2008-12-01", 3),
            "Location": of("Albury", "Cobar", "Perth"),
            "MinTemp": with_gaps(numbers(0, 25, 1), "NA"),
            "WindGustDir": with_gaps(of("W", "NNW", "SE"), "NA"),
            "RainToday": with_gaps(of("No", "Yes"), "NA", 2),
            "RainTomorrow": with_gaps(of("No", "No", "Yes"), "NA", 2),
        }
    )


def house_prices() -> str:
    return table(
        {
            "Id": numbered(),
            "MSZoning": of("RL", "RM"),
            "LotFrontage": with_gaps(whole(40, 120), "NA"),
            "Alley": ["NA" if at % 9 else "Pave" for at in range(ROWS)],
            "Street": ["Pave"] * ROWS,
            "OverallQual": whole(1, 10),
            "CentralAir": of("Y", "N"),
            "SalePrice": whole(34900, 755000),
        }
    )


def simple(target: str, cells: Cells, **columns: Cells) -> str:
    return table({**columns, target: cells})


def r_table() -> str:
    """As R's write.table leaves it: the names of the rows have no name."""
    cars = [f'"Mazda RX{at}"' for at in range(ROWS)]
    names = {"mpg": numbers(10, 33, 1), "cyl": of(4, 6, 8), "wt": numbers(1, 5, 3)}
    rows = zip(cars, *names.values(), strict=True)
    head = " ".join(f'"{name}"' for name in names)
    return "\n".join([head, *(" ".join(map(str, row)) for row in rows)]) + "\n"


def seeds() -> str:
    rows = zip(*(numbers(1, 20, 3) for _ in range(7)), whole(1, 3), strict=True)
    gap = ["\t", "\t\t"]
    return "".join(gap[at % 2].join(map(str, row)) + "\n" for at, row in enumerate(rows))


def retail() -> str:
    return table(
        {
            "order_id": numbered("CA-2016-"),
            "Order Date": days("%d-%b-%y", "2016-01-03", 9),
            "Discount": [f"{each}%" for each in whole(0, 80)],
            "Sales": [f"${each:,.2f}" for each in RNG.uniform(900, 3000, ROWS)],
            "Region": of("West", "East", "South"),
            "Returned": of("TRUE", "FALSE", "FALSE"),
            "Profit": numbers(-90, 400),
        }
    )


def cases() -> list[Case]:
    """All tables; drawn anew, and the same in every call."""
    global RNG
    RNG = np.random.default_rng(0)
    C, R = "classification", "regression"
    kind, eggs = of("A", "B", "C"), {f"x{at}": numbers(0, 9) for at in range(4)}
    return [
        Case("titanic.csv", titanic(), "11 columns: 5 numbers, 2 categories (one-hot), 4 dropped: "
             "PassengerId (numbers the rows), Name (names: most texts differ), Ticket", C,
             {"target": "Survived"}),
        Case("iris.csv", iris(True), "5 columns: 4 numbers, 1 dropped: Id (numbers the rows)", C),
        Case("iris.data", iris(False), "4 columns: 4 numbers", C),
        Case("winequality-red.csv", wine_quality(), "5 columns: 5 numbers; target: quality, 6 whole"
             " numbers: regression (--task classification for classes)", R),
        Case("winequality.csv", wine_quality(), "5 columns: 5 numbers", C,
             {"task": "classification"}),
        Case("auto-mpg.csv", auto_mpg(False), "8 columns: 7 numbers, 1 dropped: car name (names: "
             "most texts differ); 3 missing values filled with the median", R, {"target": "mpg"}),
        Case("auto-mpg.data", auto_mpg(True), "8 columns: 7 numbers, 1 dropped: 9", R,
             {"target": "1"}),
        Case("adult.data", adult(), "10 columns: 5 numbers, 5 categories (one-hot); 5 missing in "
             "categories", C),
        Case("housing.data", boston(), "13 columns: 13 numbers", R),
        Case("penguins.csv", penguins(), "7 columns: 5 numbers, 2 categories (one-hot); 12 missing "
             "values filled with the median; 3 missing in categories", C, {"target": "species"}),
        Case("diamonds.csv", diamonds(), "6 columns: 3 numbers, 3 categories (one-hot)", R),
        Case("tips.csv", tips(), "6 columns: 2 numbers, 4 categories (one-hot)", R,
             {"target": "tip"}),
        Case("flights.csv", flights(), "'arr_delay' has no finite value in line 4", "refused"),
        Case("flights-2.csv", flights(), "8 columns: 2 numbers, 2 categories (one-hot), 1 date, 3 "
             "dropped: year (one value), month (one value), tailnum", R, {"unlabelled": "drop"}),
        Case("stocks.csv", stocks("%Y-%m-%d"), "5 columns: 4 numbers, 1 date", R),
        Case("stocks-us.csv", stocks("%m/%d/%Y"), "5 columns: 4 numbers, 1 date", R),
        Case("AirQualityUCI.csv", air_quality(), "6 columns: 5 numbers, 1 date; 16 missing values "
             "filled with the median", R, {"missing": ["-200"]}),
        Case("sonar.data", sonar(), "60 columns: 60 numbers", C),
        Case("pima.csv", pima(False), "6 columns: 6 numbers", C),
        Case("diabetes.csv", pima(True), "6 columns: 6 numbers", C),
        Case("breast-cancer.csv", breast_cancer(), "5 columns: 4 numbers, 1 dropped: id (an id)", C,
             {"target": "diagnosis"}),
        Case("mushrooms.csv", mushrooms(True), "5 columns: 4 categories (one-hot), 1 dropped: "
             "veil-type (one value); 5 missing in categories", C, {"target": "class"}),
        Case("agaricus.data", mushrooms(False), "5 columns: 4 categories (one-hot), 1 dropped: 5 "
             "(one value)", C, {"target": "1"}),
        Case("bank-full.csv", bank(), "6 columns: 3 numbers, 3 categories (one-hot)", C),
        Case("day.csv", bike_sharing(), "7 columns: 5 numbers, 1 date, 1 dropped: instant (numbers "
             "the rows); 10 features", R),
        Case("credit.csv", credit(), "6 columns: 5 numbers, 1 dropped: account (an id of 64 bits)",
             C),
        Case("insurance.csv", simple("charges", numbers(1100, 60000, 4), age=whole(18, 64),
             sex=of("female", "male"), bmi=numbers(16, 50), children=whole(0, 5),
             smoker=of("yes", "no"), region=of("southwest", "northeast")),
             "6 columns: 3 numbers, 3 categories (one-hot)", R),
        Case("Salary_Data.csv", simple("Salary", numbers(37000, 122000, 1),
             YearsExperience=numbers(1, 11, 1)), "1 column: 1 number", R),
        Case("advertising.csv", table({"": numbered(), "TV": numbers(0, 300, 1),
             "Radio": numbers(0, 50, 1), "Newspaper": numbers(0, 99, 1),
             "Sales": numbers(1, 27, 1)}), "3 columns: 3 numbers", R),
        Case("student-mat.csv", students(), "6 columns: 3 numbers, 3 categories (one-hot)", R),
        Case("ENB2012.csv", simple("Y1", numbers(6, 43), **{f"X{at}": numbers(0, 1)
             for at in range(1, 9)}), "8 columns: 8 numbers", R),
        Case("concrete.csv", simple("strength(MPa, megapascals)", numbers(2, 82),
             **{"Cement (kg)(in a m^3 mix)": numbers(102, 540, 1), "Age (day)": whole(1, 365)}),
             "2 columns: 2 numbers", R),
        Case("heart.csv", simple("num", whole(0, 4), age=numbers(29, 77, 1), chol=numbers(126, 564),
             ca=with_gaps(of("0.0", "1.0", "2.0"), "?"), thal=with_gaps(of("3.0", "7.0"), "?", 2)),
             "4 columns: 4 numbers; 5 missing values", C),
        Case("car.data", table({"b": of("vhigh", "high", "med", "low"), "d": of("2", "3", "4",
             "5more"), "p": of("2", "4", "more"), "s": of("low", "med", "high"),
             "class": of("unacc", "acc")}, header=False),
             "4 columns: 4 categories (one-hot)", C),
        Case("zoo.csv", simple("class_type", whole(1, 7), animal_name=numbered("animal"),
             hair=whole(0, 1), legs=of(0, 2, 4, 6)), "3 columns: 2 numbers, 1 dropped: animal_name",
             C),
        Case("glass.data", table({"id": numbered(), **eggs, "type": of(1, 2, 3, 5, 6, 7)},
             header=False), "5 columns: 4 numbers, 1 dropped: 1 (numbers the rows)", C,
             {"task": "classification"}),
        Case("seeds_dataset.txt", seeds(), "7 columns: 7 numbers", C),
        Case("forestfires.csv", forest_fires(), "6 columns: 4 numbers, 2 categories (one-hot)", R),
        Case("abalone.data", table({"sex": of("M", "F", "I"), **eggs, "rings": whole(1, 29)},
             header=False), "5 columns: 4 numbers, 1 category (one-hot)", R),
        Case("churn.csv", churn(), "6 columns: 3 numbers, 2 categories (one-hot), 1 dropped: "
             "customerID (an id); 3 missing values", C),
        Case("weatherAUS.csv", weather(), "5 columns: 1 number, 3 categories (one-hot), 1 date; 1 "
             "missing value", C, {"unlabelled": "drop"}),
        Case("train.csv", house_prices(), "7 columns: 2 numbers, 3 categories (one-hot), 2 dropped:"
             " Id (numbers the rows), Street (one value)", R),
        Case("mtcars.txt", r_table(), "2 columns: 2 numbers", R),
        Case("superstore.csv", retail(), "6 columns: 3 numbers, 1 category (one-hot), 1 date, 1 "
             "dropped: order_id", R),
        Case("kinds.csv", ("\ufeff" + table({"größe": numbers(1, 2), "art": kind})).encode(),
             "1 column: 1 number", C),
        Case("excel.csv", table({"größe": numbers(1, 2), "art": kind}, ";").encode("latin-1"),
             "save it as UTF-8", "refused"),
        Case("names.csv", simple("name", numbered("person "), x=numbers(0, 1)),
             "names, not classes; name another column as the target", "refused"),
        Case("broken.csv", table(eggs) + "1,2\n", "line 50 has 2 columns; expected 4", "refused"),
        Case("iris-by-r.csv", table({"": [f'"{at}"' for at in range(1, ROWS + 1)],
             "Sepal.Length": numbers(4, 8, 1), "Species": of("setosa", "virginica")}),
             "1 column: 1 number", C),
    ]  # fmt: skip
