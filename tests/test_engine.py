"""ONNX Runtime takes torch's place where it gives what torch would, and nowhere else."""

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from torch import nn

from sdlearn import load
from sdlearn.diffusion import SCHEDULERS
from sdlearn.inside.ablation import with_fixed_timestep, without_skips
from sdlearn.inside.attention import record_attention
from sdlearn.models.engine import Engine, Network

PROMPT = "a large red house on the left, on green grass"
SMALL = {"height": 32, "width": 64, "num_steps": 2}


@pytest.fixture(scope="module")
def plain():
    return load("tiny", device="cpu")


@pytest.fixture(scope="module")
def fast():
    return load("tiny", device="cpu", compile=True)


@pytest.fixture
def calls(monkeypatch):
    """The calls of networks in ONNX Runtime, by what they are given."""
    seen = []
    whole = Network.__call__

    def counted(self, *inputs):
        seen.append({1: "text or decoder", 3: "unet"}[len(inputs)])
        return whole(self, *inputs)

    monkeypatch.setattr(Network, "__call__", counted)
    return seen


def both():
    """A compiled and a plain model that a test may change."""
    return (load("tiny", device="cpu", compile=choice) for choice in (True, False))


def pixels(sd, **how):
    return np.stack([np.asarray(i, dtype=int) for i in sd.generate(PROMPT, **{**SMALL, **how})])


def apart(fast, plain, **how) -> int:
    """The largest difference of the images, in levels of 255."""
    return abs(pixels(fast, **how) - pixels(plain, **how)).max()


def unet(sd, **more):
    """One call of a U-Net without gradients."""
    source = torch.Generator().manual_seed(3)
    x = torch.randn(2, 4, 4, 8, generator=source)
    states = torch.randn(2, 77, sd.unet.config.cross_attention_dim, generator=source)
    with torch.no_grad():
        return sd.unet(x, 500, encoder_hidden_states=states, return_dict=False, **more)[0]


# The same images


@pytest.mark.parametrize("name", [None, *SCHEDULERS])
def test_images_are_torchs_to_one_grey_level(fast, plain, calls, name):
    assert apart(fast, plain, scheduler=name, num_steps=4, seeds=[7]) <= 1
    assert calls.count("unet") >= 4
    assert calls.count("text or decoder") == 3  # two texts and the decoder


@pytest.mark.parametrize(
    "how",
    [
        {"height": None, "width": None, "num_steps": 5},
        {"seeds": [1, 2, 3]},
        {"guidance_scale": 1},
        {"height": 256, "width": 192},
        {"height": 64, "width": 32, "negative_prompt": "a blue boat", "guidance_rescale": 0.7},
    ],
    ids=str,
)
def test_at_every_size_and_number_that_the_graphs_take(fast, plain, calls, how):
    assert apart(fast, plain, **how) <= 1
    assert calls.count("unet") == {**SMALL, **how}["num_steps"]


def test_sides_that_do_not_halve_evenly_are_torchs(fast, plain, calls):
    assert apart(fast, plain, height=48, width=56) <= 1
    assert calls == ["text or decoder"] * 3


def test_longer_texts_and_fractions_of_a_timestep_are_taken_too(fast, plain, calls):
    states = torch.cat([plain.encode_text(PROMPT), plain.encode_text("a boat")], 1)
    latents = plain.init_latents([1], height=32, width=32)
    with torch.no_grad():
        ours, theirs = (
            sd.unet(latents, torch.tensor([7.5]), encoder_hidden_states=states, return_dict=False)
            for sd in (fast, plain)
        )
    assert calls == ["unet"]
    assert torch.allclose(ours[0], theirs[0], atol=1e-4)


def test_keys_and_values_are_computed_once_for_a_text(fast, monkeypatch):
    texts = []
    linear = nn.functional.linear
    monkeypatch.setattr(nn.functional, "linear", lambda x, *w: (texts.append(x), linear(x, *w))[1])
    layers = sum(name.endswith("attn2") for name, _ in fast.unet.named_modules())
    for prompt in (PROMPT, "a boat"):
        texts.clear()
        fast.generate(prompt, **{**SMALL, "num_steps": 5})
        assert len(texts) == 2 * layers
    texts.clear()
    fast.generate("a boat", **SMALL)
    assert texts == []


def test_threads_may_share_a_network(fast, plain):
    network = fast.unet.forward._network()
    t, latents = torch.tensor([99.0]), plain.init_latents([1], height=32, width=32)
    states = [plain.encode_text(text) for text in ("a boat", "a red house")]
    right = [plain.predict_noise(latents, 99, state) for state in states]
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda i: network(latents, t, states[i % 2])[0], range(40))
        assert all(torch.allclose(f, right[i % 2], atol=1e-4) for i, f in enumerate(found))


# Weights that change


def in_place(weight):
    weight.mul_(0.5)


def through_data(weight):
    weight.data.mul_(0.5)


def other_data(weight):
    weight.data = weight.data * 0.5


OF_THE_TEXT = "mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight"


@pytest.mark.parametrize("change", [in_place, through_data, other_data])
@pytest.mark.parametrize("name", ["conv_out.weight", OF_THE_TEXT])
def test_changed_weights_are_noticed(calls, change, name):
    fast, plain = both()
    before = unet(fast)
    with torch.no_grad():
        for sd in (fast, plain):
            change(sd.unet.get_parameter(name))
    assert torch.allclose(unet(fast), unet(plain), atol=1e-4)
    assert not torch.allclose(unet(fast), before, atol=1e-3)
    assert calls == ["unet"] * 3


def test_new_parameters_and_a_loaded_state_are_noticed(calls):
    fast, plain = both()
    unet(fast)
    for sd in (fast, plain):
        sd.unet.conv_out.bias = nn.Parameter(torch.ones(4), requires_grad=False)
    assert torch.allclose(unet(fast), unet(plain), atol=1e-4)
    for sd in (fast, plain):
        sd.unet.load_state_dict({k: 0.9 * v for k, v in sd.unet.state_dict().items()})
    assert torch.allclose(unet(fast), unet(plain), atol=1e-4)
    assert calls == ["unet"] * 3


def test_weights_of_other_types_and_shapes_are_torchs(calls):
    fast = load("tiny", device="cpu", compile=True)
    fast.unet.double()
    x, states = torch.randn(1, 4, 4, 4).double(), torch.randn(1, 77, 128).double()
    with torch.no_grad():
        fast.unet(x, 5, encoder_hidden_states=states, return_dict=False)
        table = fast.text_encoder.get_input_embeddings()
        table.weight = nn.Parameter(torch.cat([table.weight, table.weight[:1]]))
        fast.encode_text(PROMPT)
    assert calls == []


# Watched or changed


@pytest.mark.parametrize("block", [without_skips, partial(with_fixed_timestep, t=999)])
def test_who_switches_off_parts_gets_what_the_plain_model_gives(fast, plain, block):
    normal = pixels(fast)
    with block(fast.unet), block(plain.unet):
        changed = pixels(fast)
        assert abs(changed - pixels(plain)).max() <= 1
    assert abs(changed - normal).max() > 1
    assert np.array_equal(pixels(fast), normal)


def test_attention_is_recorded(fast, plain, calls):
    shares = []
    for sd in (fast, plain):
        with record_attention(sd.unet) as maps:
            unet(sd)
        shares.append([one.probabilities for one in maps])
    assert calls == []
    assert len(shares[0]) == len(shares[1]) > 0
    assert all(torch.equal(one, other) for one, other in zip(*shares, strict=True))
    unet(fast)
    assert calls == ["unet"]


def test_hooks_on_parts_are_called(fast, plain, calls):
    seen = []
    with fast.unet.conv_in.register_forward_hook(lambda *given: seen.append(given)):
        assert torch.equal(unet(fast), unet(plain))
    assert len(seen) == 1
    assert calls == []


def test_hooks_on_the_module_itself_are_called_beside_the_engine(fast, plain, calls):
    with fast.unet.register_forward_pre_hook(lambda _, args: (0 * args[0], *args[1:])):
        changed = unet(fast)
    assert calls == ["unet"]
    assert not torch.allclose(changed, unet(plain), atol=1e-2)


def test_another_attention_processor_is_called(fast, plain, calls):
    own = fast.unet.attn_processors
    fast.unet.set_attn_processor(AttnProcessor())
    try:
        assert torch.allclose(unet(fast), unet(plain), atol=1e-4)
        assert calls == []
    finally:
        fast.unet.set_attn_processor(own)
    unet(fast)
    assert calls == ["unet"]


def switch_on_freeu(sd):
    sd.unet.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4)


def replace_a_part(sd):
    sd.unet.conv_act = nn.Identity()


def replace_a_forward(sd):
    conv = sd.unet.conv_in
    conv.forward = lambda x: 2 * nn.Conv2d.forward(conv, x)


def train(sd):
    sd.unet.train()


@pytest.mark.parametrize("change", [switch_on_freeu, replace_a_part, replace_a_forward, train])
def test_what_else_changes_the_u_net_leaves_it_to_torch(calls, change):
    fast, plain = both()
    unet(fast)
    calls.clear()
    for sd in (fast, plain):
        change(sd)
    assert torch.equal(unet(fast), unet(plain))
    assert calls == []


def test_gradients_flow_where_they_are_wanted(fast, calls):
    x, states = torch.randn(1, 4, 4, 4, requires_grad=True), torch.randn(1, 77, 128)
    fast.unet(x, 5, encoder_hidden_states=states, return_dict=False)[0].sum().backward()
    assert float(x.grad.abs().sum()) > 0
    assert calls == []


def test_calls_that_say_more_are_torchs(fast, calls):
    ids = fast.tokenize(PROMPT)
    with torch.no_grad():
        told = fast.text_encoder(ids)
        fast.text_encoder(ids, return_dict=False, attention_mask=torch.ones_like(ids))
    unet(fast, cross_attention_kwargs={})
    assert told.last_hidden_state.shape == (1, 77, 128)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        unet(fast)
    assert calls == []


def test_the_text_encoder_gives_all_that_it_gives_in_torch(fast, plain, calls):
    ids = plain.tokenize([PROMPT, "a boat"])
    with torch.no_grad():
        ours, theirs = (sd.text_encoder(ids, return_dict=False) for sd in (fast, plain))
    assert calls == ["text or decoder"]
    assert [x.shape for x in ours] == [x.shape for x in theirs] == [(2, 77, 128), (2, 128)]
    assert all(torch.allclose(x, y, atol=1e-4) for x, y in zip(ours, theirs, strict=True))


# Where it takes no preparation


def test_ready_graphs_are_taken_without_a_word(plain, capsys):
    sd = load("tiny", device="cpu", compile=None)
    assert isinstance(sd.unet.forward, Engine)
    assert apart(sd, plain) <= 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("lacking", ["graphs", "precision", "onnxruntime"])
def test_where_something_is_lacking_torch_draws_without_a_word(
    tiny_folder, lacking, monkeypatch, capsys
):
    if lacking == "onnxruntime":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    name = tiny_folder if lacking == "graphs" else "tiny"
    dtype = torch.bfloat16 if lacking == "precision" else None
    sd = load(name, device="cpu", dtype=dtype, compile=None)
    assert not isinstance(sd.unet.forward, Engine)
    assert capsys.readouterr().err == ""


# Copies, threads, and what can go wrong


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda sd: pickle.loads(pickle.dumps(sd))])
def test_a_copy_is_a_model_of_its_own(fast, calls, twin):
    before = unet(fast)
    other = twin(fast)
    assert torch.equal(unet(other), before)
    with torch.no_grad():
        other.unet.conv_out.weight.zero_()
    assert not torch.allclose(unet(other), before, atol=1e-2)
    assert torch.equal(unet(fast), before)
    assert calls == ["unet"] * 4


def test_threads_are_torchs_and_sleep_when_there_is_nothing_to_do(fast):
    threads = torch.get_num_threads()
    try:
        for number in (threads + 1, threads):
            torch.set_num_threads(number)
            options = fast.unet.forward._network()._session.get_session_options()
            assert options.intra_op_num_threads == number
            assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    finally:
        torch.set_num_threads(threads)


def test_two_numbers_of_threads_have_a_network_each(fast):
    threads, made = torch.get_num_threads(), []
    try:
        for number in (threads + 1, threads, threads + 1, threads):
            torch.set_num_threads(number)
            made.append(fast.unet.forward._network())
    finally:
        torch.set_num_threads(threads)
    assert made[0] is made[2]
    assert made[1] is made[3]
    assert made[0] is not made[1]


def test_without_memory_there_is_a_sentence(fast, monkeypatch):
    class Full:
        def run(self, *_):
            raise Exception("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc")

    with torch.no_grad():
        monkeypatch.setattr(fast.unet.forward._network(), "_session", Full())
    with pytest.raises(MemoryError, match="not enough memory for an image of 64x32 pixels on cpu"):
        fast.generate(PROMPT, **SMALL)


@pytest.mark.parametrize("spoil", [lambda graph: graph[:5000], lambda graph: b"no graph"])
def test_a_damaged_graph_is_named(plain, fast, tmp_path, spoil):
    path = tmp_path / "unet.onnx"
    path.write_bytes(spoil(fast.unet.forward._graph.read_bytes()))
    with pytest.raises(ValueError, match="unet.onnx is damaged, or does not fit the weights"):
        Network(path, plain.unet.state_dict())


@pytest.mark.parametrize("change", [lambda w: w.half(), lambda w: w[:, :-1], None])
def test_weights_that_do_not_fit_a_graph_are_refused(plain, fast, change):
    weights = plain.unet.state_dict()
    weight = weights.pop("conv_in.weight")
    if change:
        weights["conv_in.weight"] = change(weight)
    with pytest.raises(ValueError, match="does not fit the weights"):
        Network(fast.unet.forward._graph, weights)


def test_half_precision_is_left_to_torch_and_that_is_said(capsys):
    sd = load("tiny", device="cpu", dtype=torch.bfloat16, compile=True)
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        "sdlearn: compile=True leaves this model to torch: on a CPU it wants float32, and this is "
        "torch.bfloat16"
    )
    assert not isinstance(sd.unet.forward, Engine)


def test_without_onnxruntime_torch_does_it_and_that_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    sd = load("tiny", device="cpu", compile=True)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("sdlearn: compile=True leaves this model to torch: ")
    assert "onnxruntime" in line
    assert not isinstance(sd.unet.forward, Engine)
