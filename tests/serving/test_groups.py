"""The file that spreads the theories over processes is checked before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.analyzers import discover
from core.errors import CrpbotError
from serving.groups import Group, load_groups

KNOWN = ("autocorrelation", "hurst_exponent", "shannon_entropy")


def load(folder: Path, text: str | bytes) -> tuple[Group, ...]:
    file = folder / "groups.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_groups(file, KNOWN)


def test_the_shipped_file_has_every_theory_once() -> None:
    named = [theory for group in load_groups(None, tuple(discover())) for theory in group.theories]
    assert sorted(named) == list(discover())


def test_a_file_says_who_computes_what_and_one_group_takes_the_rest(tmp_path: Path) -> None:
    groups = load(
        tmp_path,
        """
        groups:
          - {name: slow, theories: [shannon_entropy], replicas: 3, cpus: 1.5, concurrency: 1}
          - {name: rest, theories: "*"}
        """,
    )
    assert groups == (
        Group("slow", ("shannon_entropy",), 3, 1.5, 1),
        Group("rest", ("autocorrelation", "hurst_exponent"), 1, 0.1, 2),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("groups: [", "is no YAML", id="no YAML"),
        pytest.param(b"groups: \xff\xfe", "is no YAML", id="no text"),
        pytest.param("", "valid dictionary", id="empty"),
        pytest.param("groups: []", "groups: .* at least 1", id="no groups"),
        pytest.param("groups: [{name: a}]", "groups.0.theories: Field required", id="no theories"),
        pytest.param("groups: [{name: a b, theories: '*'}]", "groups.0.name: ", id="bad name"),
        pytest.param("groups: [{name: a, theories: '*', gpus: 1}]", "groups.0.gpus: Extra", id="unknown key"),
        pytest.param("groups: [{name: a, theories: '*', replicas: 0}]", "groups.0.replicas: ", id="no replicas"),
        pytest.param("groups: [{name: a, theories: '*', replicas: 65}]", "groups.0.replicas: ", id="many replicas"),
        pytest.param("groups: [{name: a, theories: '*', replicas: true}]", "groups.0.replicas: ", id="true replicas"),
        pytest.param("groups: [{name: a, theories: '*', cpus: .nan}]", "groups.0.cpus: ", id="cpus are no number"),
        pytest.param(
            "groups: [{name: a, theories: '*', concurrency: 1.5}]", "groups.0.concurrency: ", id="half a call"
        ),
        pytest.param("groups: [{name: a, theories: all}]", "list of names, or", id="a word for theories"),
        pytest.param(
            "groups: [{name: a, theories: '*'}, {name: b, theories: '*'}]", "in at most one group", id="two takers"
        ),
        pytest.param(
            "groups: [{name: a, theories: [astrology]}]", "group a: unknown theory 'astrology'; known are", id="unknown"
        ),
        pytest.param(
            "groups: [{name: a, theories: [hurst_exponent]}, {name: b, theories: [hurst_exponent]}]",
            "hurst_exponent stands in group a and in group b",
            id="in two groups",
        ),
        pytest.param(
            "groups: [{name: a, theories: [hurst_exponent]}]",
            "no group has autocorrelation, shannon_entropy; name them",
            id="in no group",
        ),
        pytest.param(
            "groups: [{name: a, theories: [hurst_exponent]}, {name: a, theories: '*'}]", "one name", id="one name"
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(CrpbotError, match=rf"^{tmp_path}/groups.yaml: .*{words}") as caught:
        load(tmp_path, text)
    assert caught.value.reason == "BAD_GROUPS_FILE"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CrpbotError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_groups(tmp_path / "nowhere.yaml", KNOWN)
