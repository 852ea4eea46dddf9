"""The `systemd-run` program: a service in the background that is started again as its properties say.

As with systemd, the service has the environment of the machine and not of the shell that asked for it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

WITH_VALUE = {"--unit", "-u", "--property", "-p", "--setenv", "-E", "--description", "--working-directory", "--slice"}
BURST, BURST_SECONDS = 5, 10.0  # systemd's own: so many starts within so long, and it gives up


def main() -> int:
    unit, properties, told, command = _read(sys.argv[1:])
    machine = json.loads((Path(os.environ["FAKE_ROOT"]) / "environment.json").read_text())
    environment = {**machine, **{name: value for name, _, value in (each.partition("=") for each in told)}}
    if os.fork():
        return 0
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    log = (Path(machine["FAKE_ROOT"]) / f"{unit}.log").open("ab")
    for number in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDONLY) if number == 0 else log.fileno(), number)
    _keep(command, environment, properties)
    os._exit(0)


def _keep(command: list[str], environment: dict[str, str], properties: dict[str, str]) -> None:
    """Starts it, and again as `Restart=` wants."""
    again, pause = properties.get("Restart", "no"), _seconds(properties.get("RestartSec", "0.1"))
    burst = int(properties.get("StartLimitBurst", BURST))
    within = _seconds(properties.get("StartLimitIntervalSec", str(BURST_SECONDS)))
    starts: list[float] = []
    while True:
        starts = [at for at in starts if time.monotonic() - at < within] + [time.monotonic()]
        if within and len(starts) > burst:
            os.write(1, b"start request repeated too quickly\n")
            if properties.get("StartLimitAction", "none").startswith("poweroff"):
                subprocess.call(["shutdown", "-P", "now"], env=environment)
            return
        folder = properties.get("WorkingDirectory", environment["FAKE_ROOT"])
        status = subprocess.call(command, env=environment, cwd=folder)
        os.write(1, f"the service ended with status {status}\n".encode())
        if again == "no" or (again == "on-failure" and status == 0):
            return
        time.sleep(pause)


def _read(words: list[str]) -> tuple[str, dict[str, str], list[str], list[str]]:
    """Its name, its properties, what it is told by its environment, and the command."""
    unit = f"run-{os.getpid()}"
    properties: dict[str, str] = {}
    told: list[str] = []
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word == "--":
            break
        name, has_value, value = word.partition("=")
        if name in WITH_VALUE and not has_value:
            value = words.pop(0)
        if name in {"--unit", "-u"}:
            unit = value.removesuffix(".service")
        elif name in {"--property", "-p"}:
            key, _, rest = value.partition("=")
            properties[key] = rest
        elif name in {"--setenv", "-E"}:
            told.append(value if "=" in value else f"{value}={os.environ.get(value, '')}")
        elif name == "--working-directory":
            properties["WorkingDirectory"] = value
    told += properties.pop("Environment", "").split()
    return unit, properties, told, words


def _seconds(text: str) -> float:
    if text == "infinity":
        return float("inf")
    if text.endswith("min"):
        return 60.0 * float(text[:-3])
    return float(text.removesuffix("s"))


if __name__ == "__main__":
    sys.exit(main())
