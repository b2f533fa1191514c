"""Shares and means, and how sure one can be of them: 95 % intervals.

For shares Wilson's score interval (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212), which stays
inside 0..1 and keeps its promise for few trials and for shares near 0 or 1, where the textbook's
p ± 1.96 sqrt(p(1-p)/n) does not (Brown, Cai and DasGupta 2001, Stat. Sci. 16, 101-133). For the
difference of two shares the interval that Newcombe makes of two of these (1998, Stat. Med. 17,
873-890, method 10). For means the percentile bootstrap (Efron 1979, Ann. Statist. 7, 1-26). Left
out: the continuity correction, and any correction for looking at many rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Z = 1.959963984540054  # 97.5 % of a normal distribution lie below it


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval for the true share, (low, high) in 0..1.

    Raises `ValueError` unless total >= 1 and 0 <= right <= total.

    >>> tuple(round(bound, 3) for bound in wilson(9, 10))
    (0.596, 0.982)
    """
    if total < 1 or not 0 <= right <= total:
        raise ValueError(f"right must be 0..total and total at least 1; got {right} of {total}")
    share, spread = right / total, Z**2 / total
    centre = share + spread / 2
    half = (spread * (share * (1 - share) + spread / 4)) ** 0.5
    low, high = (centre - half) / (1 + spread), (centre + half) / (1 + spread)
    # Rounding can take a bound out of 0..1, or to the wrong side of a share of 0 or 1.
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval for the true mean, (low, high), of at least two independent `values`.

    The middle 95 % of the means of 10,000 samples drawn from `values` with replacement, always the
    same ones. For few values it is too narrow: of eight it holds the true mean in about 89 %.
    """
    if len(values) < 2:
        raise ValueError(f"values must hold at least two numbers; got {len(values)}")
    samples = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.quantile(samples.mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


@dataclass(frozen=True)
class Rate:
    """`right` images of `total`."""

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


@dataclass(frozen=True)
class Gain:
    """By how much the share `after` is larger than `before`, and how sure one can be of it.

    The interval supposes that the two counts have nothing to do with each other. Images of the
    same seeds tend to be alike, and then it is wider than it need be.

    >>> gain = Gain(after=Rate(9, 10), before=Rate(2, 10))
    >>> print(gain, gain.is_clear)
    +70 points (+27 to +87) True
    """

    after: Rate
    before: Rate

    @property
    def share(self) -> float:
        """The difference of the two shares, -1..1."""
        return self.after.share - self.before.share

    @property
    def interval(self) -> tuple[float, float]:
        """Newcombe's 95 % interval for the difference, (low, high) in -1..1."""
        (low, high), (low_before, high_before) = self.after.interval, self.before.interval
        down = math.hypot(self.after.share - low, high_before - self.before.share)
        up = math.hypot(high - self.after.share, self.before.share - low_before)
        return self.share - down, self.share + up

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves 0 out, so that there is a difference."""
        low, high = self.interval
        return low > 0 or high < 0

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.share:+.0f} points ({100 * low:+.0f} to {100 * high:+.0f})"
