"""What AWS refused, said in one sentence with its remedy: which call, where, and what to do next.

AWS's own words are quoted only where nothing better is known, shortened and without anything that looks like a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from core.errors import Code, CrpbotError

POLICY_FILE: Final = "deploy/aws/launcher-policy.json"
MOST_QUOTED: Final = 300  # characters of AWS's own words: a sentence, not a page

NO_CAPACITY: Final = "NO_CAPACITY"
NO_SUCH_INSTANCE: Final = "NO_SUCH_INSTANCE"
NOT_PREPARED: Final = "NOT_PREPARED"
IS_THERE: Final = "IS_THERE"
PROFILE_NOT_SEEN: Final = "PROFILE_NOT_SEEN"
DENIED: Final = "ACCESS_DENIED"
NO_SUCH_GROUP: Final = "NO_SUCH_GROUP"
THROTTLED: Final = "TOO_MANY_REQUESTS"
UNREACHABLE: Final = "AWS_UNREACHABLE"
UNREACHED: Final = frozenset({UNREACHABLE, "AWS_FAILED", THROTTLED})  # an earlier try may be done

# access keys, session tokens and encoded refusals: long runs without a space
_KEY = re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{8,}|[A-Za-z0-9/+=_-]{60,}")
_NOT_AUTHORIZED = re.compile(r"not authorized to perform: ([\w:*-]+)")

THREE_WAYS: Final = (
    "remedy: sign in with `aws configure sso` (or `aws configure`) and name the profile in AWS_PROFILE, or set "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where an instance role gives them"
)
SIGN_IN_AGAIN: Final = "remedy: sign in again (`aws sso login`), or set fresh keys and session token, and run it again"


class Said(NamedTuple):
    """What one of AWS's codes means: `{call}` is the call and its region, `{said}` AWS's own words."""

    code: Code
    reason: str
    words: str


_EXPIRED = Said(
    Code.UNAUTHENTICATED, "CREDENTIALS_EXPIRED", "{call}: the AWS credentials have expired; " + SIGN_IN_AGAIN
)
_WRONG_KEYS = Said(
    Code.UNAUTHENTICATED,
    "CREDENTIALS_WRONG",
    "{call}: AWS does not know these credentials, or the region is not enabled for the account; remedy: check which "
    "ones are in use with `aws sts get-caller-identity`, and the clock of this machine",
)
_DENIED = Said(
    Code.PERMISSION_DENIED,
    DENIED,
    "{call}: these credentials may not do {action}; remedy: give them the rights in "
    f"{POLICY_FILE}, and for crpbot cluster prepare those in prepare-policy.json beside it",
)
_NO_CAPACITY = Said(
    Code.UNAVAILABLE,
    NO_CAPACITY,
    "{call}: AWS has no free {machine} here at the moment; remedy: more zones in provider.availability_zone of "
    "ray_cluster.yaml, or another time",
)
_QUOTA = Said(
    Code.RESOURCE_EXHAUSTED,
    "QUOTA_EXCEEDED",
    '{call}: the quota "{quota}" ({quota_code}, counted in vCPU) does not allow one more {machine}; remedy: ask for '
    "more at https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas/{quota_code} (new accounts often "
    "have 0), or fewer machines",
)
_NO_IMAGE = Said(
    Code.NOT_FOUND,
    "UNKNOWN_IMAGE",
    "{call}: there is no machine image {image}; remedy: ImageId in ray_cluster.yaml (an image belongs to one region; "
    "resolve:ssm:/aws/service/... finds the newest of each region)",
)
_THROTTLED = Said(
    Code.RESOURCE_EXHAUSTED,
    THROTTLED,
    "{call}: AWS takes no more requests from this account for the moment, after several tries; remedy: wait a minute "
    "and run it again",
)
_PARAMETER = Said(
    Code.INVALID_ARGUMENT,
    "REFUSED_BY_AWS",
    "{call}: AWS does not accept a value ({said}); remedy: correct it in ray_cluster.yaml",
)
_GONE = Said(Code.NOT_FOUND, NO_SUCH_INSTANCE, "{call}: it is gone already ({said}); remedy: none needed")
_NOT_PREPARED = Said(
    Code.FAILED_PRECONDITION, NOT_PREPARED, "{call}: it does not exist; remedy: run crpbot cluster prepare"
)

SAID: Final[Mapping[str, Said]] = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "InvalidGrantException"),
        _EXPIRED,
    ),
    **dict.fromkeys(
        (
            *("AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch"),
            *("InvalidAccessKeyId", "RequestTimeTooSkewed", "InvalidToken", "IncompleteSignature"),
            *("MissingAuthenticationToken", "OptInRequired"),
        ),
        _WRONG_KEYS,
    ),
    **dict.fromkeys(
        ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AllAccessDisabled", "403"), _DENIED
    ),
    **dict.fromkeys(
        (
            *("InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity", "Unsupported"),
            *("InsufficientFreeAddressesInSubnet", "SpotMaxPriceTooLow"),
        ),
        _NO_CAPACITY,
    ),
    **dict.fromkeys(("VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "InstanceLimitExceeded"), _QUOTA),
    **dict.fromkeys(
        ("InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable", "ParameterNotFound"), _NO_IMAGE
    ),
    **dict.fromkeys(
        (
            *("RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown"),
            "RequestThrottled",
        ),
        _THROTTLED,
    ),
    **dict.fromkeys(
        (
            *("InvalidParameterValue", "InvalidParameterCombination", "InvalidParameter", "ValidationError"),
            *("ValidationException", "MissingParameter", "InvalidBlockDeviceMapping", "InvalidInput"),
        ),
        _PARAMETER,
    ),
    **dict.fromkeys(("InvalidInstanceID.NotFound", "InvalidVolume.NotFound", "VolumeInUse"), _GONE),
    **dict.fromkeys(
        (
            *("NoSuchBucket", "404", "NoSuchEntity", "NoSuchBucketPolicy", "NoSuchPublicAccessBlockConfiguration"),
            "NoSuchLifecycleConfiguration",
        ),
        _NOT_PREPARED,
    ),
    "EntityAlreadyExists": Said(Code.ALREADY_EXISTS, IS_THERE, "{call}: it exists already; remedy: none needed"),
    "InvalidGroup.NotFound": Said(
        Code.NOT_FOUND, NO_SUCH_GROUP, "{call}: EC2 does not know the security group; remedy: run it again in a minute"
    ),
    "LimitExceeded": Said(
        Code.RESOURCE_EXHAUSTED,
        "IAM_LIMIT",
        "{call}: IAM takes no more ({said}); remedy: remove in the IAM console what no cluster needs any more: the "
        "policies of a role, one for each cluster and region and named so, may have 10,240 characters together",
    ),
    "BucketAlreadyExists": Said(
        Code.ALREADY_EXISTS,
        "BUCKET_TAKEN",
        "{call}: a bucket of this name belongs to somebody else, and names are one for all of AWS; remedy: another "
        "name with --bucket",
    ),
    "OperationNotPermitted": Said(
        Code.FAILED_PRECONDITION,
        "PROTECTED",
        "{call}: AWS does not permit it ({said}); remedy: take the protection against termination away in the EC2 "
        "console, then run crpbot cluster down again",
    ),
}


def quota(instance_type: str, *, is_spot: bool) -> tuple[str, str]:
    """The quota of EC2 that a machine counts against: its name and its code in Service Quotas."""
    if re.match(r"(g\d|vt)", instance_type):
        return (
            ("All G and VT Spot Instance Requests", "L-3819A6DF")
            if is_spot
            else ("Running On-Demand G and VT instances", "L-DB2E81BA")
        )
    return (
        ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", "L-34B43A08")
        if is_spot
        else ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", "L-1216C47A")
    )


def explain(error: Exception, action: str, region: str, asked: Mapping[str, Any]) -> CrpbotError:
    """Botocore's failure of `action` (`ec2:RunInstances`) as one sentence. Any: the arguments of a call of botocore."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - `crpbot --help` need not load it

    call = f"{action} in {region}"
    if not isinstance(error, ClientError):
        return _unreached(error, call)
    found = error.response.get("Error", {})
    said = clean(str(found.get("Message", "")))
    code = str(found.get("Code", ""))
    if code.startswith("InvalidParameter") and "iam instance profile" in said.lower():
        detail = f"{call}: EC2 does not see the instance profile yet ({said}); remedy: crpbot cluster prepare, a minute"
        return CrpbotError(Code.UNAVAILABLE, f"{detail} before the launch", reason=PROFILE_NOT_SEEN)
    if code == "InvalidInput" and "has been taken" in said:  # IAM's words for a role of AWS's own that exists
        return CrpbotError(Code.ALREADY_EXISTS, SAID["EntityAlreadyExists"].words.format(call=call), reason=IS_THERE)
    name, quota_code = quota(str(asked.get("InstanceType", "")), is_spot="InstanceMarketOptions" in asked)
    denied = _NOT_AUTHORIZED.search(said)
    known = SAID.get(code)
    if known is None:
        detail = f"{call}: AWS answers {code or 'an error'}: {said}; remedy: run it again, or look this code up"
        return CrpbotError(Code.UNAVAILABLE, detail, reason="AWS_FAILED")
    words = known.words.format(
        call=call,
        said=said,
        action=denied.group(1) if denied else action,
        machine=asked.get("InstanceType", "machine"),
        image=asked.get("ImageId") or asked.get("Name") or ", ".join(asked.get("ImageIds", ())) or "of that name",
        quota=name,
        quota_code=quota_code,
    )
    return CrpbotError(known.code, words, reason=known.reason)


def clean(said: str) -> str:
    """AWS's words on one line, short, and without anything that looks like a key."""
    line = " ".join(_KEY.sub("...", said.strip().removesuffix(".")).split())
    return line if len(line) <= MOST_QUOTED else line[:MOST_QUOTED] + "..."


def _unreached(error: Exception, call: str) -> CrpbotError:
    """The call never got an answer: no credentials, a profile that is not there, no way to the region."""
    from botocore import exceptions as failed  # noqa: PLC0415 - as above

    if isinstance(error, (failed.NoCredentialsError, failed.PartialCredentialsError)):
        words = f"{call}: there are no AWS credentials, or half of them; {THREE_WAYS}"
        return CrpbotError(Code.UNAUTHENTICATED, words, reason="NO_CREDENTIALS")
    if isinstance(error, failed.ProfileNotFound):
        words = f"{call}: {clean(str(error))}; remedy: set AWS_PROFILE to one that `aws configure list-profiles` shows"
        return CrpbotError(Code.UNAUTHENTICATED, words, reason="NO_CREDENTIALS")
    expired = (
        *(
            failed.SSOError,
            failed.TokenRetrievalError,
            failed.CredentialRetrievalError,
            failed.RefreshWithMFAUnsupportedError,
        ),
        *(failed.UnauthorizedSSOTokenError, failed.LoginError, failed.MetadataRetrievalError),
    )
    if isinstance(error, expired):
        return CrpbotError(_EXPIRED.code, _EXPIRED.words.format(call=call), reason=_EXPIRED.reason)
    if isinstance(error, (failed.InvalidRegionError, failed.NoRegionError, failed.UnknownEndpointError)):
        words = f"{call}: there is no such region; remedy: provider.region in ray_cluster.yaml, such as us-east-1"
        return CrpbotError(Code.INVALID_ARGUMENT, words, reason="UNKNOWN_REGION")
    if isinstance(error, (failed.ParamValidationError, failed.ConfigParseError)):
        words = f"{call}: {clean(str(error))}; remedy: correct it in ray_cluster.yaml, or in the AWS configuration file"
        return CrpbotError(Code.INVALID_ARGUMENT, words, reason="REFUSED_BY_AWS")
    words = (
        f"{call}: AWS cannot be reached ({type(error).__name__}), after several tries; remedy: check the network, a "
        "proxy (HTTPS_PROXY) and AWS_ENDPOINT_URL, then run it again"
    )
    return CrpbotError(Code.UNAVAILABLE, words, reason=UNREACHABLE)
