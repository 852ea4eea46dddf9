"""The way to a bucket of S3, and what can go wrong on it: each failure is one sentence with its remedy.

Who we are, the region and the address come from where the AWS command line has them too (its variables, its files, the
role of a machine); we neither ask for keys nor keep or show any.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from core.bucket_address import Place
from core.errors import Code, CrpbotError

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 20, 3  # a server's watcher is told within a minute, at the worst
CONNECTIONS: Final = 16

Client = Any  # of boto3, which makes its classes while it runs

DENIED: Final = {"AccessDenied", "403", "AllAccessDisabled", "AccountProblem", "InvalidObjectState", "MethodNotAllowed"}
UNKNOWN_US: Final = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "TokenRefreshRequired",
    "ExpiredTokenException",
    "AuthorizationHeaderMalformed",
}
UNDECIDED: Final = {"ConditionalRequestConflict", "409"}  # another writes just now
LOST: Final = {"PreconditionFailed", "412", *UNDECIDED}  # another was there before us
MISSING: Final = {"NoSuchKey", "404", "NotFound"}


class Lost(Exception):  # noqa: N818 - an answer, which callers turn into theirs
    """A write with a condition that does not hold: another wrote before us."""

    def __init__(self, code: str = "", tries: int = 0) -> None:
        super().__init__(code)
        self.is_undecided = code in UNDECIDED  # the same again may succeed
        self.tries = tries  # how often the request was sent again


class Missing(Exception):  # noqa: N818 - likewise
    """Nothing of that name."""


def connect(attempts: int = ATTEMPTS) -> Client:
    """A client of S3. Calls give up soon and are tried three times."""
    import boto3  # noqa: PLC0415 - a third of a second, and most commands know no bucket
    from botocore.config import Config  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=CONNECTIONS,
    )
    # a session of our own: the one that boto3 shares is not made for threads
    session = Session()
    session.register_component("data_loader", _descriptions())
    return boto3.session.Session(botocore_session=session).client("s3", config=config)


@cache
def _descriptions() -> Any:
    """AWS's own description of its calls, read once a process: a tenth of a second for each client otherwise."""
    from botocore.loaders import Loader  # noqa: PLC0415

    return Loader()


@contextmanager
def told(place: Place, name: str = "") -> Iterator[None]:
    """What S3 and the way there answer, as `Lost`, `Missing`, or an error of ours."""
    from botocore import exceptions as amazon  # noqa: PLC0415

    where = f"{place.url}/{name}" if name else place.url
    try:
        yield
    except amazon.ClientError as error:
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", ""))
        if code in LOST:
            raise Lost(code, int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))) from None
        if code in MISSING:
            raise Missing(code) from None
        raise _refused(place, where, code, str(error.operation_name)) from None
    except (amazon.NoCredentialsError, amazon.PartialCredentialsError, amazon.CredentialRetrievalError):
        raise _anonymous(where) from None
    except (amazon.NoRegionError, amazon.ProfileNotFound, amazon.ConfigParseError, amazon.ConfigNotFound) as error:
        detail = f"{where} cannot be reached: the AWS configuration is not complete ({type(error).__name__})"
        raise CrpbotError(
            Code.UNAVAILABLE, f"{detail}; remedy: AWS_DEFAULT_REGION and AWS_PROFILE", reason="BUCKET_SETTINGS"
        ) from None
    except (amazon.SSOTokenLoadError, amazon.SSOError):
        raise _anonymous(where) from None
    except amazon.BotoCoreError as error:
        detail = f"{where} does not answer ({type(error).__name__}); what was there is unchanged or wholly written"
        raise CrpbotError(
            Code.UNAVAILABLE,
            f"{detail}; remedy: the network, AWS_ENDPOINT_URL, then the same again",
            reason="BUCKET_UNREACHABLE",
        ) from None


def _refused(place: Place, where: str, code: str, call: str) -> CrpbotError:
    if code == "NoSuchBucket":
        detail = f"there is no bucket {place.bucket}; remedy: make it (crpbot cluster prepare makes the cluster's own)"
        return CrpbotError(Code.UNAVAILABLE, detail, reason="NO_SUCH_BUCKET")
    if code in UNKNOWN_US:
        return _anonymous(where, f" ({code})")
    if code in DENIED:
        detail = f"{where}: AWS does not allow {call}; remedy: the rights in docs/models.md, for whoever runs this"
        return CrpbotError(Code.PERMISSION_DENIED, detail, reason="BUCKET_DENIED")
    detail = f"{where}: S3 answers {code or 'with an error'} to {call}; remedy: the same again in a minute"
    return CrpbotError(Code.UNAVAILABLE, detail, reason="BUCKET_UNAVAILABLE")


def _anonymous(where: str, why: str = "") -> CrpbotError:
    detail = f"{where}: AWS does not know who asks{why}; remedy: aws configure, aws sso login, or AWS_PROFILE"
    return CrpbotError(Code.UNAUTHENTICATED, detail, reason="NO_CREDENTIALS")
