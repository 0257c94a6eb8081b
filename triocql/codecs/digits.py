"""From binary to decimal digits in little more than linear time; Python's own way takes quadratic time."""

from __future__ import annotations

from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal

EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
"""Neither rounds nor cuts anything."""

_SHORT = 512
"""So many bytes are converted in one go: there, Python's own way is the faster one."""


def to_decimal(raw: bytes) -> Decimal:
    """Return the number that some bytes hold in two's complement."""
    if len(raw) <= _SHORT:
        return Decimal(int.from_bytes(raw, signed=True))
    if raw[0] < 0x80:
        return _unsigned(raw, _powers(len(raw)))
    complement = bytes(byte ^ 0xFF for byte in raw)
    return EXACT.subtract(EXACT.minus(_unsigned(complement, _powers(len(raw)))), Decimal(1))


def _powers(size: int) -> dict[int, Decimal]:
    """Return the powers of 256 that numbers of `size` bytes are made of, by their exponents: _SHORT, twice that..."""
    exponent, power = _SHORT, Decimal(256**_SHORT)
    powers = {exponent: power}
    while 2 * exponent < size:
        exponent, power = 2 * exponent, EXACT.multiply(power, power)
        powers[exponent] = power
    return powers


def _unsigned(raw: bytes, powers: dict[int, Decimal]) -> Decimal:
    """Return the number that some bytes hold, without a sign, made of two halves."""
    if len(raw) <= _SHORT:
        return Decimal(int.from_bytes(raw))
    size = max(exponent for exponent in powers if exponent < len(raw))
    high, low = _unsigned(raw[:-size], powers), _unsigned(raw[-size:], powers)
    return EXACT.fma(high, powers[size], low)
