"""MLflow and datakeep: a training is one run and one record that name each other, and old runs become records.

A real `mlflow server` on SQLite, in an environment of its own; the trainings log to it by MLflow's own client.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tracker_programs import MlflowServer
from world import FACTS, Ran, World

from datakeep.formats.model import ModelRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "Geheim-4711"
PLAIN = """\
import json, os, pathlib, sys
data = pathlib.Path(os.environ["DATAKEEP_DATA_ORDERS"])
(data / "train/orders.csv").read_text()
out = pathlib.Path(os.environ["DATAKEEP_OUT"])
(out / "model.bin").write_text(os.urandom(8).hex())
(out / "metrics.json").write_text(json.dumps({"accuracy": 0.75, "f1 (macro)": 0.5, "../odd": 0.25}))
sys.exit(int(sys.argv[-1]))
"""
#: Chooses its own experiment, logs a metric of the same name, and has two runs within its run.
OWN = (
    """\
import mlflow
mlflow.set_experiment("theirs")
with mlflow.start_run(run_name="sweep"):
    mlflow.log_metric("accuracy", 0.5)
    mlflow.log_param("lr", 0.5)
    for _ in range(2):
        with mlflow.start_run(nested=True):
            mlflow.log_metric("loss", 1)
"""
    + PLAIN
)
LOAD = """\
import mlflow, os, pathlib, sys
from datakeep.core.errors import NotAKeep
run = mlflow.MlflowClient().get_run(sys.argv[1])
source = mlflow.data.get_source(run.inputs.dataset_inputs[0])
folder = source.load()
print(type(source).__name__, folder)
file = folder / "train/orders.csv"
assert [one.name for one in file.parent.iterdir()] == [file.name], "v2 has one more"
assert file.stat().st_mode & 0o222 == 0
whole = file.read_text()
file.chmod(0o644); file.write_text("changed")
assert source.load() == folder and file.read_text() == whole
os.chdir("/")
try:
    source.load()
except NotAKeep as error:
    print(error.what, error.next_step)
os.environ["DATAKEEP_KEEP"] = sys.argv[2]
assert source.load() == folder == source.load(keep=sys.argv[2])
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def team(world: World) -> World:
    """The world, with two versions of ``orders`` that differ in their bytes, and one of ``other``."""
    world.register("orders", "git")
    (world.orders / "train" / "more.csv").write_text("id,amount,late\n41,1,no\n")
    world.aiko.datakeep("update", "orders", world.orders, "-m", "more", cwd=world.keep)
    only = world.aiko.cwd / "other"
    only.mkdir()
    (only / "other.csv").write_text("id\n7\n")
    world.aiko.datakeep("register", "other", only, "--backend", "dvc", *FACTS, cwd=world.keep)
    world.aiko.extra["MLFLOW_DISABLE_TELEMETRY"] = "true"
    return world


class Place:
    """A folder to train in, and Aiko, who may have MLflow set up."""

    def __init__(self, team: World, folder: Path, server: MlflowServer) -> None:
        self.team, self.folder, self.server = team, folder, server
        self.count = 0

    def run(
        self,
        code: str,
        *arguments: str,
        uri: str | None = None,
        exits: int = 0,
        options: tuple[str, ...] = (),
    ) -> Ran:
        (self.folder / "train.py").write_text(code)
        self.count += 1
        with self.variables(MLFLOW_TRACKING_URI=uri or self.server.uri):
            return self.team.aiko.datakeep(
                "run", "--model", "churn", "--uses", "orders@v1", "--out", self.folder / f"out-{self.count}",
                *options, "-C", self.team.keep, "--", "python", "train.py", *arguments, cwd=self.folder, code=exits,
            )  # fmt: skip

    def variables(self, **values: str) -> Any:
        return pytest.MonkeyPatch.context() if not values else _Variables(self.team.aiko.extra, values)

    def record(self, model: str = "churn") -> ModelRecord:
        paths = (self.team.keep / "models" / model).glob("*.yaml")
        read = [ModelRecord.read(path.read_bytes(), what=path.name) for path in paths]
        return max(read, key=lambda one: int(one.version[1:]))

    def mlflow_run(self, record: ModelRecord) -> Any:
        assert record.tracked is not None
        return self.server.client().get_run(record.tracked.run)

    def take(self, run_id: str, *options: str | Path, code: int = 0, model: str = "old") -> Ran:
        return self.team.aiko.datakeep(
            "record", model, *options, "--from-mlflow", run_id, "--tracking-uri", self.server.uri,
            cwd=self.team.keep, code=code,
        )  # fmt: skip


class _Variables:
    def __init__(self, extra: dict[str, str], values: dict[str, str]) -> None:
        self._extra, self._values = extra, values

    def __enter__(self) -> None:
        self._extra.update(self._values)

    def __exit__(self, *_: object) -> None:
        for name in self._values:
            self._extra.pop(name, None)


@pytest.fixture
def place(team: World, tmp_path: Path, server: MlflowServer) -> Place:
    return Place(team, tmp_path, server)


def _inputs(run: Any) -> list[tuple[str, str, dict[str, Any], dict[str, str]]]:
    return [
        (
            one.dataset.name,
            one.dataset.digest,
            json.loads(one.dataset.source),
            {tag.key: tag.value for tag in one.tags},
        )
        for one in run.inputs.dataset_inputs
    ]


def test_a_training_that_knows_no_mlflow_is_a_run_that_names_its_record(place: Place, team: World) -> None:
    ran = place.run(PLAIN, "--lr", "0.1", "--token=abcdef", "0")
    record = place.record()
    run = place.mlflow_run(record)
    entry = team.aiko.datakeep("show", "orders@v1", "--json", cwd=team.keep).data["entry"]
    assert f"logged to MLflow: run {run.info.run_id} at {place.server.uri}" in ran.err
    assert f"MLflow run {run.info.run_id} of Default at {place.server.uri}" in ran.err
    assert (run.info.status, run.info.run_name) == ("FINISHED", f"churn@{record.version}")
    assert run.data.metrics == {"accuracy": 0.75, "f1 _macro_": 0.5, "__odd": 0.25}
    assert run.data.params == {"lr": "0.1"}
    assert run.data.tags["datakeep.record"] == f"churn@{record.version}"
    assert run.data.tags["mlflow.source.name"].endswith("train.py")
    [(name, digest, source, tags)] = _inputs(run)
    assert (name, digest) == ("orders", entry["commit"][:36])
    assert (source["dataset"], source["version"]) == ("orders", "v1")
    assert (source["commit"], source["content"]) == (entry["commit"], entry["content"])
    assert tags["mlflow.data.context"] == "training"
    assert tags["datakeep.files_read"] == "1 file"


def test_get_source_load_gives_the_verified_folder_of_exactly_that_version(place: Place, team: World) -> None:
    place.run(PLAIN, "0")
    run_id = str(place.record().tracked.run)  # type: ignore[union-attr]
    with place.variables(MLFLOW_TRACKING_URI=place.server.uri):
        loaded, lost = team.aiko.run("python", "-c", LOAD, run_id, team.keep, cwd=team.keep).out.splitlines()
    assert loaded.startswith(f"DatakeepSource {team.keep}/.datakeep/given/orders/")
    assert lost.startswith(
        "orders@v1 is of the keep 'keep', and there is no keep at / clone it (git clone -- "
    )


def test_a_source_whose_version_has_other_contents_here_is_refused(place: Place, team: World) -> None:
    entry = team.aiko.datakeep("show", "orders@v1", "--json", cwd=team.keep).data["entry"]
    said = {name: entry[name] for name in ("dataset", "version", "content")} | {
        "commit": "0" * 40,
        "keep": "another",
    }
    code = (
        "from mlflow.data.dataset_source_registry import get_dataset_source_from_json as source\n"
        f"source({json.dumps(said)!r}, 'datakeep').load()"
    )
    ran = team.aiko.run("python", "-c", code, cwd=team.keep, code=1)
    assert "has other contents as orders@v1 than MLflow's run names" in ran.err


def test_what_the_training_logs_itself_and_what_datakeep_knows_is_one_run(place: Place) -> None:
    ran = place.run(OWN, "--lr", "0.1", "--epochs", "3", "0")
    record = place.record()
    run = place.mlflow_run(record)
    assert (record.tracked.name, record.tracked.experiment) == ("sweep", "theirs")
    assert "and 2 further runs" in ran.err
    assert run.data.metrics == {"accuracy": 0.5, "f1 _macro_": 0.5, "__odd": 0.25}  # its own value is left
    assert run.data.params == {"lr": "0.5", "epochs": "3"}
    assert record.metrics["accuracy"] == "0.75"
    assert [name for name, *_ in _inputs(run)] == ["orders"]
    for run_id in record.tracked.further:
        inner = place.server.client().get_run(run_id)
        assert inner.data.tags["mlflow.parentRunId"] == run.info.run_id
        assert inner.data.tags["datakeep.record"] == f"churn@{record.version}"
        assert [name for name, *_ in _inputs(inner)] == ["orders"]
    assert all("mlflow" not in one["path"] for one in record.undeclared)


def test_a_training_that_fails_is_a_failed_run_and_its_exit_code_is_passed_on(place: Place) -> None:
    place.run(OWN, "9", exits=9)  # MLflow itself says FINISHED: its block had ended
    assert place.mlflow_run(place.record()).info.status == "FAILED"


def test_a_server_that_is_down_costs_a_warning_and_the_run_is_logged_later(place: Place, team: World) -> None:
    ran = place.run(PLAIN, "4", uri=f"http://aiko:{PASSWORD}@127.0.0.1:1", exits=4)
    record = place.record()
    label = f"churn@{record.version}"
    assert "the MLflow server http://aiko@127.0.0.1:1 does not answer (connection refused)" in ran.err
    assert f"to log it later: datakeep record --to-mlflow {label}" in ran.err
    assert record.tracked is None
    assert any("its run in MLflow" in line for line in record.unknown)
    down = team.aiko.datakeep(
        "record", "--to-mlflow", label, "--tracking-uri", "http://127.0.0.1:1", cwd=team.keep, code=17
    )
    assert "does not answer" in down.err
    later = ("record", "--to-mlflow", label, "--tracking-uri", place.server.uri)
    said = team.aiko.datakeep(*later, cwd=team.keep).out
    named = place.record()
    run = place.mlflow_run(named)
    assert f"model {label} is logged to MLflow: run {run.info.run_id}" in said
    assert named.model_copy(update={"tracked": None}) == record.model_copy(update={"tracked": None})
    assert run.data.tags["datakeep.record"] == label
    assert run.info.status == "FAILED"
    assert [name for name, *_ in _inputs(run)] == ["orders"]
    team.aiko.datakeep(*later, cwd=team.keep)
    assert place.record().tracked == named.tracked  # once is enough


def test_a_password_in_the_tracking_uri_is_written_nowhere(place: Place, team: World) -> None:
    uri = place.server.uri.replace("://", f"://aiko:{PASSWORD}@")
    ran = place.run(PLAIN, "0", uri=uri)
    run = place.mlflow_run(place.record())
    took = team.aiko.datakeep(
        "record", "pw", "--from-mlflow", run.info.run_id, "--tracking-uri", uri, cwd=team.keep
    )
    failed = team.aiko.datakeep(
        "record", "pw", "--from-mlflow", "0" * 32, "--tracking-uri", uri, cwd=team.keep, code=11
    )
    history = team.aiko.run("git", "log", "--all", "-p", cwd=team.keep).out
    assert "http://aiko@127.0.0.1" in history
    # MLflow's own client prints where a run is; datakeep's lines begin otherwise.
    shown = [line for line in (ran.out + ran.err).splitlines() if "View" not in line]
    for text in (
        "\n".join(shown),
        took.out,
        took.err,
        failed.out,
        failed.err,
        history,
        str(run.to_dictionary()),
    ):
        assert PASSWORD not in text


def test_without_the_client_a_run_goes_on_and_says_what_to_install(place: Place, team: World) -> None:
    (place.folder / "sitecustomize.py").write_text("import sys\nsys.modules['mlflow'] = None\n")
    what = "pip install 'datakeep[mlflow]'"
    with place.variables(PYTHONPATH=str(place.folder)):
        ran = place.run(PLAIN, "0")
        assert "MLFLOW_TRACKING_URI is set, but nothing is logged there" in ran.err
        assert what in ran.err
        assert place.record().tracked is None
        quiet = place.run(PLAIN, "0", options=("--no-mlflow",))
        assert "MLFLOW" not in quiet.err
        asked = place.run(PLAIN, "0", options=("--mlflow", place.server.uri), exits=125)
        assert what in asked.err
        assert what in place.take("0" * 32, code=25).err


def test_no_mlflow_leaves_no_trace(place: Place) -> None:
    before = len(place.server.client().search_runs(["0"]))
    ran = place.run(PLAIN, "0", options=("--no-mlflow",))
    assert "MLflow" not in ran.err
    assert place.record().tracked is None
    assert len(place.server.client().search_runs(["0"])) == before


def test_a_block_of_python_is_logged_to_the_run_that_is_open_or_was_in_it_or_to_a_new_one(
    place: Place, team: World
) -> None:
    code = f"""\
import datakeep, mlflow, os
mlflow.set_tracking_uri({place.server.uri!r})
mlflow.set_experiment("notebook")
def train(**more):
    return datakeep.training(model="block", keep={str(team.keep)!r}, **more)
with mlflow.start_run() as around:
    with train() as t:
        t.use("orders@v1"); t.log(accuracy=0.25)
assert t.recorded.record.tracked.run == around.info.run_id
with train() as t:
    with mlflow.start_run() as inside:
        mlflow.log_metric("accuracy", 0.5)
    t.use("orders@v2"); t.log(accuracy=0.25, f1=1)
assert t.recorded.record.tracked.run == inside.info.run_id
with train(mlflow=False) as t:
    t.log(accuracy=0.25)
assert t.recorded.record.tracked is None
with train() as t:
    t.log(accuracy=0.125)
assert "MLFLOW_RUN_CONTEXT" not in os.environ
print(around.info.run_id, inside.info.run_id, t.recorded.record.tracked.run)
"""
    ran = team.aiko.run("python", "-c", code, cwd=place.folder)
    ids = ran.out.splitlines()[-1].split()
    around, inside, new = (place.server.client().get_run(run_id) for run_id in ids)
    assert around.data.metrics == {"accuracy": 0.25}
    assert around.info.status == "FINISHED"
    assert [source["version"] for _, _, source, _ in _inputs(around)] == ["v1"]
    assert inside.data.metrics == {"accuracy": 0.5, "f1": 1}
    assert [source["version"] for _, _, source, _ in _inputs(inside)] == ["v2"]
    assert (new.data.metrics, new.info.status) == ({"accuracy": 0.125}, "FINISHED")


@pytest.fixture
def old(place: Place, team: World) -> Any:
    """A run that was made without datakeep, and names its data in many ways."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    client = place.server.client()
    entries = {
        name: team.aiko.datakeep("show", name, "--json", cwd=team.keep).data["entry"]
        for name in ("orders@v1", "orders@v2", "other@v1")
    }
    run = client.create_run("0", run_name="old", tags={"mlflow.source.git.commit": "a" * 40})
    run_id = run.info.run_id
    copy = place.folder / "copied.csv"
    copy.write_bytes((team.aiko.cwd / "other/other.csv").read_bytes())
    changed = place.folder / "changed.csv"
    changed.write_text("something else\n")
    lasting = ("dataset", "version", "commit", "content")
    said = {name: entries["orders@v2"][name] for name in lasting}
    datasets = [
        Dataset("training data", "1", "datakeep", json.dumps(said)),
        Dataset("gone", "2", "datakeep", json.dumps(said | {"commit": "0" * 40})),
        Dataset("a copy", "3", "local", json.dumps({"uri": str(copy)})),
        Dataset("changed", "4", "local", json.dumps({"uri": str(changed)})),
        Dataset("orders", "5", "http", json.dumps({"url": f"https://u:{PASSWORD}@x.example/o.csv"})),
        Dataset("\x1b[31mred", "6", "code", "no JSON"),
    ]
    client.log_inputs(
        run_id, [DatasetInput(one, [InputTag("mlflow.data.context", "training")]) for one in datasets]
    )
    given = (
        f"/home/x/keep/.datakeep/given/orders/{entries['orders@v1']['content'].removeprefix('sha256:')}/data"
    )
    for name, value in {"data": given, "lr": "0.1", "seed": "3", "api_key": "abcdef"}.items():
        client.log_param(run_id, name, value)
    client.log_metric(run_id, "accuracy", 0.9)
    client.log_metric(run_id, "broken", float("nan"))
    client.set_terminated(run_id)
    return run


def test_a_run_of_mlflow_becomes_a_record_with_what_matches_what_is_a_guess_and_what_is_not_known(
    place: Place, team: World, old: Any
) -> None:
    model = place.folder / "model.bin"
    model.write_bytes(b"model")
    ran = place.take(old.info.run_id, model, "--metric", "f1=0.5")
    record = place.record("old")
    assert {(one.dataset, one.version): one.how for one in record.inputs} == {
        ("orders", "v1"): "declared",
        ("orders", "v2"): "declared",
        ("other", "v1"): "declared",
    }
    because = {f"{one.dataset}@{one.version}": str(one.because) for one in record.inputs}
    assert "training data has this version of datakeep as its source" in because["orders@v2"]
    assert "which has the bytes of a file of this version now" in because["other@v1"]
    assert "lies in the folder that datakeep gave this content id" in because["orders@v1"]
    guesses = {one["path"]: str(one.get("guess")) for one in record.undeclared}
    assert set(guesses) == {
        "gone",
        str(place.folder / "changed.csv"),
        "https://u@x.example/o.csv",
        "\\x1b[31mred",
    }
    assert "it says that it is orders@v2 of the keep unknown; this keep has other contents" in guesses["gone"]
    assert "the name is like that of the dataset orders" in guesses["https://u@x.example/o.csv"]
    assert guesses[str(place.folder / "changed.csv")] == "None"
    assert (record.origin, record.status) == ("mlflow", "completed")
    assert (record.metrics, record.seeds) == ({"accuracy": "0.9", "f1": "0.5"}, {"seed": "3"})
    assert record.parameters["api_key"] == "(withheld)"
    assert record.code.commit == "a" * 40
    assert (record.tracked.run, record.tracked.url) == (old.info.run_id, place.server.uri)
    assert "whether model.bin is of this run: it has no such file" in "\n".join(record.unknown)
    assert "the metric broken, which is no finite number" in record.unknown
    audit = team.aiko.datakeep("audit", model, cwd=team.keep).out
    assert "declared by MLflow, recorded by aiko@corp.example; nothing was observed" in audit
    assert "dataset orders@v2 (declared)" in audit
    assert "observed)" not in audit
    backwards = team.aiko.datakeep("audit", "other@v1", cwd=team.keep).out
    assert f"old@{record.version}" in backwards
    for text in (ran.out, ran.err, audit, str(record.to_dict())):
        assert PASSWORD not in text
        assert "\x1b" not in text


def test_a_run_that_names_no_data_says_so_and_takes_what_a_person_adds(place: Place) -> None:
    client = place.server.client()
    run = client.create_run("0")
    said = place.take(run.info.run_id).out
    assert "it names no dataset; add what you know of it: --used NAME@V" in said
    record = place.record("old")
    assert (record.inputs, record.status) == ([], None)
    assert "the data: the run names no dataset to MLflow" in record.unknown
    assert "how the run ended: MLflow says RUNNING" in record.unknown
    place.take(run.info.run_id, "--used", "orders@v1")
    assert [(one.dataset, one.because) for one in place.record("old").inputs] == [("orders", None)]


def test_the_file_of_a_model_is_held_against_what_the_run_left(place: Place) -> None:
    client = place.server.client()
    run = client.create_run("0")
    (place.folder / "model.bin").write_bytes(b"model")
    client.log_artifact(run.info.run_id, str(place.folder / "model.bin"), "deep/er")
    place.take(run.info.run_id, place.folder / "model.bin")
    assert "the run has deep/er/model.bin of the same size; the bytes were not compared" in str(
        place.record("old").unknown
    )
    (place.folder / "model.bin").write_bytes(b"another")
    place.take(run.info.run_id, place.folder / "model.bin")
    assert "the run has deep/er/model.bin, of other bytes" in str(place.record("old").unknown)


def test_a_run_that_datakeep_recorded_itself_is_pointed_to_and_read_by_the_address_of_its_page(
    place: Place, team: World
) -> None:
    place.run(PLAIN, "0")
    record = place.record()
    page = f"{place.server.uri}/#/experiments/0/runs/{record.tracked.run}"
    ran = team.aiko.datakeep("record", "old", "--from-mlflow", page, cwd=team.keep)
    assert f"datakeep recorded this run itself, as churn@{record.version}" in ran.err
    assert [one.version for one in place.record("old").inputs] == ["v1"]


#: Options of `datakeep record`, the exit code, and what the error says.
IMPOSSIBLE = [
    (("m", "--from-mlflow", "0" * 32, "--tracking-uri", "SERVER"), 11, "does not have the run 000"),
    (("m", "--from-mlflow", "../../x", "--tracking-uri", "SERVER"), 2, "is no run of MLflow"),
    (
        ("m", "--from-mlflow", "abc", "--tracking-uri", "SERVER/elsewhere"),
        17,
        "is no MLflow server (HTTP 404)",
    ),
    (("m", "--from-mlflow", "abc", "--tracking-uri", "http://127.0.0.1:1"), 17, "does not answer"),
    (("m", "--from-mlflow", "abc", "--tracking-uri", "nonsense://x"), 2, "is no tracking URI"),
    (("m", "--from-mlflow", "abc"), 2, "no MLflow server is named"),
    (("--from-mlflow", "abc", "--tracking-uri", "SERVER"), 2, "recorded by its name"),
    (("m", "--tracking-uri", "SERVER"), 2, "recorded by its name"),
    (("m", "m.bin", "--used", "orders", "--tracking-uri", "SERVER"), 2, "no run is named"),
    (("m", "--from-mlflow", "abc", "--from-wandb", "x"), 2, "are different things"),
    (("--to-mlflow", "churn@v9999", "--tracking-uri", "SERVER"), 11, "no record of a model 'churn@v9999'"),
    (("--to-mlflow", "churn", "--used", "orders"), 2, "--to-mlflow takes all from the record"),
]
ONE_BY_ONE = """\
import contextlib, io, json, sys
from datakeep.cli import boundary
for options in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        code = boundary.run(["record", *options])
    print(json.dumps([code, out.getvalue()]))
"""


def test_what_cannot_be_is_one_clear_error_and_leaves_nothing(place: Place, team: World) -> None:
    head = team.aiko.run("git", "rev-parse", "HEAD", cwd=team.keep).out
    options = [[one.replace("SERVER", place.server.uri) for one in case[0]] for case in IMPOSSIBLE]
    ran = team.aiko.run("python", "-c", ONE_BY_ONE, json.dumps(options), cwd=team.keep)
    for (asked, code, says), line in zip(IMPOSSIBLE, ran.out.splitlines(), strict=True):
        found, said = json.loads(line)
        assert (found, said.count("error:"), "Traceback" in said) == (code, 1, False), (asked, said)
        assert says in said, (asked, said)
    assert team.aiko.run("git", "rev-parse", "HEAD", cwd=team.keep).out == head
