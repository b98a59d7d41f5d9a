"""A pattern that is compiled late is the pattern, and each that there is compiles."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import datakeep
from datakeep.core.late_patterns import LatePattern, late


def test_it_is_compiled_once_and_when_it_is_asked(monkeypatch):
    compiled = []
    monkeypatch.setattr(re, "compile", lambda *given: compiled.append(given) or re._compiler.compile(*given))
    pattern = late("a(?P<rest>.)", re.IGNORECASE)
    assert compiled == []
    assert [pattern.fullmatch(text) is not None for text in ("Ab", "b", "A1")] == [True, False, True]
    assert len(compiled) == 1
    assert pattern.sub("-", "xAb") == "x-"
    assert pattern.pattern == "a(?P<rest>.)"


def test_what_is_wrong_is_said_when_it_is_used():
    with pytest.raises(re.error):
        late("(").search("x")


def found():
    for module in pkgutil.walk_packages(datakeep.__path__, "datakeep."):
        if not module.name.startswith("datakeep.samples") and not module.name.endswith("__main__"):
            for name, value in vars(importlib.import_module(module.name)).items():
                parts = (
                    value.values()
                    if isinstance(value, dict)
                    else value
                    if isinstance(value, tuple)
                    else [value]
                )
                yield from ((f"{module.name}.{name}", one) for one in parts if isinstance(one, LatePattern))


def test_all_of_the_house_compile():
    names = {name for name, pattern in found() if re.compile(*pattern.given)}
    assert {"datakeep.core.secrets._KNOWN_SECRETS", "datakeep.core.program_passwords.IN_TEXT"} <= names
