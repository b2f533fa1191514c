"""The evaluation counts what it says: worked numbers, a judge made by hand, ceilings and floors."""

import json
import math
import random
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sdlearn import load
from sdlearn.cli import main
from sdlearn.evaluation import (
    Gain,
    Rate,
    Settings,
    Trial,
    adherence,
    diversity,
    evaluate,
    fidelity,
    format_report,
    judge_images,
    mean_interval,
    pixel_distance,
    psnr,
    to_json,
    try_prompt,
    wilson,
    world_diversity,
)
from sdlearn.evaluation.adherence import COLUMNS, PAIR_COLUMNS, checks, mistakes, tally
from sdlearn.evaluation.judge import ATTRIBUTES, Judge, Reading, labels, save_judge
from sdlearn.evaluation.measures import TURNS, mean_gradient
from sdlearn.evaluation.plots import figures, plot_steps
from sdlearn.evaluation.prompts import asked_of, find_prompts, read_prompts, scene_with
from sdlearn.evaluation.report import SPLITS
from sdlearn.util.images import to_tensor, turn
from sdlearn.world import Scene, Thing, caption, full_caption, render, scenes
from sdlearn.world.scene import BACKDROP

HOUSE = Scene((Thing("house", "red", "large", "left"),), "grass", "day", "none")
PAIR = Scene(
    (Thing("cat", "blue", "medium", "left"), Thing("boat", "green", "medium", "right")),
    "sand",
    "night",
    "moon",
)


def seen(scene: Scene, **wrong: str) -> Reading:
    """What a perfect judge reads in the image of `scene`, but for what is `wrong`."""
    words = {**labels(scene), **wrong}
    return Reading(words, dict.fromkeys(words, 1.0))


class PerfectJudge:
    """Answers with the truth about the scenes it was told of, in their order."""

    def __init__(self, truths):
        self.truths = iter(truths)

    def read(self, images):
        return [seen(next(self.truths)) for _ in images]


@pytest.fixture(scope="module")
def sd(tiny_folder):
    return load(tiny_folder, device="cpu")


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(5, 10, 0.2366, 0.7634), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.255, 0.366)],
)
def test_wilson_by_hand(right, total, low, high):
    """The last is the worked example of Newcombe 1998, table I, method 3."""
    assert wilson(right, total) == pytest.approx((low, high), abs=5e-4)


def test_wilson_of_nothing_and_of_everything_in_closed_form():
    """With none right the bounds are 0 and z² / (n + z²), and with all right their mirror image."""
    for total in range(1, 2000):
        bound = 1.959963984540054**2 / (total + 1.959963984540054**2)
        assert wilson(0, total) == pytest.approx((0, bound), abs=1e-15)
        assert wilson(total, total) == pytest.approx((1 - bound, 1), abs=1e-15)
        assert wilson(0, total)[0] == 0, "rounding must not take a bound out of [0, 1]"
        assert wilson(total, total)[1] == 1


def test_the_interval_of_a_mean_by_hand():
    """Of two values a quarter of all samples holds the lower one only, a quarter the higher one."""
    assert mean_interval([1.0, 3.0]) == (1.0, 3.0)
    low, high = mean_interval([0.0, 1.0] * 200)  # spread of the mean 0.5 / 20
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=2e-3)
    with pytest.raises(ValueError, match="values must hold at least two numbers; got 1"):
        mean_interval([1.0])


@pytest.mark.parametrize(("right", "total"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_share(right, total):
    with pytest.raises(ValueError, match="right must be"):
        wilson(right, total)


def test_an_interval_holds_the_truth_in_95_of_100_cases():
    draws = np.random.default_rng(0).binomial(50, 0.9, 4000)
    inside = [low <= 0.9 <= high for low, high in (wilson(int(k), 50) for k in draws)]
    assert 0.93 < np.mean(inside) < 0.98


def test_a_picture_that_is_right_is_right_in_everything():
    assert all(checks(seen(HOUSE), asked_of(HOUSE)).values())
    found = checks(seen(PAIR), asked_of(PAIR))
    assert set(found) == set(PAIR_COLUMNS)
    assert not found.pop("colours_swapped")
    assert all(found.values())


@pytest.mark.parametrize("name", COLUMNS[:-1])
def test_one_wrong_attribute_makes_all_right_wrong(name):
    other = next(word for word in ATTRIBUTES[name] if word != labels(HOUSE)[name])
    found = checks(seen(HOUSE, **{name: other}), asked_of(HOUSE))
    assert [column for column, right in found.items() if not right] == [name, "all_right"]


def test_a_second_subject_that_nobody_asked_for_is_a_mistake():
    found = checks(seen(HOUSE, second_subject="cat", second_colour="red"), asked_of(HOUSE))
    assert [column for column, right in found.items() if not right] == ["all_right"]


def test_what_is_not_asked_for_is_free_but_for_two_sky_items():
    """As in a prompt that somebody wrote: it names a few attributes only."""
    asked = {"second_subject": "none", "subject": "house", "sky": "none"}
    reading = seen(HOUSE, colour="blue", size="small", style="pixel art", sky_items="1")
    found = checks(reading, asked)
    assert set(found) == {"subject", "sky", "sky_items", "all_right"}
    assert all(found.values())
    twice = seen(HOUSE, sky_items="2")
    assert not checks(twice, asked)["all_right"]
    assert mistakes([twice], [asked]) == {"sky_items": {"not named → 2": 1}}


def test_swapped_colours_are_told_from_wrong_ones():
    asked = asked_of(PAIR)
    swapped = checks(seen(PAIR, colour="green", second_colour="blue"), asked)
    assert swapped["colours_swapped"]
    assert swapped["subject"]
    assert not swapped["colour"]
    assert not swapped["both_subjects_and_colours"]
    assert not swapped["all_right"]
    assert not checks(seen(PAIR, colour="red"), asked)["colours_swapped"]
    assert not checks(seen(PAIR, second_subject="house"), asked)["subject"]


def test_a_tally_counts_each_column_over_the_pictures_it_applies_to():
    readings = [seen(HOUSE), seen(HOUSE, sky="sun"), seen(PAIR)]
    rates = tally(readings, [asked_of(scene) for scene in (HOUSE, HOUSE, PAIR)])
    assert rates["sky"] == Rate(2, 3)
    assert rates["subject"] == Rate(3, 3)
    assert rates["size"] == Rate(2, 2)
    assert rates["both_subjects_and_colours"] == Rate(1, 1)
    assert rates["all_right"] == Rate(2, 3)
    with pytest.raises(ValueError, match=r"readings must be as many as scenes \(1\); got 2"):
        tally([seen(HOUSE)] * 2, [asked_of(HOUSE)])


def test_mistakes_say_what_was_taken_for_what():
    readings = [seen(HOUSE, colour="blue", sky="sun"), *[seen(HOUSE, colour="yellow")] * 2]
    found = mistakes(readings, [asked_of(HOUSE)] * 3)
    assert found == {"colour": {"red → yellow": 2, "red → blue": 1}, "sky": {"none → sun": 1}}
    assert list(found["colour"]) == ["red → yellow", "red → blue"]  # the most frequent first
    lone = seen(HOUSE, second_subject="cat", second_colour="red")
    assert mistakes([lone], [asked_of(HOUSE)]) == {"second_subject": {"none → cat": 1}}
    assert mistakes([seen(PAIR, size="large", position="right")], [asked_of(PAIR)]) == {}


def test_psnr_by_hand():
    image = torch.rand((3, 32, 32), generator=torch.Generator().manual_seed(0)) * 0.8
    assert psnr(image, image + 0.1) == pytest.approx(20.0, abs=1e-4)  # 10 log10(1 / 0.01)
    half = torch.zeros(3, 2, 2)
    half[:, 0] = 0.5  # the mean square is 1 / 8
    assert psnr(half, torch.zeros(3, 2, 2)) == pytest.approx(10 * math.log10(8), abs=1e-9)
    assert psnr(image, image) == math.inf


class Darkens:
    """An autoencoder whose latents are the image, and whose decoder takes a share of its light.

    With `is_tall`, the decoder knows which way is up: it darkens the lower half only.
    """

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, is_tall=False):
        self.is_tall = is_tall

    def encode_image(self, images):
        return images

    def decode(self, latents):
        light = torch.full(latents.shape[-2:], 0.9)
        light[:64] = 1.0 if self.is_tall else 0.9
        return latents * light


def test_fidelity_is_the_mean_over_pictures_not_over_pixels():
    drawn = [Scene((Thing("house", "red"),)), Scene((Thing("cat", "red"),), style="watercolour")]
    images = to_tensor([render(scene) for scene in drawn])
    own = [psnr(image, 0.9 * image) for image in images]
    found = fidelity(Darkens(), drawn, batch_size=1)
    assert found.images == 2
    assert found.psnr_mean == pytest.approx(np.mean(own), abs=1e-6)
    assert found.psnr_worst == min(own)
    assert found.psnr_interval == pytest.approx(sorted(own), abs=1e-6)
    assert found.psnr_by_style == {"storybook": own[0], "watercolour": own[1]}
    assert found.sharpness == pytest.approx(0.9, abs=1e-6)


def test_what_turned_latents_decode_to_is_compared_with_the_turned_picture():
    drawn = [HOUSE, PAIR]
    same = fidelity(Darkens(), drawn).psnr_turned
    assert list(same) == list(TURNS)
    assert all(value == pytest.approx(same["upright"], abs=1e-4) for value in same.values())
    tall = fidelity(Darkens(is_tall=True), drawn).psnr_turned
    assert tall["upright"] == tall["mirrored"]
    assert tall["half turn"] == tall["upside down"]
    assert abs(tall["upright"] - tall["half turn"]) > 0.05


def test_a_picture_is_turned_and_mirrored_by_hand():
    corners = torch.tensor([[1, 2], [3, 4]])
    turned = {name: turn(corners, number).tolist() for name, number in TURNS.items()}
    assert turned == {
        "upright": [[1, 2], [3, 4]],
        "mirrored": [[2, 1], [4, 3]],
        "upside down": [[3, 4], [1, 2]],
        "quarter turn": [[2, 4], [1, 3]],
        "half turn": [[4, 3], [2, 1]],
        "three quarter turns": [[3, 1], [4, 2]],
    }


def test_mean_gradient_by_hand():
    stripes = torch.tensor([0.0, 1.0]).repeat(3, 4, 2)  # a step of 1 at every column, none down
    assert mean_gradient(stripes) == 0.5


@pytest.mark.parametrize("name", ["handwritten", "beyond"])
def test_handwritten_prompts_have_a_scene_that_shows_what_they_name(name):
    """None asks for what cannot be, and a picture of the scene is right in everything."""
    for prompt in read_prompts(name):
        assert checks(seen(prompt.scene), prompt.asked)["all_right"], prompt.text
        assert prompt.scene.is_pair == (prompt.asked["second_subject"] != "none"), prompt.text
    assert read_prompts(name) == read_prompts(name)


def test_a_file_of_prompts_is_taken_whole_or_its_first_ones():
    texts = [prompt.text for prompt in find_prompts("handwritten", 1000)]
    assert len(set(texts)) == 200
    assert texts == texts[:200] * 5
    assert len(find_prompts("handwritten", 399)) == 200
    assert [prompt.text for prompt in find_prompts("handwritten", 24)] == texts[:24]
    for count in (24, 200):
        writers = [prompt.by for prompt in find_prompts("handwritten", count)]
        assert sorted({writers.count(writer) for writer in writers}) == [count / 2]


def test_a_scene_that_cannot_be_is_refused():
    wanted = {"subject": "cat", "sky": "rainbow"}
    assert scene_with(wanted, random.Random(0)).time != "night"
    with pytest.raises(ValueError, match="the sky must be one that the time of day has; got {"):
        scene_with({**wanted, "time": "night"}, random.Random(0))


def test_pixel_distance_by_hand():
    black, white = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    assert pixel_distance(torch.cat([black, white])) == pytest.approx(1.0)
    assert pixel_distance(torch.cat([black, black, white])) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="images must hold at least two; got 1"):
        pixel_distance(black)


def test_diversity_is_one_number_for_each_prompt(sd):
    assert all(distance > 0.01 for distance in world_diversity([HOUSE, PAIR], 4))
    drawn = diversity(sd, [HOUSE, PAIR], [3, 4], num_steps=1)
    pictures = sd.generate(full_caption(PAIR), seeds=[3, 4], num_steps=1)
    assert drawn[1] == pytest.approx(pixel_distance(to_tensor(pictures)))
    assert len(drawn) == 2
    assert diversity(sd, [HOUSE], [3, 3], num_steps=1) == [0.0]


def test_a_batch_of_pictures_keeps_every_value():
    image = render(HOUSE)
    batch = to_tensor([image, image])
    assert batch.shape == (2, 3, 128, 128)
    assert torch.equal((batch[0] * 255).byte().permute(1, 2, 0), torch.tensor(np.asarray(image)))


def test_judge_images_asks_the_judge_about_each_scene():
    pictures = [render(HOUSE), render(PAIR)]
    rates = judge_images(PerfectJudge([HOUSE, PAIR]), pictures, [HOUSE, PAIR])
    assert rates["all_right"] == Rate(2, 2)
    rates = judge_images(PerfectJudge([PAIR, PAIR]), pictures, [HOUSE, PAIR])
    assert rates["all_right"] == Rate(1, 2)
    with pytest.raises(ValueError, match=r"images must be as many as scenes \(2\); got 1"):
        judge_images(PerfectJudge([]), pictures[:1], [HOUSE, PAIR])


def test_adherence_draws_the_full_caption_with_the_seed_of_its_scene(sd, monkeypatch):
    asked = []
    generate = type(sd).generate

    def watched(self, prompts, *, seeds, **how):
        asked.append((prompts, seeds, how))
        return generate(self, prompts, seeds=seeds, **how)

    monkeypatch.setattr(type(sd), "generate", watched)
    drawn = list(scenes(3, "single"))
    rates = adherence(
        sd, drawn, [5, 6, 7], judge=PerfectJudge(drawn), batch_size=2, num_steps=1, guidance_scale=2
    )
    assert rates["all_right"] == Rate(3, 3)
    assert [seeds for _, seeds, _ in asked] == [[5, 6], [7]]
    assert asked[0][2] == {"num_steps": 1, "guidance_scale": 2}
    assert asked[0][0] + asked[1][0] == [full_caption(scene) for scene in drawn]


SMALL = Settings(
    prompts=3,
    guidance=(0.0, 2.0),
    steps=(1,),
    batch_size=2,
    vae_images=3,
    diversity_prompts=2,
    diversity_seeds=2,
)


@pytest.fixture(scope="module")
def untrained():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Judge().eval()


@pytest.fixture(scope="module")
def report(sd, untrained):
    return evaluate(sd, untrained, SMALL)


def test_every_guidance_is_taken_with_every_number_of_steps_and_every_scheduler():
    settings = Settings(guidance=(1.0, 2.0), steps=(5, 10), schedulers=("ddim", None))
    names = [str(sampling) for sampling in settings.samplings]
    assert len(set(names)) == 8
    assert names[0] == "guidance 1, 5 steps, ddim"
    assert names[-1] == "guidance 2, 10 steps, own scheduler"


def test_a_report_has_ceiling_rows_and_floor_for_every_split(report):
    for split in SPLITS:
        sources = [row.source for row in report.rows if row.split == split]
        writers = ["knew the captions", "did not know them"] if split == "handwritten" else []
        generated = ["generated", *writers] * 2
        assert sources == ["renders", "VAE round trips", *generated, "shuffled captions"]
    assert report.autoencoder.images == 3
    assert [d.source for d in report.diversity] == ["renders", "generated", "generated"]


def test_the_ceiling_and_the_floor_of_a_perfect_model(sd):
    """A judge that sees what was asked for in every image leaves nothing to the floor."""
    settings = replace(SMALL, prompts=4, guidance=(0.0,))
    asked = {split: [prompt.scene for prompt in find_prompts(split, 4)] for split in SPLITS}
    sources = ("renders", "VAE round trips", "generated")
    judge = PerfectJudge([scene for split in SPLITS for _ in sources for scene in asked[split]])
    for row in evaluate(sd, judge, settings).rows:
        is_floor = row.source == "shuffled captions"
        total = 2 if row.source in ("knew the captions", "did not know them") else 4
        assert row.rates["all_right"] == Rate(0 if is_floor else total, total), row
        assert row.mistakes == {}


def test_the_report_is_the_same_again(sd, untrained, report):
    splits = ("pairs", "handwritten")
    again = evaluate(sd, untrained, replace(SMALL, splits=splits))
    assert again.rows == [row for row in report.rows if row.split in splits]
    assert to_json(replace(again, rows=report.rows, settings=SMALL)) == to_json(report)


def test_every_progress_bar_reaches_its_end(sd, untrained):
    watched = {}

    def watch(items, label, total):
        watched[label] = (0, total)
        for count, item in enumerate(items, 1):
            watched[label] = (count, total)
            yield item

    evaluate(sd, untrained, replace(SMALL, guidance=(0.0,), splits=("pairs", "beyond")), watch)
    assert len(watched) == 2 * 3 + 2
    assert all(count == total > 0 for count, total in watched.values()), watched


@pytest.mark.slow
def test_what_is_new_to_the_model_is_as_the_docstring_says():
    def shown(scene):
        return frozenset(scene.things), *(getattr(scene, name) for name in BACKDROP)

    drawn = list(scenes(4 * 24_576))  # the images of four rounds, as the model's card says
    known, words = {shown(scene) for scene in drawn}, {caption(scene) for scene in drawn}
    shares = {
        split: sum(shown(scene) in known for scene in scenes(1000, split)) / 1000
        for split in ("single", "styles", "pairs", "held_out", "held_out_styles")
    }
    assert list(shares.values()) == [0.395, 0.163, 0.019, 0, 0]
    asked = [*find_prompts("single", 1000), *find_prompts("pairs", 1000)]
    assert not [prompt.text for prompt in asked if prompt.text in words]
    assert sum(prompt.text in words for prompt in find_prompts("handwritten", 200)) == 2


def ends_of_cells(line):
    return {cell.end() for cell in re.finditer(r"\S+", line) if cell.start() > 18}


def test_the_table_fits_a_terminal(report):
    table = format_report(report)
    name, *lines = table.splitlines()
    assert name == f"model {report.model}"  # a folder, as long as it is
    assert max(map(len, lines)) <= 100
    texts = ("one subject", "held-out", "two subjects", "guidance 2 ", "  1, own", "by hand")
    for text in (*texts, "PSNR by style", "sharpness", "upside down", "knew the captions"):
        assert text in table
    renders = next(line for line in lines if line.startswith("renders"))
    assert len(renders.split()) == 1 + len(COLUMNS)
    headings = [line.split() for line in lines if line.strip().startswith("subject")]
    assert [words[-3:] for words in headings] == [["weather", "style", "all"]] * len(SPLITS)
    heading = next(line for line in lines if line.strip().startswith("subject"))
    below = lines[lines.index(heading) + 1 :]
    for line in below[:10]:
        assert ends_of_cells(line) <= ends_of_cells(heading), line


def test_the_json_holds_settings_versions_and_an_interval_for_every_number(report):
    data = json.loads(to_json(report))
    assert data["settings"]["prompts"] == 3
    assert data["settings"]["seed"] == 0
    assert data["own_scheduler"] == "DDIMScheduler"
    assert {"sdlearn", "python", "torch", "pillow"} <= set(data["versions"])
    for rate in (rate for row in data["rows"] for rate in row["rates"].values()):
        assert rate["low"] <= rate["share"] <= rate["high"]
        assert rate["share"] == rate["right"] / rate["total"]
    for entry in data["diversity"]:
        assert entry["interval"][0] <= entry["distance"] <= entry["interval"][1]
    vae = data["autoencoder"]
    assert vae["psnr_interval"][0] <= vae["psnr_mean"] <= vae["psnr_interval"][1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": 1}, "prompts must be at least 2; got 1"),
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
        ({"diversity_seeds": 1}, "diversity_seeds must be at least 2; got 1"),
        ({"guidance": ()}, "guidance, steps and schedulers must each hold"),
    ],
)
def test_settings_that_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_a_bad_sampling_is_refused_before_the_work_begins(sd):
    settings = replace(SMALL, guidance=(1.0, math.nan))
    with pytest.raises(ValueError, match="guidance_scale must be a finite number"):
        evaluate(sd, PerfectJudge([]), settings)


QUICKLY = ["evaluate", "--quick", "--prompts", "2", "--steps", "1", "--model"]


@pytest.mark.slow
def test_the_command_prints_the_table_and_writes_the_json(tiny_folder, tmp_path, capsys):
    save_judge(Judge(), tmp_path / "judge")
    path = tmp_path / "report.json"
    words = [*QUICKLY, str(tiny_folder), "--splits", "handwritten"]
    assert main([*words, "--judge", str(tmp_path / "judge"), "--json", str(path)]) == 0
    table = capsys.readouterr().out
    assert "guidance 3, 1 step, own scheduler" in table
    assert "written by hand, 2 images" in table
    assert json.loads(path.read_text())["settings"]["steps"] == [1]
    assert [file.name for file in tmp_path.iterdir() if "partial" in file.name] == []


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--json", "none/x.json"), "json's folder must exist"),
        (("--json", "old.txt"), "json must be a file that ends in .json"),
        (("--json", "old.json"), "old.json is there already; add --force to replace it"),
        (("--figures", "plots"), "guidance.png is there already; add --force to replace it"),
        (("--splits", "single", "odd"), "splits must be some of single, held_out, pairs"),
    ],
)
def test_the_command_checks_what_it_was_told_before_it_works(
    tmp_path, monkeypatch, capsys, option, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plots").mkdir()
    old = [tmp_path / "old.json", tmp_path / "plots" / "guidance.png"]
    for path in old:
        path.write_text("old")
    assert main([*QUICKLY, "no model", *option]) == 2
    assert message in capsys.readouterr().err
    assert [path.read_text() for path in old] == ["old", "old"]


@pytest.mark.slow
def test_the_command_draws_what_was_measured(tiny_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_judge(Judge(), tmp_path / "judge")
    words = ["evaluate", "--quick", "--prompts", "2", "--model", str(tiny_folder)]
    words += ["--judge", "judge", "--guidance", "1", "2", "--steps", "1", "2"]
    assert main([*words, "--figures", "plots", "--splits", "single", "held_out"]) == 0
    drawn = sorted((tmp_path / "plots").iterdir())
    assert [path.name for path in drawn] == ["composition.png", "guidance.png", "steps.png"]
    assert all(Image.open(path).width >= 1000 for path in drawn)
    (tmp_path / "plots" / "steps.png").unlink()
    few = ["--splits", "single", "--figures", "plots", "--force"]
    assert main([*words[:6], *few, "--judge", "judge", "--steps", "1"]) == 0
    assert not (tmp_path / "plots" / "steps.png").exists(), "one number of steps is no curve"


def test_figures_tell_their_numbers(report):
    drawn = figures(report)
    assert set(drawn) == {"composition", "guidance"}
    shown = 100 * report.rows[2].rates["all_right"].share
    assert f"one subject, all right: {shown:.0f} at {report.settings.guidance[0]:g}" in (
        drawn["guidance"].alt
    )
    bars = drawn["composition"].axes[0].patches
    assert len(bars) == 2 * len(COLUMNS)
    assert bars[0].get_width() == pytest.approx(100 * report.rows[2].rates["subject"].share)
    with pytest.raises(ValueError, match="steps must hold at least two values"):
        plot_steps(report)


def test_the_command_says_when_there_is_no_judge(tiny_folder, tmp_path, capsys):
    assert main([*QUICKLY, str(tiny_folder), "--judge", str(tmp_path)]) == 2
    assert "no judge at" in capsys.readouterr().err


# One prompt with many seeds


def test_a_gain_by_hand():
    """The worked example of Newcombe 1998 (Stat. Med. 17, 873-890), table II, method 10."""
    gain = Gain(after=Rate(56, 70), before=Rate(48, 80))
    assert gain.share == pytest.approx(0.2)
    assert gain.interval == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert gain.is_clear
    assert str(gain) == "+20 points (+5 to +33)"
    back = Gain(after=gain.before, before=gain.after)
    assert back.interval == pytest.approx((-0.3339, -0.0524), abs=5e-5)
    assert back.is_clear


def test_a_gain_that_may_be_none_is_not_clear():
    assert not Gain(Rate(6, 10), Rate(5, 10)).is_clear
    assert not Gain(Rate(10, 10), Rate(10, 10)).is_clear
    assert str(Gain(Rate(10, 10), Rate(10, 10))) == "+0 points (-28 to +28)"


def test_a_gain_holds_the_truth_in_95_of_100_cases():
    rng = np.random.default_rng(0)
    pairs = zip(rng.binomial(10, 0.8, 2000), rng.binomial(10, 0.4, 2000), strict=True)
    bounds = [Gain(Rate(int(a), 10), Rate(int(b), 10)).interval for a, b in pairs]
    assert 0.93 < np.mean([low <= 0.4 <= high for low, high in bounds]) < 0.99


def test_a_trial_counts_what_is_seen():
    readings = [seen(HOUSE), seen(HOUSE, colour="blue"), seen(HOUSE, sky="cloud"), seen(PAIR)]
    trial = Trial("a red house", [], readings)
    assert (trial.rate().right, trial.rate().total) == (4, 4)
    assert trial.rate(subject="house").right == 3
    assert trial.rate(subject="house", colour="red").right == 2
    assert trial.rate(colour="blue", second_colour="green").right == 1
    assert list(trial.counts("sky").items()) == [("none", 2), ("cloud", 1), ("moon", 1)]
    assert trial.counts("sky")["rainbow"] == 0


def test_a_trial_refuses_words_that_the_judge_does_not_know():
    trial = Trial("a red house", [], [seen(HOUSE)])
    with pytest.raises(ValueError, match="colour must be one of red, .*; got 'crimson'"):
        trial.rate(colour="crimson")
    for ask in (lambda: trial.rate(color="red"), lambda: trial.counts("color")):
        with pytest.raises(ValueError, match="attribute must be one of subject, .*; got 'color'"):
            ask()


def test_a_prompt_is_tried_with_every_seed(sd):
    judge = PerfectJudge([HOUSE, PAIR, HOUSE])
    trial = try_prompt(sd, "a red house", [3, 4, 5], judge=judge, batch_size=2, num_steps=2)
    assert trial.prompt == "a red house"
    assert trial.rate(subject="house").right == 2
    [alone] = sd.generate("a red house", seeds=[5], num_steps=2)
    assert [image.tobytes() for image in trial.images[2:]] == [alone.tobytes()]


def test_text_states_are_tried_as_well(sd):
    how = {"judge": PerfectJudge([HOUSE] * 2), "num_steps": 2}
    by_words = try_prompt(sd, "a red house", [3], **how)
    by_states = try_prompt(sd, None, [3], prompt_embeds=sd.encode_text("a red house"), **how)
    assert by_states.images[0].tobytes() == by_words.images[0].tobytes()


def test_a_trial_needs_a_seed(sd):
    with pytest.raises(ValueError, match="seeds must hold at least one seed"):
        try_prompt(sd, "a red house", [])
