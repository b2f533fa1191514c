"""What a Stable Diffusion is made of: sizes, shapes and costs of every part, without its weights.

    from sdlearn.inside import anatomy, anatomy_figure

    a = anatomy("sd15")            # also "sd15-narrow", "tiny", a folder, or a loaded pipeline
    print(a)                       # a table; MB and GB are 10^6 and 10^9 bytes
    a.parts["unet"].parameters     # 859520964
    anatomy_figure(a)              # an image of the whole

The models are built from their architecture alone, on torch's meta device, where a tensor has a
shape and no content. So Stable Diffusion 1.5 takes seconds and no memory, and nothing is
downloaded. Left out: time and memory of a real run, which depend on the machine; `benchmarks`
measures those.

Work is counted in FLOPs by torch's own `FlopCounterMode`: a multiplication and an addition are
two. Only convolutions and matrix products count, which are nearly all of it; biases, norms and
activations do not. Papers that print half the number count multiply-adds (MACs). Those that print
still less leave out the matrix products between queries, keys and values, here called attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .ablation import SKIPS
from .architecture import Architecture, Loaded, architecture_of

Shape: TypeAlias = "tuple[int, ...]"

CROSS_ATTENTION = "CrossAttention"  # the kind of a part that looks at the text
KINDS_OF_WORK = ("convolution", "linear", "attention")
KIND_OF_OPERATION = {  # what torch calls the operations that are counted
    "aten.convolution": "convolution",
    "aten.mm": "linear",
    "aten.addmm": "linear",
    "aten.bmm": "attention",
    "aten.baddbmm": "attention",
}


# What a model consists of


@dataclass(frozen=True)
class Part:
    """A part of a model, and what one call of it takes, gives and costs for one image."""

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
        """This part and every part in it, parents before children."""
        yield self
        for child in self.children:
            yield from child.walk()

    def of_kind(self, kind: str) -> list[Part]:
        """Every part in it of one kind, such as "CrossAttention" or "ResnetBlock2D"."""
        return [part for part in self.walk() if part.kind == kind]

    def tree(self, depth: int = 2) -> str:
        """A table of this part and the parts in it, down to `depth` levels below."""
        if depth < 0:
            raise ValueError(f"depth must be at least 0; got {depth}")
        rows = [("part", "kind", "parameters", "work", "out"), *_tree_rows(self, depth, "")]
        return aligned(rows, left={0, 1, 4})

    def __str__(self) -> str:
        return self.tree(depth=1)


@dataclass(frozen=True)
class Skip:
    """A skip connection: what `source` gives is handed straight to `target`, across the U."""

    source: str  # where in the U-Net, "down_blocks.0.attentions.1"
    target: str  # "up_blocks.3.resnets.1"
    shape: Shape  # (1, C, h, w)


@dataclass(frozen=True)
class Level:
    """The U-Net at one size of its latents: a block on the way down, one on the way up."""

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


@dataclass(frozen=True)
class Anatomy:
    """A model taken apart. `print` shows a table, `anatomy_figure` an image."""

    name: str
    parts: Mapping[str, Part] = field(repr=False)  # "text_encoder", "unet", "vae", ...
    skips: tuple[Skip, ...] = field(repr=False)

    @property
    def parameters(self) -> int:
        """Of all parts: text encoder, U-Net and both halves of the VAE."""
        return sum(self.parts[name].parameters for name in ("text_encoder", "unet", "vae"))

    @property
    def cross_attentions(self) -> list[Part]:
        """The places where the U-Net looks at the text: 16 in Stable Diffusion 1.5."""
        return self.parts["unet"].of_kind(CROSS_ATTENTION)

    @property
    def levels(self) -> list[Level]:
        """The U-Net's levels, from the size of the latents down to the smallest."""
        blocks = {part.name: part for part in self.parts["unet"].children}
        count = sum(name.startswith("down_blocks.") for name in blocks)
        found = []
        for i in range(count):
            down, up = blocks[f"down_blocks.{i}"], blocks[f"up_blocks.{count - 1 - i}"]
            [(_, channels, height, width)] = down["resnets.0"].outputs
            skips = tuple(skip for skip in self.skips if skip.target.startswith(f"{up.name}."))
            found.append(Level((height, width), channels, down, up, skips))
        return found

    def __str__(self) -> str:
        return _anatomy_table(self)


# From an architecture to its parts


def anatomy(model: str | Path | Loaded = "sd15") -> Anatomy:
    """Every part of a model with its parameters, shapes and FLOPs, for one image of its size.

    `model` is "sd15", its sibling "sd15-narrow", "tiny", a folder in Stable Diffusion's layout (its
    configs are read, not its weights), or a loaded model. The parts are "text_encoder", "unet",
    "vae_encoder", "vae_decoder", and "vae", which is a round trip through both halves.
    Raises `ValueError` for what is none of these, and `FileNotFoundError` for a folder without
    configs.

    >>> anatomy("sd15").parts["unet"].parameters
    859520964
    """
    architecture = architecture_of(model)
    ids = _zeros(1, architecture.text_encoder["max_position_embeddings"], dtype=torch.long)
    unet, inputs = _unet(architecture)
    encoder, decoder = _measure_vae(architecture)
    parts = {
        "text_encoder": _measure("text_encoder", architecture.build("text_encoder"), ids),
        "unet": _measure("unet", unet, **inputs),
        "vae_encoder": encoder,
        "vae_decoder": decoder,
        "vae": _combine("vae", "AutoencoderKL", (encoder, decoder)),
    }
    return Anatomy(architecture.name, parts, _trace_skips(unet, inputs))


def pixel_unet(model: str | Path | Loaded = "sd15") -> Part:
    """The same U-Net without a VAE: its layers unchanged, its input the image itself, 3xHxW.

    Errors are those of `anatomy`.
    """
    architecture = architecture_of(model)
    channels = architecture.vae["in_channels"]
    sides = [side * architecture.factor for side in architecture.sides]
    changed = {"in_channels": channels, "out_channels": channels, "sample_size": sides}
    unet, inputs = _unet(replace(architecture, unet=architecture.unet | changed))
    return _measure("unet", unet, **inputs)


_zeros = partial(torch.zeros, device="meta")


def _unet(architecture: Architecture) -> tuple[nn.Module, dict[str, Tensor]]:
    """A U-Net without weights, and the arguments of one call of it."""
    config, tokens = architecture.unet, architecture.text_encoder["max_position_embeddings"]
    inputs = {
        "sample": _zeros(1, config["in_channels"], *architecture.sides),
        "timestep": _zeros(()),
        "encoder_hidden_states": _zeros(1, tokens, config["cross_attention_dim"]),
    }
    return architecture.build("unet"), inputs


def _measure_vae(architecture: Architecture) -> tuple[Part, Part]:
    """Encoder and decoder, each with the 1x1 convolution between it and the latents."""
    vae: Any = architecture.build("vae")
    sides, channels = architecture.sides, architecture.vae["latent_channels"]
    large = [side * architecture.factor for side in sides]
    image = _zeros(1, architecture.vae["in_channels"], *large)
    moments = _zeros(1, 2 * channels, *sides)  # a mean and a log-variance for each number
    latents = _zeros(1, channels, *sides)
    encoder = _measure("encoder", vae.encoder, image)
    decoder = _measure("decoder", vae.decoder, latents)
    before = _measure("post_quant_conv", vae.post_quant_conv, latents)
    after = _measure("quant_conv", vae.quant_conv, moments)
    encoding = _combine("vae_encoder", "Encoder", (encoder, after))
    return encoding, _combine("vae_decoder", "Decoder", (before, decoder))


def _combine(name: str, kind: str, parts: tuple[Part, ...]) -> Part:
    """One part made of several that are called one after the other."""
    parameters = sum(part.parameters for part in parts)
    work = {name: sum(part.work[name] for part in parts) for name in KINDS_OF_WORK}
    return Part(name, kind, parameters, parts[0].inputs, parts[-1].outputs, work, parts)


# One call of a module on the meta device, and what can be learned from it


def _measure(name: str, module: nn.Module, *args: Any, **kwargs: Any) -> Part:
    """The tree of `module`'s parts, from one call of it with these arguments."""
    calls: dict[nn.Module, tuple[tuple[Shape, ...], tuple[Shape, ...]]] = {}

    def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        calls[module] = (_shapes((args, kwargs)), _shapes(output))

    # Attention is one fused operation on most devices, which the counter does not know on all of
    # them. Its plain form is two matrix products, which is what every fused one computes. A causal
    # mask saves no work in this count.
    counter = FlopCounterMode(display=False)
    with _hooked(module, note), counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        module(*args, **kwargs)
    counts = counter.get_flop_counts()
    order = {called: i for i, called in enumerate(calls)}

    def part(name: str, module: nn.Module, path: str) -> Part:
        work = dict.fromkeys(KINDS_OF_WORK, 0)
        for operation, flops in counts.get(path, {}).items():
            work[KIND_OF_OPERATION[str(operation)]] += flops
        parameters = sum(p.numel() for p in module.parameters())
        children = sorted(_children(module, path, calls), key=lambda child: order.get(child[1], 0))
        inputs, outputs = calls.get(module, ((), ()))
        inside = tuple(part(*child) for child in children)
        return Part(name, _kind(module), parameters, inputs, outputs, work, inside)

    return part(name, module, type(module).__name__)


@contextmanager
def _hooked(module: nn.Module, hook: Callable[..., None]) -> Iterator[None]:
    """While the block is open, `hook` runs after every call of a module in `module`."""
    with ExitStack() as stack:
        for part in module.modules():
            stack.enter_context(part.register_forward_hook(hook, with_kwargs=True))
        yield


def _children(
    module: nn.Module, path: str, called: Iterable[nn.Module], prefix: str = ""
) -> Iterator[tuple[str, nn.Module, str]]:
    """Name, module and path of each part that has parameters; of a mere list, its entries."""
    for name, child in module.named_children():
        if isinstance(child, (nn.ModuleList, nn.Sequential)) and child not in called:
            yield from _children(child, f"{path}.{name}", called, f"{prefix}{name}.")
        elif any(True for _ in child.parameters()):
            yield f"{prefix}{name}", child, f"{path}.{name}"


def _kind(module: nn.Module) -> str:
    """The class of a module; for diffusers' attention, which of the two kinds it is."""
    crosses = getattr(module, "is_cross_attention", None)
    if crosses is None:
        return type(module).__name__
    return CROSS_ATTENTION if crosses else "SelfAttention"


def _shapes(value: Any) -> tuple[Shape, ...]:
    return tuple(tuple(tensor.shape) for tensor in _tensors(value))


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in a tensor, or in tuples, lists and mappings of them, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list, Mapping)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(item)


def _trace_skips(unet: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[Skip, ...]:
    """The skip connections of diffusers' U-Net in the order in which they are taken up.

    Found by following the tensors themselves: an up block is called with tensors that something
    on the way down returned, and its resnets take them from the last to the first.
    """
    names = {module: name for name, module in unet.named_modules()}
    made: dict[int, tuple[str, Tensor]] = {}  # by id; kept, so that no id is used twice
    skips: list[Skip] = []

    def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        for i, state in enumerate(reversed(kwargs.get(SKIPS, ()))):
            source, target = made[id(state)][0], f"{names[module]}.resnets.{i}"
            skips.append(Skip(source, target, tuple(state.shape)))
        tensors = list(_tensors(output))
        if len(tensors) == 1:  # blocks give several, each made by a part of theirs
            made[id(tensors[0])] = (names[module], tensors[0])

    with _hooked(unet, note), torch.no_grad():
        unet(**inputs)
    return tuple(skips)


# As text


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


def aligned(rows: Sequence[tuple[str, ...]], left: set[int]) -> str:
    """Columns two spaces apart; those in `left` begin flush, the others end flush."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<" if i in left else ">" for i in range(len(widths))]
    line = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return "\n".join(line.format(*row).rstrip() for row in rows)


def _anatomy_table(a: Anatomy) -> str:
    """The whole model: its parts, then the levels of its U-Net."""
    unet, cross = a.parts["unet"], sum(part.parameters for part in a.cross_attentions)
    image, latents = a.parts["vae_encoder"].inputs[0][1:], unet.outputs[0][1:]
    return f"""\
{a.name}: images {shape_text(image)}, latents {shape_text(latents)}

{_parts_table(a)}

{_levels_table(a)}

{len(a.skips)} skip connections; {len(a.cross_attentions)} cross-attentions with {cross:,} \
parameters, {share_text(cross / unet.parameters)} of the U-Net
One call for one image. FLOP: 2 for a multiply-add; convolutions and matrix products."""


def _parts_table(a: Anatomy) -> str:
    rows = [("part", "parameters", "share", "fp32", "fp16", "work", "in", "out")]
    for name in ("text_encoder", "unet", "vae_encoder", "vae_decoder"):
        part = a.parts[name]
        title = {"unet": "U-Net"}.get(name, name.replace("vae", "VAE").replace("_", " "))
        share = share_text(part.parameters / a.parameters)
        sizes = bytes_text(part.bytes_fp32), bytes_text(part.bytes_fp16)
        shapes = ", ".join(map(shape_text, part.inputs)), shape_text(part.outputs[0])
        parameters, flops = _sums(part)
        rows.append((title, parameters, share, *sizes, flops, *shapes))
    total = a.parameters
    sizes = bytes_text(4 * total), bytes_text(2 * total)
    rows.append(("sum", f"{total:,}", "", *sizes, "", "", ""))
    return aligned(rows, left={0, 6, 7})


def _levels_table(a: Anatomy) -> str:
    rows = [("U-Net", "channels", "parameters", "work", "cross-attentions", "skips")]
    for level in a.levels:
        down, up = level.cross_attentions
        looks = f"{down} down, {up} up" if down or up else "none"
        sums = _sums(level.down, level.up)
        size, channels = shape_text(level.size), str(level.channels)
        rows.append((size, channels, *sums, looks, str(len(level.skips))))
    middle = a.parts["unet"]["mid_block"]
    count = len(middle.of_kind(CROSS_ATTENTION))
    rows.append(("middle", str(middle.outputs[0][1]), *_sums(middle), str(count), "0"))
    rest = [part for part in a.parts["unet"].children if "block" not in part.name]
    rows.append(("the rest", "", *_sums(*rest), "", ""))
    return aligned(rows, left={0, 4})


def _tree_rows(part: Part, depth: int, indent: str) -> Iterator[tuple[str, ...]]:
    out = ", ".join(map(shape_text, part.outputs[:1]))
    yield f"{indent}{part.name}", part.kind, *_sums(part), out
    for child in part.children if depth else ():
        yield from _tree_rows(child, depth - 1, f"{indent}  ")


def _sums(*parts: Part) -> tuple[str, str]:
    """Parameters and FLOPs of several parts together."""
    flops = sum(part.flops for part in parts)
    return f"{sum(part.parameters for part in parts):,}", flops_text(flops)
