"""A laptop that launches clusters in the AWS of tests/fake_aws, with looks that follow each other at once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.adapters.files.places import open_files
from core.files import Files
from tests.fake_aws.server import FakeAws, Instance
from training.cluster.cloud import Cloud
from training.cluster.launcher import default_url, end, launch, prepare
from training.cluster.mail import Boot
from training.cluster.terms import Cluster, Limits, read_cluster

LIMITS = Limits(hours=4.0, dollars=10.0, idle_minutes=15.0)
LOOK_SECONDS = 0.03
ROOT = Path(__file__).parents[2]


class Laptop:
    """What a person has before the first launch: a cluster file and an account."""

    def __init__(self, aws: FakeAws, folder: Path, cluster: Cluster | None = None) -> None:
        self.aws, self.folder = aws, folder
        self.cluster = cluster or read_cluster(ROOT / "ray_cluster.yaml")
        self.cloud = Cloud(self.cluster.region, look_seconds=LOOK_SECONDS)
        self.regions = folder / "cluster-regions.json"
        self.said: list[str] = []
        self._before = 0

    @cached_property
    def files(self) -> Files:
        return open_files(default_url(self.cloud))

    @property
    def begun(self) -> list[Instance]:
        """Every machine of this test, those that are gone too."""
        return self.aws.instances()[self._before :]

    def start_anew(self) -> None:
        """For the next test: nothing runs, nothing is planned, the bucket is empty. The account stays prepared."""
        self.aws.heal()
        self.cloud = Cloud(self.cluster.region, look_seconds=LOOK_SECONDS)
        self.regions.unlink(missing_ok=True)
        self.end()
        for name in self.files.stamps():
            self.files.remove(name)
        self.said.clear()
        self.aws.calls.clear()
        self._before = len(self.aws.instances())

    def prepare(self) -> tuple[str, ...]:
        return prepare(self.cluster, self.cloud, default_url(self.cloud), self.said.append)

    def launch(self) -> Boot:
        return launch(self.cluster, LIMITS, self.cloud, self.files, self.said.append, regions=self.regions)

    def end(self, files: Files | None = None) -> tuple[str, ...]:
        return end(self.cluster, self.cloud, files, self.said.append, regions=self.regions).instances

    def with_type(self, name: str, **changed: object) -> Laptop:
        """Another laptop, whose file says something else of one type of machine."""
        content = dict(self.cluster.content)
        types = dict(content["available_node_types"])
        types[name] = types[name] | {"node_config": types[name]["node_config"] | changed}
        content["available_node_types"] = types
        return Laptop(self.aws, self.folder, dataclasses.replace(self.cluster, content=content))


@contextmanager
def served(folder: Path, *, pending: float = 0.05, ending: float = 0.1) -> Iterator[FakeAws]:
    """An AWS for this process and its children; the environment is as before afterwards.

    Of this process botocore asks again at once: its growing pauses spare a real AWS.
    """
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch, FakeAws(folder, pending=pending, ending=ending) as aws:
        patch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(aws.environment)
        try:
            yield aws
        finally:
            os.environ.clear()
            os.environ.update(before)
