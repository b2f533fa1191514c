"""Seeds, generators and devices."""

import numpy as np
import pytest
import torch

from sdlearn.diffusion.seeds import check_seeds, generators_for, randn
from sdlearn.models.device import pick_device


def test_a_seed_gives_the_same_noise_alone_and_in_any_batch():
    alone = randn((4, 16, 16), [7])
    batch = randn((4, 16, 16), [3, 7, 11])
    assert torch.equal(alone[0], batch[1])
    assert not torch.equal(batch[0], batch[1])


def test_noise_is_that_of_a_plain_torch_generator():
    expected = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(5))
    assert torch.equal(randn((4, 8, 8), [5]), expected)


def test_noise_has_unit_variance():
    noise = randn((4, 64, 64), range(8))
    assert noise.mean().abs() < 0.01
    assert abs(noise.std() - 1) < 0.01


def test_generators_go_on_where_the_first_noise_ended():
    source = torch.Generator().manual_seed(2)
    torch.randn((1, 4, 8, 8), generator=source)
    expected = torch.randn(3, generator=source)
    [after] = generators_for(torch.zeros(1, 4, 8, 8), [2])
    assert torch.equal(torch.randn(3, generator=after), expected)


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    randn((4, 8, 8), [0, 1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("seeds", "error", "message"),
    [
        ([], ValueError, "at least one seed"),
        ([-1], ValueError, "every seed must lie in 0"),
        ([2**63], ValueError, "every seed must lie in 0"),
        ([1.5], TypeError, "whole number; got 1.5"),
        ([True], TypeError, "whole number; got True"),
        (7, TypeError, "seeds must be a list"),
        ("12", TypeError, "seeds must be a list"),
        (np.array(3), TypeError, "seeds must be a list"),
        (torch.tensor(3), TypeError, "seeds must be a list"),
        (torch.tensor([True]), TypeError, r"whole number; got tensor\(True\)"),
        (np.array([[1, 2]]), TypeError, r"whole number; got array\(\[1, 2\]\)"),
    ],
)
def test_seeds_that_are_refused(seeds, error, message):
    with pytest.raises(error, match=message):
        check_seeds(seeds)


def test_seeds_may_come_from_numpy_or_a_range():
    assert check_seeds(torch.arange(3).numpy()) == [0, 1, 2]
    assert check_seeds(range(2**63 - 1, 2**63)) == [2**63 - 1]


def test_the_device_is_the_best_there_is():
    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    best = next((kind for kind, here in kinds.items() if here), "cpu")
    assert pick_device().type == best
    assert pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "count", "told"),
    [
        ("cuda:7", 1, "; there is 1"),
        ("cuda:2", 2, "; there are 2"),
        ("cpu:3", 1, "; there is 1"),
        ("cuda:1", 2, None),
        ("cuda", 1, None),
        ("cpu:0", 1, None),
    ],
)
def test_only_as_many_devices_as_there_are(monkeypatch, device, count, told):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    if told is None:
        assert pick_device(device) == torch.device(device)
        return
    with pytest.raises(ValueError, match=f"^device '{device}' is not available here{told}$"):
        pick_device(device)


@pytest.mark.parametrize("device", ["toaster", "vulkan"])
def test_a_device_that_is_not_here_is_refused(device):
    with pytest.raises(ValueError, match="device"):
        pick_device(device)
