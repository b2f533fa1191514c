"""Every number of steps from 1 to 1000: how much noise a run with perfect predictions leaves.

    python -m benchmarks.grids ddim pndm --spacing trailing

One line for each scheduler: the worst that is left, and which numbers of steps are refused. All
schedulers and spacings take the better part of an hour; the tests try some forty counts. The
classes that a model's folder may name, such as KDPM2DiscreteScheduler, are tried by name.
"""

from __future__ import annotations

import argparse

from sdlearn.diffusion.schedulers import (
    SCHEDULERS,
    build_scheduler,
    fresh_scheduler,
    load_scheduler,
    noise_left,
)
from sdlearn.training.unet import build_scheduler as shipped_scheduler
from sdlearn.util.progress import progress_bar

SPACINGS = ("leading", "trailing", "linspace")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("schedulers", nargs="*", default=list(SCHEDULERS), metavar="SCHEDULER")
    parser.add_argument("--spacing", nargs="+", choices=SPACINGS, default=SPACINGS)
    args = parser.parse_args()
    for name in args.schedulers:
        for spacing in args.spacing:
            print(f"{name:13}{spacing:10}{describe(name, spacing)}", flush=True)


def describe(name: str, spacing: str) -> str:
    """The worst of all counts, and the counts that are refused."""
    like = shipped_scheduler()
    like = build_scheduler(name, like) if name in SCHEDULERS else like
    cls = type(like).__name__ if name in SCHEDULERS else name
    own = load_scheduler({**like.config, "timestep_spacing": spacing}, cls)
    left, refused = {}, []
    for num_steps in progress_bar(range(1, 1001), f"{name} {spacing}", 1000):
        try:
            fresh_scheduler(None, own, num_steps)
        except ValueError:
            refused.append(num_steps)
        else:
            left[num_steps] = noise_left(own, num_steps)
    worst = max(left, key=lambda n: left[n])
    said = f"refused {len(refused)}: {refused[:6]}" if refused else "none refused"
    return f"at most {left[worst]:.4f} left (at {worst} steps); {said}"


if __name__ == "__main__":
    main()
