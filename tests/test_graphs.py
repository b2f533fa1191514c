"""Graphs for ONNX Runtime: small, without weights, and never those of another model."""

import copy
import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from transformers import CLIPModel

from sdlearn import load
from sdlearn.cli import main
from sdlearn.evaluation.judge import load_judge
from sdlearn.models import graphs
from sdlearn.models.engine import Engine
from sdlearn.models.graphs import FOLDERS, GRAPHS, find_graph, graph_name
from sdlearn.models.light import load_light
from sdlearn.models.loading import TINY, load_parts
from sdlearn.training import export
from sdlearn.training.export import checksums, export_graphs

PROMPT = "a large red house on the left, on green grass"


@pytest.fixture(scope="module")
def parts():
    return load_parts(TINY, torch.float32)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sdlearn" / GRAPHS


def pixels(sd):
    [image] = sd.generate(PROMPT, num_steps=2, height=32, width=64)
    return np.asarray(image, dtype=int)


def test_the_shipped_graphs_are_those_of_the_shipped_model(parts, cache, capsys):
    """If this fails after a new model: sdlearn train graphs --output sdlearn/weights/tiny"""
    found = {find_graph(part, getattr(parts, home), TINY) for part, home in FOLDERS.items()}
    assert found == set((TINY / GRAPHS).iterdir())
    assert capsys.readouterr().err == ""
    assert not cache.exists()


def test_the_shipped_graphs_hold_no_weights_and_say_nothing_of_a_machine():
    files = list((TINY / GRAPHS).iterdir())
    assert sum(path.stat().st_size for path in files) < 250_000
    for path in files:
        assert not any(word in path.read_bytes() for word in (b"site-packages", b".py", b"/home"))


@pytest.mark.parametrize(
    ("field", "value"),
    [("attention_head_dim", 4), ("norm_eps", 1e-6), ("act_fn", "gelu"), ("new_field", 1)],
)
def test_an_edited_config_has_another_graph(field, value):
    config = json.loads((TINY / "unet" / "config.json").read_text())
    shapes = {"conv_in.weight": (64, 4, 3, 3)}
    name = graph_name("unet", config, shapes)
    assert graph_name("unet", config | {field: value}, shapes) != name
    assert graph_name("unet", config, {"conv_in.weight": (64, 9, 3, 3)}) != name
    assert graph_name("unet", config | {"_diffusers_version": "1", "dtype": "x"}, shapes) == name


def test_a_folder_with_an_edited_config_is_not_given_the_shipped_graph(
    tmp_path, cache, monkeypatch, capsys
):
    folder = shutil.copytree(TINY, tmp_path / "edited")
    path = folder / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"norm_eps": 1e-4}))
    monkeypatch.setattr(graphs, "find_spec", lambda name: None)
    sd = load(folder, device="cpu", compile=True)
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        "sdlearn: compile=True leaves this model to torch: it has no graphs, and to make them "
        'takes pip install "sdlearn[onnx]"'
    )
    assert not isinstance(sd.unet.forward, Engine)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("onnxscript") is None, reason="the extra onnx is not installed")
def test_another_model_is_exported_once(tiny_folder, cache, monkeypatch, capsys):
    fast, plain = (load(tiny_folder, device="cpu", compile=choice) for choice in (True, False))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        f"sdlearn: exporting the {part} to ONNX, once"
        for part in ("text encoder", "unet", "vae decoder")
    ]
    assert all(line.endswith(f"it is kept in {cache}") for line in lines)
    assert len(list(cache.iterdir())) == 3
    assert isinstance(fast.unet.forward, Engine)
    assert abs(pixels(fast) - pixels(plain)).max() <= 1
    monkeypatch.setattr(graphs, "export_graph", lambda *_: pytest.fail("exported again"))
    load(tiny_folder, device="cpu", compile=True)
    assert capsys.readouterr().err == ""


def test_a_graph_with_other_results_is_refused():
    vae = load_parts(TINY, torch.float32).vae
    graph = find_graph("vae_decoder", vae, TINY).read_bytes()
    graphs._compare("vae_decoder", vae, graph)
    vae.decoder.conv_norm_out.eps = 0.1
    with pytest.raises(RuntimeError, match="the exported vae_decoder is wrong by"):
        graphs._compare("vae_decoder", vae, graph)


def test_graphs_are_made_anew_in_a_folder(tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(TINY, tmp_path / "model")
    (folder / GRAPHS / "unet-old.onnx").write_bytes(b"old")
    monkeypatch.setattr(export, "export_graph", lambda part, model: part.encode())
    assert main(["train", "graphs", "--output", str(folder)]) == 0
    assert capsys.readouterr().out == f"graphs in {folder / GRAPHS}\n"
    names = {path.name for path in (TINY / GRAPHS).iterdir()}
    assert {path.name for path in (folder / GRAPHS).iterdir()} == names
    assert json.loads((folder / "checksums.json").read_text()) == checksums(folder)


@pytest.mark.slow
def test_a_model_that_is_exported_again_keeps_graphs_that_fit(tmp_path, parts):
    folder = shutil.copytree(TINY, tmp_path / "model")
    clip = CLIPModel.from_pretrained(TINY / "clip", dtype=torch.float32)
    vae, unet = copy.deepcopy(parts.vae), copy.deepcopy(parts.unet)  # halved in place
    models = {"clip": clip, "vae": vae, "unet": unet, "judge": load_judge()}
    export.export(folder, tokenizer=parts.tokenizer, **models)
    assert load_light(folder) is not None
    assert json.loads((folder / "checksums.json").read_text()) == checksums(folder)
    assert checksums(folder / "tokenizer") == checksums(TINY / "tokenizer")


def test_an_export_does_not_tell_how_its_tokenizer_was_read(tmp_path, tiny_folder):
    parts, again = load_parts(tiny_folder, torch.float32), tmp_path / "again"
    clip = CLIPModel.from_pretrained(tiny_folder / "clip", dtype=torch.float32)
    models = {"clip": clip, "vae": parts.vae, "unet": parts.unet, "judge": load_judge()}
    export.export(again, tokenizer=parts.tokenizer, **models)
    assert checksums(again / "tokenizer") == checksums(tiny_folder / "tokenizer")


def test_graphs_want_a_folder(capsys):
    assert main(["train", "graphs"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == "sdlearn: output must name the folder of a model for graphs; add --output FOLDER"


@pytest.mark.skipif(find_spec("onnxscript") is None, reason="the extra onnx is not installed")
def test_without_the_exporter_there_is_a_sentence_and_nothing_is_lost(tmp_path, monkeypatch):
    folder = shutil.copytree(TINY, tmp_path / "model")
    monkeypatch.setattr(graphs, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "sdlearn\[onnx\]"'):
        export_graphs(folder)
    assert len(list((folder / GRAPHS).iterdir())) == 3
