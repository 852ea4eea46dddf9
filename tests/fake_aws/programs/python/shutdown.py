"""The `shutdown` program: writes down when the machine is to be switched off; whoever holds the machine does it.

A minute lasts FAKE_MINUTE_SECONDS. A later call takes the place of an earlier one, as systemd has it.
"""

import os
import sys
import time
from pathlib import Path


def main() -> int:
    asked = Path(os.environ["FAKE_ROOT"]) / "power-off"
    words = sys.argv[1:]
    if "-c" in words:
        asked.unlink(missing_ok=True)
        return 0
    when = next((word for word in words if not word.startswith("-")), "+1")
    if when != "now" and not when.lstrip("+").isdigit():
        sys.stderr.write(f"Failed to parse time specification: {when}\n")
        return 1
    minutes = 0 if when == "now" else int(when.lstrip("+"))
    at = time.time() + minutes * float(os.environ["FAKE_MINUTE_SECONDS"])
    fresh = asked.with_suffix(".new")
    fresh.write_text(str(at))
    fresh.replace(asked)  # in one step: it may be read at any moment
    return 0


if __name__ == "__main__":
    sys.exit(main())
