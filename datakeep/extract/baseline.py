r"""What a model scores that has learned nothing: what a reference training must beat.

It guesses what it saw of the rows that are learned from, and is scored on :math:`n` others: those of the test
splits, or all where there are none. With :math:`k` classes among the scored values, and :math:`p` the share of the
guessed one:

===========================  =================================  =======================================
metric                       the model that knows nothing       scores
===========================  =================================  =======================================
accuracy                     guesses the largest class          p
balanced_accuracy            guesses the largest class          1/k (recall 1 of one class, 0 of others)
macro_recall                 guesses the largest class          1/k
macro_f1                     guesses the largest class          2p / (1 + p) / k (precision p, recall 1)
roc_auc                      orders at random                   0.5
r2                           predicts the mean of what counts   0
mse                          predicts the mean m                the mean of (y - m)², over n
rmse                         predicts the mean m                √mse
mae                          predicts the median m              the mean of \|y - m\|
===========================  =================================  =======================================

A value that is missing (empty, ``NA``, null, and for numbers NaN) is left out.
"""

from __future__ import annotations

import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakeep.core.decimals import rounded
from datakeep.core.errors import SourceMalformed
from datakeep.core.patterns import splitter
from datakeep.extract import tabular
from datakeep.formats.read_order import is_test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_PLACES = Decimal("0.000001")
_SYNONYMS = {
    "acc": "accuracy",
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "f1_macro": "macro_f1",
    "macro_recall": "balanced_accuracy",
    "recall_macro": "balanced_accuracy",
    "r2_score": "r2",
    "mean_absolute_error": "mae",
    "mean_squared_error": "mse",
    "root_mean_squared_error": "rmse",
}


def trivial_baseline(
    data: Path, target: str, metric: str, splits: Mapping[str, Sequence[str]] | None = None
) -> Decimal | None:
    """The score of a model that has learned nothing, rounded to six places.

    It is computed over all rows of all tabular files that have the column, with the formulas above. Classes
    are told apart by their text. In memory are the counts of the classes, or the target's numbers.

    Args:
        data: The dataset's data folder.
        target: The column that is predicted.
        metric: Its name, ``_`` or ``-`` between words, in any case.
        splits: For each split its globs, relative to the dataset repository. A metric is taken to be scored on the
            rows of the test splits, and learned from all others.

    Returns:
        None where it cannot be known: an unknown metric, no such column, no value in it, numbers asked of a
        column that holds none, one class only for roc_auc, or a tabular file that does not parse.
    """
    name = metric.lower().replace("-", "_").replace(" ", "_")
    name = _SYNONYMS.get(name, name)
    files = _files(data, splits or {})
    try:
        if name in _OF_CLASSES:
            counts = [_class_counts(data, some, target) for some in files]
            score = _scored(_OF_CLASSES[name], *counts)
        elif name in _OF_NUMBERS:
            values = [_numbers(data, some, target) for some in files]
            score = None if any(some is None for some in values) else _scored(_OF_NUMBERS[name], *values)
        else:
            return None
    except SourceMalformed:
        return None
    return None if score is None else rounded(Decimal(repr(score)), _PLACES)


def _scored(score: Callable[[Any, Any], float | None], learned: Any, scored: Any) -> float | None:
    """Where one of the two has no value, all of them are both."""
    if not len(scored) or not len(learned):
        learned = scored = scored if len(scored) else learned
    found = score(learned, scored) if len(scored) else None
    return None if found is None else float(found)


def _files(data: Path, splits: Mapping[str, Sequence[str]]) -> tuple[list[Path], list[Path]]:
    """The tabular files that are learned from, and those that are scored."""
    split_of, learned, scored = splitter(splits), list[Path](), list[Path]()
    for folder, folders, names in os.walk(data):
        folders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if tabular.extension(name) in tabular.TABULAR:
                split = split_of(f"data/{file.relative_to(data).as_posix()}")
                (scored if split and is_test(split) else learned).append(file)
    return learned, scored


def _columns(data: Path, files: Sequence[Path], target: str) -> Iterator[Any]:
    """The target's values, as arrays of text."""
    for file in files:
        reader = tabular.reader_of(tabular.extension(file.name))
        yield from reader.values(str(file.relative_to(data)), file, target)


def _class_counts(data: Path, files: Sequence[Path], target: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for array in _columns(data, files, target):
        for found in array.drop_null().value_counts().to_pylist():
            counts[found["values"]] += found["counts"]
    return counts


def _share(learned: Counter[str], scored: Counter[str]) -> float:
    """Of the class that is guessed: of equally large ones, that which is the most frequent among the scored."""
    most = max(learned.values())
    return max(scored[one] for one, count in learned.items() if count == most) / scored.total()


def _balanced(learned: Counter[str], scored: Counter[str]) -> float:
    return (1 if _share(learned, scored) else 0) / len(scored)


def _macro_f1(learned: Counter[str], scored: Counter[str]) -> float:
    share = _share(learned, scored)
    return 2 * share / (1 + share) / len(scored)


_OF_CLASSES: dict[str, Callable[[Counter[str], Counter[str]], float | None]] = {
    "accuracy": _share,
    "balanced_accuracy": _balanced,
    "roc_auc": lambda _, scored: 0.5 if len(scored) > 1 else None,
    "macro_f1": _macro_f1,
}


def _numbers(data: Path, files: Sequence[Path], target: str) -> Any:
    """The finite numbers of the column, NaN left out; None if it holds something else."""
    import numpy as np
    import pyarrow as pa

    parts = []
    for array in _columns(data, files, target):
        try:
            parts.append(array.drop_null().cast(pa.float64()).to_numpy(zero_copy_only=False))
        except pa.ArrowInvalid:
            return None
    values = np.concatenate(parts) if parts else np.empty(0)
    values = values[~np.isnan(values)]
    return values if np.isfinite(values).all() else None


_OF_NUMBERS: dict[str, Callable[[Any, Any], float]] = {
    "r2": lambda _, __: 0.0,
    "mse": lambda learned, scored: ((scored - learned.mean()) ** 2).mean(),
    "rmse": lambda learned, scored: ((scored - learned.mean()) ** 2).mean() ** 0.5,
    "mae": lambda learned, scored: abs(scored - _median(learned)).mean(),
}


def _median(values: Any) -> float:
    import numpy as np

    return float(np.median(values))
