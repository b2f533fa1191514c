"""The explorer of words: pieces, what is cut off, nearest words, and where the U-Net looks."""

import copy
import re
from collections.abc import Iterator

import pytest
import torch
import traitlets
from explorer_tools import NEARLY, at_work, done, same
from PIL import Image

from sdlearn import load
from sdlearn.inside.attention import record_attention, token_positions, word_maps
from sdlearn.models import memory
from sdlearn.models.memory import MemoryPlan
from sdlearn.pipeline import Defaults
from sdlearn.widgets import base, shared, tokens
from sdlearn.widgets.tokens import TokenExplorer, map_over_image
from sdlearn.widgets.words import WordTable, main_word, read

PROMPT = "a white cat left of a blue dragon, by day"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base.shared_model("tiny"), "defaults", Defaults(num_steps=3))


@pytest.fixture
def explorer() -> Iterator[TokenExplorer]:
    made = TokenExplorer(prompt=PROMPT, word="cat")
    yield made
    made.close()
    assert made.wait(10)


@pytest.fixture
def calls() -> Iterator[list[int]]:
    """How often the U-Net of the explorers' model was called."""
    counted: list[int] = []
    unet = base.shared_model("tiny").unet
    hook = unet.register_forward_pre_hook(lambda *_: counted.append(1))
    yield counted
    hook.remove()


@pytest.fixture(scope="module")
def tokenizer():
    return load("tiny").tokenizer


def buttons(explorer: TokenExplorer):
    return explorer.controls["word"]


# A prompt, word by word


def test_a_copied_tokenizer_reads_the_same_words(tokenizer):
    """Seen with transformers 5.23: findings/copied-clip-tokenizer.sh."""
    words = [read(one, PROMPT).words for one in (tokenizer, copy.deepcopy(tokenizer))]
    assert words[0] == words[1]


def test_words_with_their_pieces_and_places(tokenizer):
    reading = read(tokenizer, "A red dragon, naïve")
    assert [word.text for word in reading.words] == ["a", "red", "dragon", ",", "naïve"]
    assert "".join(reading.words[2].pieces) == "dragon"
    assert len(reading.words[2].pieces) > 1
    for word in reading.words:
        ids = tokenizer("A red dragon, naïve").input_ids
        assert list(word.ids) == [ids[place] for place in reading.places(word)]


def test_names_are_unique_and_no_punctuation(tokenizer):
    reading = read(tokenizer, "a red cat, and a red car")
    assert list(reading.named) == ["a", "red", "cat", "and", "a (2)", "red (2)", "car"]
    assert reading.places(reading.named["red (2)"]) == [7]
    assert list(read(tokenizer, "!!!").named) == ["!!!"]
    assert read(tokenizer, "  ").named == {}


def test_what_is_cut_off(tokenizer):
    reading = read(tokenizer, "a dragon " + "red house " * 36 + "dragon at night")
    dragon = len(reading.words[1].pieces)
    assert (reading.pieces, reading.kept, reading.room) == (1 + dragon + 72 + dragon + 2, 75, 75)
    lost = ["red", "house"] * 36
    assert reading.lost == [*lost[75 - 1 - dragon :], *reading.words[-3].pieces, "at", "night"]
    assert "night" not in reading.named


def test_a_word_may_be_cut_in_two(tokenizer):
    reading = read(tokenizer, "red " * 73 + "dragon")
    assert reading.places(reading.named["dragon"]) == [74, 75]


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        ("a large red house on the left", "house"),
        ("at night, a boat under a rainbow", "night"),
        ("a photograph of an astronaut", "photograph"),
        ("house, red", "house"),
        ("a red cat", "cat"),
        ("a red cat as a watercolour", "cat"),
        ("under on", "under"),
    ],
)
def test_the_likely_subject(tokenizer, prompt: str, word: str):
    assert main_word(read(tokenizer, prompt)) == word


def test_without_words_there_is_no_subject(tokenizer):
    with pytest.raises(ValueError, match="reading must hold at least one word; got none"):
        main_word(read(tokenizer, " "))


def test_nearest_words_are_those_of_the_largest_cosine(tokenizer):
    rows = load("tiny").text_encoder.get_input_embeddings().weight
    table = WordTable(tokenizer, rows)
    house, cottage, red = (tokenizer(word).input_ids[1] for word in ("house", "cottage", "red"))
    near = table.nearest(house)
    assert list(near)[0] == "cottage"
    assert near["cottage"] == pytest.approx(
        float(torch.cosine_similarity(*rows[[house, cottage]], 0))
    )
    assert len(near) == 8
    assert list(near.values()) == sorted(near.values(), reverse=True)
    assert "house" not in near
    assert set(table.nearest(red, 2)) == {"orange", "purple"}
    assert all(word.isalpha() and "</w>" not in word for word in table.nearest(red, 100))


def test_what_chance_would_reach(tokenizer):
    rows = torch.randn(len(tokenizer), 128, generator=torch.Generator().manual_seed(0))
    table = WordTable(tokenizer, rows)
    every = torch.nn.functional.normalize(rows, dim=1)
    best = (every @ every[table.ids].T).sort(dim=1).values[:, -1]
    strangers = [number for number in range(len(rows)) if number not in table.ids]
    assert float(best[strangers].median()) == pytest.approx(table.by_chance, abs=0.01)


def test_a_map_is_laid_over_a_picture():
    share = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.02]])
    picture = map_over_image(share, Image.new("RGB", (128, 64), (90, 90, 90)))
    assert picture.size == (128, 64)
    assert sum(picture.getpixel((120, 60))) > 2 * sum(picture.getpixel((8, 8)))
    nothing = map_over_image(torch.zeros(2, 4), Image.new("RGB", (128, 64), (90, 90, 90)))
    assert nothing.getpixel((120, 60)) == picture.getpixel((8, 8))


# The explorer


def test_the_picture_is_the_pipelines(explorer: TokenExplorer):
    [expected] = load("tiny").generate(PROMPT, seeds=[7], num_steps=3)
    assert same(explorer.facts["image"], expected)
    explorer.seed = 9
    [expected] = load("tiny").generate(PROMPT, seeds=[9], num_steps=3)
    assert same(done(explorer)["image"], expected)


@pytest.mark.parametrize(("word", "step"), [("cat", 0), ("dragon", 0), ("cat", 1), ("day", 3)])
def test_the_map_is_that_of_the_word_and_the_step(explorer, word: str, step: int):
    explorer.word, explorer.step = word, step
    sd = load("tiny")
    cond, uncond = sd.encode_text(PROMPT), sd.encode_text("")
    with record_attention(sd.unet) as maps:
        steps = list(sd.denoise(sd.init_latents([7]), cond, uncond, num_steps=3))
    chosen = [one for one in maps if not step or one.call == step - 1]
    expected = word_maps(chosen, token_positions(sd.tokenizer, PROMPT, word))
    torch.testing.assert_close(done(explorer)["attention"], expected, **NEARLY)
    latents = steps[step - 1].pred_x0 if step else steps[-1].next_latents
    assert same(explorer.facts["image"], shared.first_image(sd, latents))
    when = f"step {step} of 3" if step else "all steps"
    assert explorer.facts["title"] == f"“{word}”, {when}"
    percent = f"{100 * float(expected.mean()):.1f} % of all attention"
    assert percent in explorer.panels["attention"].value


def test_the_states_are_the_text_states(explorer: TokenExplorer):
    states = load("tiny").encode_text(PROMPT)[0]
    torch.testing.assert_close(explorer.facts["states"], states, **NEARLY)
    html = explorer.panels["states"].value
    assert "77 x 128" in html
    assert re.findall(r"▸ (\w+)", html) == ["cat"]
    labels = re.findall(r'<div style="height: [^"]+">(?:<strong>▸ )?([^<]+)<', html)
    assert labels[0] == "begin"
    assert labels[-2:] == ["end", "padding"]
    assert len(labels) == len(load("tiny").tokenizer(PROMPT).input_ids) + 1
    assert html.count("alt=") == 2


def test_the_tokens_are_shown_with_their_ids(explorer: TokenExplorer, tokenizer):
    html = explorer.panels["tokens"].value
    ids = tokenizer(PROMPT).input_ids
    assert [int(number) for number in re.findall(r"<br>(\d+)", html)] == [*ids, ids[-1]]
    assert f"{len(ids)} of 77 places" in html
    assert f"padding, {77 - len(ids)} times" in html
    assert re.findall(r'aria-current="true".*?>(\w+)<br>', html) == ["cat"]
    explorer.word = "dragon"
    done(explorer)
    [box] = re.findall(r'aria-current="true".*?</span></span>', explorer.panels["tokens"].value)
    assert "".join(re.findall(r">(\w+)<br>", box)) == "dragon"


def test_nearest_words_are_shown_or_why_there_are_none(explorer: TokenExplorer):
    assert list(explorer.facts["nearest"])[0] == "kitten"
    assert "kitten</td>" in explorer.panels["nearest"].value
    explorer.word = "dragon"
    assert done(explorer)["nearest"] == {}
    assert "“dragon” has no row of its own" in explorer.panels["nearest"].value


def test_other_words_need_no_other_generation(explorer: TokenExplorer, calls: list[int]):
    for word in ("white", "dragon", "day"):
        explorer.word = word
        done(explorer)
    explorer.step = 2
    done(explorer)
    assert calls == []
    explorer.seed = 8
    done(explorer)
    assert len(calls) == 3
    explorer.seed = 7
    done(explorer)
    assert len(calls) == 3


def test_no_more_generations_are_kept_than_there_is_room_for(explorer: TokenExplorer):
    for seed in range(4):
        explorer.seed = seed
        done(explorer)
    assert explorer._generation.cache_info().currsize == tokens.GENERATIONS_KEPT == 2
    kept = explorer._generation(shared.without(explorer.current_settings(), "word", "step"))
    assert explorer._generation.cache_info().hits == 1
    halves = {len(one.probabilities) for one in kept.maps_of(0)}
    assert halves == {1}  # without the half that had no text


def test_between_two_steps_the_model_is_as_it_was(explorer: TokenExplorer):
    unet = explorer.sd.unet
    before = {name: type(one) for name, one in unet.attn_processors.items()}
    explorer.seed = 12
    explorer.wait(30)
    job = explorer.updates(explorer.current_settings())
    explorer._generation.cache_clear()
    for _ in range(3):
        next(job)
        assert {name: type(one) for name, one in unet.attn_processors.items()} == before
        assert not unet._forward_pre_hooks
    job.close()


def test_the_buttons_follow_the_prompt(explorer: TokenExplorer):
    assert buttons(explorer).options == (
        *("a", "white", "cat", "left", "of", "a (2)", "blue", "dragon", "by", "day"),
    )
    explorer.prompt = "a red house beside a cat"
    assert (explorer.word, buttons(explorer).value) == ("cat", "cat")
    assert buttons(explorer).options == ("a", "red", "house", "beside", "a (2)", "cat")
    explorer.prompt = "a red house on a hill"
    assert (explorer.word, buttons(explorer).value) == ("house", "house")
    assert done(explorer)["title"] == "“house”, all steps"
    buttons(explorer).value = "hill"
    assert explorer.word == "hill"
    assert done(explorer)["title"] == "“hill”, all steps"
    explorer.word = " RED "
    assert buttons(explorer).value == "red"


def test_a_new_prompt_is_drawn_once(explorer: TokenExplorer, calls: list[int]):
    parse_prompt: list[tuple[str, str]] = []
    keep = explorer._latest.run
    explorer._latest.run = lambda job: (
        parse_prompt.append((explorer.prompt, explorer.word)) or keep(job)
    )
    explorer.prompt = "the castle at night"
    done(explorer)
    assert parse_prompt == [("the castle at night", "castle")]
    assert len(calls) == 3


def test_prompt_and_word_may_come_together():
    made = TokenExplorer(word="boat", prompt="a red boat")
    assert made.facts["title"] == "“boat”, all steps"
    assert TokenExplorer(prompt="a red boat").word == "boat"
    with made.hold_trait_notifications():
        made.word, made.prompt = "night", "a cat at night"
    assert (made.word, buttons(made).value) == ("night", "night")
    assert done(made)["title"] == "“night”, all steps"


def test_a_word_that_is_not_there_is_refused(explorer: TokenExplorer):
    with pytest.raises(traitlets.TraitError, match=r"word must be one of a, .*, day; got 'boat'"):
        explorer.word = "boat"
    assert explorer.word == buttons(explorer).value == "cat"


def test_a_step_beyond_the_last_is_told(explorer: TokenExplorer):
    explorer.step = 9
    done(explorer)
    assert explorer.status == "step must lie in 0..3; got 9"
    explorer.num_steps = 4
    explorer.step = 4
    assert done(explorer)["title"] == "“cat”, step 4 of 4"


def test_a_blank_prompt_is_told_and_the_next_one_works(explorer: TokenExplorer):
    explorer.prompt = "  "
    done(explorer)
    assert explorer.status.startswith("prompt must say what to draw; got '  '")
    assert explorer.word == buttons(explorer).value == "cat"
    explorer.prompt = "a blue boat"
    assert done(explorer)["title"] == "“boat”, all steps"
    assert explorer.status == ""


def test_a_prompt_that_is_far_too_long(explorer: TokenExplorer):
    explorer.prompt = "a red house, " * 300
    done(explorer)
    assert explorer.status == (
        "the prompt has 1202 tokens, begin and end included, and 77 fit; the last 1125 are cut off"
    )
    html = explorer.panels["tokens"].value
    assert "77 of 77 places" in html
    assert ">padding" not in html + explorer.panels["states"].value
    assert "and 1,085 more" in html
    [shown] = re.findall(r"<s>(.*)</s>", html)
    assert shown.split() == [",", "a", "red", "house"] * 10
    assert len(explorer.facts["lost"]) == 1125


def test_text_of_the_learner_is_shown_and_not_obeyed(explorer: TokenExplorer):
    explorer.prompt = "a <b>cat</b>"
    explorer.word = "cat"
    done(explorer)
    explorer.prompt = "<img&>" * 30
    done(explorer)
    shown = "".join(panel.value for panel in explorer.panels.values())
    assert "<img&" not in shown
    assert ">&lt;<br>" in explorer.panels["tokens"].value
    assert re.search(r'em">(<strong>▸ )?&lt;<', explorer.panels["states"].value)
    assert re.search(r"<s>[^<]*&lt;", shown)


def test_every_control_has_a_label(explorer: TokenExplorer):
    controls = explorer.controls.values()
    assert [control.description for control in controls] == [
        *("prompt", "word", "step (0: all)", "seed")
    ]


def test_where_nobody_can_click_it_is_one_picture_with_its_settings(explorer: TokenExplorer):
    data, metadata = explorer._repr_mimebundle_()
    assert "“cat”, all steps" in metadata["image/png"]["alt"]
    assert [kind for kind in data if kind.startswith("image/")] == ["image/png"]


def test_a_cell_may_show_it_before_there_is_a_picture(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "is_interactive", lambda: True)
    monkeypatch.setattr(base, "FIRST_IMAGE_TIMEOUT", 0)
    made = TokenExplorer(num_steps=50)
    while made.busy and not made.panels["tokens"].value:
        made.wait(0.01)
    data, _ = made._repr_mimebundle_()
    facts, busy = dict(made.facts), made.busy
    made.close()
    assert made.wait(10)
    assert (busy, facts) == (True, {})
    assert "image/png" not in data


def test_closing_leaves_no_thread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "is_interactive", lambda: True)
    monkeypatch.setattr(base, "FIRST_IMAGE_TIMEOUT", 0)
    made = TokenExplorer(prompt=PROMPT, num_steps=50)
    assert made.busy
    made.close()
    assert made.wait(10)
    assert not at_work()
    assert "image" not in made.facts


# A model whose layers come one at a time


def test_words_have_neighbours_although_the_table_is_not_there(monkeypatch: pytest.MonkeyPatch):
    expected = TokenExplorer(prompt=PROMPT, word="cat")
    plan = MemoryPlan("sequential")
    monkeypatch.setattr(memory, "choose_plan", lambda *_, **__: plan)
    made = TokenExplorer(load("tiny", device="cpu"), prompt=PROMPT, word="cat", num_steps=3)
    assert made.sd.text_encoder.get_input_embeddings().weight.is_meta
    try:
        assert done(made)["nearest"] == done(expected)["nearest"]
    finally:
        for explorer in (made, expected):
            explorer.close()
            assert explorer.wait(10)
