"""`ray_cluster.yaml` is read whole or refused with its line, the value, the limit and the remedy."""

import copy
import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Code, CrpbotError
from training.cluster.terms import Cluster, Limits, read_cluster

FILE = Path(__file__).parents[3] / "ray_cluster.yaml"
TEXT = FILE.read_text()
CONTENT = yaml.safe_load(TEXT)
SPOT = "  gpu-spot:\n"
STEADY = "  gpu-ondemand:\n"
CANARY = "AKIA" + "Q3EXAMPLECANARY7"  # the shape of a key's id, made here: the whole of it stands in no file


def changed(old: str, new: str, after: str = "") -> str:
    """The text with the first `old` behind `after` replaced; what is there already is no change."""
    head, mark, tail = TEXT.partition(after) if after else ("", "", TEXT)
    assert old in tail, old
    text = head + mark + tail.replace(old, new, 1)
    assert text != TEXT
    return text


def refusal(folder: Path, text: str) -> CrpbotError:
    file = folder / "ray_cluster.yaml"
    file.write_text(text)
    with pytest.raises(CrpbotError) as caught:
        read_cluster(file)
    return caught.value


def line_of(text: str, piece: str) -> int:
    return text[: text.index(piece)].count("\n") + 1


def test_the_file_of_the_repository_is_read() -> None:
    cluster = read_cluster(FILE)
    assert (cluster.name, cluster.region, cluster.most_workers) == ("crpbot-training", "us-east-1", 4)
    assert (cluster.head.instance_type, cluster.head.most, cluster.head.is_spot) == ("t3.large", 1, False)
    spot, steady = cluster.workers
    assert (spot.is_spot, steady.is_spot) == (True, False)
    assert spot.priority > steady.priority
    assert {(each.instance_type, each.gpus, each.disk_gb) for each in cluster.workers} == {("g4dn.xlarge", 1, 100)}
    assert all(zone.startswith(cluster.region) for zone in cluster.zones)
    assert cluster.content == yaml.safe_load(TEXT)


# name, what stands there, what is written instead, behind which place, words of the refusal
REFUSED = [
    ("a misspelt key at the top", "max_workers: 4", "max_worker: 4", "", ("max_worker is an unknown", "max_workers")),
    ("a misspelt key of the provider", "cache_stopped_nodes:", "cache_stoped_nodes:", "", ("unknown", "cache_stopped")),
    ("a misspelt key of a type", "    min_workers: 0", "    min_worker: 0", SPOT, ("min_worker is", "min_workers")),
    ("a misspelt key of EC2", "IamInstanceProfile:", "IamInstanceProfil:", SPOT, ("unknown", "IamInstanceProfile")),
    (
        "a misspelt key of a disk",
        "DeleteOnTermination:",
        "DeleteOnTerminate:",
        SPOT,
        ("unknown", "DeleteOnTermination"),
    ),
    ("a misspelt key of metadata", "HttpTokens:", "HttpToken:", SPOT, ("unknown key", "HttpTokens")),
    (
        "a key of EC2 that nobody checks",
        "      InstanceType:",
        "      Monitoring: {}\n      InstanceType:",
        SPOT,
        ("Mon",),
    ),
    ("stopped machines", "cache_stopped_nodes: false", "cache_stopped_nodes: true", "", ("True", "must be false")),
    ("stopped machines as text", "cache_stopped_nodes: false", 'cache_stopped_nodes: "false"', "", ("must be false",)),
    ("stopped machines by default", "  cache_stopped_nodes: false", "", "", ("cache_stopped_nodes is missing",)),
    ("machines that are always there", "min_workers: 0", "min_workers: 1", SPOT, ("1", "must be 0")),
    ("no spot type", "        MarketType: spot", "        MarketType: fixed", SPOT, ("'fixed'", "must be 'spot'")),
    ("more of a type than of all", "max_workers: 4", "max_workers: 5", SPOT, ("5", "from 1 to 4")),
    ("a type that never comes", "max_workers: 4", "max_workers: 0", SPOT, ("0", "from 1 to 4")),
    ("a head that is a worker", "max_workers: 0", "max_workers: 1", "  head:\n", ("must be 0",)),
    ("no image", r"      ImageId: ", "      # ", SPOT, ("ImageId is missing", "Ray's default")),
    ("an image that is no image", "ImageId: resolve:ssm:/aws", "ImageId: ubuntu #", SPOT, ("'ubuntu'", "image's id")),
    ("no profile", "      IamInstanceProfile: {", "      # {", SPOT, ("IamInstanceProfile is missing",)),
    ("no shutdown behaviour", "      InstanceInitiatedShutdown", "      # ", "", ("is missing", "terminate")),
    ("a head that stops", "Behavior: terminate", "Behavior: stop", "  head:\n", ("'stop'", "must be 'terminate'")),
    ("a worker that stops", "Behavior: terminate", "Behavior: stop", STEADY, ("'stop'", "must be 'terminate'")),
    ("the first metadata service", "HttpTokens: required", "HttpTokens: optional", STEADY, ("'optional'", "IMDSv2")),
    ("no metadata options", "      MetadataOptions:", "      #\n      UnknownOptions:", STEADY, ("unknown key",)),
    ("metadata two hops away", "HopLimit: 1", "HopLimit: 2", STEADY, ("is 2", "must be 1")),
    ("metadata one and a bit away", "HopLimit: 1", "HopLimit: true", STEADY, ("True", "must be 1")),
    ("a rule of ingress", "GroupName: crp", "IpPermissions: []\n    GroupName: crp", "", ("IpPermissions may not",)),
    ("everybody", "GroupName: crpbot-training", "GroupName: 0.0.0.0/0", "", ("0.0.0.0/0", "everybody")),
    ("a disk in the clear", "Encrypted: true", "Encrypted: false", SPOT, ("False", "must be true")),
    (
        "a disk by another key",
        "KmsKeyId: alias/aws/ebs",
        "KmsKeyId: alias/ours",
        SPOT,
        ("'alias/ours'", "alias/aws/ebs"),
    ),
    (
        "a disk by whatever key",
        "            KmsKeyId: alias/aws/ebs\n",
        "",
        STEADY,
        ("KmsKeyId is missing", "may not use"),
    ),
    (
        "a worker with the head's rights",
        "training-worker}",
        "training-head}",
        SPOT,
        ("must be 'crpbot-training-worker'",),
    ),
    ("a head with a worker's rights", "training-head}", "training-worker}", "", ("must be 'crpbot-training-head'",)),
    ("a disk that stays", "DeleteOnTermination: true", "DeleteOnTermination: false", SPOT, ("False", "must be true")),
    ("a disk of another kind", "VolumeType: gp3", "VolumeType: io2", "", ("'io2'", "must be 'gp3'")),
    ("a disk without bounds", "VolumeSize: 100", "VolumeSize: 99999", "", ("99999", "8 to 1000")),
    ("another Ray", f"ray_version: {version('ray')}", "ray_version: 2.59.1", "", ("2.59.1", version("ray"))),
    ("another Python", 'python_version: "3.11"', 'python_version: "3.12"', "", ("'3.12'", "3.11")),
    ("a Python that is a number", 'python_version: "3.11"', "python_version: 3.11", "", ("3.11", "in quotes")),
    ("a long name", "cluster_name: crpbot-training", f"cluster_name: {'c' * 41}", "", ("1 to 40",)),
    ("a name with a slash", "cluster_name: crpbot-training", "cluster_name: a/b", "", ("'a/b'", "dashes")),
    ("a name with a newline", "cluster_name: crpbot-training", 'cluster_name: "a\\n"', "", ("dashes",)),
    ("no region", "  region: us-east-1", "", "", ("provider.region is missing",)),
    ("a zone of elsewhere", "us-east-1b", "eu-west-1b", "", ("eu-west-1b", "no zone of us-east-1")),
    ("a head that is none", "head_node_type: head", "head_node_type: boss", "", ("'boss'", "gpu-spot")),
    ("no types", "  gpu-spot:", "  gpu_spot: []\n  gpu-spot:", "", ("gpu_spot", "a group of keys")),
    ("work on the head", "{CPU: 0, driver: 100}", "{CPU: 2, driver: 100}", "", ("is 2", "must be 0")),
    ("no place for drivers", "{CPU: 0, driver: 100}", "{CPU: 0}", "", ("driver", "1 or more")),
    ("resources that are text", "{CPU: 4, GPU: 1}", '{CPU: "4", GPU: 1}', "", ("'4'", "whole number")),
    ("no vCPUs", "{CPU: 4, GPU: 1}", "{GPU: 1}", "", ("resources.CPU", "quotas")),
    ("spot after on demand", "priority: 10", "priority: 0", "", ("is 0", "above 0")),
    ("a user", "auth: {}", "auth: {ssh_user: ubuntu}", "", ("must be empty", "nobody logs in")),
    ("a key pair", "      InstanceType:", "      KeyName: mine\n      InstanceType:", SPOT, ("KeyName may not", "SSH")),
    ("user data", "      InstanceType:", "      UserData: x\n      InstanceType:", SPOT, ("UserData may not",)),
    ("subnets", "      InstanceType:", "      SubnetIds: [a]\n      InstanceType:", SPOT, ("SubnetIds may not",)),
    ("Ray's commands", "setup_commands: []", "setup_commands: [pip install ray]", "\n\n# Ray's", ("must be empty",)),
    ("Ray's commands by default", "head_start_ray_commands: []", "", "", ("head_start_ray_commands is missing",)),
    ("files of the laptop", "file_mounts: {}", "file_mounts: {/a: ~/.aws}", "", ("file_mounts", "must be empty")),
    ("containers", "auth: {}", "docker: {}\nauth: {}", "", ("docker may not stand",)),
    ("SSH after all", "disable_node_updaters: true", "disable_node_updaters: false", "", ("False", "must be true")),
    ("public addresses", "use_internal_ips: true", "use_internal_ips: false", "", ("False", "must be true")),
    ("idleness without end", "idle_timeout_minutes: 5", "idle_timeout_minutes: .inf", "", ("inf", "0.1 to 60")),
    ("idleness that is no number", "idle_timeout_minutes: 5", "idle_timeout_minutes: .nan", "", ("nan", "0.1 to 60")),
    ("no idleness", "idle_timeout_minutes: 5", "idle_timeout_minutes: 0", "", ("0.1 to 60",)),
    (
        "a tag of another cluster",
        "Value: crpbot-training",
        "Value: other",
        SPOT,
        ("tags no instance", "crpbot-cluster"),
    ),
    ("disks without a tag", "ResourceType: volume", "ResourceType: instance", STEADY, ("tags no",)),
    ("a key twice", "idle_timeout_minutes: 5", "max_workers: 9", "", ("max_workers stands there twice",)),
    ("an alias", "auth: {}", "auth: &a {}\nfile_mounts: *a", "", ("*a is an alias",)),
    ("an object of Python", "auth: {}", "auth: !!python/object/apply:os.getcwd []", "", ("is no YAML",)),
    ("a broken line", "auth: {}", "auth: {", "", ("is no YAML",)),
    ("a credential in a value", "auth: {}", f"auth: {{ssh_user: {CANARY}}}", "", ("looks like a credential",)),
    ("a credential in a comment", "auth: {}", f"auth: {{}} # {CANARY}", "", ("looks like a credential", "~/.aws")),
    (
        "a key of a credential",
        "  type: aws",
        "  aws_credentials: {a: b}\n  type: aws",
        "",
        ("looks like a credential",),
    ),
    ("a private key", "auth: {}", "auth: {ssh_private_key: ~/.ssh/id}", "", ("looks like a credential",)),
    ("a secret by its shape", "name: crpbot-training", f"name: {'aB3/' * 10}", "", ("looks like a credential",)),
]


@pytest.mark.parametrize(("name", "old", "new", "after", "words"), REFUSED, ids=[each[0] for each in REFUSED])
def test_what_is_not_safe_is_refused_in_one_sentence(
    name: str, old: str, new: str, after: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    error = refusal(tmp_path, changed(old, new, after))
    assert error.code is Code.INVALID_ARGUMENT
    assert error.reason == "CLUSTER_FILE"
    assert re.match(r"ray_cluster\.yaml line \d+: ", error.detail), error.detail
    assert "; remedy: " in error.detail
    assert "\n" not in error.detail
    for word in words:
        assert word in error.detail, error.detail
    assert CANARY not in error.detail


@pytest.mark.parametrize(
    ("old", "new", "after"),
    [
        ("HttpTokens: required", "HttpTokens: optional", STEADY),
        ("cache_stopped_nodes: false", "cache_stopped_nodes: true", ""),
        ("max_workers: 4", "max_workers: 5", SPOT),
        ("VolumeType: gp3", "VolumeType: io2", STEADY),
        ("auth: {}", f"auth: {{}} # {CANARY}", ""),
    ],
)
def test_the_line_is_that_of_the_fault(old: str, new: str, after: str, tmp_path: Path) -> None:
    text = changed(old, new, after)
    place = text.index(new, text.index(after) if after else 0)
    assert f"line {text[:place].count(chr(10)) + 1}: " in refusal(tmp_path, text).detail


def test_without_a_spot_type_it_is_refused(tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    del content["available_node_types"]["gpu-spot"]
    assert "has no spot type" in refusal(tmp_path, yaml.safe_dump(content)).detail


def test_without_an_on_demand_type_it_is_refused(tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    del content["available_node_types"]["gpu-ondemand"]
    assert "has no on-demand type" in refusal(tmp_path, yaml.safe_dump(content)).detail


def test_a_head_on_spot_is_refused(tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    content["available_node_types"]["head"]["node_config"]["InstanceMarketOptions"] = {"MarketType": "spot"}
    assert "head that is taken ends every training" in refusal(tmp_path, yaml.safe_dump(content)).detail


def test_a_file_that_is_not_there_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(CrpbotError) as caught:
        read_cluster(tmp_path / "none.yaml")
    assert caught.value.code is Code.NOT_FOUND
    assert "remedy: " in caught.value.detail


@pytest.mark.parametrize("text", ["", "- a\n", "42\n", "\x00", "[" * 5_000, "a: " + "9" * 5_000, "x" * 200_000])
def test_what_is_no_such_file_is_refused(text: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, text).reason == "CLUSTER_FILE"


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ray_cluster.yaml"
    file.write_bytes(b"cluster_name: a\n\xff\xfe")
    with pytest.raises(CrpbotError, match="line 2: is no UTF-8"):
        read_cluster(file)


def paths(found: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return [path, *(one for key, value in below for one in paths(value, (*path, key)))]


PATHS = [path for path in paths(CONTENT) if path]
OPTIONAL = {"upscaling_speed", "CreditSpecification"}  # without them Ray's and EC2's own do the same, or no harm


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_each_key_that_is_taken_away_is_missed(path: tuple[str | int, ...], tmp_path: Path) -> None:
    content = copy.deepcopy(CONTENT)
    found = content
    for part in path[:-1]:
        found = found[part]
    del found[path[-1]]
    text = yaml.safe_dump(content)
    if path[-1] in OPTIONAL or path[-1] == "GPU" or (path[-2:-1] == ("Tags",) and path[-1] == 1):
        (tmp_path / "ray_cluster.yaml").write_text(text)
        assert read_cluster(tmp_path / "ray_cluster.yaml").name == "crpbot-training"
    elif path[-1] == "priority" and "gpu-ondemand" in path:
        (tmp_path / "ray_cluster.yaml").write_text(text)
        assert {each.priority for each in read_cluster(tmp_path / "ray_cluster.yaml").workers} == {10, 0}
    elif path[-1] == "InstanceMarketOptions" or path[-1] in {"gpu-spot", "gpu-ondemand"}:
        assert "type" in refusal(tmp_path, text).detail
    else:
        assert refusal(tmp_path, text).reason == "CLUSTER_FILE"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PATHS), value=ANYTHING)
def test_whatever_stands_anywhere_is_read_or_refused(
    path: tuple[str | int, ...], value: object, tmp_path: Path
) -> None:
    content = copy.deepcopy(CONTENT)
    found = content
    for part in path[:-1]:
        found = found[part]
    found[path[-1]] = value
    file = tmp_path / "ray_cluster.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    answer = read_or_refuse(file)
    if isinstance(answer, CrpbotError):
        assert answer.reason == "CLUSTER_FILE"
        assert "remedy: " in answer.detail
    else:
        assert answer.content["provider"]["cache_stopped_nodes"] is False
        assert {each.is_spot for each in answer.workers} == {True, False}


def read_or_refuse(file: Path) -> Cluster | CrpbotError:
    try:
        return read_cluster(file)
    except CrpbotError as error:
        return error


@pytest.mark.parametrize("hours", [0.0, -1.0, float("nan"), float("inf"), 73.0])
def test_a_limit_that_is_none_is_refused(hours: float) -> None:
    with pytest.raises(CrpbotError, match="remedy"):
        Limits(hours=hours, dollars=1.0, idle_minutes=5.0)


@pytest.mark.parametrize("minutes", [0.0, 0.99, float("nan"), 121.0])
def test_idle_minutes_that_a_pause_between_two_jobs_takes_too_are_refused(minutes: float) -> None:
    with pytest.raises(CrpbotError, match=r"is no limit of a launch, which is at least 1 and at most 120; remedy"):
        Limits(hours=1.0, dollars=1.0, idle_minutes=minutes)
    assert Limits(hours=1.0, dollars=1.0, idle_minutes=1.0).idle_minutes == 1.0


def test_the_versions_are_those_of_the_lock_and_of_this_environment() -> None:
    provider = yaml.safe_load(TEXT)["provider"]
    lock = (FILE.parent / "requirements.lock").read_text()
    assert re.search(rf"^ray(\[[a-z,]+\])?=={re.escape(provider['ray_version'])}\b", lock, re.MULTILINE)
    assert provider["ray_version"] == version("ray")
    assert provider["python_version"] == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_each_key_has_its_reason_where_it_stands_first() -> None:
    seen = set()
    lines = TEXT.splitlines()
    for place, line in enumerate(lines):
        found = re.match(r"\s*(?:- )?([A-Za-z_-]+): ?(?![ ]*$)(.*)", line)
        if line.lstrip().startswith("#") or found is None or found.group(1) in seen:
            continue
        seen.add(found.group(1))
        near = lines[place + 1] if found.group(2) == "" else line
        is_command = found.group(1).endswith("_commands")  # six lines below one comment
        assert "#" in near or is_command, f"line {place + 1} gives no reason: {line}"
