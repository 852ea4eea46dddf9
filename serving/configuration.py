"""The settings of this process: the only place that looks at the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from core.settings.sources import Loaded, load_settings


def load(overrides: Mapping[str, str] | None = None) -> Loaded:
    """Settings from the command line, the environment and `.env` in the current folder."""
    return load_settings(os.environ, Path.cwd(), overrides or {})
