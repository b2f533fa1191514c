"""Both towers of CLIP: their vectors, what they have in common, and the exercises about them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from sdlearn import load, render, viz
from sdlearn.course import catalogue
from sdlearn.models.clip import CLIP, load_clip
from sdlearn.world import full_caption, scenes

DRAWN = list(scenes(64, "single"))


@pytest.fixture(scope="module")
def clip() -> CLIP:
    return load_clip()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return viz.to_tensor([render(scene) for scene in DRAWN])


@pytest.fixture(scope="module")
def captions() -> list[str]:
    return [full_caption(scene) for scene in DRAWN]


def test_vectors_are_of_one_width_and_of_length_1(clip: CLIP, images: Tensor, captions: list[str]):
    for vectors in (clip.embed_texts(captions[:3]), clip.embed_images(images[:3])):
        assert vectors.shape == (3, clip.model.config.projection_dim)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert clip.embed_texts("a red house").shape == (1, clip.model.config.projection_dim)


def test_they_are_those_of_the_library(clip: CLIP, images: Tensor, captions: list[str]):
    ids = clip.tokenizer(captions[:4], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        out = clip.model(input_ids=ids, pixel_values=images[:4] * 2 - 1)
    torch.testing.assert_close(clip.embed_texts(captions[:4]), out.text_embeds)
    torch.testing.assert_close(clip.embed_images(images[:4]), out.image_embeds)
    similarity = clip.embed_texts(captions[:4]) @ clip.embed_images(images[:4]).T
    torch.testing.assert_close(clip.scale * similarity, out.logits_per_text)


def test_the_exercises_loss_is_the_librarys(clip: CLIP, images: Tensor, captions: list[str]):
    loss = catalogue.find("clip.contrastive").answer
    ids = clip.tokenizer(captions[:8], padding=True, return_tensors="pt").input_ids
    with torch.no_grad():
        out = clip.model(input_ids=ids, pixel_values=images[:8] * 2 - 1, return_loss=True)
    similarity = clip.embed_texts(captions[:8]) @ clip.embed_images(images[:8]).T
    torch.testing.assert_close(loss(similarity, clip.scale), out.loss)


def test_texts_find_their_pictures(clip: CLIP, images: Tensor, captions: list[str]):
    similarity = clip.embed_texts(captions) @ clip.embed_images(images).T
    right = torch.arange(len(DRAWN))
    assert (similarity.argmax(dim=1) == right).float().mean() > 0.8
    assert (similarity.argmax(dim=0) == right).float().mean() > 0.8


def test_the_text_tower_is_the_one_that_draws(clip: CLIP):
    sd = load("tiny", device="cpu", dtype=torch.float32)
    ids = sd.tokenize("a red house on green grass")
    with torch.no_grad():
        ours = clip.model.text_model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(ours, sd.encode_text("a red house on green grass"))


def test_large_pictures_are_scaled(clip: CLIP, images: Tensor):
    large = images[:2].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    likeness = (clip.embed_images(large) * clip.embed_images(images[:2])).sum(dim=1)
    assert (likeness > 0.95).all()


def test_what_is_too_long_is_cut_off(clip: CLIP):
    long = "a red house " * 40
    torch.testing.assert_close(clip.embed_texts(long), clip.embed_texts(long + "at night"))


def test_other_things_are_refused_in_one_sentence(clip: CLIP, images: Tensor, folder: Path):
    with pytest.raises(TypeError, match="texts must be a string or a list of strings; got 5"):
        clip.embed_texts(5)
    with pytest.raises(ValueError, match=r"images must have shape .*; got \(3, 128, 128\)"):
        clip.embed_images(images[0])
    with pytest.raises(ValueError, match=r"images must lie in \[0, 1\]; got values"):
        clip.embed_images(255 * images)
    with pytest.raises(FileNotFoundError, match="no CLIP at .*; give a folder"):
        load_clip(folder)


def test_a_folder_of_ones_own_is_loaded(tiny_folder: Path, clip: CLIP):
    other = load_clip(tiny_folder)
    assert (other.embed_texts("a cat") - clip.embed_texts("a cat")).abs().max() > 0.01
