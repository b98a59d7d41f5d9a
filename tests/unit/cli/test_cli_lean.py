"""A command does not load pandas only because it is installed where datakeep is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOOK = """
import sys
from datakeep.cli.lean import lean_arrow
lean_arrow()
import pyarrow as pa, pyarrow.compute as pc, pyarrow.dataset, pyarrow.parquet
pc.is_in(pa.array([1, None]), pa.array([2, 3]))
pa.table({"a": ["x", None]}).to_pylist()
import adbc_driver_postgresql.dbapi
print("pandas" in sys.modules, "pyarrow._s3fs" in sys.modules, "numpy" in sys.modules)
print("cloudpickle" in sys.modules, pc.is_in.__doc__.startswith("Find"))
import pandas
print(pa.Table.from_pandas(pandas.DataFrame({"a": [1, 2]})).to_pandas()["a"].sum(), pa.array(pandas.Series([1.0])))
"""
WITHOUT = """
import sys
sys.meta_path.insert(0, type("Seen", (), {"find_spec": lambda self, name, *_: print(name)})())
import pyarrow as pa
pa.array([1])
"""


def _said(program: str, env: dict[str, str] | None = None) -> list[str]:
    argv = [sys.executable, "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env)
    return done.stdout.split()


def test_arrow_goes_lean_arrow_until_somebody_wants_it() -> None:
    assert _said(LOOK) == ["False", "False", "True", "False", "True", "3", "[", "1", "]"]


def test_arrows_functions_are_called_as_they_are_without_documentation() -> None:
    program = (
        "from datakeep.cli.lean import lean_arrow; lean_arrow(); import pyarrow as pa, pyarrow.compute as pc; "
        "print(pc.is_in(pa.array([1, 2]), value_set=pa.array([2])).to_pylist(), pc.min_max(pa.array([3, 1]), "
        "skip_nulls=True)['min'], pc.index_in(pa.array([7]), pa.array([7])).to_pylist())"
    )
    assert _said(program) == ["[False,", "True]", "1", "[0]"]


def test_numpy_starts_no_threads_and_no_program_is_told_so() -> None:
    """A training that datakeep starts has all processors for its linear algebra."""
    program = (
        "import os; from datakeep.cli.lean import lean_arrow; lean_arrow(); "
        "from threadpoolctl import threadpool_info; "
        "print([pool['num_threads'] for pool in threadpool_info() if pool['internal_api'] == 'openblas'], "
        "'OPENBLAS_NUM_THREADS' in os.environ)"
    )
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    assert _said(program, env) == ["[1]", "False"]


def test_what_somebody_says_of_numpys_threads_holds() -> None:
    program = (
        "import os; os.environ['OPENBLAS_NUM_THREADS'] = '2'; from datakeep.cli.lean import lean_arrow; "
        "lean_arrow(); print(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    assert _said(program) == ["2"]


def test_arrow_has_no_memory_apart_unless_somebody_says_so() -> None:
    program = (
        "from datakeep.cli.lean import lean_arrow; lean_arrow(); import pyarrow; "
        "print(pyarrow.default_memory_pool().backend_name)"
    )
    name = "ARROW_DEFAULT_MEMORY_POOL"
    env = {key: value for key, value in os.environ.items() if key != name}
    assert _said(program, env) == ["system"]
    assert _said(program, env | {name: "mimalloc"}) == ["mimalloc"]


WRITTEN = """
import io, os
from datakeep.cli.lean import lean_arrow
lean_arrow()
import pyarrow as pa, pyarrow.parquet as pq
pq.write_table(pa.table({"a": [str(number) for number in range(100_000)]}), io.BytesIO(), compression="zstd")
print([pool.max_memory() for name in pa.supported_memory_backends() if name != "system"
       for pool in [getattr(pa, f"{name}_memory_pool")()]], "ARROW_DEFAULT_MEMORY_POOL" in os.environ)
"""


def test_nothing_that_encodes_parquet_keeps_memory_apart_and_no_program_is_told_so() -> None:
    name = "ARROW_DEFAULT_MEMORY_POOL"
    env = {key: value for key, value in os.environ.items() if key != name}
    *others, told = _said(WRITTEN, env)
    assert others
    assert {one.strip("[],") for one in others} == {"0"}
    assert told == "False"


LATER = """
import sys
from datakeep.cli.lean import lean_arrow
lean_arrow()
import inspect, ssl, numpy as np, pyarrow as pa, pyarrow.compute as pc
print("numpy.linalg" in sys.modules, inspect.signature(len), ssl.create_default_context().check_hostname)
print(np.roots([1, -3, 2]).tolist(), np.linalg.inv(np.eye(1)).tolist(), (np.matrix([[2]]) ** 2).tolist())
print(pc.round(pa.array([1.256]), ndigits=2)[0], pc.round(pa.array([1.256]), 1)[0], np.linalg.__name__)
try:
    pc.round(pa.array([1.2]), digits=2)
except TypeError as error:
    print(error)
"""


def test_what_was_left_out_is_there_when_it_is_asked_for() -> None:
    assert _said(LATER)[:14] == [
        "False", "(obj,", "/)", "True", "[2.0,", "1.0]", "[[1.0]]", "[[4]]", "1.26", "1.3", "numpy.linalg",
        "__init__()", "got", "an",
    ]  # fmt: skip


def test_arrow_would_load_it() -> None:
    """Once it does not, the detour is not needed any more."""
    assert "pandas" in _said(WITHOUT)


LARGE_BLOCKS = """
import ctypes
from datakeep.cli.lean import lean_arrow
lean_arrow()
import pyarrow as pa

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in "arena ordblks smblks hblks hblkhd a b c d e".split()]

mapped = ctypes.CDLL(None).mallinfo
mapped.restype = Info
del (large := [pa.allocate_buffer(16 << 20)])[:]  # by itself, glibc would take no block of this size for large again
before = mapped().hblks
held = pa.allocate_buffer(4 << 20)
print(mapped().hblks - before)
"""


def test_a_large_block_is_given_back_whole_however_large_the_ones_before_were():
    done = subprocess.run([sys.executable, "-c", LARGE_BLOCKS], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


CLASSES = """
import dataclasses, pickle, sys
from datakeep.cli.lean_classes import lean_dataclasses
lean_dataclasses()
lean_dataclasses()

@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Point:
    x: int
    y: list = dataclasses.field(default_factory=list, compare=False)

@dataclasses.dataclass
class Plain:
    name: str
    other: object = None

one, same, more = Point(1, [2]), Point(1), Point(2)
assert one == same and one != more and one < more and hash(one) == hash(same)
assert one != (1, [2])
assert repr(one) == "Point(x=1, y=[2])"
for change in (lambda: setattr(one, "x", 3), lambda: delattr(one, "x")):
    try:
        change()
    except dataclasses.FrozenInstanceError as error:
        assert "'x'" in str(error)
    else:
        raise SystemExit("it was changed")
assert dataclasses.replace(one, x=5) == Point(5) and dataclasses.asdict(one) == {"x": 1, "y": [2]}
assert pickle.loads(pickle.dumps(one)) == one
plain = Plain("a")
plain.other = plain
assert repr(plain) == "Plain(name='a', other=...)"
assert Plain("a") == Plain("a") and Plain("a") != Plain("b")
try:
    hash(plain)
except TypeError:
    print("ok")
"""


def test_classes_whose_methods_are_compiled_later_are_what_they_would_be() -> None:
    assert _said(CLASSES) == ["ok"]


MODULES = """
import sys
if sys.argv[1] == "lean":
    from datakeep.cli.lean_modules import lean_modules
    lean_modules()
    lean_modules()
import duckdb, sqlglot, yaml, pydantic
from sqlglot.generators.duckdb import DuckDBGenerator
from typing_extensions import TypedDict

print("importlib.metadata" in sys.modules)
print(duckdb.version(), duckdb.build_info())
for text in ("SELECT SEQ4(0), SEQ2(1), UNIFORM(1, 10, RANDOM(5)), NORMAL(0, 1, 5), ZIPF(1, 10, 5), RANDSTR(5, 3)",
             "SELECT ARRAY_EXCEPT(a, b), ARRAY_INTERSECTION(a, b), ARRAYS_ZIP(a, b), MAP_CAT(a, b), MINHASH(5, a)",
             "SELECT UUID_STRING(a, b), BITMAP_CONSTRUCT_AGG(a), STRTOK(a, ' ', 2), STRTOK_TO_ARRAY(a)",
             "SELECT MINHASH_COMBINE(a), APPROXIMATE_SIMILARITY(a), a IN UNNEST([1, 2])"):
    print(sqlglot.transpile(text, read="snowflake", write="duckdb", unsupported_level=sqlglot.ErrorLevel.IGNORE)[0])
for name in sorted(dir(DuckDBGenerator)):
    if isinstance(one := getattr(DuckDBGenerator, name), sqlglot.exp.Expression):
        print(name, one.sql("duckdb"))
try:
    sqlglot.parse_one("SELECT 1", read="nobodys")
except ValueError as error:
    print(error)
for text in ("a: [1, b]", "a: '\\x07'"):
    try:
        print(yaml.safe_load(text))
    except yaml.YAMLError as error:
        print(error)
class Keys(TypedDict):
    a: int
class Model(pydantic.BaseModel):
    keys: Keys
    text: str = pydantic.Field(max_length=3)
print(Model(keys={"a": 1}, text="abc"), Model.model_json_schema())
try:
    Model(keys={"a": "x"}, text="long")
except pydantic.ValidationError as error:
    print(error)
"""


def test_modules_that_are_loaded_without_some_of_their_work_do_it_when_it_is_wanted() -> None:
    argv = [sys.executable, "-c", MODULES]
    plain, lean = (
        subprocess.run([*argv, how], capture_output=True, text=True, check=True).stdout.splitlines()
        for how in ("plain", "lean")
    )
    assert (plain[0], lean[0]) == ("True", "False")
    assert lean[1:] == plain[1:]
    assert sum("_TEMPLATE" in line for line in plain) > 10, "sqlglot has its templates elsewhere"


LEAVING = """
import atexit, sys, threading, time
from datakeep import cli

class Slow:
    def __del__(self):
        print("taken apart")

def main():
    sys.held = Slow()
    atexit.register(print, "at exit")
    threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
    sys.stdout.write("said ")
    raise SystemExit(CODE)

cli.main = main
cli.process()
"""


@pytest.mark.parametrize("code", [0, 3])
def test_a_process_ends_with_its_code_when_all_is_said_and_done(code: int) -> None:
    """Threads, what was to be done at exit, and what was printed; memory is not given back piece by piece."""
    argv = [sys.executable, "-c", LEAVING.replace("CODE", str(code))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (code, ["said", "thread", "at", "exit"], "")


def test_a_process_that_breaks_says_so_as_python_does() -> None:
    program = LEAVING.replace("raise SystemExit(CODE)", "raise RuntimeError('broken')")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RuntimeError: broken" in done.stderr


def test_who_calls_a_command_within_a_program_goes_on_with_it() -> None:
    program = (
        "import sys; from datakeep.cli import main; sys.argv = ['datakeep', '--version']\n"
        "try: main()\nexcept SystemExit as ended: print(ended.code)\nsys.exit(7)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()[-1]) == (7, "0")
