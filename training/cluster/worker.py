"""A worker of a training cluster: joins the head's Ray, leaves in good order when AWS takes it, and ends itself.

`python -m training.cluster.worker`; CRPBOT_BOOT names what the launch is, CRPBOT_NODE_TYPE what the machine is.
Two minutes before a spot machine is taken away it tells Ray so, and the training goes on elsewhere from its checkpoint.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from typing import Final, NamedTuple

from core.adapters.files.places import open_files
from core.errors import Code, CrpbotError
from training.cluster.machine import Launch, StartLimit, end_machine, machine_folder, open_launch, steady
from training.cluster.mail import MOST_TEXT_BYTES, cluster_key
from training.cluster.metadata import Metadata
from training.cluster.pace import Pace, read_pace
from training.cluster.ray_machines import Gcs, ray_errors
from training.cluster.ray_node import RayNode, resource_arguments

CONNECT_SECONDS: Final = 3.0  # within one network of AWS it takes milliseconds
LOG: Final = logging.getLogger("crpbot.worker")


class Where(NamedTuple):
    """Where the head is."""

    host: str
    port: int

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


class Worker:
    """One life of the program."""

    def __init__(self, launch: Launch, pace: Pace, metadata: Metadata) -> None:
        self._launch, self._pace, self._metadata = launch, pace, metadata
        self._instance = metadata.instance_id()
        self._ray = RayNode(launch.folder, os.environ)
        self._is_over = threading.Event()
        self._counted_at = steady()  # when Ray last had this machine among its own
        self._has_joined = self._is_drained = False

    def run(self) -> None:
        """Until the machine ends, or asks us to."""
        ending, gcs, where = self._join()
        while True:
            if not ending and where is not None and gcs is not None:
                ending = self._look(where, gcs)
            if ending:
                LOG.warning("the machine ends: %s", ending)
                end_machine()
            if self._is_over.wait(self._pace.look):
                break
        self._ray.stop()

    def stop(self) -> None:
        """Ends the run, and Ray with it: the machine ends."""
        self._is_over.set()

    def _join(self) -> tuple[str, Gcs | None, Where | None]:
        """Waits for the head, and starts Ray, where no earlier life of the program has; why not, else."""
        deadline = steady() + self._pace.join
        while True:
            try:
                where = Where(*_split(json.loads(self._launch.keep("head.json").read_text())["address"]))
                node_type = os.environ["CRPBOT_NODE_TYPE"]
                config = json.loads(self._launch.keep("autoscaler.json").read_text())
                if not self._ray.token_file.exists():
                    self._ray.keep_token(self._read_token())
                break
            except CrpbotError as error:
                if error.code not in {Code.NOT_FOUND, Code.UNAVAILABLE}:
                    raise
                ending = self._lifetime() or (f"no head: {error}" if steady() >= deadline else "")
                if ending or self._is_over.wait(self._pace.look):
                    return ending, None, None
        arguments = [
            f"--address={where.address}",
            f"--node-ip-address={self._metadata.private_address()}",
            *resource_arguments(config, node_type),
        ]
        # by these two the autoscaler knows that this machine of EC2's and this node of Ray's are one
        self._ray.start(arguments, {"RAY_CLOUD_INSTANCE_ID": self._instance, "RAY_NODE_TYPE_NAME": node_type})
        self._counted_at = steady()
        return "", Gcs(where.address, self._ray.token_file), where

    def _read_token(self) -> str:
        boot = self._launch.boot
        return self._launch.files.read(cluster_key(boot.cluster, boot.launch, "token"), most=MOST_TEXT_BYTES).decode()

    def _look(self, where: Where, gcs: Gcs) -> str:
        """Why the machine ends; empty while it works on."""
        self._heed_notice(gcs)
        if self._ray.has_ended():
            return f"Ray ended: {self._ray.last_words()}"
        is_counted = self._is_counted(where, gcs)
        if is_counted:
            self._has_joined, self._counted_at = True, steady()
        elif is_counted is False and self._is_drained and self._has_joined:
            return "its work has left, and AWS takes it"
        patience = self._pace.lost if self._has_joined else self._pace.start
        if steady() - self._counted_at >= patience:
            return f"for {patience:g} seconds the head was not reached, or did not know this machine"
        return self._lifetime()

    def _is_counted(self, where: Where, gcs: Gcs) -> bool | None:
        """Whether the head has this machine among its own (Ray's program may stay though its node has left).

        None where the head is not reached.
        """
        try:
            with socket.create_connection(where, CONNECT_SECONDS):
                pass
            return self._instance in gcs.machines(own="").nodes
        except ray_errors():
            return None

    def _lifetime(self) -> str:
        is_past = time.time() >= self._launch.boot.ends_at or steady() >= self._launch.ends_at_steady()
        return "the lifetime of its launch is over" if is_past else ""

    def _heed_notice(self, gcs: Gcs) -> None:
        """Tells Ray once that AWS takes the machine; until Ray has taken it, again at every look."""
        if self._is_drained:
            return
        expected: tuple[type[Exception], ...] = (CrpbotError, *ray_errors())
        try:
            notice = self._metadata.spot_notice()
            if notice is not None:
                LOG.warning("AWS takes this machine: %s", notice.action)
                self._is_drained = gcs.drain(self._instance, why=f"spot notice: {notice.action}", until=notice.at)
        except expected as error:
            LOG.warning("spot notice: %s", error)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def main() -> int:
    """The program."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stdout)
    pace = read_pace(os.environ)
    limit = StartLimit(machine_folder("worker"), pace.join, end=end_machine, pause=pace.look)
    limit.begin()  # the bucket, or the machine's own data, may be silent before the worker counts its own time
    worker = Worker(open_launch("worker", open_files), pace, Metadata())
    limit.over()
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
