"""What machines really ask of the bucket, recorded, is what their policies allow; what could harm others is not."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from core.adapters.files.places import open_files
from tests.fake_aws.server import FakeAws
from tests.training.cluster.test_cluster_policies import CALLED, FACTS, actions, as_list
from tests.training.launching import Laptop, served
from training.cluster.launcher import look
from training.cluster.policies import read_policy, statements

BUCKET = "crpbot-123456789012-us-east-1"
PREFIX = "training"
RIGHTS = {
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "PostObject": "s3:PutObject",  # a large object, in parts
    "DeleteObject": "s3:DeleteObject",
}
UNSIGNED = "$extremelyunlikelytoexist$"  # Arrow asks for this bucket without credentials, to see which proxy answers


def may(policy: str, action: str, key: str = "", prefix: str | None = None) -> bool:
    """Whether a policy allows it. S3's part of the rules alone: stars, `StringLike` and `Null` on s3:prefix."""
    text = read_policy(policy, **FACTS | {"bucket": BUCKET, "prefix": PREFIX})
    resource = f"arn:aws:s3:::{BUCKET}/{key}" if key else f"arn:aws:s3:::{BUCKET}"
    for each in statements(text):
        condition = each.get("Condition", {})
        likes = condition.get("StringLike", {}).get("s3:prefix")
        is_met = likes is None or (prefix is not None and any(fnmatchcase(prefix, like) for like in likes))
        if condition.get("Null", {}).get("s3:prefix") == "true":
            is_met = prefix is None
        is_meant = any(fnmatchcase(resource, one) for one in as_list(each["Resource"]))
        if is_met and is_meant and action in as_list(each["Action"]):
            return True
    return False


def lacking(aws: FakeAws, policy: str) -> set[str]:
    """Of all calls since the record was cleared, those that the policy has no word of."""
    named = {f"{call.service}:{RIGHTS.get(call.action, call.action).removeprefix('s3:')}" for call in aws.calls}
    needed = {right for each in named if (right := CALLED.get(each, each)) is not None}
    return needed - actions(policy)


def test_a_launch_and_its_end_need_the_launchers_rights_and_a_preparation_its_own(tmp_path: Path) -> None:
    with served(tmp_path) as aws:
        laptop = Laptop(aws, tmp_path)
        for _ in range(2):  # the second finds everything
            laptop.prepare()
        assert {"CreateRole", "CreateBucket", "CreateSecurityGroup"} <= {each.action for each in aws.calls}
        assert lacking(aws, "prepare-policy") == set()
        assert "iam:PutRolePolicy" in lacking(aws, "launcher-policy")
        aws.calls.clear()
        boot = laptop.launch()
        look(laptop.cluster, laptop.cloud, laptop.files, regions=laptop.regions)
        laptop.end(laptop.files)
        assert boot.cluster == laptop.cluster.name
        assert {"RunInstances", "TerminateInstances", "GetRolePolicy"} <= {each.action for each in aws.calls}
        assert lacking(aws, "launcher-policy") == set()


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeAws]:
    folder = tmp_path_factory.mktemp("aws")
    with served(folder) as served_aws:
        Laptop(served_aws, folder).prepare()
        yield served_aws


def refused(aws: FakeAws, policy: str) -> list[str]:
    """Of what was asked of S3 since the record was cleared, what the policy does not allow."""
    found = []
    for call in aws.calls:
        bucket, key = call.parameters.get("Bucket"), call.parameters.get("Key", "")
        if call.service != "s3" or bucket == UNSIGNED or call.action == "DeleteObjects":  # its keys are in its body
            continue
        assert bucket == BUCKET
        prefix = call.parameters.get("prefix") if call.action == "ListObjectsV2" else None
        if not may(policy, RIGHTS[call.action], key, prefix):
            found.append(f"{call.action} {key or prefix}")
    return found


@pytest.mark.parametrize("policy", ["worker-policy", "head-policy"])
def test_checkpoints_are_written_read_and_removed_as_ray_does_by_arrow(aws: FakeAws, policy: str) -> None:
    from pyarrow import fs

    aws.calls.clear()
    where = aws.url.removeprefix("http://")
    uri = f"s3://{BUCKET}/{PREFIX}/runs/job/unit?endpoint_override={where}&scheme=http"
    there, path = fs.FileSystem.from_uri(uri)
    there.create_dir(path)
    with there.open_output_stream(f"{path}/state.pt") as stream:
        stream.write(b"x" * 1_000)
    assert [each.size for each in there.get_file_info(fs.FileSelector(path))] == [1_000]
    with there.open_input_stream(f"{path}/state.pt") as stream:
        assert len(stream.read()) == 1_000
    there.delete_dir(path)
    assert {"HeadBucket", "PutObject", "ListObjectsV2", "DeleteObject"} <= {each.action for each in aws.calls}
    assert refused(aws, policy) == []


@pytest.mark.parametrize(
    ("policy", "written", "read"),
    [
        (
            "worker-policy",
            ("jobs/j/models/u/weights.pt", "runs/j/u/x"),
            ("code/a.zip", "data/a/b", "jobs/j/order.json"),
        ),
        (
            "head-policy",
            ("clusters/crpbot-training/l/state.json", "jobs/j/progress.json"),
            ("code/a.zip", "clusters/crpbot-training/l/inbox/j"),
        ),
    ],
)
def test_the_mail_is_read_and_written(
    aws: FakeAws, policy: str, written: tuple[str, ...], read: tuple[str, ...]
) -> None:
    files = open_files(f"s3://{BUCKET}/{PREFIX}")
    for name in read:
        files.write(name, b"x")
    aws.calls.clear()
    for name in written:
        files.write(name, b"x")
        assert files.read(name, most=10) == b"x"
        assert files.stamps(name.rpartition("/")[0] + "/")
        files.remove(name)
        assert files.create(name, b"y")
    for name in read:
        assert files.read(name, most=10) == b"x"
    assert refused(aws, policy) == []


def test_a_missing_object_may_be_told_from_a_forbidden_one() -> None:
    # S3 answers 403 in place of 404 to who may not list; a worker that waits for its head would take that for an error
    for policy in ("worker-policy", "head-policy"):
        assert may(policy, "s3:ListBucket", prefix=None)


@pytest.mark.parametrize(
    ("policy", "action", "key"),
    [
        ("worker-policy", "s3:PutObject", "training/code/a.zip"),
        ("worker-policy", "s3:PutObject", "training/data/a/b"),
        ("worker-policy", "s3:PutObject", "training/clusters/crpbot-training/l/inbox/j"),
        ("worker-policy", "s3:PutObject", "training/jobs/j/order.json"),
        ("worker-policy", "s3:PutObject", "training/jobs/j/progress.json"),
        ("worker-policy", "s3:PutObject", "training/jobs/j/artefacts.json"),
        ("worker-policy", "s3:DeleteObject", "training/jobs/j/artefacts.json"),
        ("worker-policy", "s3:PutObject", "training/clusters/crpbot-training/l/autoscaler.json"),
        ("worker-policy", "s3:DeleteObject", "training/clusters/crpbot-training/l/trouble/x"),
        ("worker-policy", "s3:GetObject", "training/clusters/other/l/token"),
        ("worker-policy", "s3:GetObject", "elsewhere/x"),
        ("head-policy", "s3:PutObject", "training/code/a.zip"),
        ("head-policy", "s3:PutObject", "training/data/a/b"),
        ("head-policy", "s3:DeleteObject", "training/data/a/b"),
        ("head-policy", "s3:GetObject", "training/clusters/other/l/token"),
        ("head-policy", "s3:GetObject", "elsewhere/x"),
        ("launcher-policy", "s3:GetObject", "elsewhere/x"),
    ],
)
def test_what_could_harm_others_is_not_allowed(policy: str, action: str, key: str) -> None:
    assert not may(policy, action, key)


def test_nobody_lists_what_lies_beside_our_part() -> None:
    for policy in ("worker-policy", "head-policy"):
        assert not may(policy, "s3:ListBucket", prefix="elsewhere/")
