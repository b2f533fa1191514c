"""What tests share: a folder to work in, and a small model with random weights."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from sdlearn.evaluation.judge import Judge
from sdlearn.training.clip import build_clip
from sdlearn.training.export import export
from sdlearn.training.tokenizer import train_tokenizer
from sdlearn.world import caption, scenes


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots", metavar="FOLDER", type=Path, help="keep pictures of the explorers there"
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the test's own to work in."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    return home


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `sdlearn train` exports it, its models even smaller and not trained."""
    folder = tmp_path_factory.mktemp("model") / "random"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = train_tokenizer(caption(scene) for scene in scenes(400))
        export(
            folder,
            tokenizer=tokenizer,
            clip=build_clip(tokenizer),
            vae=_small_vae(),
            unet=_small_unet(),
            judge=Judge(),
        )
    return folder


def _small_vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=128,
        scaling_factor=0.18215,
    )


def _small_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=128,
        attention_head_dim=4,
    )
