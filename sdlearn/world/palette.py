"""The world's colours, its sizes in pixels, and how the time of day lights them."""

from __future__ import annotations

from .pen import RGB, blend

__all__ = [
    "BASELINE",
    "CENTRES",
    "COLOUR_RGB",
    "GROUND_GRADIENTS",
    "HEIGHTS",
    "HORIZON",
    "IMAGE_SIZE",
    "SKY_GRADIENTS",
    "lit_ground",
    "lit_thing",
]

IMAGE_SIZE = 128  # pixels

HEIGHTS = {"small": 34, "medium": 44, "large": 58}  # pixels: what survives 48x compression
CENTRES = {"left": 33, "middle": 64, "right": 95}
HORIZON = 82
BASELINE = 108  # where subjects stand

COLOUR_RGB: dict[str, RGB] = {
    "red": (214, 40, 40),
    "orange": (246, 130, 25),
    "yellow": (250, 212, 40),
    "green": (38, 150, 66),
    "blue": (36, 98, 215),
    "purple": (128, 56, 176),
    "pink": (248, 140, 190),
    "white": (246, 246, 244),
}
SKY_GRADIENTS: dict[str, tuple[RGB, RGB]] = {  # top, horizon
    "day": ((82, 160, 232), (206, 234, 250)),
    "sunset": ((104, 72, 150), (255, 172, 98)),
    "night": ((12, 16, 50), (54, 64, 118)),
}
GROUND_GRADIENTS: dict[str, tuple[RGB, RGB]] = {  # horizon, bottom
    "grass": ((134, 196, 86), (70, 142, 58)),
    "snow": ((246, 249, 253), (208, 222, 240)),
    "sand": ((244, 220, 158), (216, 180, 108)),
    "water": ((70, 150, 204), (24, 84, 150)),
}
GROUND_LIGHT: dict[str, tuple[RGB, float]] = {  # colour of the light and its strength
    "day": ((255, 255, 255), 0.0),
    "sunset": ((226, 110, 84), 0.24),
    "night": ((16, 22, 66), 0.45),
}
THING_LIGHT: dict[str, tuple[RGB, float]] = {  # weaker, so that colours can be told apart
    "day": ((255, 255, 255), 0.0),
    "sunset": ((240, 120, 80), 0.08),
    "night": ((20, 26, 74), 0.16),
}


def lit_ground(colour: RGB, time: str) -> RGB:
    """A colour of the ground at a time of day."""
    return blend(colour, *GROUND_LIGHT[time])


def lit_thing(colour: RGB, time: str) -> RGB:
    """A colour of a thing at a time of day."""
    return blend(colour, *THING_LIGHT[time])
