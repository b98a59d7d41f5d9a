"""The arguments of a training as parameters, and without what is secret in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from datakeep.core.secrets import find_secret, is_secret_name, strip_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WITHHELD = "(withheld)"
_OPTION = re.compile(r"--?(?P<name>[A-Za-z][\w.-]*)(?:=(?P<value>.*))?", re.DOTALL)
_ASSIGNMENT = re.compile(r"\+{0,2}(?P<name>[A-Za-z][\w.-]*)=(?P<value>.*)", re.DOTALL)
#: What takes the text of a program as an argument.
_INTERPRETER = re.compile(r"(?:.*/)?(?:(?P<c>python[\d.]*|pypy3?|(?:ba|da|z|k)?sh)|perl|ruby|node|Rscript)")
_SEED = re.compile(r"(?:.*[-_.])?(?:seed|random[-_]state)", re.IGNORECASE)


def without_secrets(argv: Sequence[str]) -> list[str]:
    """``argv`` with every password and token in it replaced: by the name of its option, or by its looks."""
    shown: list[str] = []
    secret_comes = False
    for argument in argv:
        option = _OPTION.fullmatch(argument) or _ASSIGNMENT.fullmatch(argument)
        if secret_comes and not argument.startswith("--"):
            shown.append(WITHHELD)
        elif option and option["value"] is not None and is_secret_name(option["name"]):
            shown.append(f"{argument.partition('=')[0]}={WITHHELD}")
        else:
            stripped = strip_url(argument)
            shown.append(WITHHELD if find_secret(stripped) else stripped)
        secret_comes = bool(option and option["value"] is None and is_secret_name(option["name"]))
    return shown


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
    for at, word in enumerate(argv):
        interpreter = _INTERPRETER.fullmatch(word)
        if not interpreter:
            continue
        text = "c" if interpreter["c"] else "e"
        rest = at + 1
        while rest < len(argv) and argv[rest].startswith("-") and not argv[rest].startswith("--"):
            if argv[rest][-1] == text and argv[rest][1:].isalpha():
                return list(argv[rest + 2 :])
            rest += 2 if argv[rest] in ("-W", "-X") else 1
    return list(argv[1:])


def seeds_of(parameters: Mapping[str, object]) -> dict[str, str]:
    """The parameters that are seeds, by their names; those in parts too, as ``params.yaml: model.seed``."""
    found: dict[str, str] = {}
    for name, value in parameters.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": seed for inner, seed in seeds_of(value).items()}
        elif _SEED.fullmatch(str(name)) and isinstance(value, str | int) and not isinstance(value, bool):
            found[str(name)] = str(value)
    return found
