"""What the machines of a training cluster may do in an AWS account, and what its launcher must: `deploy/aws/*.json`.

What only `prepare` needs, once, is a policy of its own: whoever may write a role's rights can give himself any.

The files have names in the place of what differs between accounts: ${BUCKET}, ${PREFIX} (with its slash at the end),
${FOLDERS} (the prefix's own folders), ${ACCOUNT}, ${REGION}, ${CLUSTER}.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Template
from typing import Any, Final

from core.errors import Code, CrpbotError, invalid

FOLDER: Final = Path(__file__).parents[2] / "deploy" / "aws"
POLICIES: Final = ("head-policy", "worker-policy", "launcher-policy", "prepare-policy", "trust-ec2")
# What a fact may be: nothing that could become another statement, or a star.
FACTS: Final = {
    "bucket": re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"),
    "prefix": re.compile(r"([A-Za-z0-9_=+-][A-Za-z0-9_.=+-]*(/[A-Za-z0-9_=+-][A-Za-z0-9_.=+-]*)*/?)?"),
    "account": re.compile(r"\d{12}"),
    "region": re.compile(r"[a-z]{2}(-[a-z]+)+-\d"),
    "cluster": re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}"),
}
PARTITION: Final = re.compile(r"aws(-cn|-us-gov)?")


def read_policy(name: str, **facts: str) -> str:
    """A policy as AWS takes it, filled with `bucket`, `prefix`, `account`, `region`, `cluster`; the trust needs none.

    `partition` is `aws` where it is not named. INVALID_ARGUMENT where a fact is missing or could change what the policy
    says.
    """
    if name not in POLICIES:
        raise invalid("policy", f"unknown policy {name!r}; known are {', '.join(POLICIES)}", reason="UNKNOWN_POLICY")
    partition = facts.get("partition", "aws")
    _need(name, "partition", partition, PARTITION)
    text = _text(name).replace("arn:aws:", f"arn:{partition}:")
    wanted = set(re.findall(r"\$\{([A-Z]+)\}", text))
    for fact, pattern in FACTS.items():
        if fact.upper() in wanted or fact in facts:
            _need(name, fact, facts.get(fact), pattern)
    prefix = facts.get("prefix", "").rstrip("/")
    filled = {fact.upper(): value for fact, value in facts.items()}
    filled["PREFIX"] = f"{prefix}/" if prefix else ""
    policy = json.loads(text)
    for statement in policy["Statement"]:
        if isinstance(statement.get("Resource"), list):
            statement["Resource"] = [one for each in statement["Resource"] for one in _each_folder(each, prefix)]
    policy["Statement"] = [each for each in policy["Statement"] if each.get("Resource") != []]  # no prefix, no folder
    return Template(json.dumps(policy, indent=1)).substitute(filled)


def _each_folder(resource: str, prefix: str) -> list[str]:
    """`a/b` has the folders a/ and a/b/: Arrow, by which Ray writes checkpoints, marks each with an empty object."""
    if "${FOLDERS}" not in resource:
        return [resource]
    parts = prefix.split("/") if prefix else []
    return [resource.replace("${FOLDERS}", "/".join(parts[: count + 1]) + "/") for count in range(len(parts))]


def _need(name: str, fact: str, value: str | None, pattern: re.Pattern[str]) -> None:
    if value is None:
        raise invalid(fact, f"the policy {name} needs it; remedy: name it", reason="POLICY_FACT")
    if not pattern.fullmatch(value):
        detail = f"{value[:64]!r} cannot stand in a policy, which takes {pattern.pattern}; remedy: another name"
        raise invalid(fact, detail, reason="POLICY_FACT")


def _text(name: str) -> str:
    path = FOLDER / f"{name}.json"
    try:
        return path.read_text()
    except OSError as error:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"the policy {path} cannot be read ({error.strerror}); remedy: run the command from the project's own "
            "folder (`make setup` installs it so): deploy/ is not a part of the installed package",
            reason="NO_POLICY",
        ) from error


def statements(policy: str) -> list[dict[str, Any]]:  # Any: JSON, as AWS documents it
    """The statements of a policy's text."""
    found: list[dict[str, Any]] = json.loads(policy)["Statement"]
    return found
