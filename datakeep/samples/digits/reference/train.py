"""Which digit is on this scan? A support vector machine on the pixels of 8x8 images.

It reads labels.csv and the images that it names in --data and nothing else, and writes metrics.json
and model.joblib to --out. The data does not say who wrote a digit, so the test digits are of the same
13 writers as the training digits: expect less from the handwriting of a stranger.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import joblib
import numpy as np
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

SEED = 0


def read_scan(path: Path) -> np.ndarray:
    """The 64 values of one scan, 0 (no ink) to 16 (all ink), which the PNG holds as min(16 v, 255)."""
    with Image.open(path) as image:
        return (np.asarray(image, dtype=np.int64).ravel() + 1) // 16


def main() -> None:
    """Trains on 70 % of the scans, and measures on the other 30 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds labels.csv and images/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the metrics and the model")
    options = parser.parse_args()

    with (options.data / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    scans = np.array([read_scan(options.data / row["file"]) for row in rows])
    labels = np.array([int(row["label"]) for row in rows])

    train_scans, test_scans, train_labels, test_labels = train_test_split(
        scans, labels, test_size=0.3, stratify=labels, random_state=SEED
    )
    model = SVC(gamma=0.001)
    model.fit(train_scans, train_labels)
    predicted = model.predict(test_scans)

    metrics = {
        "accuracy": accuracy_score(test_labels, predicted),
        "macro_f1": f1_score(test_labels, predicted, average="macro"),
        "train_images": len(train_labels),
        "test_images": len(test_labels),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    joblib.dump(model, options.out / "model.joblib")


if __name__ == "__main__":
    main()
