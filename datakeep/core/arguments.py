"""The arguments of a training as parameters, and without what is secret in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datakeep.core.program_passwords import program_signs
from datakeep.core.secrets import is_secret_name, withheld, withheld_alone, withheld_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_OPTION = re.compile(r"--?(?P<name>[^\W\d_][\w.-]*)(?:=(?P<value>.*))?", re.DOTALL)
_ASSIGNMENT = re.compile(r"\+{0,2}(?P<name>[^\W\d_][\w.-]*)=(?P<value>.*)", re.DOTALL)
#: What takes the text of a program as an argument.
_INTERPRETER = re.compile(r"(?:.*/)?(?:(?P<c>python[\d.]*|pypy3?|(?:ba|da|z|k)?sh)|perl|ruby|node|Rscript)")
#: Programs whose options take a name and a value, as two arguments.
_PAIRED = {"papermill": frozenset({"-p", "--parameters", "-r", "--parameters_raw"})}
_SEED = re.compile(r"(?:.*[-_.])?(?:seed|random[-_]state)", re.IGNORECASE)


def without_secrets(argv: Sequence[str]) -> list[str]:
    """``argv`` with every password and token in it withheld: by the name of its option, or by its looks.

    Looked into are the texts of programs too (``bash -c``, ``python -c``), headers, JSON and whatever else has
    names with values; what stands around a secret stays. Which they are, :mod:`datakeep.core.secrets` decides.
    """
    shown: list[str] = []
    text_at, is_code = _program_text(argv)
    names = {at + 1 for at in _pairs(argv)}
    before = ""
    signs: set[str] = set()
    for at, argument in enumerate(argv):
        option = _OPTION.fullmatch(argument) or _ASSIGNMENT.fullmatch(argument)
        if at == text_at:
            shown.append(withheld(argument, is_code=is_code))
            option = None
        elif before and is_secret_name(before.lstrip("-")) and not argument.startswith("--"):
            shown.append(withheld_value(argument))
        elif option and option["value"] is not None and is_secret_name(option["name"]):
            shown.append(f"{argument.partition('=')[0]}={withheld_value(option['value'])}")
        else:
            shown.append(withheld_alone(argument, option=before, signs=signs))
        signs |= program_signs(argument)
        before = argument if option and option["value"] is None else ""
        before = f"--{argument}" if at in names else before
    return shown


def parameters_of(command: Sequence[str]) -> dict[str, str | bool]:
    """What the options of a training's command say, by name, without secrets; :func:`options_of` has the forms.

    Where a program takes ``-p NAME VALUE``, as papermill does, the name is the parameter's.

    Args:
        command: The program and its arguments.
    """
    shown = without_secrets(command)
    for at in reversed(_pairs(command)):
        shown[at : at + 3] = [f"--{shown[at + 1]}={shown[at + 2]}"]
    return options_of(without_program_text(shown))


def _pairs(argv: Sequence[str]) -> list[int]:
    """Where the options are that take a name and a value."""
    options: frozenset[str] = frozenset()
    found: list[int] = []
    for at, argument in enumerate(argv):
        if argument in options and at + 2 < len(argv) and not (found and at <= found[-1] + 2):
            found.append(at)
        options = options or _PAIRED.get(argument[argument.rfind("/") + 1 :], frozenset())
    return found


def options_of(argv: Sequence[str]) -> dict[str, str | bool]:
    """What ``--name value``, ``--name=value``, ``-n value``, ``--flag`` and ``name=value`` say, by name."""
    found: dict[str, str | bool] = {}
    name = None
    for argument in argv:
        option = _OPTION.fullmatch(argument)
        assigned = option or _ASSIGNMENT.fullmatch(argument)
        if assigned and assigned["value"] is not None:
            found[assigned["name"]] = assigned["value"]
            name = None
        elif option:
            name = option["name"]
            found[name] = True
        elif name is not None:
            found[name] = argument
            name = None
    return found


def without_program_text(argv: Sequence[str]) -> list[str]:
    """The arguments of ``python -c TEXT …`` and its like that are the program's own; all others as they are.

    Args:
        argv: The program and its arguments.
    """
    at, _ = _program_text(argv)
    return list(argv[at + 1 :] if at is not None else argv[1:])


def _program_text(argv: Sequence[str]) -> tuple[int | None, bool]:
    """Which of the arguments is the text of a program, if one is; and whether it is one of no shell."""
    for at, word in enumerate(argv):
        interpreter = _INTERPRETER.fullmatch(word)
        if not interpreter:
            continue
        text = "c" if interpreter["c"] else "e"
        rest = at + 1
        while rest < len(argv) and argv[rest].startswith("-") and not argv[rest].startswith("--"):
            if argv[rest][-1] == text and argv[rest][1:].isalpha():
                return rest + 1, not interpreter[0].endswith("sh")
            rest += 2 if argv[rest] in ("-W", "-X") else 1
    return None, False


def seeds_of(parameters: Mapping[str, object]) -> dict[str, str]:
    """The parameters that are seeds, by their names; those in parts too, as ``params.yaml: model.seed``."""
    found: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": seed for inner, seed in seeds_of(value).items()}
        elif _SEED.fullmatch(str(name)) and isinstance(value, str | int) and not isinstance(value, bool):
            found[str(name)] = str(value)
    return found
