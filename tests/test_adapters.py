"""LoRA and textual inversion: diffusers' pixels where it is right, and the plain model again."""

import copy
import json

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from sdlearn import load
from sdlearn.inside import record_attention, token_positions, word_maps
from sdlearn.widgets.words import read

PROMPT = "a large red house"
LAYERS = {"unet": ("to_q", "to_out.0", "proj_in"), "text_encoder": ("q_proj", "out_proj", "fc1")}


@pytest.fixture(scope="module")
def loaded(tiny_folder):
    """Our pipeline and diffusers' on the same weights."""
    pipe = StableDiffusionPipeline.from_pretrained(
        tiny_folder, safety_checker=None, dtype=torch.float32
    )
    return load(tiny_folder, device="cpu"), pipe.components


@pytest.fixture
def sd(loaded):
    copied = copy.deepcopy(loaded[0])
    # A copy of a tokenizer of transformers 5.23.0 no longer takes "</w>" away when it decodes.
    copied.tokenizer = CLIPTokenizer.from_pretrained(copied.folder / "tokenizer")
    return copied


@pytest.fixture
def pipe(loaded):
    pipe = StableDiffusionPipeline(**copy.deepcopy(loaded[1]), requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def pairs(sd, rank=4, seed=0):
    """Both sides of a LoRA for some layers of the model: (part, layer) → (down, up)."""
    made, source = {}, torch.Generator().manual_seed(seed)
    for part, ends in LAYERS.items():
        for name, module in getattr(sd, part).named_modules():
            if name.endswith(ends):
                out, *rest = module.weight.shape
                down = torch.randn(rank, *rest, generator=source) * 0.1
                up = torch.randn(out, rank, *[1] * (len(rest) - 1), generator=source)
                made[part, name] = down, up
    return made


def new_names(part, layer):
    return f"{part}.{layer}.lora_A.weight", f"{part}.{layer}.lora_B.weight"


def old_names(part, layer):
    """As diffusers wrote them until 2023."""
    for new, old in (
        ("self_attn.q_proj", "self_attn.to_q"),
        ("self_attn.out_proj", "self_attn.to_out"),
    ):
        layer = layer.replace(new, old)
    layer = layer.replace("to_out.0", "to_out")
    if part == "text_encoder":
        layer = f"text_model.{layer}"
    kind = (
        "_lora" if "to_" in layer else ".lora_linear_layer" if part == "text_encoder" else ".lora"
    )
    layer = layer.replace("attn1.", "attn1.processor.").replace("attn2.", "attn2.processor.")
    return f"{part}.{layer}{kind}.down.weight", f"{part}.{layer}{kind}.up.weight"


def kohya_names(part, layer):
    start = "lora_unet_" if part == "unet" else "lora_te_text_model_"
    name = start + layer.replace(".", "_")
    return f"{name}.lora_down.weight", f"{name}.lora_up.weight"


def peft_names(part, layer):
    return f"base_model.model.{layer}.lora_A.weight", f"base_model.model.{layer}.lora_B.weight"


def write(path, made, names, more=None, **metadata):
    tensors = dict(more or {})
    for (part, layer), sides in made.items():
        tensors |= dict(zip(names(part, layer), sides, strict=True))
    save_file(tensors, path, metadata)
    return path


def pixels(sd, **how):
    return np.asarray(sd.generate(PROMPT, seeds=[7], num_steps=4, **how)[0])


def merged(sd, made, scale):
    """The latents at the end with the LoRA added to the weights, as the paper has it."""
    plain = {}
    for (part, layer), (down, up) in made.items():
        weight = getattr(sd, part).get_submodule(layer).weight
        plain[part, layer] = weight.clone()
        added = up.flatten(1) @ down.flatten(1) * scale(part, layer)
        weight.data.add_(added.reshape(weight.shape))
    end = latents(sd)
    for (part, layer), weight in plain.items():
        getattr(sd, part).get_submodule(layer).weight.data.copy_(weight)
    return end


def latents(sd):
    texts = sd.encode_text(PROMPT), sd.encode_text("")
    *_, last = sd.denoise(sd.init_latents([7]), *texts, num_steps=4)
    return last.next_latents


def theirs(pipe, prompt=PROMPT, **how):
    generator = torch.Generator().manual_seed(7)
    how |= {"num_inference_steps": 4, "guidance_scale": 3.0, "generator": generator}
    return np.asarray(pipe(prompt, **how).images[0])


@pytest.mark.parametrize("names", [new_names, old_names, kohya_names])
def test_pixels_equal_those_of_diffusers(sd, pipe, folder, names):
    made = pairs(sd)
    write(folder / "style.safetensors", made, new_names)
    pipe.load_lora_weights(folder, weight_name="style.safetensors", adapter_name="style")
    plain = pixels(sd)
    path = write(folder / "same.safetensors", made, names)
    for weight in (1.0, 0.3):
        pipe.set_adapters("style", weight)
        sd.load_lora_weights(path, weight)
        assert np.array_equal(pixels(sd), theirs(pipe))
        sd.unload_lora_weights()
    assert (theirs(pipe) != plain).mean() > 0.5


def test_two_loras_equal_those_of_diffusers(sd, pipe, folder):
    for name, seed, rank in (("one", 1, 4), ("two", 2, 3)):
        write(folder / f"{name}.safetensors", pairs(sd, rank, seed), new_names)
        pipe.load_lora_weights(folder, weight_name=f"{name}.safetensors", adapter_name=name)
        sd.load_lora_weights(folder / f"{name}.safetensors")
    for weights in ([0.5, 0.8], [1.0, 0.0], [0.0, 0.7]):
        pipe.set_adapters(["one", "two"], weights)
        sd.set_adapters(["one", "two"], weights)
        assert np.array_equal(pixels(sd), theirs(pipe)), weights
    sd.set_adapters("two")
    assert sd.lora_weights == {"one": 0.0, "two": 1.0}


def alphas_by_layer(part, layer):
    return float(1 + len(layer) % 5)


def test_every_layer_of_a_kohya_file_has_its_own_alpha(sd, folder):
    """diffusers 0.42.1 keeps one alpha for all attention layers."""
    made = pairs(sd)
    alphas = {
        kohya_names(*key)[0].replace("lora_down.weight", "alpha"): torch.tensor(
            alphas_by_layer(*key)
        )
        for key in made
    }
    right = merged(sd, made, lambda *key: alphas_by_layer(*key) / 4)
    sd.load_lora_weights(write(folder / "style.safetensors", made, kohya_names, alphas))
    assert torch.allclose(latents(sd), right, atol=1e-3)


@pytest.mark.parametrize(
    ("told", "scale"),
    [({"lora_alpha": 8}, 2.0), ({"lora_alpha": 4, "use_rslora": True}, 2.0)],
)
@pytest.mark.parametrize("kind", ["peft's folder", "diffusers' metadata"])
def test_alphas_that_are_told_beside_the_tensors(sd, folder, kind, told, scale):
    """diffusers 0.42.1 does not take the first kind for a LoRA at all."""
    made = {key: sides for key, sides in pairs(sd).items() if key[0] == "unet"}
    right = merged(sd, made, lambda *_: scale)
    if kind == "peft's folder":
        path = folder
        write(path / "adapter_model.safetensors", made, peft_names)
        (path / "adapter_config.json").write_text(json.dumps(told | {"peft_type": "LORA", "r": 4}))
    else:
        metadata = json.dumps({f"unet.{name}": value for name, value in told.items()})
        path = folder / "style.safetensors"
        write(path, made, new_names, lora_adapter_metadata=metadata)
    sd.load_lora_weights(path)
    assert torch.allclose(latents(sd), right, atol=1e-3)


def test_without_its_weight_and_taken_off_the_model_is_plain(tiny_folder, folder):
    sd = load(tiny_folder, device="cpu")
    sd.unet.requires_grad_(True)
    sd.unet.conv_in.requires_grad_(False)
    layers, plain = dict(sd.unet.named_modules()), pixels(sd)
    trainable = {name: p.requires_grad for name, p in sd.unet.named_parameters()}
    path = write(folder / "style.safetensors", pairs(sd), new_names)
    random = torch.get_rng_state()
    sd.load_lora_weights(path)
    assert torch.equal(torch.get_rng_state(), random)
    changed = pixels(sd)
    assert not np.array_equal(changed, plain)
    sd.set_adapters("style", 0)
    assert np.array_equal(pixels(sd), plain)
    sd.set_adapters("style", 1)
    assert np.array_equal(pixels(sd), changed)
    sd.unload_lora_weights()
    assert np.array_equal(pixels(sd), plain)
    assert {name: p.requires_grad for name, p in sd.unet.named_parameters()} == trainable
    assert dict(sd.unet.named_modules()) == layers
    sd.load_lora_weights(path)
    assert np.array_equal(pixels(sd), changed)


def test_onnx_runtime_steps_aside_while_a_lora_is_on(folder):
    fast, plain = (load("tiny", device="cpu", compile=choice) for choice in (True, False))
    before = pixels(fast)
    path = write(folder / "style.safetensors", pairs(plain), new_names)
    fast.load_lora_weights(path)
    plain.load_lora_weights(path)
    for weight in (1, 0):
        fast.set_adapters("style", weight)
        plain.set_adapters("style", weight)
        apart = pixels(fast).astype(int) - pixels(plain)
        assert abs(apart).max() <= 1  # the decoder is ONNX Runtime's as before
    fast.unload_lora_weights()
    assert np.array_equal(pixels(fast), before)


def test_load_takes_loras(sd, tiny_folder, folder):
    path = write(folder / "style.safetensors", pairs(sd), new_names)
    sd.load_lora_weights(path, 0.5)
    assert np.array_equal(pixels(load(tiny_folder, lora={path: 0.5})), pixels(sd))
    assert load(tiny_folder, lora=str(path)).lora_weights == {"style": 1.0}


Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
DOWN, UP = torch.zeros(4, 32), torch.zeros(32, 4)
GOOD = {f"unet.{Q}.lora_A.weight": DOWN, f"unet.{Q}.lora_B.weight": UP}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"lora_unet_x.hada_w1_a": UP}, "x.safetensors is a LoHa; sdlearn reads plain LoRA"),
        ({"lora_unet_x.lokr_w1": UP}, "x.safetensors is a LoKr"),
        (GOOD | {f"unet.{Q}.lora_magnitude_vector": torch.ones(3)}, "x.safetensors is a DoRA"),
        ({"lora_te2_x.lora_down.weight": DOWN}, "x.safetensors is a LoRA of SDXL"),
        ({"unet.no_layer.lora_A.weight": DOWN}, "another model: .* no layer 'unet.no_layer'"),
        ({f"unet.{Q}.lora_A.weight": DOWN}, "x.safetensors is not complete: .* has only its down"),
        (
            GOOD | {f"unet.{Q}.lora_A.weight": torch.zeros(4, 31)},
            r"made for another model: .* sides are \(4, 31\) and",
        ),
        ({"conv.weight": UP}, "x.safetensors is no LoRA that can be read: it holds 'conv.weight'"),
    ],
)
def test_other_files_are_refused_and_leave_the_model_alone(sd, folder, tensors, message):
    save_file(tensors, folder / "x.safetensors")
    names = [name for name, _ in sd.unet.named_modules()]
    with pytest.raises(ValueError, match=message):
        sd.load_lora_weights(folder / "x.safetensors")
    assert [name for name, _ in sd.unet.named_modules()] == names


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda sd: sd.load_lora_weights("no.safetensors"), FileNotFoundError, "no LoRA at no"),
        (lambda sd: sd.load_lora_weights("x.bin"), ValueError, "x.bin must be a safetensors file"),
        (lambda sd: sd.load_lora_weights("bad.safetensors"), ValueError, "bad.* is damaged"),
        (lambda sd: sd.load_lora_weights("."), FileNotFoundError, "must hold one file of a LoRA"),
        (
            lambda sd: sd.load_lora_weights("g.safetensors", "1"),
            TypeError,
            "weight must be a number",
        ),
        (
            lambda sd: sd.set_adapters("no"),
            ValueError,
            "adapter_names must be among none; got 'no'",
        ),
    ],
)
def test_wrong_calls_are_refused(sd, folder, call, error, message):
    for name in ("x.bin", "bad.safetensors"):
        (folder / name).write_text("text")
    save_file(GOOD, folder / "g.safetensors")
    with pytest.raises(error, match=message):
        call(sd)


# Words that are learnt


def embedding(folder, sd, name="<cat-toy>", rows=1, file="learned_embeds.safetensors"):
    table = sd.text_encoder.get_input_embeddings().weight
    made = torch.randn(rows, table.shape[1], generator=torch.Generator().manual_seed(1))
    save_file({name: made[0] if rows == 1 else made}, folder / file)
    return folder / file


@pytest.mark.parametrize("rows", [1, 3])
def test_a_learnt_word_gives_the_pixels_of_diffusers(sd, pipe, folder, rows):
    path = embedding(folder, sd, rows=rows)
    pipe.load_textual_inversion(folder)
    assert sd.load_textual_inversion(path) == "<cat-toy>"
    prompt = "a <cat-toy> house"
    [ours] = sd.generate(prompt, seeds=[7], num_steps=4)
    assert np.array_equal(np.asarray(ours), theirs(pipe, prompt))
    assert torch.equal(sd.encode_text("a <Cat-Toy> house"), sd.encode_text(prompt))


@pytest.mark.parametrize(
    ("name", "file", "token", "word"),
    [
        ("emb_params", "my-style.safetensors", None, "<my-style>"),
        ("art", "x.safetensors", None, "<art>"),
        ("art", "x.safetensors", "<Other>", "<other>"),
    ],
)
def test_the_name_of_a_learnt_word(sd, folder, name, file, token, word):
    before = sd.tokenize(["party", "a start", "art"])
    assert sd.load_textual_inversion(embedding(folder, sd, name, file=file), token) == word
    assert torch.equal(sd.tokenize(["party", "a start", "art"]), before)
    assert (
        len(sd.tokenizer.tokenize(f"a {word} house")) == len(sd.tokenizer.tokenize("a house")) + 1
    )


@pytest.mark.parametrize("rows", [1, 2])
def test_maps_and_explorers_name_a_learnt_word_with_a_lora_on(sd, folder, rows):
    sd.load_textual_inversion(embedding(folder, sd, rows=rows))
    sd.load_lora_weights(write(folder / "style.safetensors", pairs(sd), new_names))
    prompt = "a <cat-toy> house"
    words = read(sd.tokenizer, prompt).words
    assert [(word.text, len(word.ids)) for word in words] == [
        ("a", 1),
        ("<cat-toy>", rows),
        ("house", 1),
    ]
    places = token_positions(sd.tokenizer, prompt, "<cat-toy>")
    assert places == list(range(2, 2 + rows))
    with record_attention(sd.unet) as maps:
        image = sd.generate(prompt, seeds=[7], num_steps=2)[0]
    assert word_maps(maps, places).max() > 0
    assert image.tobytes() == sd.generate(prompt, seeds=[7], num_steps=2)[0].tobytes()


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"clip_g": UP, "clip_l": DOWN}, "one tensor of rows; it is one of SDXL"),
        ({"<x>": torch.zeros(7)}, "another model: its rows are 7 wide, and those of .* 128"),
        ({"a house": torch.zeros(128)}, "token must be a word without spaces"),
    ],
)
def test_other_files_are_no_learnt_words(sd, folder, tensors, message):
    save_file(tensors, folder / "x.safetensors")
    with pytest.raises(ValueError, match=message):
        sd.load_textual_inversion(folder / "x.safetensors")


def test_a_learnt_word_must_be_new(sd, folder):
    path = embedding(folder, sd)
    sd.load_textual_inversion(path)
    with pytest.raises(ValueError, match="token must be a new one; '<cat-toy>' is there already"):
        sd.load_textual_inversion(path)


# Prompts that other tools have encoded


@pytest.mark.parametrize("long", [False, True])
def test_prompts_can_come_as_states(sd, pipe, long):
    more = [sd.encode_text("a blue boat at night")] if long else []
    states = {
        "prompt_embeds": torch.cat([sd.encode_text(PROMPT), *more], 1),
        "negative_prompt_embeds": torch.cat([sd.encode_text("snow"), *more], 1),
    }
    [ours] = sd.generate(**states, seeds=[7], num_steps=4)
    assert np.array_equal(np.asarray(ours), theirs(pipe, None, **states))
    [spoken] = sd.generate(PROMPT, negative_prompt="snow", seeds=[7], num_steps=4)
    assert (spoken.tobytes() == ours.tobytes()) != long


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, TypeError, "prompt must be a string or a list of strings; got None"),
        (
            {"prompt": "a", "prompt_embeds": torch.zeros(1, 77, 128)},
            ValueError,
            "leave one of them",
        ),
        ({"prompt_embeds": torch.zeros(1, 76, 128)}, ValueError, "prompt_embeds must hold 1 or 1"),
        ({"prompt_embeds": torch.zeros(1, 154, 128)}, ValueError, "long; got 77 and 154 states"),
        ({"prompt_embeds": "a"}, TypeError, "prompt_embeds must be a tensor; got str"),
    ],
)
def test_states_that_do_not_fit_are_refused(sd, given, error, message):
    with pytest.raises(error, match=message):
        sd.generate(**given, num_steps=2)
