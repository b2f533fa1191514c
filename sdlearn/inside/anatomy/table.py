"""An anatomy and its parts in words: tables for `print`. MB and GB are 10^6 and 10^9 bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .part import CROSS_ATTENTION, Part, Shape

if TYPE_CHECKING:
    from .body import Anatomy

__all__ = [
    "aligned",
    "anatomy_table",
    "bytes_text",
    "flops_text",
    "shape_text",
    "share_text",
    "tree_table",
]

TITLES = {
    "text_encoder": "text encoder",
    "unet": "U-Net",
    "vae_encoder": "VAE encoder",
    "vae_decoder": "VAE decoder",
}
COUNTED = "One call for one picture. FLOP: 2 for a multiply-add; convolutions and matrix products."


def shape_text(shape: Shape) -> str:
    """(1, 4, 64, 64) → "1x4x64x64"; a single number is "1"."""
    return "x".join(str(size) for size in shape) or "1"


def bytes_text(count: int) -> str:
    """A size in the unit that leaves one to three digits before the point."""
    return _in_units(count, "B", ("", "k", "M", "G"))


def flops_text(count: int) -> str:
    """FLOPs in the unit that leaves one to three digits before the point."""
    return _in_units(count, "FLOP", ("", "k", "M", "G", "T", "P"))


def _in_units(count: float, unit: str, prefixes: Sequence[str]) -> str:
    digits = 0
    for prefix in prefixes:
        if count < 999.5 or prefix == prefixes[-1]:
            break
        count /= 1000
        digits = 2 if count < 9.995 else 1 if count < 99.95 else 0
    return f"{count:.{digits}f} {prefix}{unit}"


def share_text(share: float) -> str:
    """A share of 1 in per cent, one digit after the point; "< 0.1 %" for less."""
    return f"{100 * share:.1f} %" if share >= 0.0005 else "< 0.1 %"


def anatomy_table(anatomy: Anatomy) -> str:
    """The whole model: its parts, then the levels of its U-Net."""
    picture, latents = (anatomy.parts["vae_encoder"].inputs[0], anatomy.parts["unet"].outputs[0])
    head = f"{anatomy.name}: pictures {shape_text(picture[1:])}, latents {shape_text(latents[1:])}"
    cross = sum(part.parameters for part in anatomy.cross_attentions)
    notes = (
        f"{len(anatomy.skips)} skip connections; {len(anatomy.cross_attentions)} "
        f"cross-attentions with {cross:,} parameters, "
        f"{share_text(cross / anatomy.parts['unet'].parameters)} of the U-Net"
    )
    tables = (_parts_table(anatomy), _levels_table(anatomy))
    return "\n".join([head, "", tables[0], "", tables[1], "", notes, COUNTED])


def _parts_table(anatomy: Anatomy) -> str:
    rows: list[tuple[str, ...]] = [
        ("part", "parameters", "share", "fp32", "fp16", "work", "in", "out")
    ]
    for name, title in TITLES.items():
        part = anatomy.parts[name]
        share = share_text(part.parameters / anatomy.parameters)
        rows.append((title, *_sizes(part, share), *_shapes(part)))
    total = anatomy.parameters
    rows.append(("sum", f"{total:,}", "", bytes_text(4 * total), bytes_text(2 * total), "", "", ""))
    return aligned(rows, left={0, 6, 7})


def _sizes(part: Part, share: str) -> tuple[str, ...]:
    return (
        f"{part.parameters:,}",
        share,
        bytes_text(part.bytes_fp32),
        bytes_text(part.bytes_fp16),
        flops_text(part.flops),
    )


def _shapes(part: Part) -> tuple[str, str]:
    """What goes in, and the first of what comes out."""
    return ", ".join(map(shape_text, part.inputs)), ", ".join(map(shape_text, part.outputs[:1]))


def _levels_table(anatomy: Anatomy) -> str:
    rows = [("U-Net", "channels", "parameters", "work", "cross-attentions", "skips")]
    for level in anatomy.levels:
        size, blocks = shape_text(level.size), (level.down, level.up)
        parameters, flops = _sums(*blocks)
        down, up = level.cross_attentions
        looks = f"{down} down, {up} up" if down or up else "none"
        rows.append((size, str(level.channels), parameters, flops, looks, str(len(level.skips))))
    middle = anatomy.parts["unet"]["mid_block"]
    count = len(middle.of_kind(CROSS_ATTENTION))
    channels = str(middle.outputs[0][1])
    rows.append(("middle", channels, *_sums(middle), str(count), "0"))
    rest = [p for p in anatomy.parts["unet"].children if "block" not in p.name]
    rows.append(("the rest", "", *_sums(*rest), "", ""))
    return aligned(rows, left={0, 4})


def _sums(*parts: Part) -> tuple[str, str]:
    flops = flops_text(sum(part.flops for part in parts))
    return f"{sum(part.parameters for part in parts):,}", flops


def tree_table(part: Part, depth: int) -> str:
    """A part and what is in it, indented, down to `depth` levels below it."""
    if depth < 0:
        raise ValueError(f"depth must be at least 0; got {depth}")
    rows = [("part", "kind", "parameters", "work", "out")]
    return aligned([*rows, *_tree(part, depth, "")], left={0, 1, 4})


def _tree(part: Part, depth: int, indent: str) -> Iterator[tuple[str, ...]]:
    _, out = _shapes(part)
    yield f"{indent}{part.name}", part.kind, *_sums(part), out
    for child in part.children if depth else ():
        yield from _tree(child, depth - 1, f"{indent}  ")


def aligned(rows: Sequence[tuple[str, ...]], left: set[int]) -> str:
    """Columns two spaces apart; those in `left` begin flush, the others end flush."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            text.ljust(width) if i in left else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
