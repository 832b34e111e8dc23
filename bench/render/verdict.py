"""Strength and weakness in words, drawn from what was measured."""

from typing import Any

NAMED = 2


def kept_shares(measurements: dict[str, Any]) -> dict[str, float]:
    """For every attribute, which share of the way from chance to the judge's ceiling the samples go."""
    table = measurements.get("attributes", {}).get("per_attribute", {})
    shares = {}
    for name, row in table.items():
        if None not in (row["accuracy"], row["ceiling"], row["chance"]) and row["ceiling"] > row["chance"]:
            shares[name] = (row["accuracy"] - row["chance"]) / (row["ceiling"] - row["chance"])
    return shares


def strength(measurements: dict[str, Any]) -> str | None:
    """The attributes that the samples show best, as far as they show any better than chance."""
    shares = kept_shares(measurements)
    return named(sorted(((n, s) for n, s in shares.items() if s > 0), key=lambda item: -item[1]))


def weakness(measurements: dict[str, Any]) -> str | None:
    """The attributes that the samples show worst."""
    return named(sorted(kept_shares(measurements).items(), key=lambda item: item[1]))


def named(shares: list[tuple[str, float]]) -> str | None:
    return ", ".join(f"{name} ({max(0.0, share):.0%})" for name, share in shares[:NAMED]) or None
