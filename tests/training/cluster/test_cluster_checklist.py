"""Each line of the reviewer's checklist in docs/training-on-aws.md, asserted on the file, the policies and the code."""

from __future__ import annotations

import copy
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from core.errors import CrpbotError
from core.models.manifest import Kind
from tests.fake_aws.server import REGION, Instance
from tests.training.boots import MINUTES, boot
from tests.training.cluster.test_cluster_policies import FACTS, actions, as_list, resources
from tests.training.crew_machines import begin_machine
from tests.training.launching import LOOK_SECONDS, Laptop, served
from training.cluster.bucket import default_url
from training.cluster.bundle import CHECKOUT
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import explain
from training.cluster.cost import Load, estimate, highest_rate
from training.cluster.crew import end_crew
from training.cluster.ending import SECRETS
from training.cluster.fallback import reordered
from training.cluster.ground import read_ground
from training.cluster.launcher import launch
from training.cluster.policies import read_policy, statements
from training.cluster.price_list import priced_regions, read_prices
from training.cluster.ray_node import ENVIRONMENT, RayNode
from training.cluster.rights import has_rights, rights_of
from training.cluster.terms import Limits, read_cluster
from training.cluster.watchdog import Rules, Seen, Watch, look

ROOT = Path(__file__).parents[3]
FILE = ROOT / "ray_cluster.yaml"
TEXT = FILE.read_text()
CONTENT = yaml.safe_load(TEXT)
TYPES = CONTENT["available_node_types"]
CONFIGS = [each["node_config"] for each in TYPES.values()]
DISKS = [disk["Ebs"] for config in CONFIGS for disk in config["BlockDeviceMappings"]]
LINES = re.findall(
    r"^\| ([a-z0-9-]+) \| [^|]+ \| [^|]+ \|$",
    (ROOT / "docs/training-on-aws.md").read_text().split("## The reviewer's checklist")[1],
    re.MULTILINE,
)
ONE_DOLLAR = Limits(hours=72.0, dollars=1.0, idle_minutes=15.0)
CODE = ROOT / "training/cluster"


class Launched(NamedTuple):
    """A launch on moto's AWS, seen from outside, and what its ending left."""

    head: Instance
    lives_hours: float
    code: str
    scaling: dict[str, Any]  # Any: Ray's configuration
    group: list[dict[str, Any]]  # Any: rules as AWS describes them
    open_group_refused: str
    bucket: dict[str, Any]  # Any: what AWS says of the bucket
    said: tuple[str, ...]
    left: tuple[str, ...]
    ended_by_hand: tuple[str, ...]


class Proof(NamedTuple):
    """What the checks look at."""

    launched: Launched
    folder: Path


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    folder = tmp_path_factory.mktemp("aws")
    with served(folder) as aws:
        laptop = Laptop(aws, folder)
        laptop.prepare()
        ask = laptop.cloud.ask
        started = launch(
            laptop.cluster, ONE_DOLLAR, laptop.cloud, laptop.files, laptop.said.append, regions=laptop.regions
        )
        head = aws.alive()[0]
        key = f"clusters/{started.cluster}/{started.launch}/autoscaler.json"
        scaling = json.loads(laptop.files.read(key, most=1_000_000))
        rules = ask("ec2", "describe_security_groups", GroupNames=["crpbot-training"])["SecurityGroups"][0]
        bucket = {"Bucket": "crpbot-123456789012-us-east-1"}
        private = {
            "closed": ask("s3", "get_public_access_block", **bucket)["PublicAccessBlockConfiguration"],
            "encrypted": ask("s3", "get_bucket_encryption", **bucket)["ServerSideEncryptionConfiguration"],
            "policy": json.loads(ask("s3", "get_bucket_policy", **bucket)["Policy"]),
        }
        world = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
        ask("ec2", "authorize_security_group_ingress", GroupId=rules["GroupId"], IpPermissions=[world])
        with pytest.raises(CrpbotError) as caught:
            laptop.prepare()
        aws.stop(head.id)
        ended = laptop.end(laptop.files)
        yield Launched(
            head=head,
            lives_hours=(started.ends_at - started.launched_at) / 3600,
            code=started.code,
            scaling=scaling,
            group=rules["IpPermissions"],
            open_group_refused=caught.value.detail,
            bucket=private,
            said=tuple(laptop.said),
            left=tuple(each.id for each in aws.alive()) + tuple(aws.volumes()),
            ended_by_hand=ended,
        )


def with_defaults() -> dict[str, Any]:  # Any: YAML
    """The file as Ray fills and checks it."""
    util = pytest.importorskip("ray.autoscaler._private.util", reason="a private part of Ray, gone in this version")
    filled: dict[str, Any] = util.prepare_config(copy.deepcopy(CONTENT))
    util.validate_config(filled)
    return filled


def refuses(old: str, new: str, folder: Path) -> str:
    """The words with which the changed file is refused."""
    assert old in TEXT
    file = folder / "ray_cluster.yaml"
    file.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(CrpbotError) as caught:
        read_cluster(file)
    return caught.value.detail


def allowed(name: str, action: str) -> list[dict[str, Any]]:  # Any: JSON
    return [each for each in statements(read_policy(name, **FACTS)) if action in as_list(each["Action"])]


def check_image(proof: Proof) -> None:
    assert all(each["ImageId"].startswith("resolve:ssm:/aws/service/") for each in CONFIGS)
    assert all("al2023" in each["ImageId"] or "amazon-linux-2023" in each["ImageId"] for each in CONFIGS)
    images = {each["node_config"]["ImageId"] for each in proof.launched.scaling["available_node_types"].values()}
    assert all(each.startswith("ami-") for each in images)
    assert all(any(each in said for said in proof.launched.said) for each in images)


def check_nightly(proof: Proof) -> None:
    filled = with_defaults()
    assert not any(filled[name] for name in filled if name.endswith("_commands"))
    assert not any(each.get("worker_setup_commands") for each in filled["available_node_types"].values())
    boot_text = (CODE / "boot.sh").read_text()
    assert "--require-hashes -r requirements.lock" in boot_text
    assert "ray-wheels" not in json.dumps(filled) + boot_text


def check_versions(proof: Proof) -> None:
    provider = CONTENT["provider"]
    assert provider["ray_version"] == version("ray")
    assert re.search(rf"^ray(\[[a-z,]+\])?=={version('ray')}\b", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert f"python{provider['python_version']} " in (CODE / "boot.sh").read_text()
    assert "2.59.0" in refuses(f"ray_version: {version('ray')}", "ray_version: 2.59.0", proof.folder)


def check_stopped(proof: Proof) -> None:
    assert with_defaults()["provider"]["cache_stopped_nodes"] is False
    assert proof.launched.scaling["provider"]["cache_stopped_nodes"] is False
    assert "must be false" in refuses("cache_stopped_nodes: false", "cache_stopped_nodes: true", proof.folder)


def check_shutdown(proof: Proof) -> None:
    assert {each["InstanceInitiatedShutdownBehavior"] for each in CONFIGS} == {"terminate"}
    assert proof.launched.head.on_shutdown == "terminate"
    workers = proof.launched.scaling["available_node_types"].values()
    assert {each["node_config"]["InstanceInitiatedShutdownBehavior"] for each in workers} == {"terminate"}


def check_head_disk(proof: Proof) -> None:
    head = with_defaults()["available_node_types"]["head"]["node_config"]
    assert [each["Ebs"]["VolumeSize"] for each in head["BlockDeviceMappings"]] == [40]


def check_left_disks(proof: Proof) -> None:
    assert all(each["DeleteOnTermination"] is True for each in DISKS)
    for config in CONFIGS:
        tagged = {one["ResourceType"]: one["Tags"] for one in config["TagSpecifications"]}
        assert {"Key": "crpbot-cluster", "Value": CONTENT["cluster_name"]} in tagged["volume"]


def check_plain_disks(proof: Proof) -> None:
    assert all(each["Encrypted"] is True and each["KmsKeyId"] == "alias/aws/ebs" for each in DISKS)
    assert "must be 'alias/aws/ebs'" in refuses("KmsKeyId: alias/aws/ebs", "KmsKeyId: alias/ours", proof.folder)
    for node in proof.launched.scaling["available_node_types"].values():
        assert [each["Ebs"]["KmsKeyId"] for each in node["node_config"]["BlockDeviceMappings"]] == ["alias/aws/ebs"]
    for name in ("head-policy", "launcher-policy"):
        disks = [each for each in allowed(name, "ec2:RunInstances") if "volume/*" in str(each["Resource"])]
        assert [each["Condition"]["Bool"] for each in disks] == [{"ec2:Encrypted": "true"}]


def check_dashboard(proof: Proof) -> None:
    assert "0.0.0.0" not in json.dumps(with_defaults())
    assert "--dashboard-host=127.0.0.1" in (CODE / "head.py").read_text()
    assert "everybody" in refuses("GroupName: crpbot-training", "GroupName: 0.0.0.0/0", proof.folder)


def check_ssh(proof: Proof) -> None:
    filled = with_defaults()
    assert filled["auth"] == {}
    assert filled["provider"]["disable_node_updaters"] is True
    assert not any("KeyName" in each for each in CONFIGS)
    assert proof.launched.scaling["auth"] == {}
    assert "SSH" in refuses("      InstanceType:", "      KeyName: mine\n      InstanceType:", proof.folder)


def check_ports(proof: Proof) -> None:
    assert CONTENT["provider"]["security_group"] == {"GroupName": "crpbot-training"}
    assert len(proof.launched.group) == 1
    inside = proof.launched.group[0]
    assert len(inside["UserIdGroupPairs"]) == 1
    assert not inside.get("IpRanges")
    assert not inside.get("Ipv6Ranges")
    assert "port 22" in proof.launched.open_group_refused
    assert "remedy" in proof.launched.open_group_refused
    cluster, cloud = read_cluster(FILE), Cloud(REGION)
    with pytest.raises(CrpbotError, match=r"lets others in \(port 22\); remedy"):  # it was opened after `prepare`
        read_ground(cluster, cloud, default_url(cloud))


def check_open_jobs(proof: Proof) -> None:
    assert ENVIRONMENT["RAY_AUTH_MODE"] == "token"
    assert '"Authorization": f"Bearer ' in (CODE / "inbox.py").read_text()


def check_browser(proof: Proof) -> None:
    assert tuple(map(int, CONTENT["provider"]["ray_version"].split(".")[:2])) >= (2, 52)
    check_open_jobs(proof)


def check_imds(proof: Proof) -> None:
    assert {each["MetadataOptions"]["HttpTokens"] for each in CONFIGS} == {"required"}
    for name in ("head-policy", "launcher-policy"):
        machines = [each for each in allowed(name, "ec2:RunInstances") if "instance/*" in str(each["Resource"])]
        assert [each["Condition"]["StringEquals"]["ec2:MetadataHttpTokens"] for each in machines] == ["required"]
    assert "must be 'required'" in refuses("HttpTokens: required", "HttpTokens: optional", proof.folder)


def check_hops(proof: Proof) -> None:
    assert {each["MetadataOptions"]["HttpPutResponseHopLimit"] for each in CONFIGS} == {1}


def check_token(proof: Proof) -> None:
    node = RayNode(proof.folder / "ray", {})
    node.keep_token("f" * 64)
    assert stat.S_IMODE(os.stat(node.token_file).st_mode) == 0o600  # noqa: PTH116 - of the file itself
    assert stat.S_IMODE(os.stat(node.folder).st_mode) == 0o700  # noqa: PTH116
    assert "token" in SECRETS  # what `down` takes out of the bucket
    assert "token" not in proof.launched.head.user_data.partition("\nset -euo")[0].lower()


def check_user_data(proof: Proof) -> None:
    told = dict(re.findall(r"^export (\w+)=(.*)$", proof.launched.head.user_data, re.MULTILINE))
    assert {"CRPBOT_ROLE", "CRPBOT_BOOT", "CRPBOT_CODE_SHA256", "CRPBOT_ENDS_AT"} <= set(told)
    assert not [name for name in told if re.search("SECRET|TOKEN|PASSW|ACCESS", name)]
    for given in (proof.launched.head.user_data, json.dumps(proof.launched.scaling)):
        assert not re.search(r"(AKIA|ASIA)[0-9A-Z]{12}|not-a-secret", given)


def check_code(proof: Proof) -> None:
    assert f"export CRPBOT_CODE_SHA256={proof.launched.code}\n" in proof.launched.head.user_data
    called = boot(proof.folder / "code", fails="nothing")
    assert not any(
        call.startswith(("systemd-run", "python3.11")) for call in called.calls
    )  # what came has another hash
    assert "--require-hashes" in (CODE / "boot.sh").read_text()
    assert "--hash=sha256:" in (CHECKOUT / "requirements.lock").read_text()


def check_worker_profile(proof: Proof) -> None:
    profiles = {name: each["node_config"]["IamInstanceProfile"]["Name"] for name, each in TYPES.items()}
    assert profiles == {
        "head": "crpbot-training-head",
        "gpu-spot": "crpbot-training-worker",
        "gpu-ondemand": "crpbot-training-worker",
    }
    assert proof.launched.head.profile.endswith("crpbot-training-head")
    for ours in ("crpbot-training-head", "crpbot-training-worker"):
        assert f"write {ours}" in refuses(f"{{Name: {ours}}}", "{Name: of-the-firm}", proof.folder)


def check_head_role(proof: Proof) -> None:
    changes = {each for each in actions("head-policy") if each.startswith("ec2:") and not each.startswith("ec2:Desc")}
    assert changes == {"ec2:RunInstances", "ec2:TerminateInstances", "ec2:CreateTags"}
    s3 = {
        each
        for action in actions("head-policy")
        if action.startswith("s3:")
        for each in resources("head-policy", action)
    }
    assert all(each == "arn:aws:s3:::our-bucket" or "our-bucket/training/" in each for each in s3)


def check_begin_and_end(proof: Proof) -> None:
    ours = "crpbot-training"
    for name in ("head-policy", "launcher-policy"):
        (ending,) = allowed(name, "ec2:TerminateInstances")
        assert ending["Condition"] == {"StringEquals": {"aws:ResourceTag/crpbot-cluster": ours}}
        for each in allowed(name, "ec2:RunInstances"):
            if "instance/*" in str(each["Resource"]) or "volume/*" in str(each["Resource"]):
                assert each["Condition"]["StringEquals"]["aws:RequestTag/crpbot-cluster"] == ours
    assert proof.launched.head.tags["crpbot-cluster"] == ours


def check_pass_role(proof: Proof) -> None:
    (passing,) = allowed("head-policy", "iam:PassRole")
    assert as_list(passing["Resource"]) == ["arn:aws:iam::123456789012:role/crpbot-training-worker"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    assert {each for each in actions("head-policy") if each.startswith("iam:")} == {"iam:PassRole"}


def check_worker_rights(proof: Proof) -> None:
    assert all(each.startswith("s3:") for each in actions("worker-policy"))
    puts = resources("worker-policy", "s3:PutObject") | resources("worker-policy", "s3:DeleteObject")
    here = "arn:aws:s3:::our-bucket/training/"
    assert puts == {here, f"{here}jobs/*/models/*", f"{here}runs/*", f"{here}clusters/crpbot-training/*/trouble/*"}


def check_launcher_rights(proof: Proof) -> None:
    launching = {each for each in actions("launcher-policy") if each.startswith("iam:")}
    assert launching == {"iam:GetInstanceProfile", "iam:GetRolePolicy", "iam:PassRole"}
    assert resources("launcher-policy", "iam:PassRole") == {"arn:aws:iam::123456789012:role/crpbot-training-head"}
    assert not [
        each for each in actions("prepare-policy") if re.search(r"iam:(Attach|Delete|PutUser|CreateUser)", each)
    ]
    roles = resources("prepare-policy", "iam:PutRolePolicy")
    assert {each.rpartition("/")[2] for each in roles} == {"crpbot-training-head", "crpbot-training-worker"}


def check_other_rights(proof: Proof) -> None:
    cluster, cloud = read_cluster(FILE), Cloud(REGION)
    here = default_url(cloud)
    assert all(has_rights(cluster, cloud, *each) for each in rights_of(cluster, cloud, here).items())
    assert not any(has_rights(cluster, cloud, *each) for each in rights_of(cluster, cloud, f"{here}-2").items())
    with pytest.raises(CrpbotError, match="remedy: run crpbot cluster prepare --bucket"):
        read_ground(cluster, cloud, f"{here}-2")


def check_stars(proof: Proof) -> None:
    for name in ("head-policy", "worker-policy", "launcher-policy", "prepare-policy"):
        for each in statements(read_policy(name, **FACTS)):
            assert not any("*" in action for action in as_list(each["Action"]))
            if as_list(each["Resource"]) == ["*"]:
                assert all(action.startswith("ec2:Describe") for action in as_list(each["Action"]))


def check_secrets(proof: Proof) -> None:
    canary = "AKIA" + "Q3EXAMPLECANARY7"
    words = refuses("auth: {}", f"auth: {{}} # {canary}", proof.folder)
    assert "looks like a credential" in words
    assert canary not in words


def check_bucket(proof: Proof) -> None:
    assert set(proof.launched.bucket["closed"].values()) == {True}
    rule = proof.launched.bucket["encrypted"]["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    assert rule["SSEAlgorithm"] == "AES256"
    (denied,) = proof.launched.bucket["policy"]["Statement"]
    assert denied["Effect"] == "Deny"
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert "ExpectedBucketOwner=cloud.account" in (CODE / "bucket.py").read_text()


def check_typos(proof: Proof) -> None:
    for key in (
        "max_workers:",
        "cache_stopped_nodes:",
        "priority:",
        "HttpTokens:",
        "DeleteOnTermination:",
        "CpuCredits:",
    ):
        assert "unknown key" in refuses(key, f"x{key}", proof.folder)


def check_min_workers(proof: Proof) -> None:
    assert {each["min_workers"] for each in with_defaults()["available_node_types"].values()} == {0}
    assert "must be 0" in refuses("min_workers: 0", "min_workers: 1", proof.folder)


def check_max_workers(proof: Proof) -> None:
    assert "max_workers of all" in refuses("max_workers: 4 # as", "max_workers: 5 # as", proof.folder)


def check_resources(proof: Proof) -> None:
    numbers = [each for node in TYPES.values() for each in node["resources"].values()]
    assert all(type(each) is int for each in numbers)
    assert "whole number" in refuses("{CPU: 4, GPU: 1}", '{CPU: "4", GPU: 1}', proof.folder)
    assert "a group of keys" in refuses("{CPU: 4, GPU: 1}", "{}", proof.folder)


def check_idle(proof: Proof) -> None:
    assert with_defaults()["idle_timeout_minutes"] == 5
    assert proof.launched.scaling["idle_timeout_minutes"] == 5


RULES = Rules(900.0, 1e9, 1e9, 180.0)  # idle, two ends of the lifetime that are far away, Ray's start


def watched(*, jobs: int | None, workers: int, for_seconds: float) -> str:
    """Why the head ends after it saw the same for so long."""
    watch, _ = look(Watch(), Seen(0.0, 0.0, 0, 0), RULES)  # Ray has answered
    watch, _ = look(watch, Seen(0.0, 1.0, 1, 1), RULES)  # and had work
    watch, _ = look(watch, Seen(0.0, 2.0, jobs, workers), RULES)
    return look(watch, Seen(for_seconds, 2.0 + for_seconds, jobs, workers), RULES)[1]


def check_head_stays(proof: Proof) -> None:
    assert watched(jobs=0, workers=0, for_seconds=899.0) == ""
    assert watched(jobs=0, workers=0, for_seconds=900.0).startswith("no job and no worker")
    assert watched(jobs=1, workers=0, for_seconds=5_000.0) == ""


def check_forgotten_objects(proof: Proof) -> None:
    assert watched(jobs=0, workers=1, for_seconds=1_799.0) == ""
    assert "though a worker is still there" in watched(jobs=0, workers=1, for_seconds=1_800.0)


def check_frozen_ray(proof: Proof) -> None:
    assert "no answer" in watched(jobs=None, workers=2, for_seconds=900.0)


def check_dead_man(proof: Proof) -> None:
    called = boot(proof.folder / "dead-man", fails="dnf")
    assert called.calls[0] in {f"shutdown -P +{MINUTES}", f"shutdown -P +{MINUTES + 1}"}
    late = boot(proof.folder / "late", fails="nothing", ends_in_minutes=-1)
    assert late.calls == ("shutdown -P now",)
    disobeyed = boot(proof.folder / "disobeyed", fails="shutdown")
    assert disobeyed.calls[1] == "poweroff --force"


def check_no_first_program(proof: Proof) -> None:
    assert {"ec2:DescribeInstances", "ec2:TerminateInstances"} <= actions("head-policy")
    cloud = Cloud(REGION, look_seconds=LOOK_SECONDS)
    head, worker = (begin_machine(cloud, launch="l", kind=each) for each in ("head", "worker"))
    assert end_crew(cloud, "l", own=head) == (worker,)


def check_restart(proof: Proof) -> None:
    assert "shutdown -P now" in boot(proof.folder / "restart", fails="dnf").per_boot


def check_boot_fails(proof: Proof) -> None:
    for fails in ("dnf", "aws"):
        calls = boot(proof.folder / f"fails-{fails}", fails=fails).calls
        assert "shutdown -P +1" in calls
        words = next(call for call in calls if call.startswith("aws") and "/trouble/" in call)
        assert calls.index("shutdown -P +1") < calls.index(words)


def check_left_machines(proof: Proof) -> None:
    assert proof.launched.ended_by_hand == (proof.launched.head.id,)  # it was stopped, and `down` ended it
    assert proof.launched.left == ()
    said = " ".join(proof.launched.said)
    assert f"0 machines and 0 disks of crpbot-training are left in {', '.join(priced_regions())}" in said
    (ending,) = allowed("launcher-policy", "ec2:TerminateInstances")
    assert ending["Resource"] == ["arn:aws:ec2:*:123456789012:instance/*", "arn:aws:ec2:*:123456789012:volume/*"]
    assert ending["Condition"] == {"StringEquals": {"aws:ResourceTag/crpbot-cluster": "crpbot-training"}}


def check_price_cap(proof: Proof) -> None:
    cluster = read_cluster(FILE)
    assert proof.launched.lives_hours == pytest.approx(1.0 / highest_rate(cluster), rel=1e-6)
    ends = re.search(r"^export CRPBOT_ENDS_AT=(\d+)$", proof.launched.head.user_data, re.MULTILINE)
    assert ends is not None
    scaling = proof.launched.scaling["available_node_types"]
    for name in ("gpu-spot", "gpu-ondemand"):
        assert f"export CRPBOT_ENDS_AT={ends.group(1)}\n" in scaling[name]["node_config"]["UserData"]


def check_on_demand(proof: Proof) -> None:
    cluster = read_cluster(FILE)
    assert highest_rate(cluster) > cluster.most_workers * read_prices(cluster.region).of("g4dn.xlarge").on_demand


def check_credits(proof: Proof) -> None:
    cluster = read_cluster(FILE)
    assert TYPES["head"]["node_config"]["CreditSpecification"] == {"CpuCredits": "unlimited"}
    prices = read_prices(cluster.region)
    free = {name: replace(each, surplus=0.0) for name, each in prices.machines.items()}
    without = highest_rate(cluster, prices=replace(prices, machines=free))
    assert highest_rate(cluster) - without == pytest.approx(0.05 * 2 * 0.7)
    (line,) = [
        each for each in estimate(cluster, ONE_DOLLAR, [Load(Kind.LSTM, 1, 1, 1)]).lines if "surplus" in each.what
    ]
    assert line.dollars == pytest.approx(prices.head_boot_minutes / 60 * 0.05 * 2 * 0.7)


def check_addresses(proof: Proof) -> None:
    cluster = read_cluster(FILE)
    prices = read_prices(cluster.region)
    without = highest_rate(cluster, prices=replace(prices, address_hour=0.0))
    assert highest_rate(cluster) - without == pytest.approx(5 * 0.005)


def check_idle_cost(proof: Proof) -> None:
    cluster = read_cluster(FILE)
    found = estimate(cluster, Limits(4.0, 10.0, 15.0), [Load(Kind.LSTM, 4, 1, 1)])  # next to no work
    prices = read_prices(cluster.region)
    paid = 4 * (prices.worker_boot_minutes + cluster.idle_minutes) / 60
    assert found.worker_hours == pytest.approx(paid, rel=1e-3)


def check_quota(proof: Proof) -> None:
    from botocore.exceptions import ClientError

    comment = next(line for line in TEXT.splitlines() if line.startswith("max_workers:"))
    spot: dict[str, object] = {"InstanceMarketOptions": {}}
    steady: dict[str, object] = {}
    for market, words in ((steady, "Running On-Demand G and VT"), (spot, "All G and VT Spot")):
        code = "MaxSpotInstanceCountExceeded" if market else "VcpuLimitExceeded"
        refused = ClientError({"Error": {"Code": code, "Message": "x"}}, "RunInstances")
        detail = explain(refused, "ec2:RunInstances", "us-east-1", {"InstanceType": "g4dn.xlarge", **market}).detail
        assert words in detail
        assert "vCPU" in detail
        assert words in comment


def check_no_capacity(proof: Proof) -> None:
    cluster = read_cluster(FILE)
    assert len(cluster.zones) >= 3
    assert len(proof.launched.scaling["available_node_types"]["gpu-spot"]["node_config"]["SubnetIds"]) >= 3
    spot, steady = sorted(cluster.workers, key=lambda each: each.is_spot, reverse=True)
    assert spot.priority > steady.priority
    assert proof.launched.scaling["available_node_types"]["gpu-spot"]["priority"] == spot.priority
    types = reordered(proof.launched.scaling, [spot.name])["available_node_types"]  # as soon as AWS refuses it
    assert types[spot.name]["priority"] < types[steady.name]["priority"] == steady.priority


def check_spot_role(proof: Proof) -> None:
    assert "made: EC2's own role for spot machines" in proof.launched.said
    assert "iam:CreateServiceLinkedRole" in actions("prepare-policy")
    assert "iam:CreateServiceLinkedRole" not in actions("head-policy") | actions("launcher-policy")


def check_spot_taken(proof: Proof) -> None:
    assert "max_preemption_failures=-1" in (ROOT / "training/group.py").read_text()
    assert "spot_notice()" in (CODE / "worker.py").read_text()
    assert "get_preemption_info()" in (ROOT / "training/worker.py").read_text()


def check_autoscaler(proof: Proof) -> None:
    assert ENVIRONMENT["RAY_enable_autoscaler_v2"] == "1"


def check_usage(proof: Proof) -> None:
    assert ENVIRONMENT["RAY_USAGE_STATS_ENABLED"] == "0"


def check_ray_accepts(proof: Proof) -> None:
    filled = with_defaults()
    assert set(filled["available_node_types"]) == {"head", "gpu-spot", "gpu-ondemand"}
    assert filled["head_node_type"] == "head"
    assert filled["file_mounts"] == {}
    assert filled["cluster_synced_files"] == []
    assert filled["docker"] == {}
    assert filled["provider"] == CONTENT["provider"]
    assert filled["max_workers"] == CONTENT["max_workers"]
    for name, node in filled["available_node_types"].items():
        assert node["node_config"] == TYPES[name]["node_config"]


CHECKS: dict[str, Callable[[Proof], None]] = {
    name.removeprefix("check_").replace("_", "-"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}


def test_each_line_has_a_test_and_each_test_a_line() -> None:
    assert LINES[0] == "id"
    assert len(LINES) == len(set(LINES))
    assert LINES[1:] == list(CHECKS)


@pytest.mark.parametrize("line", LINES[1:])
def test_a_line_of_the_checklist_holds(line: str, launched: Launched, tmp_path: Path) -> None:
    CHECKS[line](Proof(launched, tmp_path))
