"""The policies give the machines and the launcher what they need, and nothing that they do not."""

import ast
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from core.errors import CrpbotError
from training.cluster.policies import POLICIES, read_policy, statements

CLUSTER_CODE = Path(__file__).parents[3] / "training/cluster"
FACTS = {
    "bucket": "our-bucket",
    "prefix": "training",
    "account": "123456789012",
    "region": "us-east-1",
    "cluster": "crpbot-training",
}
# what a launcher's calls are called in policies, where that differs; None: needs no right
CALLED = {
    "sts:GetCallerIdentity": None,
    "s3:HeadBucket": "s3:ListBucket",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
}
# what AWS wants beside a call: tags with RunInstances, roles that are passed, the objects of core.adapters.files.bucket
BESIDE = {
    "ec2:CreateTags",
    "iam:PassRole",
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
}


def actions(name: str) -> set[str]:
    return {one for each in statements(read_policy(name, **FACTS)) for one in as_list(each["Action"])}


def as_list(found: object) -> list[str]:
    return list(map(str, found)) if isinstance(found, list) else [str(found)]


def resources(name: str, action: str, **facts: str) -> set[str]:
    found = statements(read_policy(name, **FACTS | facts))
    return {one for each in found if action in as_list(each["Action"]) for one in as_list(each["Resource"])}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_json_without_a_name_left_to_fill(name: str) -> None:
    text = read_policy(name, **FACTS)
    found = json.loads(text)
    assert found["Version"] == "2012-10-17"
    assert all(each["Effect"] == "Allow" for each in found["Statement"])
    assert len({each["Sid"] for each in found["Statement"]}) == len(found["Statement"])
    assert "${" not in text
    assert len(re.sub(r"\s", "", text)) < 6_144  # what AWS takes of a managed policy; of a role's own it takes more


@pytest.mark.parametrize("name", POLICIES)
def test_no_action_and_no_resource_is_a_star_but_looking(name: str) -> None:
    for each in statements(read_policy(name, **FACTS)):
        assert not [one for one in as_list(each["Action"]) if "*" in one]
        if "Principal" in each:
            assert each["Principal"] == {"Service": "ec2.amazonaws.com"}
        elif as_list(each["Resource"]) == ["*"]:
            assert all(one.startswith("ec2:Describe") for one in as_list(each["Action"]))
        else:
            assert all(one.startswith("arn:aws:") for one in as_list(each["Resource"]))


def test_launching_and_preparing_allow_together_just_the_calls_that_are_made() -> None:
    made = set()
    for file in CLUSTER_CODE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            found = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
            words = [each.value for each in found if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            for service, call in pairwise(words):
                if service in {"ec2", "s3", "iam", "ssm", "sts"} and re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", call):
                    made.add(f"{service}:{''.join(part.capitalize() for part in call.split('_'))}")
    assert {"ec2:RunInstances", "ec2:TerminateInstances", "iam:PutRolePolicy", "s3:CreateBucket"} <= made
    needed = {right for each in made if (right := CALLED.get(each, each)) is not None}
    allowed = actions("launcher-policy") | actions("prepare-policy")
    assert needed - allowed == set()
    assert allowed - needed == BESIDE


def test_who_launches_can_give_nobody_a_right() -> None:
    iam = {each for each in actions("launcher-policy") if each.startswith("iam:")}
    assert iam == {"iam:GetInstanceProfile", "iam:GetRolePolicy", "iam:PassRole"}
    assert resources("launcher-policy", "iam:PassRole") == {"arn:aws:iam::123456789012:role/crpbot-training-head"}
    assert "ec2:RunInstances" not in actions("prepare-policy")


def test_the_trust_is_of_ec2_and_needs_no_fact() -> None:
    assert json.loads(read_policy("trust-ec2"))["Statement"][0]["Action"] == "sts:AssumeRole"


def test_a_prefix_of_several_folders_is_marked_folder_by_folder() -> None:
    puts = resources("worker-policy", "s3:PutObject", prefix="a/b/")
    assert {"arn:aws:s3:::our-bucket/a/", "arn:aws:s3:::our-bucket/a/b/"} <= puts
    assert "arn:aws:s3:::our-bucket/a/b/runs/*" in puts


def test_without_a_prefix_nothing_else_of_the_bucket_is_meant() -> None:
    for name in ("head-policy", "worker-policy"):
        found = resources(name, "s3:PutObject", prefix="")
        assert "arn:aws:s3:::our-bucket/runs/*" in found
        assert not [each for each in found if each.endswith(("our-bucket/", "our-bucket/*", "//"))]


def test_another_partition_is_written_out() -> None:
    text = read_policy("head-policy", **FACTS, partition="aws-us-gov")
    assert "arn:aws-us-gov:ec2" in text
    assert "arn:aws:" not in text


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("bucket", "*"),
        ("bucket", 'a"b'),
        ("prefix", "*"),
        ("prefix", "../other"),
        ("prefix", "a b"),
        ("account", "*"),
        ("region", "us-east-*"),
        ("cluster", "a*"),
        ("cluster", "${aws:username}"),
        ("partition", "aws:x"),
    ],
)
def test_a_fact_that_would_change_what_a_policy_says_is_refused(fact: str, value: str) -> None:
    with pytest.raises(CrpbotError, match="remedy") as caught:
        read_policy("head-policy", **FACTS | {fact: value})
    assert caught.value.reason == "POLICY_FACT"


@pytest.mark.parametrize("fact", list(FACTS))
def test_a_missing_fact_is_named(fact: str) -> None:
    with pytest.raises(CrpbotError, match=f"^{fact}: the policy head-policy needs it"):
        read_policy("head-policy", **{name: value for name, value in FACTS.items() if name != fact})


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(CrpbotError, match="head-policy, worker-policy"):
        read_policy("admin", **FACTS)
