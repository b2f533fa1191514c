"""What a Stable Diffusion is made of: sizes, shapes and costs of every part, without its weights.

    from sdlearn.inside import anatomy

    a = anatomy("sd15")            # also "sd15-narrow", "tiny", a folder, or a loaded pipeline
    print(a)                       # a table
    a.parts["unet"].parameters     # 859520964
    a.figure()                     # a picture of the whole

The models are built from their architecture alone, on torch's meta device: tensors there have a
shape and no content, so Stable Diffusion 1.5 takes seconds and no memory, and nothing is
downloaded. Left out: time and memory of a real run, which depend on the machine; to measure those
without the real weights, `benchmarks.make_random` makes a folder of the same shapes.
"""

from .architecture import ARCHITECTURES, SD15, Architecture
from .body import Anatomy, anatomy, pixel_unet
from .part import Level, Part, Skip

__all__ = [
    "ARCHITECTURES",
    "SD15",
    "Anatomy",
    "Architecture",
    "Level",
    "Part",
    "Skip",
    "anatomy",
    "pixel_unet",
]
