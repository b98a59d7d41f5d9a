"""Which species is this penguin? A classifier from four measurements of its body.

It reads penguins.csv in --data and nothing else, and writes metrics.json and model.joblib to --out.
Birds without measurements ("NA") are left out and counted; no value is made up. The island is not
used, because it gives the species away: Chinstrap and Gentoo penguins were each met on one island.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 0
MEASUREMENTS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]


def main() -> None:
    """Trains on 70 % of the measured birds, and measures on the other 30 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds penguins.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder for the metrics and the model")
    options = parser.parse_args()

    with (options.data / "penguins.csv").open(encoding="utf-8", newline="") as file:
        birds = list(csv.DictReader(file))
    measured = [bird for bird in birds if all(bird[name] != "NA" for name in MEASUREMENTS)]
    sizes = np.array([[float(bird[name]) for name in MEASUREMENTS] for bird in measured])
    species = np.array([bird["species"] for bird in measured])

    train_sizes, test_sizes, train_species, test_species = train_test_split(
        sizes, species, test_size=0.3, stratify=species, random_state=SEED
    )
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(train_sizes, train_species)
    predicted = model.predict(test_sizes)

    metrics = {
        "accuracy": accuracy_score(test_species, predicted),
        "macro_f1": f1_score(test_species, predicted, average="macro"),
        "train_rows": len(train_species),
        "test_rows": len(test_species),
        "rows_without_measurements": len(birds) - len(measured),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    joblib.dump(model, options.out / "model.joblib")


if __name__ == "__main__":
    main()
