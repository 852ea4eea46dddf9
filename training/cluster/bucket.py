"""The bucket in which laptop and machines meet: of this account and this region, private, encrypted, by TLS alone.

A bucket that was there before and is not ours is left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Final

from core.bucket_address import Place, read_place
from core.errors import Code, CrpbotError
from training.cluster.cloud import Answer, Cloud
from training.cluster.cloud_errors import DENIED, NOT_PREPARED

TLS_RULE: Final = "CrpbotOnlyByTLS"  # also the sign by which a bucket of our making is known
# A training takes hours: its checkpoints and what machines wrote of a launch are worth nothing a month later.
KEEP_DAYS: Final = 30
KEEP_PIECES_DAYS: Final = 7  # of uploads that broke off
FIRST_REGION: Final = "us-east-1"  # the one that a bucket's constraint may not name

Policy = dict[str, Any]  # Any: JSON of a policy, or of one of its statements


def read_bucket(url: str) -> Place:
    """Bucket and prefix of `s3://bucket/prefix`."""
    try:
        return read_place(url)
    except CrpbotError as error:
        raise CrpbotError(
            Code.INVALID_ARGUMENT,
            f"{error.detail}: this is no bucket, and a cluster on AWS reaches nothing else; remedy: --bucket "
            "s3://NAME/training",
            reason="NO_BUCKET",
        ) from error


def default_url(cloud: Cloud) -> str:
    """The place that a cluster has where nobody named another: a bucket of this account and region."""
    return f"s3://{_default_bucket(cloud)}/training"


def has_bucket(cloud: Cloud, bucket: str) -> bool:
    """Whether it is there; refused where it is somebody else's, or in another region.

    Names like ours can be guessed, and what lies in a stranger's bucket would be his. Machines ask the bucket in their
    own region, and what goes from one region to another costs.
    """
    try:
        found = cloud.ask("s3", "head_bucket", Bucket=bucket, ExpectedBucketOwner=cloud.account)
    except CrpbotError as error:
        if error.reason == NOT_PREPARED:
            return False
        if error.reason != DENIED:
            raise
        raise CrpbotError(
            Code.PERMISSION_DENIED,
            f"bucket {bucket} is of another account than {cloud.account}, or these credentials may not look at it "
            f"({error.detail}); remedy: another name with --bucket, or the rights in that file",
            reason="BUCKET_OF_OTHERS",
        ) from error
    region = found.get("BucketRegion")  # a header of S3's answer; what speaks only like S3 may not have it
    if region is not None and region != cloud.region:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"bucket {bucket} is in {region}, the cluster in {cloud.region}; remedy: another bucket with --bucket, or "
            f"provider.region {region} in ray_cluster.yaml (--region)",
            reason="BUCKET_ELSEWHERE",
        )
    return True


def make_bucket(cloud: Cloud, bucket: str, prefix: str) -> bool:
    """Makes it, or closes the one that is there; whether it is new. One of somebody else's making is left as it is."""
    is_new = not has_bucket(cloud, bucket)
    if is_new:
        place = {} if cloud.region == FIRST_REGION else {"LocationConstraint": cloud.region}
        where = {"CreateBucketConfiguration": place} if place else {}
        cloud.ask("s3", "create_bucket", Bucket=bucket, **where)
    policy = {} if is_new else _read_bucket_policy(cloud, bucket)
    if is_new or bucket == _default_bucket(cloud) or any(_is_tls_rule(each) for each in _statements(policy)):
        _close_bucket(cloud, bucket, policy)
        _let_expire(cloud, bucket, f"{prefix}/" if prefix else "")
    else:
        _check_private(cloud, bucket)
    return is_new


def _close_bucket(cloud: Cloud, bucket: str, policy: Policy) -> None:
    """Private, encrypted, by TLS alone; what its owner has written in its policy beside ours stays."""
    own = [each for each in _statements(policy) if not _is_tls_rule(each)]
    text = json.dumps({"Version": "2012-10-17", **policy, "Statement": [*own, _only_by_tls(bucket)]})
    cloud.ask("s3", "put_bucket_policy", Bucket=bucket, Policy=text)
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    cloud.ask("s3", "put_public_access_block", Bucket=bucket, PublicAccessBlockConfiguration=closed)
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}]
    cloud.ask("s3", "put_bucket_encryption", Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def _let_expire(cloud: Cloud, bucket: str, below: str) -> None:
    """What is worth nothing any more goes by itself. Rules of other prefixes and of the owner's own stay.

    Code and candles stay: S3 counts from their sending, and a job of today may have found those of a month ago.
    """
    pieces = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": KEEP_PIECES_DAYS}}
    expires = {"Expiration": {"Days": KEEP_DAYS}}
    wanted: dict[str, Answer] = {f"{below}runs/": expires, f"{below}clusters/": expires, below: pieces}
    ours = [
        {"ID": f"crpbot {prefix}", "Status": "Enabled", "Filter": {"Prefix": prefix}, **what}
        for prefix, what in wanted.items()
    ]
    kept = [each for each in _expiry_rules(cloud, bucket) if not _is_expiry_of(each, wanted)]
    lifecycle = {"Rules": [*kept, *ours]}
    cloud.ask("s3", "put_bucket_lifecycle_configuration", Bucket=bucket, LifecycleConfiguration=lifecycle)


def _is_expiry_of(rule: Answer, prefixes: Collection[str]) -> bool:
    """Whether a rule is ours, of an earlier preparation of the same prefix."""
    is_ours = str(rule.get("ID", "")).startswith("crpbot")  # S3 may leave an empty prefix out of its answer
    return is_ours and rule.get("Filter", {}).get("Prefix", "") in prefixes


def _expiry_rules(cloud: Cloud, bucket: str) -> list[Answer]:
    try:
        return list(cloud.ask("s3", "get_bucket_lifecycle_configuration", Bucket=bucket)["Rules"])
    except CrpbotError as error:
        if error.reason != NOT_PREPARED:
            raise
        return []


def _only_by_tls(bucket: str) -> Policy:
    name = f"arn:aws:s3:::{bucket}"
    return {
        "Sid": TLS_RULE,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [name, f"{name}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _is_tls_rule(statement: Policy) -> bool:
    return statement.get("Sid") == TLS_RULE


def _statements(policy: Policy) -> list[Policy]:
    """AWS takes a single one without its list."""
    found = policy.get("Statement", [])
    return [found] if isinstance(found, dict) else list(found)


def _check_private(cloud: Cloud, bucket: str) -> None:
    """A bucket of somebody else's making is not changed; one that could be public is not used."""
    closed: dict[str, bool] = {}
    try:
        answer = cloud.ask("s3", "get_public_access_block", Bucket=bucket)
        closed = answer["PublicAccessBlockConfiguration"]
    except CrpbotError as error:
        if error.reason != NOT_PREPARED:
            raise
    if not closed or not all(closed.values()):
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"bucket {bucket} was there before and may be opened to the public; remedy: turn on all four settings of "
            "'Block public access' for it, or leave --bucket away and let crpbot cluster prepare make its own",
            reason="BUCKET_NOT_PRIVATE",
        )


def _read_bucket_policy(cloud: Cloud, bucket: str) -> Policy:
    try:
        found: Policy = json.loads(cloud.ask("s3", "get_bucket_policy", Bucket=bucket)["Policy"])
    except CrpbotError as error:
        if error.reason != NOT_PREPARED:
            raise
        return {}
    return found


def _default_bucket(cloud: Cloud) -> str:
    return f"crpbot-{cloud.account}-{cloud.region}"
