"""The bucket in which laptop and machines meet: of this account and this region, private, encrypted, by TLS alone.

A bucket that was there before and is not ours is left as it is.
"""

from __future__ import annotations

import json
from typing import Any, Final

from core.bucket_address import Place, read_place
from core.errors import Code, CrpbotError
from training.cluster.cloud import Cloud
from training.cluster.cloud_errors import DENIED, NOT_PREPARED

TLS_RULE: Final = "CrpbotOnlyByTLS"  # also the sign by which a bucket of our making is known
# A training takes hours: its checkpoints and what machines wrote of a launch are worth nothing a month later.
KEEP_DAYS: Final = 30
KEEP_PIECES_DAYS: Final = 7  # of uploads that broke off
FIRST_REGION: Final = "us-east-1"  # the one that a bucket's constraint may not name

Policy = dict[str, Any]  # Any: a policy's JSON


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
    if is_new or bucket == _default_bucket(cloud) or _is_ours(cloud, bucket):
        _close_bucket(cloud, bucket, prefix)
    else:
        _check_private(cloud, bucket)
    return is_new


def _close_bucket(cloud: Cloud, bucket: str, prefix: str) -> None:
    """Private, encrypted, by TLS alone, and what is worth nothing any more goes by itself."""
    cloud.ask("s3", "put_bucket_policy", Bucket=bucket, Policy=json.dumps(_only_by_tls(bucket)))
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    cloud.ask("s3", "put_public_access_block", Bucket=bucket, PublicAccessBlockConfiguration=closed)
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}]
    cloud.ask("s3", "put_bucket_encryption", Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    below = f"{prefix}/" if prefix else ""
    expiring = [
        {
            "ID": f"crpbot-{name}",
            "Status": "Enabled",
            "Filter": {"Prefix": f"{below}{name}/"},
            "Expiration": {"Days": KEEP_DAYS},
        }
        for name in ("runs", "clusters")
    ]
    pieces = {
        "ID": "crpbot-pieces",
        "Status": "Enabled",
        "Filter": {"Prefix": below},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": KEEP_PIECES_DAYS},
    }
    lifecycle = {"Rules": [*expiring, pieces]}
    cloud.ask("s3", "put_bucket_lifecycle_configuration", Bucket=bucket, LifecycleConfiguration=lifecycle)


def _only_by_tls(bucket: str) -> Policy:
    name = f"arn:aws:s3:::{bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": TLS_RULE,
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [name, f"{name}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


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


def _is_ours(cloud: Cloud, bucket: str) -> bool:
    try:
        return TLS_RULE in cloud.ask("s3", "get_bucket_policy", Bucket=bucket)["Policy"]
    except CrpbotError as error:
        if error.reason != NOT_PREPARED:
            raise
        return False


def _default_bucket(cloud: Cloud) -> str:
    return f"crpbot-{cloud.account}-{cloud.region}"
