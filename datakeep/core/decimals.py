"""Decimal numbers whose digits are all kept: Python's own context rounds to 28 of them, without a word.

``Decimal.normalize``, ``scaleb``, ``abs`` and every sum round in that context; a database's numbers have up to 76
digits, and what a person types has as many as they like.
"""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow

#: More digits than a command line or a file of ours can hold of one number.
_DIGITS = 1_000_000
_EXACT = Context(
    prec=_DIGITS,
    Emax=MAX_EMAX,
    Emin=MIN_EMIN,
    traps=[Inexact, InvalidOperation, DivisionByZero, Overflow],
)
_ROUNDING = Context(prec=_DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[InvalidOperation])


def without_zeros(number: Decimal) -> Decimal:
    """The same number without zeros at its end: ``1.500`` is ``1.5``, ``1500`` is ``15E+2``."""
    return number.normalize(_EXACT)


def shifted(number: Decimal, places: int) -> Decimal:
    """The number times ten to the power of ``places``, exactly."""
    return number.scaleb(places, _EXACT)


def rounded(number: Decimal, step: Decimal) -> Decimal:
    """The number to as many places as ``step`` has, however many digits stand before the point."""
    return number.quantize(step, context=_ROUNDING)
