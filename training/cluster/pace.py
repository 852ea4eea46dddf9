"""How long the programs on the machines wait for what; a test lets time run faster by the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Pace(NamedTuple):
    """Seconds."""

    look: float = 5.0  # between two looks: a spot machine has 120 from its notice, and a listing of a bucket costs
    start: float = 180.0  # Ray's own start takes 10 to 30 on the smallest machine
    join: float = 900.0  # a worker waits for its head, whose program writes its address before Ray asks for a worker
    lost: float = 180.0  # a head that cannot be reached: a network that fails comes back sooner, or not
    last_words: float = 10.0  # for the bucket, before the machine ends
    others: float = 60.0  # for Ray and the other machines, before the head ends: some calls of a second, and Ray's end


def read_pace(environment: Mapping[str, str]) -> Pace:
    """The house's pace, or CRPBOT_LOOK_SECONDS and so on."""
    spelled = {field: f"CRPBOT_{field.upper()}_SECONDS" for field in Pace._fields}
    return Pace(**{field: float(environment[name]) for field, name in spelled.items() if name in environment})
