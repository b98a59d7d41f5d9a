"""What kind of file each one is that a training read: of a dataset, undeclared, code, environment or system.

Pure judgement over paths; who opens, hashes and asks git is the caller. A file of data that is no file of a
registered dataset is undeclared wherever it lies, the folder of the code included: git pins its bytes, but
nobody says there whose it is and where it came from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/etc", "/proc", "/sys", "/dev", "/run",
    "/var/run", "/var/cache", "/var/lib/sss", "/nix/store", "/gnu/store", "/boot",
)  # fmt: skip
_IN_SYSTEM = tuple(f"{folder}/" for folder in _SYSTEM)
#: Below /dev, but a folder like any other.
_WRITABLE = ("/etc/", "/run/", "/var/run/", "/var/cache/", "/boot/")
#: What the system itself has there under names that data has too.
_OF_THE_SYSTEM = re.compile(r"\.(?:db|bin|dat|gz|bz2|xz|zst|png|gif|sqlite3?)$", re.IGNORECASE)
#: Memory that processes share; disks and shares as a desktop mounts them.
_PEOPLES = re.compile(r"/(?:dev/shm|run/media|run/user/\d+/(?:gvfs|doc))/")
_PACKAGES = re.compile(
    r"/(?:site-packages|dist-packages|\.pyenv|__pycache__)(?:/|$)|/lib(?:64)?/python\d(?:\.\d+)?t?(?:\.zip$|/)"
)
#: What Python compiled a module into: ``pkg/__pycache__/mod.cpython-311.opt-1.pyc``.
_COMPILED = re.compile(r"(?P<folder>/.*)/__pycache__/(?P<name>[^/.]+)\.[^/]+\.pyc")
_INSTALLED = re.compile(r"/(?:site-packages|dist-packages)/|/lib(?:64)?/python\d")
_CODE_ALONE = re.compile(
    r"\.(?:py|pyi|pyx|pyc|so|sh|bash|r|R|jl|lua|c|cc|cpp|h|hpp|cu|rs|go|java|js|ts|ipynb)$"
)
_LIBRARY = re.compile(r"^(?P<prefix>/.*?)/lib(?:64)?/python\d\.\d+t?/")
_OF_A_PREFIX = (
    "bin",
    "lib",
    "lib64",
    "libexec",
    "include",
    "share",
    "ssl",
    "etc",
    "pyvenv.cfg",
    "conda-meta",
)
_CODE_NAMES = re.compile(
    r"(?:^|/)(?:\.git/.*|\.git(?:ignore|attributes|modules)|Makefile|Dockerfile|LICENSE|README[^/]*|requirements[^/]*\.txt"
    r"|[^/]*\.(?:py|pyi|pyx|pyc|pyd|so|sh|bash|r|R|jl|lua|c|cc|cpp|h|hpp|cu|rs|go|java|js|ts|ipynb|toml|cfg|ini"
    r"|yaml|yml|lock|md|rst))$"
)
_DATA_NAMES = re.compile(
    r"\.(?:csv|tsv|parquet|pq|jsonl|ndjson|npy|npz|h5|hdf5|nc|zarr|feather|arrow|ipc|orc|avro|xlsx?|ods|pkl|pickle"
    r"|joblib|zip|gz|tgz|bz2|xz|zst|7z|tar|png|jpe?g|gif|tiff?|bmp|webp|dcm|nii|wav|mp3|flac|ogg|mp4|avi|mov|mkv|db"
    r"|sqlite3?|duckdb|pt|pth|ckpt|onnx|safetensors|gguf|bin|dat|tfrecord|las|ply|shp|geojson)$",
    re.IGNORECASE,
)
#: Of the files that came with software, those of data; code, settings, fonts and icons are not.
_SHIPPED = re.compile(
    r"\.(?:(?:csv|tsv|arff|jsonl|ndjson|npy|pkl|pickle|libsvm|svmlight)(?:\.(?:gz|bz2|xz|zst))?|parquet|feather|arrow"
    r"|orc|avro|npz|h5|hdf5|nc|joblib|xlsx?|ods|rdata|rda|rds|rdb|dta|sav|pt|ckpt|onnx|safetensors|gguf|tfrecord"
    r"|wav|flac|dcm|nii|geojson|shp)$",
    re.IGNORECASE,
)
#: What is as often an icon or a setting is data where a folder says so, or where only people put things.
_PERHAPS_SHIPPED = re.compile(
    r"/(?:datasets?|corpora|sample_data|example_data|nltk_data|skimage/data|usr/local/share)/(?:.*/)?"
    r"[^/]*\.(?:json|txt|xml|zip|png|jpe?g|gif|tiff?|bmp|webp|mp3|ogg|mp4|dat|data|bin|db|sqlite3?)"
    r"(?:\.(?:gz|bz2|xz|zst))?$",
    re.IGNORECASE,
)
#: Below these, nothing is data: what every program reads of the machine, and what is kept of code.
_NEVER_SHIPPED = re.compile(
    r"/(?:zoneinfo|tzdata|locale|fonts?|icons|mime|certs?|__pycache__|mpl-data/images)/|\.pth$"
)
PARAMETERS = re.compile(r"(?:^|/)params\.(?:ya?ml|json)$")
#: What git and the trackers, which many trainings call, keep of their own in a home.
_SETTINGS = re.compile(
    r"/(?:\.gitconfig|\.config/(?:git|mlflow|wandb|matplotlib|pip|uv|fontconfig)/[^/]*|\.condarc|\.cache/huggingface/(?:token"
    r"|stored_tokens|(?:hub/|datasets/)?version[\w.]*\.txt))$"
)
#: What software makes for itself again when it is gone: lists of fonts, compiled code, downloads of packages. By
#: names that nothing else has; a file that is called as data is, is none of them.
_OF_SOFTWARE = re.compile(
    r"/(?:fontlist-v\d+\.json|[^/]+\.cpython-\d+(?:-[\w.-]+)?(?:\.opt-\d)?\.py[co]"
    r"|fontconfig/(?:[0-9a-f]{32}-[\w.-]+\.cache-\d+|CACHEDIR\.TAG)"
    r"|\.cache/(?:pip/(?:http|http-v2|wheels|selfcheck)|uv/[a-z]+-v\d+|mesa_shader_cache|torch/kernels)/.+"
    r"|\.nv/ComputeCache/.+|\.triton/cache/.+)$"
)
#: Where keys and passwords lie; not even a digest of them is written down.
_SECRET_PLACES = re.compile(
    r"/(?:\.ssh|\.aws|\.gnupg|\.kube|\.docker|\.azure|\.config/gcloud|\.kaggle|\.netrc|\.pgpass|\.git-credentials"
    r"|\.pypirc|\.boto|\.huggingface/token|huggingface/(?:token|stored_tokens)|id_(?:rsa|dsa|ecdsa|ed25519)|[^/]*\.pem|\.env[^/]*)(?:/|$)"
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie; all paths absolute, without links.

    Args:
        data: The ``data/`` folder of each dataset that was given, to its name.
        code: The git work tree of the script, or its folder; None if there is no script.
        tracked: Paths below ``code`` that git has, relative to it.
        own: Folders that are the run's own: its output, what datakeep needs for it.
        prefixes: Folders of software, such as a virtual environment.
    """

    data: Mapping[str, str]
    code: str | None
    tracked: frozenset[str] = frozenset()
    own: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


@dataclass(slots=True)
class Classed:
    """All files that were read, by kind.

    Attributes:
        datasets: For each dataset that was given, paths relative to its ``data/``.
        undeclared: Of no registered dataset.
        code: Below the code's folder, relative to it.
        environment: Of the software: interpreter and packages.
        system: Of the machine.
        shipped: Those of ``environment`` and ``system`` that are data, as ``sklearn/datasets/data/iris.csv`` is.
        parameters: ``params.yaml`` and its like; they are code too.
    """

    datasets: dict[str, set[str]] = field(default_factory=dict)
    undeclared: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    environment: list[str] = field(default_factory=list)
    system: list[str] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)
    shipped: list[str] = field(default_factory=list)


def classify(paths: Iterable[str], places: Places) -> Classed:
    """Every one of ``paths`` (absolute, without links) in the one class that it belongs to."""
    found = Classed(datasets={name: set() for name in places.data.values()})
    given = [(f"{folder}/", len(folder) + 1, found.datasets[name]) for folder, name in places.data.items()]
    own = tuple(f"{folder.rstrip('/')}/" for folder in places.own)
    for path in paths:
        for start, length, files in given:
            if path.startswith(start):
                files.add(path[length:])
                break
        else:
            if path not in places.own and not path.startswith(own):
                _class_of(path, places, found)
    return found


def elsewhere(paths: Iterable[str], data: Iterable[str]) -> list[str]:
    """Those of ``paths`` that lie in none of the folders ``data``."""
    given = tuple(f"{folder}/" for folder in data)
    return [path for path in paths if not path.startswith(given)]


def _class_of(path: str, places: Places, found: Classed) -> None:
    if _SETTINGS.search(path) and not _DATA_NAMES.search(path):
        found.system.append(path)
    elif _is_software(path, places.prefixes):
        found.environment.append(path)
        if is_shipped_data(path):
            found.shipped.append(path)
    elif (path in _SYSTEM or path.startswith(_IN_SYSTEM)) and not _is_left_there(path):
        found.system.append(path)
        if is_below(path, "/usr") and is_shipped_data(path):
            found.shipped.append(path)
    elif places.code is not None and path.startswith(f"{places.code.rstrip('/')}/"):
        below = path[len(places.code.rstrip("/")) + 1 :]
        if PARAMETERS.search(below):
            found.parameters.append(path)
        if _is_code(below, places.tracked):
            found.code.append(below)
        else:
            found.undeclared.append(path)
    else:
        if PARAMETERS.search(path):
            found.parameters.append(path)
        found.undeclared.append(path)


def _is_left_there(path: str) -> bool:
    """Whether a file in a folder of the system is data that somebody put there."""
    if _PEOPLES.match(path):
        return True
    is_data = _DATA_NAMES.search(path) and not _OF_THE_SYSTEM.search(path) and not _NEVER_SHIPPED.search(path)
    return bool(is_data) and path.startswith(_WRITABLE)


def _is_software(path: str, prefixes: Iterable[str]) -> bool:
    if _PACKAGES.search(path) or (_OF_SOFTWARE.search(path) and not _DATA_NAMES.search(path)):
        return True
    return any(
        path.startswith(prefix.rstrip("/"))
        and any(is_below(path, f"{prefix.rstrip('/')}/{part}") for part in _OF_A_PREFIX)
        for prefix in prefixes
    )


def is_shipped_data(path: str) -> bool:
    """Whether a file that lies among software is data, by its name."""
    if _NEVER_SHIPPED.search(path):
        return False
    return bool(_SHIPPED.search(path) or _PERHAPS_SHIPPED.search(path))


def shown_shipped(path: str) -> str:
    """``sklearn/datasets/data/iris.csv`` for a file of a package; other paths as they are."""
    return re.split(r"/(?:site|dist)-packages/", path)[-1]


def _is_code(below: str, tracked: frozenset[str]) -> bool:
    if _DATA_NAMES.search(below):
        return False
    return below in tracked or bool(_CODE_NAMES.search(below)) or bool(PARAMETERS.search(below))


def possible_prefixes(paths: Iterable[str]) -> set[str]:
    """Folders that may be those of an interpreter or virtual environment; whether they are, a look must tell."""
    found = {match["prefix"] for path in paths if (match := _LIBRARY.match(path))}
    found |= {path.removesuffix("/pyvenv.cfg") for path in paths if path.endswith("/pyvenv.cfg")}
    return found


def sources_of_compiled(paths: Iterable[str]) -> list[str]:
    """Where Python has each of the compiled files from that were read, packages' apart: it need not open that."""
    compiled = [path for path in paths if "/__pycache__/" in path and not _INSTALLED.search(path)]
    return [f"{found['folder']}/{found['name']}.py" for found in map(_COMPILED.fullmatch, compiled) if found]


def is_code(path: str) -> bool:
    """Whether a file is code by its name, wherever it lies."""
    return bool(_CODE_ALONE.search(path))


def package_folders(paths: Iterable[str]) -> set[str]:
    """The ``site-packages`` and ``dist-packages`` that something was read from."""
    found = set()
    for path in paths:
        for name in ("/site-packages/", "/dist-packages/"):
            at = path.find(name)
            if at >= 0:
                found.add(path[: at + len(name) - 1])
    return found


def may_hold_a_secret(path: str) -> bool:
    """Whether ``path`` is where keys and passwords are kept."""
    return _SECRET_PLACES.search(path) is not None


def is_below(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder``, or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
