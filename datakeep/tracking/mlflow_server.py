"""An MLflow server, through MLflow's own client: found, asked and told within seconds, or a clear error.

MLflow is imported when a server is first spoken to; it takes seconds. It retries for minutes by itself and prints
what it does, so both are bounded while datakeep asks, and put back after: the process may be the user's notebook.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from datakeep.core.errors import AccessDenied, DatakeepError, UnknownName, UsageError
from datakeep.core.secrets import strip_url
from datakeep.tracking.faults import TrackerMissing, TrackerUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

URI = "MLFLOW_TRACKING_URI"
RUN_ID = "MLFLOW_RUN_ID"
CONTEXT = "MLFLOW_RUN_CONTEXT"
_EXPERIMENT_ID, _EXPERIMENT_NAME = "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"
_DEFAULT_EXPERIMENT = "0"
#: While datakeep asks. What the user has set wins, printing and telemetry apart.
_BOUNDS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}
_QUIET = {"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
_NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true"}
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,40}://[^\s'\"<>]+", re.IGNORECASE)
_STATUS = re.compile(r"failed with error code (\d{3})")
_SAID_CHARACTERS = 200
_PAGE, _PAGES = 1000, 20
#: Limits of one request.
_BATCH = 100


def is_installed() -> bool:
    """Whether MLflow's client can be imported."""
    if "mlflow" in sys.modules:
        return sys.modules["mlflow"] is not None
    try:
        found = importlib.util.find_spec("mlflow")
    except ValueError:
        return False
    return found is not None and found.origin is not None


def missing() -> TrackerMissing:
    """The error that names what brings MLflow's client."""
    return TrackerMissing(
        "MLflow's client is not installed beside datakeep", next_step="type: pip install 'datakeep[mlflow]'"
    )


class Server:
    """One server.

    Args:
        uri: Its tracking URI; a password in it is used, and never shown.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._made: Any = None

    @property
    def shown(self) -> str:
        """Its URI without a password."""
        return strip_url(self._uri)

    def run(self, run_id: str) -> Any:
        """MLflow's ``Run``.

        Raises:
            UnknownName: The server has none of this id.
            TrackerUnreachable, AccessDenied, TrackerMissing: Of the server.
        """
        with self._asking(f"the run {run_id}") as client:
            return client.get_run(run_id)

    def experiment(self, experiment_id: str) -> str:
        """The name of an experiment."""
        with self._asking(f"the experiment {experiment_id}") as client:
            return str(client.get_experiment(experiment_id).name)

    def tagged(self, tag: str, value: str) -> list[Any]:
        """All runs of any experiment with this tag, the outermost and oldest first."""
        found: list[Any] = []
        with self._asking("its runs") as client:
            experiments = _pages(lambda token: client.search_experiments(max_results=_PAGE, page_token=token))
            ids = [one.experiment_id for one in experiments]
            for first in range(0, len(ids), _PAGE):
                some, wanted = ids[first : first + _PAGE], f"tags.`{tag}` = '{value}'"
                found += client.search_runs(some, filter_string=wanted, max_results=_PAGE)
        found.sort(key=lambda one: ("mlflow.parentRunId" in one.data.tags, one.info.start_time))
        return found

    def create(
        self, environment: Mapping[str, str], *, name: str, start_ms: int, tags: Mapping[str, str]
    ) -> Any:
        """A new run, in the experiment that the variables name, which is made if it is not there."""
        with self._asking("a new run") as client:
            experiment_id = environment.get(_EXPERIMENT_ID) or _DEFAULT_EXPERIMENT
            if wanted := environment.get(_EXPERIMENT_NAME):
                found = client.get_experiment_by_name(wanted)
                experiment_id = found.experiment_id if found else client.create_experiment(wanted)
            return client.create_run(experiment_id, start_time=start_ms, run_name=name, tags=dict(tags))

    def log(
        self, run_id: str, *, parameters: Mapping[str, str], metrics: Mapping[str, float],
        tags: Mapping[str, str], at_ms: int,
    ) -> None:  # fmt: skip
        """All of them are the run's."""
        with self._asking(f"the run {run_id}") as client:
            entities = importlib.import_module("mlflow.entities")
            values = [entities.Metric(name, value, at_ms, 0) for name, value in metrics.items()]
            given = [entities.Param(name, value) for name, value in parameters.items()]
            for first in range(0, max(len(values), len(given)), _BATCH):
                some = slice(first, first + _BATCH)
                client.log_batch(run_id, metrics=values[some], params=given[some])
            client.log_batch(run_id, tags=[entities.RunTag(name, value) for name, value in tags.items()])

    def log_inputs(self, run_id: str, inputs: Sequence[tuple[Mapping[str, str], Mapping[str, str]]]) -> None:
        """Datasets are inputs of the run.

        Args:
            run_id: The run.
            inputs: Of each, MLflow's fields of a ``Dataset``, and the tags of the input.
        """
        with self._asking(f"the run {run_id}") as client:
            entities = importlib.import_module("mlflow.entities")
            made = [
                entities.DatasetInput(
                    entities.Dataset(**dataset),
                    [entities.InputTag(name, value) for name, value in tags.items()],
                )
                for dataset, tags in inputs
            ]
            for first in range(0, len(made), _BATCH):
                client.log_inputs(run_id, datasets=made[first : first + _BATCH])

    def end(self, run_id: str, status: str, end_ms: int, name: str | None = None) -> None:
        """The run has ended; ``status`` is ``FINISHED``, ``FAILED`` or ``KILLED``."""
        with self._asking(f"the run {run_id}") as client:
            client.set_terminated(run_id, status, end_ms)
            if name:
                client.update_run(run_id, name=name)

    def files(self, run_id: str, model_ids: Sequence[str], limit: int) -> list[tuple[str, int | None]]:
        """Path and size of the files that the run left, and of the models that it logged; ``limit`` of them."""
        with self._asking(f"the files of the run {run_id}") as client:
            found = _below(lambda path: client.list_artifacts(run_id, path), limit)
            for model_id in model_ids:
                found += _below(
                    lambda path, of=model_id: client.list_logged_model_artifacts(of, path), limit - len(found)
                )
            return found

    @contextmanager
    def _asking(self, what: str) -> Iterator[Any]:
        """MLflow's client; whatever it raises is a clear error, in which no password stands."""
        import_bounds = {} if "mlflow" in sys.modules else _NO_TELEMETRY
        with _variables(_BOUNDS, _QUIET | import_bounds):
            if self._made is None:
                self._made = self._client()
            try:
                yield self._made
            except DatakeepError:
                raise
            except Exception as error:  # noqa: BLE001  # whatever a client raises must not end what was recorded
                raise self._fault(error, what) from None  # the cause may repeat the URI with its password

    def _client(self) -> Any:
        if not is_installed():
            raise missing()
        with warnings.catch_warnings(action="ignore"):
            try:
                return importlib.import_module("mlflow").MlflowClient(tracking_uri=self._uri)
            except ImportError as error:
                raise TrackerMissing(
                    f"MLflow's client cannot be imported: {error}",
                    next_step="type: pip install --upgrade 'datakeep[mlflow]'",
                ) from None
            except Exception as error:  # noqa: BLE001
                raise self._fault(error, "it") from None

    def _fault(self, error: Exception, what: str) -> DatakeepError:
        code, text = str(getattr(error, "error_code", "")), str(error)
        status = _STATUS.search(text)
        if code == "RESOURCE_DOES_NOT_EXIST" or (code == "INVALID_PARAMETER_VALUE" and "'run_id'" in text):
            return UnknownName(
                f"the MLflow server {self.shown} does not have {what}",
                next_step="copy the run's id from its page in MLflow",
            )
        if code in ("PERMISSION_DENIED", "UNAUTHENTICATED") or (status and status[1] in ("401", "403")):
            return AccessDenied(
                f"the MLflow server {self.shown} refuses access to {what}",
                next_step="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
            )
        if type(error).__name__.startswith("Unsupported"):
            return UsageError(
                f"{self.shown} is no tracking URI that MLflow's client knows",
                next_step="write it as http://HOST:5000",
            )
        if status or "not in valid JSON format" in text:
            return TrackerUnreachable(
                f"what answers at {self.shown} is no MLflow server"
                + (f" (HTTP {status[1]})" if status else ""),
                next_step="check the address: http://HOST:5000, the one that its page has",
            )
        if "failed with exception" in text:
            return TrackerUnreachable(
                f"the MLflow server {self.shown} does not answer ({_cause(text)})",
                next_step="check the address, and that the server runs; then run the same command again",
            )
        return TrackerUnreachable(
            f"MLflow at {self.shown} refused {what}: {_said(text)}",
            next_step="check what it says, then run the same command again",
        )


def _said(text: str) -> str:
    """The beginning of an error in one line, no URL in it with a password."""
    return _URL.sub(lambda url: strip_url(url[0]), " ".join(text.split()))[:_SAID_CHARACTERS]


def _cause(text: str) -> str:
    known = (
        "Connection refused",
        "Failed to resolve",
        "Read timed out",
        "timed out",
        "CERTIFICATE_VERIFY_FAILED",
    )
    found = next((one for one in known if one in text), None)
    return found.lower() if found else _said(text.partition("failed with exception")[2])


@contextmanager
def _variables(unless_set: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[None]:
    """Variables of this process, and what they were after it."""
    new = {name: value for name, value in unless_set.items() if name not in os.environ} | dict(wanted)
    before = {name: os.environ.get(name) for name in new}
    os.environ.update(new)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _pages(ask: Any) -> list[Any]:
    found: list[Any] = []
    token = None
    for _ in range(_PAGES):
        page = ask(token)
        found += page
        token = page.token
        if not token:
            break
    return found


def _below(listing: Any, limit: int) -> list[tuple[str, int | None]]:
    found: list[tuple[str, int | None]] = []
    folders: list[str | None] = [None]
    while folders and len(found) < limit:
        for one in listing(folders.pop()):
            if one.is_dir:
                folders.append(one.path)
            else:
                found.append((one.path, one.file_size))
    return found[:limit]


def active_run_id() -> str | None:
    """The run that this process has open itself; None where MLflow is not even imported."""
    mlflow = sys.modules.get("mlflow")
    with contextlib.suppress(Exception):
        run = mlflow.active_run() if mlflow else None
        return str(run.info.run_id) if run else None
    return None


def configured_uri(environment: Mapping[str, str]) -> str | None:
    """Where the user's MLflow is: by the variable, or set in this very process."""
    mlflow = sys.modules.get("mlflow")
    with contextlib.suppress(Exception):
        if mlflow and environment is os.environ and mlflow.is_tracking_uri_set():
            return str(mlflow.get_tracking_uri())
    return environment.get(URI) or None
