"""What EC2 and S3 do in life and moto does not: time between two states, several machines at once, calls made twice.

It stands in front of moto's application and works on moto's own state, which lies in this process.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

from tests.fake_aws.calls import Call, read_body, write_body
from tests.fake_aws.faults import REQUEST_ID, Refused, write_refusal

ACCOUNT = "123456789012"  # moto's
GPU_IMAGES = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id"
GPU_IMAGE = "ami-0d1ea0d1ea0d1ea00"
PENDING, RUNNING, SHUTTING_DOWN = ("pending", 0), ("running", 16), ("shutting-down", 32)

Reply = tuple[str, list[tuple[str, str]], bytes]  # status line, headers, body
Application = Callable[[dict[str, Any]], Reply]


def backend(service: str, region: str) -> Any:  # Any: moto is not typed
    """What moto keeps for a service in a region."""
    from moto import backends

    find: Any = backends.get_backend  # Any: it lists every service of AWS as a type
    return find(service)[ACCOUNT][region]


class Gaps:
    """Answers some calls itself, changes others, and lets the rest through to moto."""

    def __init__(self, moto: Application, *, pending_seconds: float, ending_seconds: float) -> None:
        self._moto = moto
        self._pending_seconds, self._ending_seconds = pending_seconds, ending_seconds
        self._changes: dict[tuple[str, str], tuple[float, str]] = {}  # region, instance: when it is what
        self._launches: dict[tuple[str, str], tuple[dict[str, str], Reply]] = {}  # by region and token
        self._policies: dict[str, bytes] = {}  # by bucket
        self._lock = threading.RLock()

    def answer(self, call: Call, environ: dict[str, Any]) -> Reply:
        """The answer to one call."""
        if call.service not in {"ec2", "ssm"} and "Policy" not in call.action:
            return self._moto(environ)
        with self._lock:
            self.advance()
            match call.service, call.action:
                case "ec2", "RunInstances":
                    return self._run(call, environ)
                case "ec2", "TerminateInstances":
                    return self._terminate(call, environ)
                case "ec2" | "ssm", _:
                    _know_gpu_image(call.region)
                case "s3", "PutBucketPolicy" | "GetBucketPolicy" | "DeleteBucketPolicy":
                    return self._policy(call, environ)
            return self._moto(environ)

    def advance(self, *, at_once: bool = False) -> None:
        """Machines whose time has come run, or are gone with their volumes. At once: everyone's time has come."""
        with self._lock:
            for (region, name), (at, state) in list(self._changes.items()):
                if at > time.monotonic() and not at_once:
                    continue
                del self._changes[region, name]
                kept = backend("ec2", region)
                if state == "terminated":
                    kept.terminate_instances([name])
                elif (instance := kept.get_instance(name)).state == "pending":
                    _set_state(instance, RUNNING)

    def end(self, region: str, names: Iterable[str]) -> None:
        """Machines begin to end, as after TerminateInstances."""
        with self._lock:
            self.advance()
            for name in names:
                instance = backend("ec2", region).get_instance(name)
                if instance.state in {"shutting-down", "terminated"}:
                    continue
                _set_state(instance, SHUTTING_DOWN)
                self._changes[region, name] = (time.monotonic() + self._ending_seconds, "terminated")

    def _run(self, call: Call, environ: dict[str, Any]) -> Reply:
        """As many as there may be, not as few; the same token twice is one launch."""
        token = (call.region, call.parameters.get("ClientToken", ""))
        if token in self._launches:
            asked, reply = self._launches[token]
            if asked != call.parameters:
                words = f"The client token '{token[1]}' has already been used with other parameters."
                return refuse("ec2", Refused(400, "IdempotentParameterMismatch", words))
            return reply
        _know_gpu_image(call.region)
        changed = {**call.parameters, "MinCount": call.parameters["MaxCount"], **_root_goes_too(call)}
        write_body(environ, urlencode(changed).encode())
        status, headers, body = self._moto(environ)
        if not status.startswith("200"):
            return _word_missing_profile(call, (status, headers, body))
        for name in re.findall(rb"<instanceId>(i-[0-9a-f]+)</instanceId>", body):
            self._begin(call, name.decode())
        self._launches[token] = (dict(call.parameters), (status, headers, body))
        return status, headers, body

    def _begin(self, call: Call, name: str) -> None:
        kept = backend("ec2", call.region)
        instance = kept.get_instance(name)
        _set_state(instance, PENDING)
        self._changes[call.region, name] = (time.monotonic() + self._pending_seconds, "running")
        profile = call.parameters.get("IamInstanceProfile.Name")
        if profile and name not in kept.iam_instance_profile_associations:  # moto: only the first of several
            kept.associate_iam_instance_profile(instance_id=name, iam_instance_profile_name=profile)

    def _terminate(self, call: Call, environ: dict[str, Any]) -> Reply:
        wanted, items = call.all_of("InstanceId"), []
        known = {each.id: each for each in backend("ec2", call.region).all_instances()}
        if not wanted or not known.keys() >= set(wanted):
            return self._moto(environ)
        for name in wanted:
            before = known[name].state, known[name].state_code
            self.end(call.region, [name])
            after = known[name].state, known[name].state_code
            items.append(
                f"<item><instanceId>{name}</instanceId>{_write_state('currentState', after)}"
                f"{_write_state('previousState', before)}</item>"
            )
        body = (
            '<TerminateInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
            f"<requestId>{REQUEST_ID}</requestId><instancesSet>{''.join(items)}</instancesSet>"
            "</TerminateInstancesResponse>"
        )
        return "200 OK", [("Content-Type", "text/xml;charset=UTF-8")], body.encode()

    def _policy(self, call: Call, environ: dict[str, Any]) -> Reply:
        """Kept, not obeyed: moto forgets conditions, and so "no one without TLS" would be "no one"."""
        bucket = call.parameters["Bucket"]
        if bucket not in backend("s3", "aws").buckets:
            return self._moto(environ)
        if call.action == "PutBucketPolicy":
            self._policies[bucket] = read_body(environ)
            return "204 No Content", [], b""
        if call.action == "DeleteBucketPolicy":
            self._policies.pop(bucket, None)
            return "204 No Content", [], b""
        if bucket not in self._policies:
            return refuse("s3", Refused(404, "NoSuchBucketPolicy", "The bucket policy does not exist"))
        return "200 OK", [("Content-Type", "application/json")], self._policies[bucket]


def refuse(service: str, refused: Refused) -> Reply:
    """The answer that says no."""
    body, kind = write_refusal(service, refused)
    return f"{refused.status} Refused", [("Content-Type", kind)], body


def _set_state(instance: Any, state: tuple[str, int]) -> None:  # Any: moto is not typed
    instance._state.name, instance._state.code = state


def _write_state(name: str, state: tuple[str, int]) -> str:
    return f"<{name}><code>{state[1]}</code><name>{state[0]}</name></{name}>"


def _root_goes_too(call: Call) -> dict[str, str]:
    """A disk that holds the system goes with its machine unless told otherwise; moto's stays."""
    names = {
        key.removesuffix(".DeviceName")
        for key, value in call.parameters.items()
        if key.startswith("BlockDeviceMapping.") and key.endswith(".DeviceName") and value in {"/dev/xvda", "/dev/sda1"}
    }
    wanted = (f"{name}.Ebs.DeleteOnTermination" for name in names)
    return {key: "true" for key in wanted if key not in call.parameters}


def _word_missing_profile(call: Call, reply: Reply) -> Reply:
    """EC2's own words where moto speaks as IAM does."""
    if b"NoSuchEntity" not in reply[2]:
        return reply
    name = call.parameters.get("IamInstanceProfile.Name", "")
    words = f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
    return refuse("ec2", Refused(400, "InvalidParameterValue", words))


def _know_gpu_image(region: str) -> None:
    """The image with NVIDIA's driver, by its public parameter and as an image: moto has only those without."""
    from moto.core.utils import utcnow
    from moto.ec2.models.amis import Ami
    from moto.ssm.models import Parameter

    images, parameters = backend("ec2", region), backend("ssm", region)._parameters
    if GPU_IMAGE in images.amis:
        return
    images.amis[GPU_IMAGE] = Ami(
        images,
        GPU_IMAGE,
        name="Deep Learning Base OSS Nvidia Driver GPU AMI (Amazon Linux 2023) 20261113",
        owner_alias="amazon",
        public=True,
        virtualization_type="hvm",
        architecture="x86_64",
        root_device_type="ebs",
        root_device_name="/dev/xvda",
        region_name=f"{region}a",
    )
    make: Any = Parameter  # Any: abstract to the checker, for what it never uses
    parameters[GPU_IMAGES].append(
        make(ACCOUNT, GPU_IMAGES, GPU_IMAGE, "String", None, None, None, utcnow(), 1, "aws:ec2:image")
    )
