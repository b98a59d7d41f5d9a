r"""What a model scores that has learned nothing: what a reference training must beat.

With :math:`n` values of the target, :math:`k` classes, and :math:`p` the share of the largest class:

===========================  ==========================  =======================================
metric                       the model that knows nothing  scores
===========================  ==========================  =======================================
accuracy                     guesses the largest class   p
balanced_accuracy            guesses the largest class   1/k (recall 1 of one class, 0 of others)
macro_recall                 guesses the largest class   1/k
macro_f1                     guesses the largest class   2p / (1 + p) / k (precision p, recall 1)
roc_auc                      orders at random            0.5
r2                           predicts the mean           0
mse                          predicts the mean           the mean of (y - mean)², over n
rmse                         predicts the mean           √mse
mae                          predicts the median         the mean of \|y - median\|
===========================  ==========================  =======================================

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
from datakeep.extract import tabular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def trivial_baseline(data: Path, target: str, metric: str) -> Decimal | None:
    """The score of a model that has learned nothing, rounded to six places.

    It is computed over all rows of all tabular files that have the column, with the formulas above. Classes
    are told apart by their text. In memory are the counts of the classes, or the target's numbers.

    Args:
        data: The dataset's data folder.
        target: The column that is predicted.
        metric: Its name, ``_`` or ``-`` between words, in any case.

    Returns:
        None where it cannot be known: an unknown metric, no such column, no value in it, numbers asked of a
        column that holds none, one class only for roc_auc, or a tabular file that does not parse.
    """
    name = metric.lower().replace("-", "_").replace(" ", "_")
    name = _SYNONYMS.get(name, name)
    try:
        if name in _OF_CLASSES:
            score = _OF_CLASSES[name](_class_counts(data, target))
        elif name in _OF_NUMBERS:
            score = _score_of_numbers(data, target, _OF_NUMBERS[name])
        else:
            return None
    except SourceMalformed:
        return None
    return None if score is None else rounded(Decimal(repr(score)), _PLACES)


def _columns(data: Path, target: str) -> Iterator[Any]:
    """The target's values, as arrays of text."""
    for folder, folders, names in os.walk(data):
        folders.sort()
        for name in sorted(names):
            kind = tabular.extension(name)
            if kind in tabular.TABULAR:
                file = Path(folder, name)
                yield from tabular.reader_of(kind).values(str(file.relative_to(data)), file, target)


def _class_counts(data: Path, target: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for array in _columns(data, target):
        for found in array.drop_null().value_counts().to_pylist():
            counts[found["values"]] += found["counts"]
    return counts


def _share(counts: Counter[str]) -> float:
    return max(counts.values()) / counts.total()


_OF_CLASSES: dict[str, Callable[[Counter[str]], float | None]] = {
    "accuracy": lambda counts: _share(counts) if counts else None,
    "balanced_accuracy": lambda counts: 1 / len(counts) if counts else None,
    "roc_auc": lambda counts: 0.5 if len(counts) > 1 else None,
    "macro_f1": lambda counts: 2 * _share(counts) / (1 + _share(counts)) / len(counts) if counts else None,
}


def _score_of_numbers(data: Path, target: str, score: Callable[[Any], float]) -> float | None:
    import numpy as np
    import pyarrow as pa

    parts = []
    for array in _columns(data, target):
        try:
            parts.append(array.drop_null().cast(pa.float64()).to_numpy(zero_copy_only=False))
        except pa.ArrowInvalid:
            return None
    values = np.concatenate(parts) if parts else np.empty(0)
    values = values[~np.isnan(values)]
    return float(score(values)) if len(values) and np.isfinite(values).all() else None


_OF_NUMBERS: dict[str, Callable[[Any], float]] = {
    "r2": lambda _: 0.0,
    "mse": lambda values: values.var(),
    "rmse": lambda values: values.std(),
    "mae": lambda values: abs(values - _median(values)).mean(),
}


def _median(values: Any) -> float:
    import numpy as np

    return float(np.median(values))
