"""The `aws` program of the system, as far as a machine uses it: `aws s3 cp FROM TO`, one file."""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

STANDARD = "-"


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    if words[:2] != ["s3", "cp"] or len(words) != 4:
        sys.stderr.write(f"aws: this stand-in knows `s3 cp FROM TO` alone, not {' '.join(sys.argv[1:])}\n")
        return 252
    source, target = words[2:]
    try:
        if source.startswith("s3://"):
            body = _s3().get_object(**_place(source))["Body"].read()
            _write(target, body)
        else:
            body = sys.stdin.buffer.read() if source == STANDARD else Path(source).read_bytes()
            _s3().put_object(**_place(target), Body=body)
    except (BotoCoreError, ClientError, OSError) as error:
        sys.stderr.write(f"fatal error: {error}\n")
        return 1
    return 0


def _s3() -> Any:  # Any: boto3 makes its clients' classes when it runs
    return boto3.client("s3")


def _place(url: str) -> dict[str, str]:
    where = urlsplit(url)
    return {"Bucket": where.netloc, "Key": where.path.lstrip("/")}


def _write(target: str, body: bytes) -> None:
    if target == STANDARD:
        sys.stdout.buffer.write(body)
        return
    place = Path(target)
    if place.is_dir():
        raise IsADirectoryError(target)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(body)


if __name__ == "__main__":
    sys.exit(main())
