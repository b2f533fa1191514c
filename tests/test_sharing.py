"""Several users of one model: each sees its own calls, and nobody is locked out."""

import copy
import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import torch

from sdlearn import load
from sdlearn.inside import (
    record_attention,
    token_positions,
    with_fixed_timestep,
    without_skips,
)
from sdlearn.models.compiling import as_written

PROMPT = "a red house on green grass"


@pytest.fixture(scope="module")
def sd(tiny_folder):
    return load(tiny_folder, device="cpu")


@pytest.fixture(scope="module")
def inputs(sd):
    return sd.init_latents([7]), 500, sd.encode_text(PROMPT)


def elsewhere(function, *args):
    """Call a function in another thread, as an explorer does; its result."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result(timeout=60)


def hooks_of(unet) -> int:
    return sum(len(module._forward_pre_hooks) for module in unet.modules())


def number_of_layers(sd) -> int:
    return sum(name.endswith("attn2") for name, _ in sd.unet.named_modules())


def test_only_the_calls_of_the_block_are_recorded(sd, inputs):
    with record_attention(sd.unet) as maps:
        elsewhere(sd.predict_noise, *inputs)
        assert maps == []
        sd.predict_noise(*inputs)
        elsewhere(sd.predict_noise, *inputs)
    assert len(maps) == number_of_layers(sd)
    assert {one.call for one in maps} == {0}


def test_each_of_two_recorders_gets_its_own_calls(sd, inputs):
    def recorded_elsewhere():
        with record_attention(sd.unet) as theirs:
            sd.predict_noise(*inputs)
            sd.predict_noise(*inputs)
        return theirs

    with record_attention(sd.unet) as ours:
        sd.predict_noise(*inputs)
        theirs = elsewhere(recorded_elsewhere)
    assert len(ours) == number_of_layers(sd)
    assert len(theirs) == 2 * number_of_layers(sd)


@pytest.mark.parametrize("change", [without_skips, lambda unet: with_fixed_timestep(unet, 3)])
def test_a_change_is_not_seen_by_others(sd, inputs, change):
    plain = sd.predict_noise(*inputs)
    with change(sd.unet):
        assert torch.equal(elsewhere(sd.predict_noise, *inputs), plain)
        assert not torch.equal(sd.predict_noise(*inputs), plain)
    assert torch.equal(sd.predict_noise(*inputs), plain)


def test_blocks_may_be_closed_in_any_order(sd, inputs):
    plain = sd.predict_noise(*inputs)
    first, second, third = ExitStack(), ExitStack(), ExitStack()
    one = first.enter_context(record_attention(sd.unet))
    other = second.enter_context(record_attention(sd.unet))
    third.enter_context(without_skips(sd.unet))
    first.close()
    changed = sd.predict_noise(*inputs)
    assert not torch.equal(changed, plain)
    third.close()
    assert torch.equal(sd.predict_noise(*inputs), plain)
    second.close()
    assert torch.equal(sd.predict_noise(*inputs), plain)
    assert (len(one), len(other)) == (0, 2 * number_of_layers(sd))
    assert hooks_of(sd.unet) == 0


def test_a_generator_that_is_dropped_half_way_leaves_the_model_as_it_was(sd, inputs):
    latents, _, cond = inputs

    def watched():
        with record_attention(sd.unet):
            yield from sd.denoise(latents, cond, num_steps=3, guidance_scale=1)

    steps = watched()
    next(steps)
    assert hooks_of(sd.unet) > 0
    elsewhere(steps.close)  # as where the garbage collector runs in another thread
    gc.collect()
    assert hooks_of(sd.unet) == 0


def test_a_run_that_nobody_reads_on_keeps_nobody_out(sd, inputs):
    latents, _, cond = inputs
    steps = sd.denoise(latents, cond, num_steps=3, guidance_scale=1)
    next(steps)
    elsewhere(sd.predict_noise, *inputs)
    elsewhere(sd.decode, latents)
    assert next(steps).index == 1


def test_calls_of_several_threads_take_turns(sd, inputs):
    running, most = [], []

    def enter(*_):
        running.append(threading.get_ident())
        most.append(len(running))

    hooks = [
        sd.unet.register_forward_pre_hook(enter),
        sd.unet.register_forward_hook(lambda *_: running.pop() and None),
    ]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: sd.predict_noise(*inputs), range(12)))
    for hook in hooks:
        hook.remove()
    assert set(most) == {1}
    assert all(torch.equal(one, results[0]) for one in results)


def test_threads_that_tokenize_get_the_right_shapes(sd):
    with ThreadPoolExecutor(4) as pool:
        positions = pool.map(lambda _: token_positions(sd.tokenizer, PROMPT, "house"), range(500))
        shapes = pool.map(lambda _: tuple(sd.tokenize(PROMPT).shape), range(500))
        assert set(shapes) == {(1, 77)}
        assert {tuple(one) for one in positions} == {(3,)}


def test_a_model_can_be_copied_and_pickled(sd, inputs):
    expected = sd.predict_noise(*inputs)
    for twin in (copy.deepcopy(sd), pickle.loads(pickle.dumps(sd))):
        assert torch.equal(twin.predict_noise(*inputs), expected)
        assert twin._lock is not sd._lock


def test_eager_blocks_may_be_closed_in_any_order():
    from torch._dynamo import eval_frame

    first, second = ExitStack(), ExitStack()
    first.enter_context(as_written())
    second.enter_context(as_written())
    first.close()
    assert eval_frame._stance.stance == "force_eager"
    second.close()
    assert eval_frame._stance.stance == "default"
