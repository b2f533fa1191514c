"""Names, folders and damage: each mistake gets one sentence that says what to do."""

import errno
import json
import re
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors.torch import load_file, save_file

from sdlearn import load
from sdlearn.models import layout, loading
from sdlearn.models.defaults import Defaults, defaults_of
from sdlearn.models.loading import damaged_weights, find_folder


@pytest.fixture
def folder(tiny_folder, tmp_path) -> Path:
    """A copy of the model to do damage to."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def damage(path: Path, at: int = -100) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_folder_loads_by_path_or_string(tiny_folder):
    sd = load(tiny_folder, device="cpu")
    assert sd.name == str(tiny_folder)
    assert load(str(tiny_folder), device="cpu").image_size == 128
    assert not any(p.requires_grad for p in sd.unet.parameters())
    assert not sd.unet.training


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_part_has_the_dtype_that_was_asked_for(tiny_folder, dtype):
    sd = load(tiny_folder, device="cpu", dtype=dtype)
    assert {p.dtype for m in (sd.text_encoder, sd.unet, sd.vae) for p in m.parameters()} == {dtype}
    assert sd.decode(sd.init_latents([0])).dtype == dtype


def test_the_default_on_a_cpu_is_full_precision(tiny_folder):
    assert load(tiny_folder, device="cpu").dtype == torch.float32


@pytest.mark.parametrize("dtype", ["float16", torch.int8])
def test_a_dtype_that_is_none(tiny_folder, dtype):
    with pytest.raises(ValueError, match="dtype must be a floating-point type of torch"):
        load(tiny_folder, dtype=dtype)


@pytest.mark.parametrize("name", ["tinny", "", "no/such/folder", "../up", "a b/c", "owner/"])
def test_a_name_that_is_no_model(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match="model must be 'tiny', 'sd15', a folder or file that is there, or"
    ):
        load(name)


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"not a Stable Diffusion folder.*unet/, vae/"):
        load(tmp_path)


@pytest.mark.parametrize(
    "gone",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "text_encoder/model.safetensors",
        "scheduler/scheduler_config.json",
    ],
)
def test_a_missing_file_is_named(folder, gone):
    (folder / gone).unlink()
    with pytest.raises(FileNotFoundError, match=f"not complete; missing: {gone}"):
        load(folder)


@pytest.mark.parametrize("part", layout.MODELS)
def test_one_wrong_bit_in_the_weights_is_noticed(folder, part):
    [weights] = (folder / part).glob("*.safetensors")
    damage(weights)
    with pytest.raises(ValueError, match=f"damaged weights in .*{part}/.*install sdlearn again"):
        load(folder)


@pytest.mark.parametrize(
    "path",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "vae/config.json",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer.json",
    ],
)
def test_a_file_cut_short_is_named_also_without_checksums(folder, path):
    (folder / "checksums.json").unlink()
    data = (folder / path).read_bytes()
    (folder / path).write_bytes(data[: len(data) // 2])
    part = path.split("/")[0]
    with pytest.raises(ValueError, match=f"{part}.* is damaged and cannot be read") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_configs_may_be_edited(folder):
    path = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "beta_end": 0.02}))
    assert damaged_weights(folder) == []
    assert load(folder, device="cpu").scheduler.config.beta_end == 0.02


@pytest.mark.parametrize(
    ("stated", "time_cond_proj_dim", "expected"),
    [
        ('{"num_steps": 8, "guidance_scale": 2}', None, (8, 2.0)),
        (None, None, (50, 7.5)),
        (None, 256, (4, 8.0)),
        ('{"num_steps": 8, "guidance_scale": 2}', 256, (8, 2.0)),
    ],
)
def test_defaults_are_those_that_the_folder_states_or_shows(
    folder, stated, time_cond_proj_dim, expected
):
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "time_cond_proj_dim": time_cond_proj_dim}))
    (folder / "defaults.json").unlink()
    if stated:
        (folder / "defaults.json").write_text(stated)
    assert defaults_of(folder) == Defaults(*expected)


@pytest.mark.parametrize("text", ["{", '{"steps": 8}', '{"num_steps": 0}', "[1, 2]"])
def test_damaged_defaults_are_named(folder, text):
    (folder / "defaults.json").write_text(text)
    with pytest.raises(ValueError, match=r"defaults\.json is damaged and cannot be read \(.*\)"):
        load(folder, device="cpu")


def test_half_precision_files_are_read_where_they_fit(folder):
    """As in folders from a hub: *.fp16.safetensors alone, or beside the full ones."""
    (folder / "checksums.json").unlink()
    for part, stem in layout.MODELS.items():
        plain = folder / part / f"{stem}.safetensors"
        plain.rename(plain.with_name(f"{stem}.fp16.safetensors"))
    assert load(folder, device="cpu").dtype == torch.float32


class FakeHub:
    """What the hub and its cache have, without a network."""

    def __init__(self, folder: Path, *, cached: set[str], online: set[str], error=None):
        self.folder, self.cached, self.online, self.error = folder, cached, online, error
        self.asked: list[tuple[str, bool]] = []

    def __call__(self, repo: str, *, allow_patterns, local_files_only=False) -> str:
        self.asked.append((repo, local_files_only))
        if local_files_only:
            if repo not in self.cached:
                raise LocalEntryNotFoundError("not cached")
        elif self.error:
            raise self.error
        elif repo not in self.online:
            raise missing_repository()
        return str(self.folder)


def missing_repository() -> RepositoryNotFoundError:
    error = RepositoryNotFoundError.__new__(RepositoryNotFoundError)
    Exception.__init__(error, "404")
    return error


def use(monkeypatch, hub: FakeHub) -> FakeHub:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    return hub


def test_sd15_comes_from_the_cache_without_asking_the_hub(monkeypatch, tiny_folder):
    hub = use(monkeypatch, FakeHub(tiny_folder, cached={loading.SD15[1]}, online=set()))
    assert find_folder("sd15") == tiny_folder
    assert all(local for _, local in hub.asked)


def test_sd15_falls_back_to_the_next_repository(monkeypatch, tiny_folder):
    hub = use(monkeypatch, FakeHub(tiny_folder, cached=set(), online={loading.SD15[2]}))
    assert find_folder("sd15") == tiny_folder
    online = [repo for repo, local in hub.asked if not local]
    assert list(dict.fromkeys(online)) == list(loading.SD15)


def test_a_hub_id_that_is_not_there(monkeypatch, tiny_folder):
    use(monkeypatch, FakeHub(tiny_folder, cached=set(), online=set()))
    with pytest.raises(FileNotFoundError, match="the hub has no model 'me/mine'.*check the name"):
        load("me/mine")


@pytest.mark.parametrize("error", [LocalEntryNotFoundError("offline"), ConnectionResetError("x")])
def test_no_network(monkeypatch, tiny_folder, error):
    use(monkeypatch, FakeHub(tiny_folder, cached=set(), online=set(), error=error))
    with pytest.raises(ConnectionError, match="cannot reach the hub .*or use the model 'tiny'"):
        load("sd15")


def test_no_room_on_the_disk(monkeypatch, tiny_folder):
    full = OSError(errno.ENOSPC, "No space left on device")
    use(monkeypatch, FakeHub(tiny_folder, cached=set(), online=set(), error=full))
    with pytest.raises(OSError, match="no room on the disk .*SD 1.5 needs"):
        load("sd15")


def test_a_cache_that_may_not_be_written_to(monkeypatch, tiny_folder):
    refused = PermissionError(errno.EACCES, "Permission denied", "/cache/models")
    use(monkeypatch, FakeHub(tiny_folder, cached=set(), online=set(), error=refused))
    with pytest.raises(PermissionError, match="Permission denied: '/cache/models'"):
        load("sd15")


def test_a_hub_model_of_another_kind(monkeypatch, folder):
    shutil.rmtree(folder / "unet")
    use(monkeypatch, FakeHub(folder, cached=set(), online={"me/flux"}))
    with pytest.raises(FileNotFoundError, match="'me/flux' is no Stable Diffusion 1.x"):
        load("me/flux")


def test_a_repository_that_is_no_pipeline_is_not_taken_for_a_lack_of_network(monkeypatch, folder):
    (folder / "model_index.json").unlink()
    use(monkeypatch, FakeHub(folder, cached=set(), online={"me/clip"}))
    with pytest.raises(FileNotFoundError, match="'me/clip' is no Stable Diffusion 1.x"):
        load("me/clip")


def test_a_repository_with_one_variant_of_the_weights(monkeypatch, folder, tmp_path):
    asked = []
    configs = tmp_path / "configs"

    def download(repo, *, allow_patterns, **_):
        asked.append([name for name in allow_patterns if name.startswith("vae/")])
        return str(folder if "vae/diffusion_pytorch_model.safetensors" in asked[-1] else configs)

    shutil.copytree(folder, configs, ignore=shutil.ignore_patterns("*.safetensors"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_folder("me/mine", torch.float16) == folder
    assert [".fp16." in str(names) for names in asked[-2:]] == [True, False]


def test_a_model_of_another_kind_is_refused_before_its_weights_are_fetched(monkeypatch, folder):
    asked = []

    def download(repo, *, allow_patterns, **_):
        asked.extend(allow_patterns)
        return str(folder)

    index = {"_class_name": "StableDiffusionXLPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ValueError, match="^me/xl is SDXL"):
        load("me/xl")
    assert not any("safetensors" in pattern for pattern in asked)


def test_the_hub_is_asked_for_no_pickles_and_no_more_than_needed(monkeypatch, tiny_folder):
    asked = []

    def download(repo, *, allow_patterns, **_):
        asked.append(allow_patterns)
        return str(tiny_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    find_folder("sd15", torch.float16)
    configs, patterns = asked
    assert not any("safetensors" in pattern for pattern in configs)
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in patterns
    assert "unet/diffusion_pytorch_model.safetensors" not in patterns
    assert not any(p.endswith((".bin", ".ckpt", ".py", ".pt")) for p in patterns)
    assert not any("safety_checker" in p for p in patterns)


@pytest.mark.parametrize("part", ["text_encoder", "unet", "vae"])
def test_weights_under_other_names_are_refused(tiny_folder, tmp_path, capfd, part):
    """transformers 5.23 would leave them at random, with a table of the keys in its log."""
    folder = tmp_path / "other"
    shutil.copytree(tiny_folder, folder)
    (folder / "checksums.json").unlink(missing_ok=True)
    [weights] = (folder / part).glob("*.safetensors")
    tensors = load_file(weights)
    first = min(tensors)
    tensors[f"another.{first}"] = tensors.pop(first)
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=rf"{part}.*{re.escape(first.removeprefix('text_model.'))}"
    ):
        load(folder, device="cpu")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("part", ["text_encoder", "unet"])
@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_weights_in_two_forms_are_refused(tiny_folder, tmp_path, part, variant):
    """diffusers 0.42.1 reads the shards, transformers 5.23.0 the single file, and neither removes
    the other form when it saves: findings/resave-sharded-old-text-encoder.sh shows it.
    """
    folder = tmp_path / "saved-twice"
    shutil.copytree(tiny_folder, folder)
    (folder / "checksums.json").unlink(missing_ok=True)
    [weights] = (folder / part).glob("*.safetensors")
    stem = weights.name.partition(".")[0]
    weights.rename(folder / part / f"{stem}{variant}.safetensors")
    index = f"{stem}.safetensors.index{variant}.json"
    (folder / part / index).write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{part} holds weights twice.*{re.escape(index)}"):
        load(folder, device="cpu")
