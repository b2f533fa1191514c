"""How well is the prompt obeyed, how different are the pictures, what does the autoencoder lose?

Numbers with intervals, ceilings and floors, for `sdlearn evaluate` and for the lessons:
`adherence(sd, scenes, seeds, guidance_scale=2)` generates and counts, `judge_images` counts
pictures that are there already. Left out: FID and its kin, whose features know photographs and not
our world, and CLIP scores, which would ask the tower that the pictures were generated from.
`evaluation.plots` draws a report; it stands apart because it needs matplotlib.
"""

from .adherence import adherence, checks, judge_images, mistakes, tally
from .autoencoder import Fidelity, fidelity, psnr, round_trips
from .diversity import diversity, pixel_distance, world_diversity
from .intervals import Rate, mean_interval, wilson
from .judge import ATTRIBUTES, Judge, Reading, find_judge, labels, load_judge, save_judge
from .report import Diversity, Report, Row, Sampling, Settings, evaluate
from .table import format_report, to_json

__all__ = [
    "ATTRIBUTES",
    "Judge",
    "Reading",
    "find_judge",
    "labels",
    "load_judge",
    "save_judge",
    "Diversity",
    "Fidelity",
    "Rate",
    "Report",
    "Row",
    "Sampling",
    "Settings",
    "adherence",
    "checks",
    "diversity",
    "evaluate",
    "fidelity",
    "format_report",
    "judge_images",
    "mean_interval",
    "mistakes",
    "pixel_distance",
    "psnr",
    "round_trips",
    "tally",
    "to_json",
    "wilson",
    "world_diversity",
]
