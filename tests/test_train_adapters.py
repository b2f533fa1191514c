"""Teaching the finished model: what the examples show, what is trained, and what is saved."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sdlearn import load
from sdlearn.models.adapters import SHIPPED, shipped_adapter
from sdlearn.training import adapters
from sdlearn.training.adapters import TAUGHT, add_lora_to, examples, train_lora, train_word

BRIEF = replace(adapters.LORA_CONFIG, steps=2, batch_size=2, warmup=1)


@pytest.fixture
def sd(tiny_folder):
    return load(tiny_folder, device="cpu")


def test_examples_show_what_their_words_say_and_some_are_ordinary():
    for name, (attribute, word) in TAUGHT.items():
        them = examples(name, 200)
        taught = [one for one in them if word in one.words.lower()]
        assert 0.62 < len(taught) / 200 < 0.78
        for one in them:
            scene = one.scene
            shown = scene.style if attribute == "style" else scene.things[0].subject
            assert (shown == word) == (one in taught), one.words
            assert adapters.STAND_IN not in one.words.lower() or "castle" in (
                thing.subject for thing in scene.things
            )


def test_a_word_of_ones_own_stands_in_the_captions():
    them = examples("snowman", 50, "<snowman>")
    assert any("<snowman>" in one.words for one in them)
    assert not any("snowman" in one.words.replace("<snowman>", "") for one in them)


def test_what_cannot_be_taught_is_refused():
    with pytest.raises(ValueError, match="taught must be one of snowman, stained-glass; got 'cat'"):
        examples("cat", 1)


@pytest.mark.slow
def test_a_lora_is_all_that_is_trained_and_is_loaded_as_it_was_trained(sd, tmp_path: Path):
    before = {name: value.clone() for name, value in sd.unet.state_dict().items()}
    torch.manual_seed(0)
    count = add_lora_to(sd.unet)
    sides = [p for p in sd.unet.parameters() if p.requires_grad]
    assert sum(p.numel() for p in sides) == count
    latents, cond = sd.init_latents([1]), sd.encode_text("a snowman")
    plain = load(sd.folder, device="cpu")
    untrained = plain.predict_noise(latents, 500, cond)
    assert torch.equal(sd.predict_noise(latents, 500, cond), untrained)
    records = list(train_lora(sd, examples("snowman", 4), BRIEF))
    assert [record.step for record in records] == [1, 2]
    for name, value in sd.unet.state_dict().items():
        if "lora" not in name:
            assert torch.equal(value, before[name.replace(".base_layer", "")]), name
    adapters.save_lora(sd.unet, tmp_path / "snowman.safetensors")
    learned = sd.predict_noise(latents, 500, cond)
    plain.load_lora_weights(tmp_path / "snowman.safetensors")
    loaded = plain.predict_noise(latents, 500, cond)
    assert not torch.equal(learned, untrained)
    assert torch.allclose(learned, loaded, atol=1e-3)


@pytest.mark.slow
def test_a_word_is_all_that_is_trained_and_is_loaded_as_it_was_trained(sd, tmp_path: Path):
    table = sd.text_encoder.get_input_embeddings().weight.clone()
    torch.manual_seed(0)
    found = list(train_word(sd, "snowman", 4, replace(adapters.WORD_CONFIG, **vars_of(BRIEF))))
    first, last = found[0][1], found[-1][1]
    assert last.shape == (adapters.ROWS, table.shape[1])
    assert torch.isfinite(last).all()
    longer = sd.text_encoder.get_input_embeddings().weight
    assert torch.equal(longer[: len(table)], table)
    assert torch.equal(longer[len(table) :], last)
    assert not torch.equal(first, last)
    adapters.save_word("<snowman>", last, tmp_path / "word.safetensors")
    assert list(load_file(tmp_path / "word.safetensors")) == ["<snowman>"]
    fresh = load(sd.folder, device="cpu")
    assert fresh.load_textual_inversion(tmp_path / "word.safetensors") == "<snowman>"
    prompt = "a red <snowman> at night"
    assert torch.allclose(fresh.encode_text(prompt), sd.encode_text(prompt), atol=1e-2)


def vars_of(config) -> dict:
    return {name: getattr(config, name) for name in ("steps", "batch_size", "warmup")}


def test_the_shipped_adapters_are_small_and_found_by_their_names():
    names = {f"{name}-{kind}" for name in TAUGHT for kind in ("lora", "word")}
    assert {path.stem for path in SHIPPED.glob("*.safetensors")} == names
    for name in names:
        assert shipped_adapter(name).stat().st_size <= 1_500_000
    with pytest.raises(ValueError, match="name must be one of snowman-lora, .*; got 'dragon'"):
        shipped_adapter("dragon")
