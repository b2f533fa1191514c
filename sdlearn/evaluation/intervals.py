"""Shares and means, and how sure one can be of them: 95 % intervals.

For shares Wilson's score interval (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212), which stays
inside 0..1 and keeps its promise for few trials and for shares near 0 or 1, where the textbook's
p ± 1.96 sqrt(p(1-p)/n) does not (Brown, Cai and DasGupta 2001, Stat. Sci. 16, 101-133). For means
Student's t. Left out: the continuity correction, and any correction for looking at many rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import stats  # type: ignore[import-untyped]

__all__ = ["Rate", "mean_interval", "wilson"]

CONFIDENCE = 0.95


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval for the true share, (low, high) in 0..1.

    Raises `ValueError` unless total >= 1 and 0 <= right <= total.
    """
    if total < 1 or not 0 <= right <= total:
        raise ValueError(f"right must be 0..total and total at least 1; got {right} of {total}")
    interval = stats.binomtest(right, total).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval for the true mean, (low, high), of at least two independent `values`."""
    if len(values) < 2:
        raise ValueError(f"values must hold at least two numbers; got {len(values)}")
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)  # 1.96 for very many
    half = float(quantile) * stdev(values) / len(values) ** 0.5
    return fmean(values) - half, fmean(values) + half


@dataclass(frozen=True)
class Rate:
    """`right` pictures of `total`."""

    right: int
    total: int

    @property
    def share(self) -> float:
        """The share that is right, 0..1."""
        return self.right / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval for the share."""
        return wilson(self.right, self.total)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.share:.1%} ({low:.1%} to {high:.1%})"
