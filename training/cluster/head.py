"""The head of a training cluster: starts Ray, runs the jobs that lie in the bucket, and ends itself when it idles.

`python -m training.cluster.head`, with CRPBOT_BOOT naming what the launch is. Three loops, so that neither a bucket nor
a Ray that hangs holds up the others: one asks Ray, one reads and writes the bucket, and the main one watches both and
ends the machine. A crash of this program leaves Ray and its jobs running; whoever restarts it finds them again.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from core.adapters.files.places import open_files
from core.errors import CrpbotError
from training.cluster.cloud import Cloud
from training.cluster.crew import end_crew
from training.cluster.fallback import lowered, reordered, tell
from training.cluster.head_mail import HeadMail, Sight
from training.cluster.inbox import JobsApi
from training.cluster.machine import Launch, StartLimit, end_machine, machine_folder, open_launch, steady, write_whole
from training.cluster.mail import cluster_key
from training.cluster.metadata import Metadata
from training.cluster.pace import Pace, read_pace
from training.cluster.ray_machines import Gcs, Refusal, launch_problems, ray_errors, read_refusals
from training.cluster.ray_node import RayNode, resource_arguments
from training.cluster.watchdog import Rules, Seen, Watch, look

ENOUGH_LOOKS: Final = 6  # an answer of Ray's that is older than so many looks is none
LOG: Final = logging.getLogger("crpbot.head")


class Head:
    """One life of the program."""

    def __init__(self, launch: Launch, pace: Pace, *, instance: str, host: str) -> None:
        self._launch, self._pace, self._instance, self._host = launch, pace, instance, host
        self._ray = RayNode(launch.folder, os.environ)
        ports = self._ray.ports()
        self._address = f"{host}:{ports.gcs}"
        self._jobs = JobsApi(ports.dashboard, self._ray.token_file)
        self._gcs = Gcs(self._address, self._ray.token_file)
        self._cloud = Cloud(launch.boot.region)
        self._mail = HeadMail(launch.files, launch.boot, self._jobs, self._ray.logs, patience=pace.start)
        self._scaling = launch.folder / "scaling.json"  # what Ray reads at each of its looks
        self._sight: Sight | None = None
        self._has_told_most = False
        self._is_over = threading.Event()

    def start(self) -> None:
        """Starts Ray, where no earlier life of the program has. Nothing is asked of the bucket the second time."""
        node, boot = self._ray, self._launch.boot
        if not node.token_file.exists():
            node.keep_token(secrets.token_hex(32))
        config = json.loads(self._launch.keep("autoscaler.json").read_text())
        if not self._scaling.exists():
            write_whole(self._scaling, json.dumps(config).encode())
        ports = node.ports()
        arguments = [
            "--head",
            f"--node-ip-address={self._host}",
            f"--port={ports.gcs}",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={ports.dashboard}",
            f"--temp-dir={node.logs.parent.parent}",
            f"--autoscaling-config={self._scaling}",
            "--disable-usage-stats",
            *resource_arguments(config, boot.head_type),
        ]
        # by these two the autoscaler knows that this machine of EC2's and this node of Ray's are one
        node.start(arguments, {"RAY_CLOUD_INSTANCE_ID": self._instance, "RAY_NODE_TYPE_NAME": boot.head_type})

    def run(self) -> None:
        """Until the machine ends, or asks us to."""
        threads = [
            threading.Thread(target=self._repeat, args=(self._ask_ray,), name="ray", daemon=True),
            threading.Thread(target=self._repeat, args=(self._post,), name="mail", daemon=True),
        ]
        for thread in threads:
            thread.start()
        boot = self._launch.boot
        rules = Rules(boot.idle_minutes * 60.0, boot.ends_at, self._launch.ends_at_steady(), self._pace.start)
        watch = self._read_watch()
        while not self._is_over.wait(self._pace.look):
            watch, ending = look(watch, self._seen(), rules)
            write_whole(self._launch.folder / "watch.json", json.dumps(watch._asdict()).encode())
            self._mail.idle_for = None if watch.idle_since is None else steady() - watch.idle_since
            if self._ray.has_ended():
                ending = f"Ray ended: {self._ray.last_words()}"
            if ending:
                self._end_machine(ending)
            elif not all(thread.is_alive() for thread in threads):
                # what nobody foresaw: a new life of the program may do better, and its watch goes on where this one is
                raise SystemExit("a loop of the head has ended; its error stands above")
        self._ray.stop()

    def stop(self) -> None:
        """Ends the run, and Ray with it: the machine ends."""
        self._is_over.set()

    def _seen(self) -> Seen:
        sight, now = self._sight, steady()
        if sight is None or now - sight.steady > ENOUGH_LOOKS * self._pace.look + self._pace.last_words:
            return Seen(time.time(), now, None, 0)
        jobs = self._mail.waiting + sum(not each.state.is_over for each in sight.tries)
        return Seen(
            time.time(),
            now,
            jobs,
            sum(sight.workers.values()),
            failed_boots=self._mail.failed_boots,
            boot_words=self._mail.boot_words,
            refusal=sight.problems[-1] if sight.problems else "",
        )

    def _ask_ray(self) -> None:
        began = steady()
        refusals = read_refusals(self._ray.logs / "monitor.log")
        fallback = self._fall_back(refusals)  # first, so that it happens though Ray may not answer
        if not self._has_told_most:
            self._gcs.tell_most(json.loads(self._launch.keep("autoscaler.json").read_text()))
            self._has_told_most = True
        tries = self._jobs.tries()
        workers = self._gcs.machines(own=self._instance).workers
        self._sight = Sight(began, tries, workers, launch_problems(refusals), fallback)

    def _fall_back(self, refusals: Sequence[Refusal]) -> tuple[str, ...]:
        """Tells Ray which machines to ask for first; in words, where these are not those of the cluster's file."""
        config = json.loads(self._launch.keep("autoscaler.json").read_text())
        low = lowered(config, refusals, now=time.time())
        content = json.dumps(reordered(config, low)).encode()
        if content != self._scaling.read_bytes():
            write_whole(self._scaling, content)
            LOG.warning("; ".join(tell(low)) or "spot machines are asked for first again")
        return tell(low)

    def _post(self) -> None:
        """What workers need lies there before anything else, and nowhere but in the bucket of this account."""
        self._mail.publish("token", self._ray.token_file.read_bytes())
        where = {"address": self._address, "instance": self._instance}
        self._mail.publish("head.json", json.dumps(where).encode())
        self._mail.post(self._sight)

    def _repeat(self, step: Callable[[], None]) -> None:
        expected: tuple[type[Exception], ...] = (CrpbotError, *ray_errors())
        said = ""
        while not self._is_over.wait(self._pace.look):
            words = ""
            try:
                step()
            except expected as error:  # it does not answer now; the watchdog knows what that means
                words = f"{threading.current_thread().name}: {error}"
            if words and words != said:
                LOG.warning(words)
            said = words

    def _end_machine(self, why: str) -> None:
        """Says why, ends the other machines, as far as bucket and AWS can be reached, and then this one in any case;
        where that fails, again at the next look."""
        if not self._mail.ending:
            LOG.warning("the machine ends: %s", why)
            self._mail.ending = why
        for step, seconds in ((self._say_last, self._pace.last_words), (self._end_others, self._pace.others)):
            last = threading.Thread(target=step, name=step.__name__, daemon=True)
            last.start()
            last.join(seconds)
        end_machine()

    def _say_last(self) -> None:
        boot, files = self._launch.boot, self._launch.files
        try:
            self._mail.post(self._sight)
            files.remove(cluster_key(boot.cluster, boot.launch, "token"))
        except CrpbotError as error:
            LOG.warning("the bucket does not know why: %s", error)

    def _end_others(self) -> None:
        """Ray first: its autoscaler would begin other machines in the place of those that end."""
        self._ray.stop()
        try:
            end_crew(self._cloud, self._launch.boot.launch, own=self._instance)
        except CrpbotError as error:
            LOG.warning("the other machines are left to their own limits: %s", error)

    def _read_watch(self) -> Watch:
        """How far a life of this program that crashed had counted: else crashes would keep the machine alive."""
        try:
            return Watch(**json.loads((self._launch.folder / "watch.json").read_text()))
        except (OSError, ValueError, TypeError):
            return Watch()


def main() -> int:
    """The program."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stdout)
    pace = read_pace(os.environ)
    # a bucket that is silent before Ray was started would cost the machine until the dead-man comes
    limit = StartLimit(machine_folder("head"), pace.join, end=end_machine, pause=pace.look)
    limit.begin()
    metadata = Metadata()
    instance, host = metadata.instance_id(), metadata.private_address()
    head = Head(open_launch("head", open_files), pace, instance=instance, host=host)
    signal.signal(signal.SIGTERM, lambda *_: head.stop())
    head.start()
    limit.over()
    head.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
