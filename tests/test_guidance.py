"""The formula of classifier-free guidance and the values it takes."""

import pytest
import torch

from sdlearn.diffusion.guidance import apply_guidance, check_guidance_scale

UNCOND, COND = torch.tensor([1.0, 2.0]), torch.tensor([1.5, 1.0])


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(0, [1.0, 2.0]), (1, [1.5, 1.0]), (7.5, [4.75, -5.5]), (-1, [0.5, 3.0])],
)
def test_guidance_by_hand(scale, expected):
    assert apply_guidance(UNCOND, COND, scale).tolist() == expected


def test_it_is_the_papers_formula_with_w_one_less():
    """Ho & Salimans eq. 6: (1 + w) eps_cond - w eps_uncond."""
    w = 6.5
    assert torch.allclose(apply_guidance(UNCOND, COND, w + 1), (1 + w) * COND - w * UNCOND)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), float("-inf")])
def test_scales_that_are_not_finite_are_refused(scale):
    with pytest.raises(ValueError, match="guidance_scale must be a finite number"):
        check_guidance_scale(scale)


@pytest.mark.parametrize("scale", ["5", None, True, [5]])
def test_scales_that_are_no_numbers_are_refused(scale):
    with pytest.raises(TypeError, match="guidance_scale must be a number"):
        check_guidance_scale(scale)
