"""The world: the same scene is the same image and words, and both say what the scene says."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from itertools import product

import numpy as np
import pytest

from sdlearn.world import (
    IMAGE_SIZE,
    Scene,
    Thing,
    caption,
    full_caption,
    is_held_out,
    render,
    sample_scene,
    scene_at,
    scenes,
)
from sdlearn.world.prose import PAIR_NOUNS, PAIR_STATEMENTS, PAIR_TAGGED, prose
from sdlearn.world.render import COLOUR_RGB, HORIZON, lit_thing
from sdlearn.world.scene import (
    BACKDROP,
    COLOURS,
    GROUNDS,
    HELD_BACK_STYLES,
    HELD_BACK_SUBJECTS,
    HELD_OUT_COLOUR_POSITIONS,
    HELD_OUT_COLOUR_SUBJECTS,
    HELD_OUT_STYLE_SUBJECTS,
    POSITIONS,
    SIZES,
    SKIES,
    SKIES_BY_TIME,
    SPLITS,
    STYLES,
    SUBJECTS,
    TIMES,
    is_style_held_out,
)
from sdlearn.world.subjects import DRAWERS

# Written out here, not imported, so that a caption that loses a word is noticed.
WORDS = {
    "house": "house|cottage",
    "boat": "boat|ship|sailboat",
    "cat": "cat|kitten",
    "rocket": "rocket|spaceship",
    "train": "train|locomotive",
    "windmill": "windmill|mill",
    "small": "small|little|tiny",
    "large": "large|big|huge|giant",
    "middle": "middle|centre|center|centred|centered",
    "grass": "grass|grassy|meadow|lawn|field",
    "snow": "(?<!falling )snow(?! (?:is )?fall)|snowy",
    "sand": "sand|sandy|beach|desert",
    "water": "water|sea|lake|ocean",
    "day": "day|daylight|daytime|noon|midday|afternoon",
    "sunset": "sunset|evening|dusk|sundown|twilight",
    "night": "night|nighttime|midnight|dark",
    "none": "empty sky|clear sky|cloudless sky|nothing in the sky|sky is empty",
    "cloud": "cloud|clouds",
    "balloon": "balloon|hot-air balloon",
    "rain": "rain|rains|raining|rainy",
    "snowfall": "snowfall|snows|snowing|falling snow|snow (is )?fall(s|ing)|snowflakes",
    "storybook": "storybook|picture book",
    "watercolour": "watercolou?rs?",
    "coloured pencil": "pencils?",
    "pixel art": "pixels?",
}


def single(
    subject: str = "house", colour: str = "red", size: str = "large", position: str = "left"
) -> tuple[Thing]:
    return (Thing(subject, colour, size, position),)


def pixels(scene: Scene) -> np.ndarray:
    return np.asarray(render(scene)).astype(int)


def silhouette(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Where the scene's subjects are drawn, (H, W): it differs from the image without them."""
    drawn = pixels(scene)
    with monkeypatch.context() as patch:
        for subject in SUBJECTS:
            patch.setitem(DRAWERS, subject, lambda pen, colour, night: None)
        bare = pixels(scene)
    return np.abs(drawn - bare).max(axis=-1) > 40


def palette_pixels(picture: np.ndarray, time: str) -> Counter[str]:
    """How many of the pixels, (..., 3), are near each colour of the palette."""
    lit = {colour: np.array(lit_thing(rgb, time)) for colour, rgb in COLOUR_RGB.items()}
    near = {colour: abs(picture - rgb).max(axis=-1) <= 16 for colour, rgb in lit.items()}
    return Counter({colour: int(mask.sum()) for colour, mask in near.items()})


def says(text: str, word: str) -> bool:
    return re.search(rf"\b({WORDS.get(word, word)})\b", text.lower()) is not None


# Scenes


def test_a_scene_is_frozen_plain_data() -> None:
    scene = Scene(single())
    assert scene == Scene(single())
    assert hash(scene) == hash(Scene(single()))
    with pytest.raises(FrozenInstanceError):
        scene.ground = "snow"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dog", "red", "small", "left"), "subject must be one of house, tree.*got 'dog'"),
        (("cat", "black", "small", "left"), "colour must be one of red.*got 'black'"),
        (("cat", "red", "tiny", "left"), "size must be one of .*got 'tiny'"),
        (("cat", "red", "small", "centre"), "position must be one of left.*got 'centre'"),
    ],
)
def test_a_thing_refuses_unknown_words(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Thing(*words)


LEFT, RIGHT = Thing("cat", "red", "medium", "left"), Thing("car", "blue", "medium", "right")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ground": "lava"}, "ground must be one of grass.*got 'lava'"),
        ({"time": "noon"}, "time must be one of day.*got 'noon'"),
        ({"sky": "ufo"}, "sky at day must be one of none.*got 'ufo'"),
        ({"things": ()}, "one or two things; got 0"),
        ({"things": (LEFT, RIGHT, LEFT)}, "one or two things; got 3"),
        ({"things": (LEFT, LEFT)}, "one must be on the left and one on the right"),
        ({"things": (LEFT, replace(RIGHT, size="large"))}, "both must have size 'medium'"),
        ({"things": (LEFT,)}, "size of a single thing must be one of small, large"),
    ],
)
def test_a_scene_refuses_what_cannot_be(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Scene(**{"things": single(), **arguments})


@pytest.mark.parametrize("things", [Thing("cat", "red"), ("cat",), "cat", [None], None, iter([1])])
def test_things_that_are_none_are_refused(things: object) -> None:
    with pytest.raises(TypeError, match=r"things must be a tuple such as \(Thing\(.*\),\); got "):
        Scene(things)


@pytest.mark.parametrize("use", [render, caption, full_caption])
@pytest.mark.parametrize("scene", [Thing("cat", "red"), None])
def test_what_is_no_scene_is_refused(use: Callable, scene: object) -> None:
    with pytest.raises(TypeError, match="scene must be a Scene; got (Thing|None)"):
        use(scene)


@pytest.mark.parametrize(("sky", "time"), [("sun", "night"), ("rainbow", "night"), ("moon", "day")])
def test_the_sky_fits_the_hour(sky: str, time: str) -> None:
    with pytest.raises(ValueError, match=f"sky at {time} must be one of .*; got '{sky}'"):
        Scene(single(), time=time, sky=sky)


# Held-out combinations


def test_held_out_means_any_thing_in_a_listed_combination() -> None:
    assert is_held_out(Scene(single("house", "green", position="left")))
    assert is_held_out(Scene(single("car", "green", position="right")))
    assert not is_held_out(Scene(single("car", "green", position="left")))
    assert not is_held_out(Scene((LEFT, RIGHT)))
    assert is_held_out(Scene((LEFT, replace(RIGHT, colour="green"))))


def test_each_subject_and_position_has_one_held_out_colour() -> None:
    colours, subjects = zip(*HELD_OUT_COLOUR_SUBJECTS, strict=True)
    assert set(colours) == set(COLOURS)
    assert sorted(subjects) == sorted(SUBJECTS)
    assert sorted(position for _, position in HELD_OUT_COLOUR_POSITIONS) == sorted(POSITIONS)


@pytest.mark.parametrize("split", ["train", "test", "single", "pairs", "styles"])
def test_held_out_combinations_are_in_no_other_split(split: str) -> None:
    for scene in scenes(4000, split):
        for thing in scene.things:
            assert (thing.colour, thing.subject) not in HELD_OUT_COLOUR_SUBJECTS
            assert (thing.colour, thing.position) not in HELD_OUT_COLOUR_POSITIONS
            assert (scene.style, thing.subject) not in HELD_OUT_STYLE_SUBJECTS


@pytest.mark.parametrize("split", [name for name in SPLITS if not name.startswith("all")])
def test_what_is_held_back_is_only_where_all_is(split: str) -> None:
    """The autoencoder and the judge see all of it, CLIP and the U-Net nothing."""
    for scene in scenes(2000, split):
        assert scene.style in STYLES
        assert all(thing.subject in SUBJECTS for thing in scene.things)
    for everything in ("all", "all_test"):
        drawn = list(scenes(500, everything))
        assert {scene.style for scene in drawn} == {*STYLES, *HELD_BACK_STYLES}
        subjects = {thing.subject for scene in drawn for thing in scene.things}
        assert subjects == {*SUBJECTS, *HELD_BACK_SUBJECTS}
        assert any(is_held_out(scene) for scene in drawn)
        assert any(is_style_held_out(scene) for scene in drawn)


def test_the_splits_of_styles_hold_what_they_are_named_after() -> None:
    assert all(scene.style != "storybook" for scene in scenes(500, "styles"))
    drawn = list(scenes(500, "held_out_styles"))
    assert all(is_style_held_out(scene) and not is_held_out(scene) for scene in drawn)
    assert {(scene.style, scene.things[0].subject) for scene in drawn} == HELD_OUT_STYLE_SUBJECTS


def test_the_held_out_split_holds_nothing_else() -> None:
    drawn = list(scenes(1000, "held_out"))
    assert all(is_held_out(scene) and not scene.is_pair for scene in drawn)
    named = {(s.things[0].colour, s.things[0].subject) for s in drawn}
    assert named >= HELD_OUT_COLOUR_SUBJECTS
    placed = {(s.things[0].colour, s.things[0].position) for s in drawn}
    assert placed >= HELD_OUT_COLOUR_POSITIONS


# Splits and sampling


def test_an_unknown_split_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="split must be one of train, test, .*; got 'validation'"):
        scene_at(0, "validation")


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_is_a_function_of_the_index(split: str) -> None:
    assert list(scenes(50, split)) == [scene_at(index, split) for index in range(50)]
    assert len(set(scenes(50, split))) == 50


def test_splits_differ() -> None:
    assert len({scene_at(index, split) for index in range(20) for split in SPLITS}) == 20 * len(
        SPLITS
    )


def test_scenes_do_not_depend_on_the_interpreters_hash_seed() -> None:
    code = "from sdlearn.world import scene_at; print([scene_at(i) for i in range(3)])"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {f"{[scene_at(index) for index in range(3)]}\n"}


def test_the_first_training_scene_is_what_it_was_when_the_weights_were_trained() -> None:
    """A change of how scenes are drawn would mix the training's scenes with the test's."""
    house = Thing("house", "yellow", "small", "left")
    expected = Scene((house,), "grass", "night", "moon", 3851868344, "pixel art", "rain")
    assert scene_at(0) == expected


def test_the_splits_named_after_a_count_have_it() -> None:
    assert not any(scene.is_pair for scene in scenes(300, "single"))
    assert all(scene.is_pair for scene in scenes(300, "pairs"))
    assert sample_scene(random.Random(0), pair=True).is_pair
    assert sample_scene(random.Random(0), pair=True, held_out=True).is_pair


def test_training_scenes_are_spread_evenly() -> None:
    drawn = list(scenes(8000))
    things = [thing for scene in drawn for thing in scene.things]
    assert sum(scene.is_pair for scene in drawn) / 8000 == pytest.approx(0.25, abs=0.02)
    for values, words in (
        ([thing.subject for thing in things], SUBJECTS),
        ([scene.ground for scene in drawn], GROUNDS),
        ([scene.time for scene in drawn], TIMES),
        ([thing.size for thing in things if thing.size != "medium"], SIZES),
    ):
        counts = Counter(values)
        assert set(counts) == set(words)
        for word in words:
            assert counts[word] / len(values) == pytest.approx(1 / len(words), abs=0.02)
    colours = Counter(thing.colour for thing in things)
    assert min(colours[colour] for colour in COLOURS) / len(things) > 0.08
    skies = Counter(scene.sky for scene in drawn)
    assert min(skies[sky] for sky in SKIES) / 8000 > 0.10


def test_of_two_subjects_neither_kind_nor_colour_is_the_same() -> None:
    for scene in scenes(500, "pairs"):
        first, second = scene.things
        assert first.subject != second.subject
        assert first.colour != second.colour


# Pictures


def test_the_same_scene_is_the_same_picture_whatever_was_drawn_before() -> None:
    chosen = list(scenes(12))
    pictures = [render(scene).tobytes() for scene in chosen]
    random.seed(5)
    assert [render(scene).tobytes() for scene in reversed(chosen)] == pictures[::-1]
    assert len(set(pictures)) == 12


def test_drawing_leaves_the_global_random_state_alone() -> None:
    random.seed(5)
    before = random.getstate()
    render(scene_at(0))
    caption(scene_at(0))
    full_caption(scene_at(0))
    assert random.getstate() == before


def test_the_variant_changes_the_picture_and_not_what_it_shows() -> None:
    scene = Scene(single(), variant=1)
    assert render(scene).tobytes() != render(replace(scene, variant=2)).tobytes()


@pytest.mark.parametrize(("subject", "colour"), list(product(SUBJECTS, COLOURS)))
def test_every_subject_is_drawn_in_every_colour(
    subject: str, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for time in TIMES:
        scene = Scene(single(subject, colour, "small", "middle"), time=time)
        image = render(scene)
        assert (image.mode, image.size) == ("RGB", (IMAGE_SIZE, IMAGE_SIZE))
        shown = palette_pixels(pixels(scene)[silhouette(scene, monkeypatch)], time)
        assert shown.most_common(1)[0][0] == colour
        assert shown[colour] >= 40


def test_colours_can_be_told_apart() -> None:
    for one, other in product(COLOURS, COLOURS):
        distance = np.linalg.norm(np.subtract(COLOUR_RGB[one], COLOUR_RGB[other]))
        assert one == other or distance > 60


@pytest.mark.parametrize("subject", SUBJECTS)
def test_subjects_are_large_enough_to_survive_compression(
    subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heights: dict[str, list[int]] = {"small": [], "large": []}
    for (size, found), variant in product(heights.items(), range(8)):
        things = single(subject, COLOURS[variant], size, "middle")
        scene = Scene(things, GROUNDS[variant % 4], TIMES[variant % 3], variant=variant)
        rows = silhouette(scene, monkeypatch).any(axis=1).nonzero()[0]
        found.append(rows[-1] - rows[0] + 1)
    assert min(heights["small"]) >= 30
    assert min(heights["large"]) >= 50
    assert min(heights["large"]) > max(heights["small"]) + 10


@pytest.mark.parametrize("position", POSITIONS)
def test_a_thing_stands_where_the_scene_says(
    position: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = POSITIONS.index(position)
    for subject in SUBJECTS:
        scene = Scene(single(subject, position=position), variant=third)
        middle = silhouette(scene, monkeypatch).any(axis=0).nonzero()[0].mean()
        assert third * IMAGE_SIZE / 3 < middle < (third + 1) * IMAGE_SIZE / 3


def test_two_things_are_drawn_each_on_its_side(monkeypatch: pytest.MonkeyPatch) -> None:
    for scene in scenes(40, "pairs"):
        scene = replace(scene, style="storybook", weather="none")  # in the palette's own colours
        mask, picture = silhouette(scene, monkeypatch), pixels(scene)
        halves = {"left": slice(0, 64), "right": slice(64, 128)}
        for thing in scene.things:
            half = halves[thing.position]
            shown = palette_pixels(picture[:, half][mask[:, half]], scene.time)
            assert shown.most_common(1)[0][0] == thing.colour


@pytest.mark.parametrize(
    ("time", "sky"), [(time, sky) for time in TIMES for sky in SKIES_BY_TIME[time]]
)
def test_the_sky_item_is_there(time: str, sky: str) -> None:
    scene = Scene(single(), time=time, sky=sky, variant=3)
    changed = np.abs(pixels(scene) - pixels(replace(scene, sky="none"))).max(axis=-1) > 30
    above_the_hills = changed[: HORIZON - 20]
    assert (above_the_hills.sum() > 150) == (sky != "none")


def test_the_hours_and_grounds_look_different() -> None:
    looks = {
        (ground, time): pixels(Scene(single(), ground, time)).mean(axis=(0, 1))
        for ground, time in product(GROUNDS, TIMES)
    }
    for one, other in product(looks, looks):
        assert one == other or np.abs(looks[one] - looks[other]).max() > 3
    for ground in GROUNDS:
        brightness = [looks[ground, time].mean() for time in TIMES]
        assert brightness == sorted(brightness, reverse=True)


# Captions


def test_the_same_scene_has_the_same_words_and_the_variant_chooses_them() -> None:
    scene = Scene(single())
    assert caption(scene) == caption(scene)
    assert full_caption(scene) == full_caption(scene)
    assert len({full_caption(replace(scene, variant=v)) for v in range(50)}) > 40


def test_any_scene_has_many_captions() -> None:
    for scene in scenes(200):
        assert len({caption(replace(scene, variant=v)) for v in range(12)}) >= 8


def test_another_subject_changes_no_other_word() -> None:
    for variant in range(100):
        tree, boat = (
            re.sub(r"tree|(sailing )?boat|sailboat|ship", "…", caption(scene).lower())
            for scene in (Scene(single(subject), variant=variant) for subject in ("tree", "boat"))
        )
        assert tree == boat


@pytest.mark.parametrize("split", ["single", "pairs", "held_out", "held_out_styles"])
def test_a_full_caption_names_every_attribute(split: str) -> None:
    for scene in scenes(500, split):
        text = full_caption(scene)
        for thing in scene.things:
            assert says(text, thing.subject), text
            assert says(text, thing.colour), text
            assert scene.is_pair or says(text, thing.size), text
            assert scene.is_pair or says(text, thing.position), text
        for word in (scene.ground, scene.time, scene.sky):
            assert says(text, word), text
        is_dry = scene.weather == "none"
        assert is_dry or ("clear" not in text and says(text, scene.weather)), text
        assert says(text, scene.style) == (scene.style != "storybook"), text


def test_a_full_caption_names_nothing_else() -> None:
    for scene in scenes(500, "single"):
        text = re.sub(r"green (?=grass|meadow)|yellow (?=sand|beach)", "", full_caption(scene))
        text = re.sub(r"white (?=snow)|blue (?=water|sea)", "", text)
        thing = scene.things[0]
        for words, truth in (
            (SUBJECTS, thing.subject),
            (COLOURS, thing.colour),
            (POSITIONS, thing.position),
            (GROUNDS, scene.ground),
            (TIMES, scene.time),
            (("sun", "moon", "cloud", "rainbow", "balloon"), scene.sky),
            (("rain", "snowfall"), scene.weather),
            (STYLES[1:], scene.style),
        ):
            named = [word for word in words if says(text, word)]
            assert named == ([truth] if truth in words else []), text


def test_a_pairs_caption_says_which_colour_is_whose() -> None:
    for scene in scenes(300, "pairs"):
        text = full_caption(scene).lower()
        for thing in scene.things:
            noun = f"({WORDS.get(thing.subject, thing.subject)})"
            kind = "(?:steam |space |sailing )?"
            after = "(?:,| that is| which is| in| coloured| colored)"
            told = rf"\b{thing.colour} {kind}{noun}\b|\b{noun}{after} {thing.colour}\b"
            assert re.search(told, text), text
        assert says(text, "left") or says(text, "right"), text


@pytest.mark.parametrize("split", ["single", "pairs", "styles"])
def test_prose_names_what_is_told_and_nothing_else(split: str) -> None:
    rng = random.Random(split)
    for scene in scenes(1500, split):
        pair = scene.is_pair
        names = ("ground", "time", "sky", "style") + (() if pair else ("size", "position"))
        told = {name for name in names if rng.random() < 0.6} | {"colour", "weather"}
        text = prose(scene, rng, told)
        plain = re.sub(r"green (?=grass|meadow)|yellow (?=sand|beach)", "", text.lower())
        plain = re.sub(r"white (?=snow)|blue (?=water|sea)", "", plain)
        named = {word for word in COLOURS if says(plain, word)}
        assert named == {thing.colour for thing in scene.things}, text
        named = {word for word in SUBJECTS if says(text, word)}
        assert named == {thing.subject for thing in scene.things}, text
        for name in names:
            word = getattr(scene if name in BACKDROP else scene.things[0], name)
            assert says(plain, word) == (name in told), (name, text)
        assert scene.weather == "none" or says(text, scene.weather), text
        assert not pair or says(text, "left") or says(text, "right"), text


@pytest.mark.parametrize("form", [*PAIR_NOUNS, *PAIR_STATEMENTS, *PAIR_TAGGED])
def test_every_way_to_tell_of_a_pair_says_which_colour_is_whose_and_one_place(form: str) -> None:
    whole = {"1": {"one", "r1"}, "2": {"two", "r2"}}
    slots = set(re.findall(r"{(\w+)}", form))
    if "left" not in slots:
        for number, names in whole.items():
            assert slots & names or {f"c{number}"} <= slots, form
            assert slots & {*names, f"a{number}", f"t{number}", f"n{number}"}, form
        assert slots & {"side", "other", "p1", "p2"}, form
    else:
        assert {"left", "right"} <= slots, form


def test_weather_and_style_are_always_told_but_for_the_storybooks() -> None:
    drawn = list(scenes(2000))
    for scene in drawn:
        text = caption(scene)
        assert scene.weather == "none" or says(text, scene.weather), text
        assert scene.style == "storybook" or says(text, scene.style), text
    told = [says(caption(scene), "storybook") for scene in drawn if scene.style == "storybook"]
    assert np.mean(told) == pytest.approx(0.15, abs=0.04)


def test_most_training_captions_are_complete_and_some_are_short() -> None:
    drawn = [scene for scene in scenes(3000) if scene.weather == "none"]
    shares = {
        name: np.mean([says(caption(scene).lower(), getattr(scene, name)) for scene in drawn])
        for name in ("ground", "time", "sky")
    }
    expected = 0.5 + 0.3 * 0.6 + 0.2 * 0.15  # complete, most of the others, and short ones
    for share in shares.values():
        assert share == pytest.approx(expected, abs=0.03)
    assert np.mean([len(caption(scene).split()) <= 6 for scene in drawn]) > 0.05


def test_captions_are_clean_and_fit_the_text_encoder() -> None:
    for scene in scenes(2000):
        text = caption(scene)
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text.lower()), text
        assert not re.search(r",,|  |,\.|,:|,$|[{}]| ,", text), text
        assert len(re.findall(r"\w+|[^\w\s]", text)) < 60, text  # of 77 tokens


@pytest.mark.parametrize(
    ("scene", "message"),
    [
        (
            Scene(single("snowman")),
            "subject must be one of house, .*; got 'snowman', which is held",
        ),
        (Scene(single(), style="stained glass"), "style must be .*; got 'stained glass', which is"),
    ],
)
@pytest.mark.parametrize("words", [caption, full_caption])
def test_what_is_held_back_has_no_caption(scene: Scene, message: str, words: Callable) -> None:
    with pytest.raises(ValueError, match=message):
        words(scene)
