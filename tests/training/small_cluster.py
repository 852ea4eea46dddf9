"""The repository's own cluster file with a few values replaced: two workers without a GPU, idle for seconds only."""

from __future__ import annotations

from pathlib import Path

from training.cluster.terms import Cluster, read_cluster

FILE = Path(__file__).parents[2] / "ray_cluster.yaml"
WORKERS = 2
# what stands there, what is to stand there, and in how many places
REPLACED = (
    ("max_workers: 4 ", f"max_workers: {WORKERS} ", 2),  # of all, and of the spot type, where reasons follow
    ("max_workers: 4\n", f"max_workers: {WORKERS}\n", 1),
    ("resources: {CPU: 4, GPU: 1}", "resources: {CPU: 1}", 2),  # this machine has neither
    ("idle_timeout_minutes: 5 ", "idle_timeout_minutes: 0.1 ", 1),
)


def write_small_cluster(folder: Path, *, idle_minutes: float = 0.1) -> Path:
    """Writes it, and gives its place."""
    text = FILE.read_text()
    for old, new, places in REPLACED:
        assert text.count(old) == places, f"{old!r} stands in {text.count(old)} places of {FILE.name}, not {places}"
        text = text.replace(old, new)
    place = folder / FILE.name
    place.write_text(text.replace("idle_timeout_minutes: 0.1 ", f"idle_timeout_minutes: {idle_minutes} "))
    return place


def small_cluster(folder: Path) -> Cluster:
    """Written and read."""
    return read_cluster(write_small_cluster(folder))
