"""The rules in docs/gate.md are those of the program."""

from __future__ import annotations

import re

from core.models.judgement import HOUSE, RuleName
from tests.documents import ROOT

ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (>=|>|<=|<) ([\d.]+) \| (.+) \|$", re.MULTILINE)


def test_every_rule_stands_there_with_its_limit_and_what_decides() -> None:
    rows = ROW.findall((ROOT / "docs" / "gate.md").read_text(encoding="utf-8"))
    assert [name for name, *_ in rows] == [rule.value for rule in RuleName]
    for name, decided, relation, limit, _ in rows:
        asked = HOUSE[RuleName(name)]
        assert (relation, float(limit)) == (asked.relation.value, asked.limit), name
        assert (" bound " in decided) is asked.by_bound, name
