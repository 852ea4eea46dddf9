"""Which numbers a training computes in is read from the hardware, and what it cannot do fast is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from core.errors import CrpbotError
from training.precision import Hardware, Numbers, Precision, choose, look_at

H100 = Hardware("cuda", (9, 0))
A100 = Hardware("cuda", (8, 0))
T4 = Hardware("cuda", (7, 5))
OLD_CARD = Hardware("cuda", (6, 1))
NEW_PROCESSOR = Hardware("cpu", has_bfloat16=True)
OLD_PROCESSOR = Hardware("cpu")


@pytest.fixture
def untouched() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("hardware", "numbers", "has_tf32"),
    [
        (H100, Numbers.BFLOAT16, True),
        (A100, Numbers.BFLOAT16, True),
        (T4, Numbers.FLOAT16, False),
        (OLD_CARD, Numbers.FLOAT32, False),
        (NEW_PROCESSOR, Numbers.BFLOAT16, False),
        (OLD_PROCESSOR, Numbers.FLOAT32, False),
    ],
)
def test_the_hardware_decides(hardware: Hardware, numbers: Numbers, has_tf32: bool) -> None:
    assert choose("auto", hardware) == Precision(hardware.kind, numbers, has_tf32)


@pytest.mark.parametrize("hardware", [H100, T4, NEW_PROCESSOR, OLD_PROCESSOR])
def test_float32_can_always_be_asked_for(hardware: Hardware) -> None:
    assert choose("f32", hardware).numbers is Numbers.FLOAT32


@pytest.mark.parametrize(("asked", "hardware"), [("bf16", T4), ("fp16", NEW_PROCESSOR), ("bf16", OLD_PROCESSOR)])
def test_numbers_that_the_hardware_is_slow_in_are_refused(asked: str, hardware: Hardware) -> None:
    with pytest.raises(CrpbotError, match="leave it at auto") as caught:
        choose(asked, hardware)
    assert caught.value.reason == "PRECISION_NOT_SUPPORTED"


def test_unknown_numbers_are_refused_with_those_that_exist() -> None:
    with pytest.raises(CrpbotError, match="auto, f32, bf16, fp16"):
        choose("int8", H100)


def test_only_products_are_shortened() -> None:
    network = torch.nn.Linear(4, 2)
    with Precision("cpu", Numbers.BFLOAT16).autocast():
        answer = network(torch.ones(3, 4))
    assert (answer.dtype, network.weight.dtype) == (torch.bfloat16, torch.float32)
    with Precision("cpu", Numbers.FLOAT32).autocast():
        assert network(torch.ones(3, 4)).dtype == torch.float32


@pytest.mark.parametrize("numbers", list(Numbers))
def test_the_loss_is_scaled_in_float16_alone(numbers: Numbers) -> None:
    assert Precision("cpu", numbers).scaler().is_enabled() is (numbers is Numbers.FLOAT16)


def test_learning_with_a_scaled_loss_ends_where_it_ends_without() -> None:
    torch.manual_seed(0)
    inputs, wanted = torch.randn(64, 4), torch.randn(64, 1)
    weights = []
    for numbers in (Numbers.FLOAT32, Numbers.FLOAT16):
        torch.manual_seed(1)
        network, precision = torch.nn.Linear(4, 1), Precision("cpu", numbers)
        optimiser, scaler = torch.optim.SGD(network.parameters(), lr=0.1), precision.scaler()
        for _ in range(200):  # the first few are left out: the scale begins too high and is halved until it fits
            with precision.autocast():
                answer = network(inputs)
            scaler.scale((answer.float() - wanted).square().mean()).backward()
            scaler.step(optimiser)
            scaler.update()
            optimiser.zero_grad()
        weights.append(network.weight.detach())
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=2e-3)


@pytest.mark.usefixtures("untouched")
def test_tf32_is_switched_with_the_choice() -> None:
    choose("auto", A100).prepare()
    assert torch.get_float32_matmul_precision() == "high"
    choose("auto", T4).prepare()
    assert torch.get_float32_matmul_precision() == "highest"


def test_this_machine_is_seen_as_it_is() -> None:
    seen = look_at(torch.device("cpu"))
    flags = Path("/proc/cpuinfo").read_text()
    assert seen == Hardware("cpu", has_bfloat16="avx512_bf16" in flags or "amx_bf16" in flags)
