"""Sixteen prompts that show the world's range: for the sheet in the README and the diary."""

from __future__ import annotations

__all__ = ["SHOWCASE"]

SHOWCASE = (
    "a large red house on the left, on green grass, at sunset, under a rainbow",
    "a small purple boat on the right, on blue water, at night, under the moon",
    "a large white castle in the middle, on white snow, by day, under a cloud",
    "a large yellow car on the right, on yellow sand, by day, under the sun",
    "a large orange cat in the middle, on green grass, at night, under a balloon",
    "a small pink tree on the left, on white snow, at sunset, under a clear sky",
    "a blue rocket left of a red castle, on yellow sand, at night, under the moon",
    "a green boat left of a white lighthouse, on blue water, by day, under a rainbow",
    "a large blue lighthouse on the left, on blue water, at sunset, under the sun",
    "a small yellow house in the middle, on white snow, at night, under the moon",
    "a large green tree in the middle, on green grass, by day, under a rainbow",
    "a large purple rocket on the right, on yellow sand, at night, under a clear sky",
    "a red car left of a yellow house, on green grass, by day, under a cloud",
    "a large pink castle on the right, on blue water, at sunset, under a balloon",
    "a large white boat in the middle, on blue water, by day, under the sun",
    "a white cat right of a green tree, on white snow, at night, under a cloud",
)
