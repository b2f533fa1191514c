"""Shares and how sure one can be of them: `Rate`, with Wilson's interval.

The interval is Wilson's score interval (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212), which
stays inside 0..1 and keeps its promise for few trials and for shares near 0 or 1, where the
textbook's p ± 1.96 sqrt(p(1-p)/n) does not (Brown, Cai and DasGupta 2001, Stat. Sci. 16, 101-133).
Left out: the continuity correction, and any correction for looking at many rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

__all__ = ["Rate", "wilson"]


def wilson(right: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval that holds the true share, (low, high) in 0..1.

    Raises `ValueError` unless 0 <= right <= total, total >= 1 and 0 < confidence < 1.
    """
    if total < 1 or not 0 <= right <= total:
        raise ValueError(f"right must be 0..total and total at least 1; got {right} of {total}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1; got {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)  # 1.96 for 95 %
    share, shrink = right / total, 1 + z**2 / total
    centre = (share + z**2 / (2 * total)) / shrink
    half = z / shrink * (share * (1 - share) / total + z**2 / (4 * total**2)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


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
