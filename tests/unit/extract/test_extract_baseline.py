from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    mean_absolute_error,
    mean_squared_error,
    root_mean_squared_error,
)

from datakeep.extract.baseline import trivial_baseline

PENGUINS = Path(__file__).parents[3] / "datakeep/samples/penguins"

LABELS = ["a"] * 5 + ["b"] * 3 + ["c"] * 2


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "labels.csv").write_text(
        "file,label\n" + "".join(f"x,{label}\n" for label in LABELS) + "y,NA\n"
    )
    (tmp_path / "part").mkdir()
    (tmp_path / "part/n.csv").write_text("y\n1\n2\n4\n\n")
    pq.write_table(pa.table({"y": pa.array([8.0, 16.5, None, float("nan")])}), tmp_path / "part/n.parquet")
    (tmp_path / "part/a.png").write_bytes(b"\x89PNG")
    return tmp_path


def rounded(value: float) -> Decimal:
    return Decimal(repr(float(value))).quantize(Decimal("0.000001"))


@pytest.mark.parametrize(
    ("metric", "score"),
    [
        ("accuracy", "0.5"),
        ("balanced_accuracy", "0.333333"),
        ("macro_recall", "0.333333"),
        ("macro_f1", "0.222222"),
        ("Macro-F1", "0.222222"),
        ("roc_auc", "0.5"),
    ],
)
def test_metrics_of_classes_are_those_of_guessing_the_majority(data: Path, metric: str, score: str) -> None:
    """The scores are scikit-learn's for LABELS and a guess of 'a' throughout."""
    assert trivial_baseline(data, "label", metric) == Decimal(score)


@pytest.mark.parametrize(
    ("metric", "score"), [("r2", "0"), ("mse", "31.76"), ("rmse", "5.635601"), ("mae", "4.3")]
)
def test_metrics_of_numbers_are_those_of_predicting_the_mean_or_median(
    data: Path, metric: str, score: str
) -> None:
    """The scores are scikit-learn's for 1, 2, 4, 8, 16.5 and their mean (mae: median) throughout."""
    assert trivial_baseline(data, "y", metric) == Decimal(score)


def test_penguins() -> None:
    assert trivial_baseline(PENGUINS, "species", "accuracy") == rounded(152 / 344)


@pytest.mark.parametrize(
    ("target", "metric"),
    [
        ("label", "bleu"),
        ("nothing", "accuracy"),
        ("nothing", "r2"),
        ("label", "rmse"),
        ("nothing", "roc_auc"),
    ],
)
def test_what_cannot_be_known_is_none(data: Path, target: str, metric: str) -> None:
    assert trivial_baseline(data, target, metric) is None


def test_one_class_has_no_roc_auc(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"y": 1}\n{"y": 1}\n')
    assert trivial_baseline(tmp_path, "y", "roc_auc") is None
    assert trivial_baseline(tmp_path, "y", "accuracy") == 1


def test_json_lines_and_csv_agree(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"y": 1}\n{"x": 1, "y": null}\n{"y": 2}\n')
    (tmp_path / "b.csv").write_bytes("名,y\n東京,1\n大阪,NA\n".encode("cp932"))
    assert trivial_baseline(tmp_path, "y", "accuracy") == rounded(2 / 3)


def test_a_broken_table_or_a_nested_target_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"y": [1]}\n')
    assert trivial_baseline(tmp_path, "y", "accuracy") is None
    (tmp_path / "a.jsonl").unlink()
    pq.write_table(pa.table({"y": [[1], [2]]}), tmp_path / "a.parquet")
    assert trivial_baseline(tmp_path, "y", "accuracy") is None
    (tmp_path / "a.parquet").write_bytes(b"broken")
    (tmp_path / "b.csv").write_text("y\n1\n")
    assert trivial_baseline(tmp_path, "y", "accuracy") is None


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Eight of ten are ``a`` where is learned, two of six where is scored."""
    for name, labels, numbers in (
        ("train", "a" * 8 + "bd", [1, 2, 3, 4, 5, 6, 7, 8, 9, 50]),
        ("test", "aabbcc", [10, 20, 30, 40, 50, 60]),
    ):
        (tmp_path / name).mkdir()
        rows = "".join(f"{label},{number}\n" for label, number in zip(labels, numbers, strict=True))
        (tmp_path / name / "t.csv").write_text(f"label,y\n{rows}")
    return tmp_path


SPLITS = {"train": ["data/train/**"], "test": ["data/test/**"]}


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1"])
def test_classes_are_guessed_from_other_rows_than_those_that_are_scored(split: Path, metric: str) -> None:
    score = {
        "accuracy": accuracy_score,
        "balanced_accuracy": balanced_accuracy_score,
        "macro_f1": lambda true, guessed: f1_score(true, guessed, average="macro"),
    }[metric]
    guess = (
        DummyClassifier(strategy="most_frequent").fit([[0]] * 10, ["a"] * 8 + ["b", "d"]).predict([[0]] * 6)
    )
    expected = score(["a", "a", "b", "b", "c", "c"], guess)
    assert trivial_baseline(split, "label", metric, SPLITS) == rounded(expected)
    assert trivial_baseline(split, "label", metric, {}) != rounded(expected)


@pytest.mark.parametrize("metric", ["mse", "rmse", "mae"])
def test_numbers_are_guessed_from_other_rows_than_those_that_are_scored(split: Path, metric: str) -> None:
    score = {
        "mse": mean_squared_error,
        "rmse": root_mean_squared_error,
        "mae": mean_absolute_error,
    }[metric]
    learned = [1, 2, 3, 4, 5, 6, 7, 8, 9, 50]
    dummy = DummyRegressor(strategy="median" if metric == "mae" else "mean").fit([[0]] * 10, learned)
    expected = score([10, 20, 30, 40, 50, 60], dummy.predict([[0]] * 6))
    assert trivial_baseline(split, "y", metric, SPLITS) == rounded(expected)
    assert trivial_baseline(split, "y", metric, {}) != rounded(expected)


def test_a_class_that_was_never_seen_and_a_split_without_the_target_are_no_division_by_zero(
    split: Path,
) -> None:
    (split / "test/t.csv").write_text("label,y\nc,1\nd,2\n")
    assert trivial_baseline(split, "label", "accuracy", SPLITS) == 0
    assert trivial_baseline(split, "label", "macro_f1", SPLITS) == 0
    (split / "test/t.csv").write_text("other\nc\n")
    assert trivial_baseline(split, "label", "accuracy", SPLITS) == Decimal("0.8")
    assert trivial_baseline(split, "label", "accuracy", {"test": ["data/**"]}) == Decimal("0.8")
