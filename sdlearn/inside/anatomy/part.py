"""What is told of a part: a `Part` with its own parts in it, a U-Net's `Skip` and `Level`.

Work is counted in FLOPs: a multiplication and an addition are two. Only convolutions and matrix
products count, which are nearly all of it; biases, norms and activations do not. Papers that
print half the number count multiply-adds (MACs); those that print still less leave out the
matrix products between queries, keys and values, here called attention.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["CROSS_ATTENTION", "KINDS_OF_WORK", "Level", "Part", "Shape", "Skip", "combine"]

Shape: TypeAlias = "tuple[int, ...]"

KINDS_OF_WORK = ("convolution", "linear", "attention")
CROSS_ATTENTION = "CrossAttention"  # the kind of a part that looks at the text


@dataclass(frozen=True)
class Part:
    """A part of a model, and what one call of it takes, gives and costs for one picture."""

    name: str  # as in the model's code, without what it stands in: "down_blocks.0"
    kind: str  # its class
    parameters: int
    inputs: tuple[Shape, ...] = field(repr=False)  # of the tensors that it is called with
    outputs: tuple[Shape, ...] = field(repr=False)
    work: dict[str, int] = field(repr=False)  # FLOPs by KINDS_OF_WORK
    children: tuple[Part, ...] = field(repr=False, default=())

    @property
    def flops(self) -> int:
        """FLOPs of one call, 2 for a multiply-add."""
        return sum(self.work.values())

    @property
    def bytes_fp32(self) -> int:
        """Size of the parameters in single precision."""
        return 4 * self.parameters

    @property
    def bytes_fp16(self) -> int:
        """Size of the parameters in half precision."""
        return 2 * self.parameters

    def __getitem__(self, path: str) -> Part:
        """The part at a path such as "down_blocks.0.attentions.1"; `KeyError` if there is none."""
        for child in self.children:
            if path == child.name:
                return child
            if path.startswith(f"{child.name}."):
                return child[path.removeprefix(f"{child.name}.")]
        names = ", ".join(child.name for child in self.children) or "none"
        raise KeyError(f"{self.name!r} has no part {path!r}; its parts are: {names}")

    def walk(self) -> Iterator[Part]:
        """This part and every part in it, each before its own."""
        yield self
        for child in self.children:
            yield from child.walk()

    def of_kind(self, kind: str) -> list[Part]:
        """Every part in it of one kind, such as "CrossAttention" or "ResnetBlock2D"."""
        return [part for part in self.walk() if part.kind == kind]

    def tree(self, depth: int = 2) -> str:
        """A table of this part and the parts in it, down to `depth` levels below."""
        from .table import tree_table

        return tree_table(self, depth)

    def __str__(self) -> str:
        return self.tree(depth=1)


def combine(name: str, kind: str, parts: tuple[Part, ...]) -> Part:
    """One part made of several that are called one after the other."""
    return Part(
        name,
        kind,
        sum(part.parameters for part in parts),
        parts[0].inputs,
        parts[-1].outputs,
        {kind: sum(part.work[kind] for part in parts) for kind in KINDS_OF_WORK},
        parts,
    )


@dataclass(frozen=True)
class Skip:
    """A skip connection: what `source` gives is handed straight to `target`, across the U."""

    source: str  # where in the U-Net, "down_blocks.0.attentions.1"
    target: str  # "up_blocks.3.resnets.1"
    shape: Shape  # (1, C, h, w)


@dataclass(frozen=True)
class Level:
    """The U-Net at one size of its pictures: a block on the way down, one on the way up."""

    size: tuple[int, int]  # h, w
    channels: int
    down: Part
    up: Part
    skips: tuple[Skip, ...]

    @property
    def cross_attentions(self) -> tuple[int, int]:
        """How often it looks at the text, on the way down and on the way up."""
        down, up = self.down.of_kind(CROSS_ATTENTION), self.up.of_kind(CROSS_ATTENTION)
        return len(down), len(up)
