"""Every number of steps from 1 to 1000: how much noise a run with perfect predictions leaves.

    python -m benchmarks.grids ddim pndm --spacing trailing

One line for each scheduler: the worst that is left, and which numbers of steps are refused. All
schedulers and spacings take the better part of an hour; the tests try some forty counts.
"""

from __future__ import annotations

import argparse

from sdlearn.diffusion.schedulers import SCHEDULERS, build_scheduler, fresh_scheduler, noise_left
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
    like = build_scheduler(name, shipped_scheduler())
    own = type(like).from_config(like.config, timestep_spacing=spacing)
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
