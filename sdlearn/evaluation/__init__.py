"""How well is the prompt obeyed, how different are the images, what does the autoencoder lose?

Numbers with intervals, ceilings and floors, for `sdlearn evaluate` and for the lessons:
`adherence(sd, scenes, seeds, guidance_scale=2)` generates and counts, `judge_images` counts images
that are there already, and `try_prompt(sd, "a red house", seeds)` looks into one prompt. Left out:
FID and its kin, whose features know photographs and not our world, and CLIP scores, which would ask
the tower that the images were generated from.
`evaluation.plots` draws a report; it stands apart because it needs matplotlib.
"""

from .adherence import adherence, judge_images
from .intervals import Gain, Rate, mean_interval, wilson
from .judge import ATTRIBUTES, Judge, Reading, find_judge, labels, load_judge, save_judge
from .measures import diversity, fidelity, pixel_distance, psnr, round_trips, world_diversity
from .report import Report, Settings, evaluate, format_report, to_json
from .trials import Trial, try_prompt

__all__ = [
    "ATTRIBUTES",
    "Gain",
    "Judge",
    "Rate",
    "Reading",
    "Report",
    "Settings",
    "Trial",
    "adherence",
    "diversity",
    "evaluate",
    "fidelity",
    "find_judge",
    "format_report",
    "judge_images",
    "labels",
    "load_judge",
    "mean_interval",
    "pixel_distance",
    "psnr",
    "round_trips",
    "save_judge",
    "to_json",
    "try_prompt",
    "wilson",
    "world_diversity",
]
