"""Checks that many functions share: each refusal is one sentence about the argument."""

import numpy as np
import pytest
import torch

from sdlearn.util.checks import check_count, check_prompts


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.array(3), torch.tensor(3), torch.tensor([3])], ids=repr
)
def test_a_whole_number_may_come_from_any_library(value: object):
    number = check_count("count", value)
    assert (number, type(number)) == (3, int)


@pytest.mark.parametrize(
    "value",
    [
        2.5,
        "3",
        None,
        True,
        np.True_,
        np.array(True),
        np.array([3.5]),
        np.array([3, 4]),
        torch.tensor(2.5),
        torch.tensor(True),
        torch.tensor([3, 4]),
    ],
    ids=repr,
)
def test_what_is_no_whole_number_is_refused(value: object):
    with pytest.raises(TypeError) as refusal:
        check_count("count", value)
    assert str(refusal.value) == f"count must be a whole number; got {value!r}"


@pytest.mark.parametrize("prompt", ["a caf\udce9", ["a cat", "a caf\udce9"]])
def test_a_prompt_that_came_in_another_code_is_refused(prompt: object):
    with pytest.raises(ValueError, match=r"^texts must be UTF-8 text; got 'a caf\\udce9'$"):
        check_prompts(prompt, "texts")


@pytest.mark.parametrize("prompt", ["", "雪 𠀀 🏠", "a café"])
def test_any_text_is_a_prompt(prompt: str):
    assert check_prompts(prompt) == [prompt]
