"""Parameters out of a command line; what is secret in it, or in a patch, is never written down."""

from __future__ import annotations

import pytest

from datakeep.core.arguments import options_of, parameters_of, seeds_of, without_program_text, without_secrets
from datakeep.core.secrets import WITHHELD, find_secret_in_patch


def test_options_are_parameters() -> None:
    argv = ["train.py", "--lr", "0.1", "--fast", "--epochs=3", "-n", "4", "optimizer.name=adam", "data.csv"]
    assert options_of(argv) == {
        "lr": "0.1", "fast": True, "epochs": "3", "n": "4", "optimizer.name": "adam",
    }  # fmt: skip


def test_what_is_called_or_looks_like_a_secret_is_withheld() -> None:
    argv = [
        "t.py",
        "--api-key",
        "k",
        "--token=t",
        "db.password=p",
        "postgres://u:p@h/d",
        "AKIA" + "A" * 16,
        "--lr",
        "1",
    ]
    assert without_secrets(argv) == [
        "t.py", "--api-key", WITHHELD, f"--token={WITHHELD}", f"db.password={WITHHELD}", "postgres://u@h/d", WITHHELD,
        "--lr", "1",
    ]  # fmt: skip
    assert without_secrets(["--password", "--lr", "1"]) == ["--password", "--lr", "1"]


@pytest.mark.parametrize("program", [["papermill"], ["/opt/bin/papermill"], ["python", "-m", "papermill"]])
def test_of_a_name_and_a_value_the_name_is_the_parameters(program: list[str]) -> None:
    argv = [
        *program, "in.ipynb", "out.ipynb", "--no-progress-bar", "-p", "seed", "7", "--parameters", "lr", "-1e-3",
        "-r", "p", "-p", "-p", "password", "hunter2", "-k", "python3",
    ]  # fmt: skip
    found = parameters_of(argv)
    found.pop("m", None)
    assert found == {
        "no-progress-bar": True, "seed": "7", "lr": "-1e-3", "p": "-p", "password": WITHHELD, "k": "python3",
    }  # fmt: skip
    assert "hunter2" not in without_secrets(argv)


def test_elsewhere_an_option_has_one_value() -> None:
    assert parameters_of(["train", "-p", "seed", "7"]) == {"p": "seed"}
    assert parameters_of(["papermill", "in.ipynb", "-p", "seed"]) == {"p": "seed"}
    assert parameters_of(["python", "-c", "print('--x 1')", "--lr", "1"]) == {"lr": "1"}


def test_seeds_are_found_by_their_names() -> None:
    found = seeds_of(
        {"seed": "1", "model": {"random_state": 2, "depth": 3}, "np-seed": 4, "seeded": 5, "seed2": True}
    )
    assert found == {"seed": "1", "model.random_state": "2", "np-seed": "4"}


@pytest.mark.parametrize(
    ("name", "line", "found"),
    [
        ("a.py", "+token = 'abcdef'", True),
        ("a.py", "+x('y', lr=1, password=\"abcdef\")", True),
        ("a.py", "+token = os.environ['TOKEN']", False),
        ("a.py", "+def f(token: str) -> None:", False),
        ("a.yaml", "+api_key: abcdef", True),
        ("a.yaml", "+api_key:", False),
        ("a.yaml", "+max_tokens: 5", False),
        ("a.yaml", "+url: https://u:p@h/x", True),
    ],
)
def test_a_secret_in_a_patch_is_found(name: str, line: str, found: bool) -> None:
    patch = f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -0,0 +1 @@\n{line}\n"
    assert (find_secret_in_patch(patch) is not None) == found


@pytest.mark.parametrize(
    ("command", "own"),
    [
        (["python", "-c", "lr=1", "--depth", "3"], ["--depth", "3"]),
        (["/usr/bin/python3.11", "-W", "error", "-Ic", "lr=1"], []),
        (["uv", "run", "python", "-c", "lr=1"], []),
        (["python", "train.py", "-c", "a.yaml"], ["train.py", "-c", "a.yaml"]),
        (["sh", "-e", "train.sh", "lr=1"], ["-e", "train.sh", "lr=1"]),
        (["bash", "-ec", "lr=1"], []),
        (["./train", "-c", "a.yaml"], ["-c", "a.yaml"]),
    ],
)
def test_the_text_of_a_program_has_no_parameters(command: list[str], own: list[str]) -> None:
    assert without_program_text(command) == own
