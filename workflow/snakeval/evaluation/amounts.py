"""Writes what a run spends for people: money, tokens, requests and time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from snakeval.evaluation.duration_text import duration_text
from snakeval.ledger.budget import MONEY, WALL

#: The currency if no price names one.
CURRENCY = "USD"


def money_text(amount: float, currency: str = CURRENCY) -> str:
    """Return an amount of money with two digits, or with three that are not 0 if it is small.

    >>> money_text(12.5), money_text(0.00123, "EUR"), money_text(0.5), money_text(0)
    ('12.50 USD', '0.00123 EUR', '0.500 USD', '0.00 USD')
    """
    places = 2 if amount >= 1 or not amount else 2 - math.floor(math.log10(amount))
    return f"{amount:,.{places}f} {currency}"


def amount_text(kind: str, amount: float, currency: str = CURRENCY) -> str:
    """Return an amount of a budget with its unit.

    >>> amount_text("tokens", 12000), amount_text("requests", 1), amount_text("wall", 5400)
    ('12,000 tokens', '1 request', '1 h 30 min')
    """
    if kind == MONEY:
        return money_text(amount, currency)
    if kind == WALL:
        return duration_text(amount)
    return f"{amount:,.0f} {kind.removesuffix('s') if amount == 1 else kind}"


def option_text(kind: str, amount: float) -> str:
    """Return an amount as ``--budget`` takes it.

    >>> option_text("tokens", 20000.0), option_text("money", 2.5), option_text("wall", 7200)
    ('tokens=20000', 'money=2.5', 'wall=120m')
    """
    return f"{kind}={amount / 60:.0f}m" if kind == WALL else f"{kind}={amount:.15g}"


def rates_text(requests: float | None, tokens: float | None) -> str:
    """Return requests and tokens in a second; nothing of one that is unknown.

    >>> rates_text(2.0, 1234.5), rates_text(0.0125, None), rates_text(None, None)
    ('2 requests/s, 1,234 tokens/s', '0.0125 requests/s', '')
    """
    known = [(requests, "requests/s"), (tokens, "tokens/s")]
    return ", ".join(
        f"{rate:,.0f} {unit}" if rate >= 100 else f"{rate:.3g} {unit}"
        for rate, unit in known
        if rate is not None
    )


def currency_of(prices: Iterable[Mapping[str, Any]]) -> str:
    """Return the currency of prices, which is the same for all models of a budget of money."""
    return next((str(price["currency"]) for price in prices if price.get("currency")), CURRENCY)
