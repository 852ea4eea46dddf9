"""Opens the place that an address names: a folder of this machine, or a part of a bucket."""

from __future__ import annotations

from pathlib import Path

from core.adapters.files.bucket import BucketFiles
from core.adapters.files.folder import FolderFiles
from core.bucket_address import is_bucket
from core.files import Files


def open_files(url: str) -> Files:
    """`s3://bucket/prefix`, or a path. Nothing is asked of the network before the first call."""
    return BucketFiles(url) if is_bucket(url) else FolderFiles(Path(url))


def files_of(place: Path | Files) -> Files:
    """The place itself; a path is a folder of this machine."""
    return FolderFiles(place) if isinstance(place, Path) else place
