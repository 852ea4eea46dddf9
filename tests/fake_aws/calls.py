"""What was asked of AWS: one request, told in the words of AWS's own documents."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

FORM = "application/x-www-form-urlencoded"
OF_BUCKETS = {
    "policy": "BucketPolicy",
    "encryption": "BucketEncryption",
    "publicAccessBlock": "PublicAccessBlock",
    "lifecycle": "BucketLifecycleConfiguration",
}
VERBS = {"GET": "Get", "PUT": "Put", "DELETE": "Delete", "HEAD": "Head", "POST": "Post"}
SCOPE = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


class Call(NamedTuple):
    """One request as it arrived. `key_id` says with whose key it was signed."""

    at: float
    service: str
    region: str
    action: str  # RunInstances, PutObject ...
    parameters: Mapping[str, str]  # of the form or the query; of S3 the bucket and the key, too
    key_id: str

    @property
    def is_spot(self) -> bool:
        return self.parameters.get("InstanceMarketOptions.MarketType") == "spot"

    def all_of(self, name: str) -> list[str]:
        """The values of a list, e.g. InstanceId.1, InstanceId.2."""
        return [value for key, value in self.parameters.items() if re.fullmatch(rf"{name}\.\d+", key)]


def read_call(environ: dict[str, Any]) -> Call:  # Any: as WSGI has it
    """Reads what the request is, and leaves its body as it was."""
    found = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    key_id, region, service = found.groups() if found else ("", "", "")
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    if service == "s3":
        action, parameters = _read_s3(environ["REQUEST_METHOD"], environ["PATH_INFO"], query)
    elif target := environ.get("HTTP_X_AMZ_TARGET", ""):
        action, parameters = target.partition(".")[2], {"body": read_body(environ).decode()}
    elif environ.get("CONTENT_TYPE", "").startswith(FORM):
        parameters = dict(parse_qsl(read_body(environ).decode(), keep_blank_values=True))
        action = parameters.get("Action", "")
    else:
        action, parameters = query.get("Action", environ["REQUEST_METHOD"]), query
    return Call(time.monotonic(), service, region, action, parameters, key_id)


def read_body(environ: dict[str, Any]) -> bytes:  # Any: as WSGI has it
    """The body, which is there to be read again."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    write_body(environ, body)
    return body


def write_body(environ: dict[str, Any], body: bytes) -> None:  # Any: as WSGI has it
    """Puts a body in the place of what was sent."""
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


def _read_s3(method: str, path: str, query: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    bucket, _, key = path.lstrip("/").partition("/")
    parameters = {**query, "Bucket": bucket, "Key": key}
    verb = VERBS.get(method, method)
    if part := next((OF_BUCKETS[name] for name in query if name in OF_BUCKETS), None):
        return f"{verb}{part}", parameters
    if not bucket:
        return "ListBuckets", parameters
    if not key:
        whole = {"GET": "ListObjectsV2", "PUT": "CreateBucket", "POST": "DeleteObjects"}
        return whole.get(method, f"{verb}Bucket"), parameters
    return f"{verb}Object", parameters
