"""What a cluster needs is made once, closed, and found again."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import CrpbotError
from tests.fake_aws.faults import Refused
from tests.training.launching import LOOK_SECONDS, Laptop, served
from training.cluster.cloud import Answer, Cloud
from training.cluster.ground import read_ground
from training.cluster.launcher import default_url, prepare


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    with served(tmp_path) as aws:
        yield Laptop(aws, tmp_path)


def test_the_second_time_nothing_is_made(laptop: Laptop) -> None:
    made = laptop.prepare()
    assert {words.split()[0] for words in made} == {"bucket", "role", "instance", "EC2's", "security"}
    assert [words for words in made if words.startswith("role")] == [
        "role crpbot-training-worker",
        "role crpbot-training-head",
    ]
    laptop.said.clear()
    assert laptop.prepare() == ()
    assert [words for words in laptop.said if words.startswith("was there")] == [f"was there: {each}" for each in made]


def test_what_broke_off_in_the_middle_is_completed(laptop: Laptop) -> None:
    whole = laptop.prepare()
    iam = laptop.cloud
    iam.ask(
        "iam",
        "remove_role_from_instance_profile",
        InstanceProfileName="crpbot-training-head",
        RoleName="crpbot-training-head",
    )
    group = iam.ask("ec2", "describe_security_groups", GroupNames=["crpbot-training"])["SecurityGroups"][0]
    iam.ask("ec2", "revoke_security_group_ingress", GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    assert whole
    assert laptop.prepare() == ()
    profile = iam.ask("iam", "get_instance_profile", InstanceProfileName="crpbot-training-head")["InstanceProfile"]
    assert [each["RoleName"] for each in profile["Roles"]] == ["crpbot-training-head"]
    group = iam.ask("ec2", "describe_security_groups", GroupNames=["crpbot-training"])["SecurityGroups"][0]
    assert len(group["IpPermissions"]) == 1


def test_the_bucket_is_private_encrypted_and_by_tls_alone(laptop: Laptop) -> None:
    laptop.prepare()
    bucket = {"Bucket": "crpbot-123456789012-us-east-1"}
    ask = laptop.cloud.ask
    closed = ask("s3", "get_public_access_block", **bucket)["PublicAccessBlockConfiguration"]
    assert len(closed) == 4
    assert all(closed.values())
    rule = ask("s3", "get_bucket_encryption", **bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    statement = json.loads(ask("s3", "get_bucket_policy", **bucket)["Policy"])["Statement"][0]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    rules = ask("s3", "get_bucket_lifecycle_configuration", **bucket)["Rules"]
    expiring = {each["Filter"]["Prefix"] for each in rules if "Expiration" in each}
    assert expiring == {"training/runs/", "training/clusters/"}  # never jobs/: there lie the models


def test_the_group_lets_in_its_own_members_alone(laptop: Laptop) -> None:
    laptop.prepare()
    group = laptop.cloud.ask("ec2", "describe_security_groups", GroupNames=["crpbot-training"])["SecurityGroups"][0]
    ways = group["IpPermissions"]
    assert [pair["GroupId"] for way in ways for pair in way["UserIdGroupPairs"]] == [group["GroupId"]]
    assert not [way for way in ways if way["IpRanges"] or way.get("Ipv6Ranges")]


def test_a_group_that_was_opened_is_refused(laptop: Laptop) -> None:
    laptop.prepare()
    world = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    group = laptop.cloud.ask("ec2", "describe_security_groups", GroupNames=["crpbot-training"])["SecurityGroups"][0]
    laptop.cloud.ask("ec2", "authorize_security_group_ingress", GroupId=group["GroupId"], IpPermissions=world)
    with pytest.raises(CrpbotError, match=r"lets others in \(port 22\); remedy") as refused:
        laptop.prepare()
    assert refused.value.reason == "GROUP_IS_OPEN"


def test_a_group_that_was_opened_after_its_preparation_is_refused_at_launch(laptop: Laptop) -> None:
    laptop.prepare()
    ask = laptop.cloud.ask
    group = ask("ec2", "describe_security_groups", GroupNames=["crpbot-training"])["SecurityGroups"][0]
    world = [{"IpProtocol": "tcp", "FromPort": 8265, "ToPort": 8265, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}]
    ask("ec2", "authorize_security_group_ingress", GroupId=group["GroupId"], IpPermissions=world)
    with pytest.raises(CrpbotError, match=r"lets others in \(port 8265\); remedy") as refused:
        laptop.launch()
    assert refused.value.reason == "GROUP_IS_OPEN"
    assert not laptop.aws.instances()


def refused_ground(laptop: Laptop, url: str) -> CrpbotError:
    with pytest.raises(CrpbotError) as caught:
        read_ground(laptop.cluster, laptop.cloud, url)
    assert caught.value.reason == "NOT_PREPARED"
    return caught.value


def test_what_was_prepared_for_another_place_is_not_prepared_for_this_one(laptop: Laptop) -> None:
    laptop.prepare()
    here = default_url(laptop.cloud)
    read_ground(laptop.cluster, laptop.cloud, here)
    other = here.replace("/training", "/elsewhere")
    refused = refused_ground(laptop, other)
    assert f"no role crpbot-training-head with just the rights that this version has for {other}" in refused.detail
    assert refused.detail.endswith(f"remedy: run crpbot cluster prepare --bucket {other} once")
    prepare(laptop.cluster, laptop.cloud, other, laptop.said.append)
    read_ground(laptop.cluster, laptop.cloud, other)
    assert "remedy: run crpbot cluster prepare once" in refused_ground(laptop, here).detail, "the rights are those now"


def test_another_clusters_name_is_not_prepared(laptop: Laptop) -> None:
    laptop.prepare()
    laptop.cluster = dataclasses.replace(laptop.cluster, name="another")
    assert "not prepared for another in us-east-1" in refused_ground(laptop, default_url(laptop.cloud)).detail


def test_rights_that_were_changed_by_hand_or_by_a_new_version_are_not_prepared(laptop: Laptop) -> None:
    laptop.prepare()
    role = {"RoleName": "crpbot-training-worker", "PolicyName": "crpbot-training-us-east-1"}
    policy = laptop.cloud.ask("iam", "get_role_policy", **role)["PolicyDocument"]
    policy["Statement"].pop()
    laptop.cloud.ask("iam", "put_role_policy", **role, PolicyDocument=json.dumps(policy))
    detail = refused_ground(laptop, default_url(laptop.cloud)).detail
    assert "no role crpbot-training-worker with just the rights" in detail
    assert "crpbot-training-head" not in detail
    laptop.prepare()
    read_ground(laptop.cluster, laptop.cloud, default_url(laptop.cloud))


def test_a_group_whose_members_do_not_reach_each_other_is_not_prepared(laptop: Laptop) -> None:
    laptop.prepare()
    ask = laptop.cloud.ask
    group = ask("ec2", "describe_security_groups", GroupNames=["crpbot-training"])["SecurityGroups"][0]
    ask("ec2", "revoke_security_group_ingress", GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    detail = refused_ground(laptop, default_url(laptop.cloud)).detail
    assert "no way between members of security group crpbot-training" in detail


def test_a_profile_without_its_role_is_not_prepared(laptop: Laptop) -> None:
    laptop.prepare()
    head = {"InstanceProfileName": "crpbot-training-head", "RoleName": "crpbot-training-head"}
    laptop.cloud.ask("iam", "remove_role_from_instance_profile", **head)
    detail = refused_ground(laptop, default_url(laptop.cloud)).detail
    assert "no role in instance profile crpbot-training-head" in detail


def test_the_machines_get_the_rights_of_the_files_and_no_managed_policy(laptop: Laptop) -> None:
    laptop.prepare()
    for name in ("crpbot-training-head", "crpbot-training-worker"):
        policies = laptop.cloud.ask("iam", "list_role_policies", RoleName=name)["PolicyNames"]
        assert policies == ["crpbot-training-us-east-1"]
        assert not laptop.cloud.ask("iam", "list_attached_role_policies", RoleName=name)["AttachedPolicies"]
        policy = laptop.cloud.ask("iam", "get_role_policy", RoleName=name, PolicyName=policies[0])["PolicyDocument"]
        words = json.dumps(policy)
        assert "crpbot-123456789012-us-east-1/training/" in words
        assert "${" not in words


def test_a_bucket_of_somebody_elses_making_is_not_changed(laptop: Laptop) -> None:
    ask = laptop.cloud.ask
    ask("s3", "create_bucket", Bucket="of-the-firm")
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    with pytest.raises(CrpbotError, match="may be opened to the public; remedy"):
        prepare(laptop.cluster, laptop.cloud, "s3://of-the-firm/x", laptop.said.append)
    ask("s3", "put_public_access_block", Bucket="of-the-firm", PublicAccessBlockConfiguration=closed)
    prepare(laptop.cluster, laptop.cloud, "s3://of-the-firm/x", laptop.said.append)
    with pytest.raises(CrpbotError, match=r"GetBucketLifecycleConfiguration .* does not exist"):
        ask("s3", "get_bucket_lifecycle_configuration", Bucket="of-the-firm")


def test_a_second_place_in_a_bucket_leaves_the_first_ones_rules_and_the_owners_own(laptop: Laptop) -> None:
    laptop.prepare()
    ask, bucket = laptop.cloud.ask, {"Bucket": "crpbot-123456789012-us-east-1"}
    owners = {
        "Sid": "LetTheAuditorRead",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:user/auditor"},
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::crpbot-123456789012-us-east-1/*",
    }
    policy = json.loads(ask("s3", "get_bucket_policy", **bucket)["Policy"])
    policy["Statement"].append(owners)
    ask("s3", "put_bucket_policy", **bucket, Policy=json.dumps(policy))
    rules = ask("s3", "get_bucket_lifecycle_configuration", **bucket)["Rules"]
    own = {"ID": "ours", "Status": "Enabled", "Filter": {"Prefix": "reports/"}, "Expiration": {"Days": 7}}
    ask("s3", "put_bucket_lifecycle_configuration", **bucket, LifecycleConfiguration={"Rules": [*rules, own]})

    for place in ("second", "second", "training"):
        prepare(laptop.cluster, laptop.cloud, f"s3://crpbot-123456789012-us-east-1/{place}", laptop.said.append)
    found = ask("s3", "get_bucket_lifecycle_configuration", **bucket)["Rules"]
    assert sorted(each["ID"] for each in found) == [
        "crpbot second/",
        "crpbot second/clusters/",
        "crpbot second/runs/",
        "crpbot training/",
        "crpbot training/clusters/",
        "crpbot training/runs/",
        "ours",
    ]
    statements = json.loads(ask("s3", "get_bucket_policy", **bucket)["Policy"])["Statement"]
    assert sorted(each["Sid"] for each in statements) == ["CrpbotOnlyByTLS", "LetTheAuditorRead"]
    assert owners in statements


def test_rules_of_an_earlier_version_of_the_same_place_are_replaced(laptop: Laptop) -> None:
    laptop.prepare()
    ask, bucket = laptop.cloud.ask, {"Bucket": "crpbot-123456789012-us-east-1"}
    old = {"ID": "crpbot-runs", "Status": "Enabled", "Filter": {"Prefix": "training/runs/"}, "Expiration": {"Days": 9}}
    ask("s3", "put_bucket_lifecycle_configuration", **bucket, LifecycleConfiguration={"Rules": [old]})
    laptop.prepare()
    found = ask("s3", "get_bucket_lifecycle_configuration", **bucket)["Rules"]
    ours = [f"crpbot training/{name}" for name in ("", "clusters/", "runs/")]
    assert sorted(each["ID"] for each in found) == ours


def test_a_policy_of_a_single_statement_keeps_it(laptop: Laptop) -> None:
    laptop.prepare()
    ask, bucket = laptop.cloud.ask, {"Bucket": "crpbot-123456789012-us-east-1"}
    own = {"Sid": "Own", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": "*"}
    ask("s3", "put_bucket_policy", **bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": own}))
    laptop.prepare()
    statements = json.loads(ask("s3", "get_bucket_policy", **bucket)["Policy"])["Statement"]
    assert [each["Sid"] for each in statements] == ["Own", "CrpbotOnlyByTLS"]


def test_a_bucket_of_another_region_is_refused_by_both(laptop: Laptop) -> None:
    laptop.prepare()
    place = {"LocationConstraint": "eu-west-1"}
    laptop.cloud.in_region("eu-west-1").ask("s3", "create_bucket", Bucket="far-away", CreateBucketConfiguration=place)
    words = r"far-away is in eu-west-1, the cluster in us-east-1; remedy: .*--bucket"
    with pytest.raises(CrpbotError, match=words) as prepared:
        prepare(laptop.cluster, laptop.cloud, "s3://far-away/x", laptop.said.append)
    with pytest.raises(CrpbotError, match=words) as launched:
        read_ground(laptop.cluster, laptop.cloud, "s3://far-away/x")
    assert prepared.value.reason == launched.value.reason == "BUCKET_ELSEWHERE"


def test_a_bucket_of_another_account_is_refused_by_both(laptop: Laptop) -> None:
    laptop.prepare()
    laptop.aws.calls.clear()
    laptop.aws.plan(Refused(403, "403", "Forbidden"), "HeadBucket", times=2)  # S3's answer to the wrong owner
    with pytest.raises(CrpbotError, match=r"is of another account than 123456789012, or .*; remedy: ") as prepared:
        laptop.prepare()
    with pytest.raises(CrpbotError) as launched:
        laptop.launch()
    assert prepared.value.reason == launched.value.reason == "BUCKET_OF_OTHERS"
    assert not laptop.aws.asked("PutBucketPolicy")


class LateCloud(Cloud):
    """An EC2 that does not show a group for so many looks after it was made."""

    def __init__(self, laptop: Laptop, looks: int) -> None:
        super().__init__(laptop.cloud.region, look_seconds=LOOK_SECONDS)
        self._aws, self._looks = laptop.aws, looks

    def ask(self, service: str, action: str, **asked: Any) -> Answer:  # Any: as Cloud has it
        answer = super().ask(service, action, **asked)
        if action == "create_security_group":
            late = Refused(400, "InvalidGroup.NotFound", "The security group 'sg-1' does not exist")
            self._aws.plan(late, "DescribeSecurityGroups", times=self._looks)
        return answer


def test_a_group_that_ec2_does_not_show_yet_is_waited_for(laptop: Laptop) -> None:
    laptop.cloud = LateCloud(laptop, looks=4)
    assert "security group crpbot-training" in laptop.prepare()
    assert laptop.prepare() == ()


def test_a_group_that_ec2_never_shows_is_told(laptop: Laptop) -> None:
    laptop.cloud = LateCloud(laptop, looks=5)
    with pytest.raises(CrpbotError, match="EC2 does not know the security group; remedy: run it again in a minute"):
        laptop.prepare()


def test_a_role_that_is_full_is_told_with_its_remedy(laptop: Laptop) -> None:
    full = Refused(409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role crpbot-training-worker")
    laptop.aws.plan(full, "PutRolePolicy")
    with pytest.raises(CrpbotError, match=r"takes no more \(Maximum policy size of 10240 .*; remedy: remove in"):
        laptop.prepare()


def test_a_place_that_is_no_bucket_is_refused(laptop: Laptop) -> None:
    with pytest.raises(CrpbotError, match="is no bucket, and a cluster on AWS reaches nothing else; remedy"):
        prepare(laptop.cluster, laptop.cloud, "models/", laptop.said.append)
    assert default_url(laptop.cloud) == "s3://crpbot-123456789012-us-east-1/training"


def test_an_account_that_is_not_prepared_is_told_what_is_missing(laptop: Laptop) -> None:
    with pytest.raises(CrpbotError) as caught:
        laptop.launch()
    assert caught.value.reason == "NOT_PREPARED"
    for missing in (
        "no bucket crpbot-",
        "no instance profile crpbot-training-head",
        "no security group crpbot-training",
    ):
        assert missing in caught.value.detail
    assert caught.value.detail.endswith("remedy: run crpbot cluster prepare once")
    assert not laptop.aws.instances()
