"""How AWS says no: the words of its real refusals, and the ways in which an answer is lost before it arrives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple
from xml.sax.saxutils import escape

REQUEST_ID = "59dbff89-35bd-4eac-99ed-be587EXAMPLE"


class Refused(NamedTuple):
    """One error of AWS's: its HTTP status, its code and its words."""

    status: int
    code: str
    words: str


class Refusal(Enum):
    """The errors that a launch meets in life, as EC2, IAM and S3 word them."""

    NO_CAPACITY = Refused(
        500,
        "InsufficientInstanceCapacity",
        "We currently do not have sufficient g4dn.xlarge capacity in the Availability Zone you requested "
        "(us-east-1a). Our system will be working on provisioning additional capacity.",
    )
    VCPU_LIMIT = Refused(
        400,
        "VcpuLimitExceeded",
        "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket that "
        "the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request "
        "an adjustment to this limit.",
    )
    SPOT_LIMIT = Refused(400, "MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    NOT_ALLOWED = Refused(
        403,
        "UnauthorizedOperation",
        "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/trader is not "
        "authorized to perform: ec2:RunInstances because no identity-based policy allows the ec2:RunInstances action",
    )
    ACCESS_DENIED = Refused(403, "AccessDenied", "Access Denied")
    TOO_FAST = Refused(503, "RequestLimitExceeded", "Request limit exceeded.")
    NO_IMAGE = Refused(400, "InvalidAMIID.NotFound", "The image id '[ami-00000000000000000]' does not exist")
    WRONG_KEY = Refused(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
    NEW_PROFILE = Refused(  # for some seconds after a profile was made
        400,
        "InvalidParameterValue",
        "Value (crpbot-training-head) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile "
        "name",
    )
    NO_PARAMETER = Refused(400, "ParameterNotFound", "Parameter not found.")
    BROKEN = Refused(500, "InternalError", "An internal error has occurred")
    SLOW_DOWN = Refused(503, "SlowDown", "Please reduce your request rate.")


class Wire(StrEnum):
    """How an answer is lost on its way."""

    DROP = "drop"  # the connection ends, and nothing was done
    DROP_WHEN_DONE = "drop when done"  # it was done, and nobody hears of it
    HANG = "hang"  # no answer while the context lasts


Fault = Refusal | Refused | Wire


@dataclass
class Plan:
    """The next `left` calls of this action meet the fault; `is_spot` narrows RunInstances to one of its markets."""

    fault: Fault
    action: str
    left: int
    is_spot: bool | None = None


def write_refusal(service: str, refused: Refused) -> tuple[bytes, str]:
    """The body of a refusal and its type, as that service of AWS writes it."""
    code, words = escape(refused.code), escape(refused.words)
    if service in {"ssm", "servicequotas", "pricing"}:
        return json.dumps({"__type": refused.code, "message": refused.words}).encode(), "application/x-amz-json-1.1"
    if service == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{words}</Message></Error></Errors>"
            f"<RequestID>{REQUEST_ID}</RequestID></Response>"
        )
    elif service == "s3":
        body = f"<Error><Code>{code}</Code><Message>{words}</Message><RequestId>{REQUEST_ID}</RequestId></Error>"
    else:
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error>"
            f"<RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
        )
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body.encode(), "text/xml;charset=UTF-8"
