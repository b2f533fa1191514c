"""A recording is played where it tells the truth, and nowhere else."""

import copy
import pickle
import threading
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from sdlearn import load as compiled
from sdlearn.models.playback import MOST_RECORDINGS, Playback
from sdlearn.models.recording import record


@dataclass
class Told:
    sample: Tensor


class Net(nn.Module):
    """Two layers and a processor; the class counts how often its Python ran."""

    ran = 0

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 3)
        self.register_buffer("shift", torch.ones(3))
        self.second.processor = torch.sin

    def forward(self, x: Tensor, scale: float | None = None, return_dict: bool = False):
        Net.ran += 1
        y = self.second.processor(self.second(self.first(x).relu())) + self.shift
        y = y if scale is None else scale * y
        return Told(y) if return_dict else (y,)


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    net = Net().requires_grad_(False)
    net.forward = Playback(net)
    return net


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


X = torch.linspace(-1, 1, 6).reshape(2, 3)


def as_written(net: Net, *args, **kwargs):
    return Net.forward(net, *args, **kwargs)[0]


def check(net: Net, x: Tensor = X) -> bool:
    """Compare a call with what the module says; whether Python ran for it."""
    expected, before = as_written(net, x), net.ran
    assert torch.equal(net(x)[0], expected)
    return net.ran > before


def test_the_second_call_is_played_back(net: Net):
    assert [check(net), check(net), check(net, 2 * X)] == [True, False, False]


def test_other_shapes_and_types_have_recordings_of_their_own(net: Net):
    others = [X[:1], X.expand(5, 2, 3)]
    assert [check(net, x) for x in (X, *others, X, *others)] == [True] * 3 + [False] * 3
    net.double()
    assert [check(net, X.double()), check(net, X.double())] == [True, False]


def test_the_number_of_recordings_has_a_bound(net: Net):
    for size in range(1, MOST_RECORDINGS + 2):
        check(net, torch.ones(size, 3))
    assert not check(net, torch.ones(MOST_RECORDINGS + 1, 3))
    assert check(net, torch.ones(1, 3))  # the oldest has gone


def test_a_keyword_is_a_setting(net: Net):
    assert torch.equal(net(x=X)[0], net(X)[0])
    assert torch.equal(net(X, None, False)[0], net(X)[0])


def test_a_number_among_the_arguments_is_not_recorded(net: Net):
    for scale in (2.0, 3.0, 3.0):
        before = net.ran
        assert torch.equal(net(X, scale)[0], scale * as_written(net, X))
        assert net.ran == before + 2


def test_what_gives_more_than_tensors_runs_as_written(net: Net):
    for _ in range(2):
        told = net(X, return_dict=True)
        assert isinstance(told, Told)
        assert torch.equal(told.sample, as_written(net, X))


def change_in_place(net: Net) -> None:
    net.first.weight.mul_(2)


def give_data(net: Net) -> None:
    net.first.weight.data = torch.ones(4, 3)


def give_a_parameter(net: Net) -> None:
    net.second.bias = nn.Parameter(torch.ones(3), requires_grad=False)


def give_a_buffer(net: Net) -> None:
    net.shift = torch.zeros(3)


def load(net: Net) -> None:
    net.load_state_dict({name: 2 * value for name, value in net.state_dict().items()})


def replace_a_part(net: Net) -> None:
    net.first = nn.Linear(3, 4).requires_grad_(False)


@pytest.mark.parametrize(
    "change",
    [
        change_in_place,
        give_data,
        give_a_parameter,
        give_a_buffer,
        load,
        replace_a_part,
    ],
)
def test_what_is_changed_is_seen(net: Net, change):
    check(net)
    before = net(X)[0]
    change(net)
    check(net)
    assert not torch.equal(net(X)[0], before)
    assert not check(net)


def test_another_processor_is_called_every_time(net: Net):
    check(net)
    own, net.second.processor = net.second.processor, torch.cos
    assert [check(net), check(net)] == [True, True]
    net.second.processor = own
    assert not check(net)


def test_hooks_on_parts_are_called(net: Net):
    check(net)
    seen: list[Tensor] = []
    hook = net.first.register_forward_hook(lambda module, args, output: seen.append(output))
    net(X), net(X)
    assert len(seen) == 2
    hook.remove()
    before = net.ran
    net(X)
    assert net.ran == before


def test_hooks_on_the_module_itself_are_called_and_it_is_played_back(net: Net):
    check(net)
    hook = net.register_forward_pre_hook(lambda module, args: (0 * args[0],))
    before = net.ran
    assert torch.equal(net(X)[0], net(0 * X)[0])
    assert net.ran == before
    hook.remove()


def test_hooks_on_the_module_itself_are_not_recorded(net: Net):
    hook = net.register_forward_pre_hook(lambda module, args: (2 * args[0],))
    expected = as_written(net, 2 * X)
    assert [torch.equal(net(X)[0], expected) for _ in range(2)] == [True, True]
    hook.remove()
    assert not check(net)


class Watcher:
    """What a learner hooks in may be more than a function, such as a widget."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # cannot be copied
        self.seen = 0

    def __call__(self, *given: object) -> None:
        self.seen += 1


def test_a_hook_that_cannot_be_copied_does_no_harm(net: Net):
    watcher = Watcher()
    net.register_forward_hook(watcher)
    net(X), net(X)
    assert watcher.seen == 2


def test_gradients_flow_where_they_are_wanted(net: Net):
    check(net)
    x, before = X.clone().requires_grad_(), net.ran
    with torch.enable_grad():
        net(x)[0].sum().backward()
    assert net.ran == before + 1
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
@pytest.mark.parametrize("before", [0, 2])
def test_a_copy_is_a_module_of_its_own(net: Net, twin, before: int):
    for _ in range(before):
        check(net)
    expected = as_written(net, X)
    other = twin(net)
    assert [check(other), check(other)] == [True, False]
    other.first.weight.zero_()
    check(other)
    assert not torch.equal(other(X)[0], expected)
    assert torch.equal(net(X)[0], expected)
    assert not check(net)


def test_a_pickled_forward_knows_the_module_as_it_is_written(net: Net):
    check(net)
    forward = pickle.loads(pickle.dumps(net.forward))
    with torch.enable_grad():
        assert torch.equal(forward(X)[0], as_written(net, X))


def test_a_compiled_model_that_has_drawn_is_copied(tiny_folder):
    sd = compiled(tiny_folder, device="cpu", compile=True)
    draw = {"prompt": "a red house", "num_steps": 2, "height": 64, "width": 64}
    [picture] = sd.generate(**draw)
    other = copy.deepcopy(sd)
    assert other.generate(**draw)[0].tobytes() == picture.tobytes()
    assert other.unet.forward._recordings
    for weight in other.unet.parameters():
        weight.zero_()
    assert other.generate(**draw)[0].tobytes() != picture.tobytes()
    assert sd.generate(**draw)[0].tobytes() == picture.tobytes()


def test_under_autocast_it_runs_as_written(net: Net):
    check(net)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        before = net.ran
        half = net(X)[0]
        assert net.ran == before + 1
    assert not torch.equal(half, net(X)[0])


# What depends on a steady argument alone


class Reader(nn.Module):
    """Two layers for the text, one for the image; counts what the text's layers compute."""

    ran = 0

    def __init__(self) -> None:
        super().__init__()
        self.keys, self.values, self.queries = (nn.Linear(3, 3) for _ in range(3))

    def forward(self, x: Tensor, text: Tensor | None = None):
        Reader.ran += 1
        text = x if text is None else text
        return ((self.queries(x) @ self.keys(text).mT).softmax(-1) @ self.values(text),)


TEXT = torch.linspace(2, 3, 12).reshape(4, 3)


@pytest.fixture
def reader() -> Reader:
    torch.manual_seed(0)
    reader = Reader().requires_grad_(False)
    reader.forward = Playback(reader, steady="text")
    return reader


@pytest.fixture
def linears(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Inputs of the linear layers that Python computed, from the layers' weights."""
    seen: list[Tensor] = []
    linear = nn.functional.linear

    def watch(x: Tensor, *args: Tensor) -> Tensor:
        seen.append(x)
        return linear(x, *args)

    monkeypatch.setattr(nn.functional, "linear", watch)
    return seen


def reads(reader: Reader, x: Tensor, text: Tensor) -> bool:
    """Compare a call with what the module says; whether Python ran for it."""
    expected, before = Reader.forward(reader, x, text)[0], Reader.ran
    assert torch.equal(reader(x, text=text)[0], expected)
    return Reader.ran > before


def test_what_depends_on_the_text_alone_is_computed_once_for_a_text(
    reader: Reader, linears: list[Tensor]
):
    reader(X, text=TEXT)
    for text in (2 * TEXT, TEXT):
        linears.clear()
        for x in (X, 2 * X, 3 * X):
            reader(x, text=text)
        assert [torch.equal(x, text) for x in linears] == [True, True]  # keys and values, once


def test_with_a_steady_text_the_results_are_the_same_bits(reader: Reader):
    texts = TEXT, TEXT, 2 * TEXT, TEXT
    assert [reads(reader, X + i, text) for i, text in enumerate(texts)] == [True] + [False] * 3


def test_a_text_that_is_changed_in_place_is_seen(reader: Reader):
    text = TEXT.clone()
    reads(reader, X, text)
    text[0] = 7
    assert not reads(reader, X, text)


def test_a_text_layer_that_is_changed_is_seen(reader: Reader):
    reads(reader, X, TEXT)
    reader.keys.weight.mul_(2)
    assert not reads(reader, X, TEXT)
    reader.values.bias = nn.Parameter(torch.ones(3), requires_grad=False)
    assert reads(reader, X, TEXT)
    assert not reads(reader, X, TEXT)


def test_without_a_text_there_is_nothing_to_keep(reader: Reader):
    reads(reader, X, TEXT)
    for _ in range(2):
        assert torch.equal(reader(X)[0], Reader.forward(reader, X)[0])
        assert torch.equal(reader(X, text=None)[0], Reader.forward(reader, X)[0])


def test_a_recording_leaves_the_module_as_it_is_for_others(reader: Reader):
    """Another thread may be at work with its layers."""
    told: list[Tensor] = []
    keys = reader.keys

    class Spy(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            told.append(keys(TEXT))
            return super().forward(x)

    expected = keys(TEXT)
    reader.queries = Spy(3, 3).requires_grad_(False)
    reads(reader, X, TEXT)
    assert len(told) >= 3  # as written, and twice for the recording
    assert all(torch.equal(each, expected) for each in told)
    assert not vars(keys).keys() & {"forward"}


def test_weights_made_in_inference_mode_are_played_back_too():
    with torch.inference_mode():
        reader = Reader()
    reader.requires_grad_(False)
    reader.forward = Playback(reader, steady="text")
    assert [reads(reader, X, text) for text in (TEXT, TEXT, 2 * TEXT)] == [True, False, False]


def test_sizes_are_written_into_a_recording():
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor]:
            return (x.reshape(x.shape[0], x.shape[1] * x.shape[2]),)

    x = torch.arange(24.0).reshape(2, 3, 4)
    play = record(Flat(), (x,), {})
    assert torch.equal(play(x)[0], x.reshape(2, 12))
    kinds = {node.kind() for node in play.graph.nodes()}
    assert "aten::reshape" in kinds
    assert "aten::size" not in kinds
