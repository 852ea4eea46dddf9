"""The memory of one step is there for the next."""

import platform
import resource

import pytest
import torch

from core.models.lstm import WINDOW, Config, Lstm
from training.memory import MMAP_MAX, TRIM_THRESHOLD, keep_freed_memory

STEPS = 8
USUAL = {MMAP_MAX: 65_536, TRIM_THRESHOLD: 128 * 1_024}


class Library:
    """A C library that takes all options but one."""

    def __init__(self, refused: int | None = None) -> None:
        self.options = dict(USUAL)
        self._refused = refused

    def mallopt(self, option: int, value: int) -> int:
        if option == self._refused:
            return 0
        self.options[option] = value
        return 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library decides for itself")
def test_a_step_asks_the_system_for_no_memory_that_the_one_before_it_had() -> None:
    assert keep_freed_memory(), "this C library takes both options"
    network = Lstm(Config()).train()
    windows = torch.randn(256, WINDOW, network.config.features)

    def pages(steps: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(steps):
            network(windows).sum().backward()
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    pages(STEPS)
    # given back after each step it would be over 20,000 pages; a process that ran other tests before asks for some
    assert pages(STEPS) < 1_000 * STEPS


def test_both_options_are_set_where_both_are_taken() -> None:
    library = Library()
    assert keep_freed_memory(library.mallopt)
    assert library.options == {MMAP_MAX: 0, TRIM_THRESHOLD: 1 << 30}


@pytest.mark.parametrize("refused", [MMAP_MAX, TRIM_THRESHOLD])
def test_where_one_option_is_refused_all_stays_as_it_was(refused: int) -> None:
    library = Library(refused)
    assert not keep_freed_memory(library.mallopt)
    assert library.options == USUAL
