"""The memory of one step is there for the next."""

import platform
import resource

import pytest
import torch

from core.models.lstm import WINDOW, Config, Lstm
from training.memory import keep_freed_memory

STEPS = 8


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library decides for itself")
def test_a_step_asks_the_system_for_no_memory_that_the_one_before_it_had() -> None:
    keep_freed_memory()
    network = Lstm(Config()).train()
    windows = torch.randn(32, WINDOW, network.config.features)

    def pages(steps: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(steps):
            network(windows).sum().backward()
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    pages(STEPS)
    # given back after each step it would be about 3,000 pages a step
    assert pages(STEPS) < 300 * STEPS
