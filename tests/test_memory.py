"""What fits: plans from numbers, and images that do not depend on where the weights lie."""

import functools
import re

import numpy as np
import pytest
import torch

from sdlearn import load
from sdlearn.models import memory
from sdlearn.models.memory import (
    ALL_ON_DEVICE,
    GB,
    NEXT_IMAGE,
    ONE_IMAGE,
    MemoryPlan,
    apply_plan,
    choose_plan,
    free_memory,
    parse_memory,
)

PROMPT = "a large red house on the left, on green grass"
# The parts of SD 1.5 in fp16, its safety checker among them: parameters times two bytes.
SD15 = {
    "text_encoder": 2 * 123_060_480,
    "unet": 2 * 859_520_964,
    "vae": 2 * 83_653_863,
    "checker": 2 * 303_981_588,
}


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (None, None),
        ("auto", "auto"),
        ("8GB", 8 * GB),
        (" 7.5 gb ", 7_500_000_000),
        ("500MB", 500_000_000),
        (123, 123),
    ],
)
def test_memory_is_read_as_people_write_it(memory, expected):
    assert parse_memory(memory) == expected


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ("lots", ValueError, "memory must be like '8GB' or '500MB', or 'auto' .*; got 'lots'"),
        ("8", ValueError, "memory must be like .*; got '8'"),
        ("-4GB", ValueError, "memory must be like .*; got '-4GB'"),
        (-1, ValueError, "memory must be more than nothing, such as '8GB'; got -1"),
        ("0GB", ValueError, "memory must be more than nothing.*; got '0GB'"),
        (8.5, TypeError, "memory must be like '8GB', 'auto', or a number of bytes; got 8.5"),
        (True, TypeError, "memory must be like .*; got True"),
    ],
)
def test_memory_that_is_none(bad, error, message):
    with pytest.raises(error, match=message) as caught:
        load(memory=bad)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", ["yes", 1, 0])
def test_compile_is_yes_or_no_or_where_it_is_ready(bad):
    with pytest.raises(TypeError, match=f"compile must be True, False or None; got {bad!r}"):
        load(compile=bad)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (24 * GB, MemoryPlan()),
        (8 * GB, MemoryPlan(vae_slicing=True)),
        (6 * GB, MemoryPlan(vae_slicing=True)),
        (4 * GB, MemoryPlan("model", vae_slicing=True, vae_tiling=True)),
        (3 * GB, MemoryPlan("sequential", vae_slicing=True, vae_tiling=True)),
        (2 * GB, MemoryPlan("sequential", vae_slicing=True, vae_tiling=True)),
        (GB // 10, MemoryPlan("sequential", vae_slicing=True, vae_tiling=True)),
    ],
)
def test_sd15_in_half_precision_on_cards_of_every_size(limit, expected):
    plan = choose_plan(SD15, limit, "cuda")
    assert plan.limit == limit
    fields = ("offload", "vae_slicing", "vae_tiling", "attention_slicing")
    assert [getattr(plan, f) for f in fields] == [getattr(expected, f) for f in fields]


def test_8_gb_are_enough_for_four_pictures_even_if_slicing_saved_nothing():
    plan = choose_plan(SD15, parse_memory("8GB"), "cuda")
    assert plan.offload == "none"
    assert plan.vae_slicing
    assert sum(SD15.values()) + ONE_IMAGE + 3 * NEXT_IMAGE <= 8 * GB


def test_the_published_peaks_are_reached():
    """4,050 and 6,911 MiB for one and for four images, without the checker."""
    weights = sum(SD15.values()) - SD15["checker"]
    assert (weights + ONE_IMAGE) / 2**20 == pytest.approx(4050, abs=1)
    assert (weights + ONE_IMAGE + 3 * NEXT_IMAGE) / 2**20 == pytest.approx(6911, rel=0.005)


def test_full_precision_wants_twice_as_much():
    double = {part: 2 * size for part, size in SD15.items()}
    for limit in (24 * GB, 8 * GB, 4 * GB, 1 * GB):
        half, full = (
            choose_plan(SD15, limit, "cuda"),
            choose_plan(double, 2 * limit, "cuda", scale=2),
        )
        assert half.offload == full.offload


def test_less_memory_is_never_a_faster_plan():
    ranks = ["none", "model", "sequential"]
    limits = range(GB // 4, 16 * GB, GB // 4)
    plans = [choose_plan(SD15, limit, "cuda") for limit in limits]
    assert plans == sorted(plans, key=lambda p: (-ranks.index(p.offload), -p.vae_slicing))
    assert not any(p.attention_slicing for p in plans)  # SDPA, which it replaces, wants less


@pytest.mark.parametrize("device_type", ["cpu", "mps"])
@pytest.mark.parametrize("limit", [None, 24 * GB, 4 * GB, 1])
def test_where_there_is_no_other_place_all_parts_stay(device_type, limit):
    plan = choose_plan(SD15, limit, device_type)
    assert plan.offload == "none"
    assert plan.vae_slicing == (limit is not None and limit < 11 * GB)
    assert plan.attention_slicing == (limit == 4 * GB or limit == 1)


def test_the_reason_names_both_numbers():
    plan = choose_plan(SD15, 8 * GB, "cuda")
    assert str(plan) == (
        "all parts stay on the device, images decoded one by one; about 4.9 GB of 8.0 GB"
    )
    assert str(choose_plan(SD15, 10**8, "cuda")).endswith("; 0.10 GB may be too little")


def test_free_memory_counts_what_torch_keeps_for_itself(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5 * GB, 8 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2 * GB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1 * GB)
    assert free_memory(torch.device("cuda")) == 6 * GB
    assert free_memory(torch.device("cpu")) is None


@pytest.mark.parametrize(("taken", "free"), [(1 * GB, 5 * GB), (7 * GB, 0)])
def test_free_memory_on_mps_is_what_the_system_recommends(monkeypatch, taken, free):
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 6 * GB)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: taken)
    assert free_memory(torch.device("mps")) == free


@pytest.mark.parametrize("kind", ["cuda", "mps"])
@pytest.mark.parametrize(
    ("asked", "free", "limit", "told"),
    [
        (8 * GB, 3 * GB, 3 * GB, "; 8.0 GB were asked for, 3.0 GB are free"),
        (3 * GB, 8 * GB, 3 * GB, ""),
        ("auto", 3 * GB, 3 * GB, ""),
        (None, 3 * GB, 3 * GB, ""),
    ],
)
def test_no_more_is_planned_for_than_is_free(
    monkeypatch, tiny_folder, kind, asked, free, limit, told
):
    sd = load(tiny_folder, device="cpu")
    monkeypatch.setattr(memory, "free_memory", lambda device: free)
    plan = memory.plan_memory(models(sd), asked, torch.device(kind))
    assert plan.limit == limit
    assert plan.reason.endswith(f" of 3.0 GB{told}")


def models(sd) -> dict[str, torch.nn.Module]:
    return {"text_encoder": sd.text_encoder, "unet": sd.unet, "vae": sd.vae}


def load_with(monkeypatch, folder, plan: MemoryPlan, **how):
    """A model whose plan does not depend on any limit."""
    monkeypatch.setattr(memory, "choose_plan", lambda *args, **kwargs: plan)
    return load(folder, device="cpu", **how)


def pictures(sd, **how) -> np.ndarray:
    images = sd.generate(PROMPT, seeds=[7, 8], num_steps=3, **how)
    return np.stack([np.asarray(image, dtype=int) for image in images])


PLANS = {
    "model": MemoryPlan("model"),
    "sequential": MemoryPlan("sequential"),
    "frugal": MemoryPlan("sequential", vae_slicing=True, vae_tiling=True),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("which", ["random", pytest.param("tiny", marks=pytest.mark.slow)])
def test_pictures_do_not_depend_on_where_the_weights_lie(monkeypatch, tiny_folder, plan, which):
    folder = tiny_folder if which == "random" else "tiny"
    expected = pictures(load(folder, device="cpu"))
    sd = load_with(monkeypatch, folder, plan)
    for _ in range(2):  # the second time the parts are where the first has left them
        # Slices are another batch size, for which PyTorch promises no equal bits.
        assert np.abs(pictures(sd) - expected).max() <= (1 if plan.vae_slicing else 0)
    assert (sd.device, sd.memory) == (torch.device("cpu"), plan)


def test_the_stages_work_in_any_order_with_every_plan(monkeypatch, tiny_folder):
    plain = load(tiny_folder, device="cpu")
    latents, cond = plain.init_latents([1]), plain.encode_text(PROMPT)
    expected = plain.decode(latents), plain.predict_noise(latents, 500, cond)
    for plan in (MemoryPlan("model"), MemoryPlan("sequential")):
        sd = load_with(monkeypatch, tiny_folder, plan)
        images = sd.decode(latents)
        assert torch.equal(images, expected[0])
        assert torch.equal(sd.predict_noise(latents, 500, cond), expected[1])
        assert torch.equal(sd.encode_image(images), plain.encode_image(images))
        assert torch.equal(sd.encode_text(PROMPT), cond)


def test_sequential_leaves_no_weights_between_calls(monkeypatch, tiny_folder):
    sd = load_with(monkeypatch, tiny_folder, MemoryPlan("sequential"))
    for _ in range(2):
        devices = {p.device.type for m in models(sd).values() for p in m.parameters()}
        assert devices == {"meta"}
        assert sd.device == torch.device("cpu")
        assert sd.dtype == torch.float32
        pictures(sd)


def test_with_model_the_part_before_goes_when_the_next_comes(tiny_folder, monkeypatch):
    """Devices of the CPU alone cannot show it, so the moves are written down."""
    moves: list[tuple[str, str]] = []
    sd = load(tiny_folder, device="cpu")
    for name, model in models(sd).items():
        monkeypatch.setattr(model, "to", functools.partial(record, moves, name, model))
    device = torch.device("meta")
    apply_plan(models(sd), MemoryPlan("model"), device)
    assert moves == [(name, "cpu") for name in models(sd)]
    moves.clear()
    for model in [*models(sd).values()] * 2:
        # On the device there is nothing to compute with: only the hook is of interest.
        model._hf_hook.pre_forward(model)
    come = [(name, "meta") for name in models(sd)] * 2
    go = [(name, "cpu") for name in models(sd)] * 2
    # The first has nothing to send away, and the last is still there at the end.
    assert moves == [come[0], *(m for pair in zip(go, come[1:], strict=False) for m in pair)]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), KeyboardInterrupt()])
def test_a_part_that_came_only_halfway_comes_whole_the_next_time(tiny_folder, monkeypatch, error):
    """accelerate looks at the first parameter alone: with that there it would move no other."""
    sd = load(tiny_folder, device="cpu")
    whole = {name: model.to_empty for name, model in models(sd).items()}
    for name, model in models(sd).items():
        monkeypatch.setattr(model, "to", lambda where, to=whole[name]: to(device=where))
    apply_plan(models(sd), MemoryPlan("model"), torch.device("meta"))
    with monkeypatch.context() as patch:
        patch.setattr(sd.unet, "to", functools.partial(half_move, sd.unet, whole["unet"], error))
        with pytest.raises(type(error)):
            sd.unet._hf_hook.pre_forward(sd.unet)
    for model in (sd.text_encoder, sd.unet):
        model._hf_hook.pre_forward(model)
        assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def half_move(model, to, error, where):
    """In place of `model.to(where)`: to the CPU all comes, elsewhere the first layer alone."""
    if torch.device(where).type == "cpu":
        return to(device=where)
    name, _ = next(model.named_parameters())
    model.get_submodule(name.rpartition(".")[0]).to_empty(device=where, recurse=False)
    raise error


def record(moves, name, model, where):
    """In place of `model.to(where)`: written down, and done without the values."""
    moves.append((name, torch.device(where).type))
    return model.to_empty(device=where)


def test_slices_and_tiles_are_switched_on(monkeypatch, tiny_folder):
    plain = load(tiny_folder, device="cpu")
    assert not plain.vae.use_slicing
    assert not plain.vae.use_tiling
    frugal = MemoryPlan(vae_slicing=True, vae_tiling=True, attention_slicing=True)
    sd = load_with(monkeypatch, tiny_folder, frugal)
    assert sd.vae.use_slicing
    assert sd.vae.use_tiling
    kinds = {type(p).__name__ for p in sd.unet.attn_processors.values()}
    assert kinds == {"SlicedAttnProcessor"}
    assert {type(p).__name__ for p in plain.unet.attn_processors.values()} == {"AttnProcessor2_0"}
    assert np.abs(pictures(sd) - pictures(plain)).max() <= 1


def test_on_cuda_the_convolutions_get_their_fastest_layout(monkeypatch, tiny_folder):
    sd = load(tiny_folder, device="cpu")
    for model in models(sd).values():  # there is no cuda here: only the layout is changed
        plain = model.to
        monkeypatch.setattr(
            model,
            "to",
            lambda *a, to=plain, memory_format=None: (
                memory_format and to(memory_format=memory_format)
            ),
        )
    apply_plan(models(sd), ALL_ON_DEVICE, torch.device("cuda"))
    for weight in (sd.unet.conv_in.weight, sd.vae.decoder.conv_in.weight):
        assert weight.is_contiguous(memory_format=torch.channels_last)


def test_load_says_what_it_chose_only_when_there_is_something_to_say(tiny_folder, capsys):
    sd = load(tiny_folder, device="cpu")
    assert capsys.readouterr().err == ""
    assert sd.memory == ALL_ON_DEVICE
    assert "cpu, torch.float32, Defaults(" in repr(sd)
    sd = load(tiny_folder, device="cpu", memory="8GB")
    [line] = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"sdlearn: \S+ on cpu: all parts stay on the device; about \d\.\d+ GB of 8\.0 GB", line
    )
    assert sd.memory.limit == 8 * GB
    assert "all parts stay on the device; about" in repr(sd)
    load(tiny_folder, device="cpu", memory="auto")
    assert capsys.readouterr().err.endswith("on cpu: all parts stay on the device\n")


def test_load_says_on_its_own_when_parts_will_come_and_go(monkeypatch, tiny_folder, capsys):
    load_with(monkeypatch, tiny_folder, MemoryPlan("model", reason="parts come one at a time"))
    assert capsys.readouterr().err.endswith("on cpu: parts come one at a time\n")
