"""A training cluster from the laptop's side: its description, its account, its bucket, its beginning and its end."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import typer

from cli.cluster.guard import Guard
from cli.cluster.options import AwsOptions
from cli.cluster.progress import say
from core.adapters.files.places import open_files
from core.bucket_address import is_bucket
from core.errors import Code, CrpbotError
from core.files import Files
from training.cluster.boot import LAUNCH_TAG
from training.cluster.cloud import Cloud
from training.cluster.launcher import Left, default_url, end, end_boot, launch, look
from training.cluster.mail import Boot
from training.cluster.patience import Outage, persist
from training.cluster.post import ends_by_itself
from training.cluster.sight import Instance, Sight, find_instances
from training.cluster.terms import Cluster, Limits, read_cluster

ENDING: Final = "the cluster is being ended, which takes a minute or two; please wait, else it goes on costing"

Answer = TypeVar("Answer")


class Patience(NamedTuple):
    """How long an ending is tried again without a connection: then the cluster's own limits have to do it."""

    seconds: float = 300.0
    pause: float = 10.0


PATIENCE: Final = Patience()


@dataclass(frozen=True)
class Site:
    """A cluster's description, the account that it is in, and the place of its files."""

    cluster: Cluster
    cloud: Cloud
    bucket: str | None
    patience: Patience = PATIENCE

    @cached_property
    def url(self) -> str:
        """Where laptop and cluster meet. Without a bucket of one's own the account is asked for its number."""
        if self.bucket is None:
            return default_url(self.cloud)
        return self.bucket if is_bucket(self.bucket) else str(Path(self.bucket).absolute())  # jobs run elsewhere

    def tell(self) -> None:
        """Says where it is. Missing credentials are told by that, before anything takes time."""
        say(f"account {self.cloud.account}, files in {self.url}" if is_bucket(self.url) else f"files in {self.url}")

    @cached_property
    def files(self) -> Files:
        return open_files(self.url)

    def look(self) -> Sight:
        return look(self.cluster, self.cloud, self.files)

    def head(self, boot: Boot) -> Instance | None:
        """The head of that launch, while it runs."""
        machines = find_instances(self.cloud.in_region(boot.region), LAUNCH_TAG, boot.launch)
        return next((each for each in machines if each.is_head and each.is_up), None)

    def running(self) -> Boot | None:
        """The launch that is up now."""
        sight = self.look()
        up = {each.launch for each in sight.instances if each.is_head and each.is_up}
        return sight.boot if sight.boot is not None and sight.boot.launch in up else None


def open_site(options: AwsOptions) -> Site:
    """Reads the file; nobody is asked yet."""
    cluster = read_cluster(options.file)
    if options.region is not None:
        cluster = _elsewhere(cluster, options.region)
    return Site(cluster, Cloud(cluster.region), options.bucket)


def limits_of(options: AwsOptions) -> Limits:
    return Limits(options.hours, options.dollars, options.idle_minutes)


def agree(options: AwsOptions, question: str) -> None:
    """Nothing that costs is begun without a yes."""
    if options.yes:
        return
    check_asked(options)
    if not typer.confirm(question, default=False, err=True):
        raise CrpbotError(
            Code.FAILED_PRECONDITION, "nothing was launched: the cost was not agreed to", reason="NOT_AGREED"
        )


def check_asked(options: AwsOptions) -> None:
    """Refuse early where nobody could be asked."""
    if not options.yes and not sys.stdin.isatty():
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            "a cluster on AWS costs money and there is no terminal to ask on; remedy: see `crpbot cluster cost`, then "
            "agree with --yes",
            reason="NOBODY_TO_ASK",
        )


def begin(site: Site, limits: Limits, guard: Guard, *, packed: tuple[bytes, str] | None = None) -> Boot:
    """A launch whose name is known before any signal is followed. `packed`: the code that its job was made of."""
    boots: list[Boot] = []

    def tell(words: str) -> None:
        say(words)
        guard.check()  # the launcher ends what it began on any exception

    try:
        with guard.holding():
            boots.append(launch(site.cluster, limits, site.cloud, site.files, tell, packed=packed))
    except SystemExit:
        if boots:
            with guard.ending(ENDING, lambda: finish(site, boots[0])):
                raise
        raise
    return boots[0]


@contextmanager
def ended_unless_kept(
    site: Site, boot: Boot, guard: Guard, *, others: Callable[[], Sequence[str]] = tuple
) -> Iterator[Callable[[], None]]:
    """Ends the cluster whatever happens inside, unless what it gives was called before, or others' jobs are on it."""
    kept: list[bool] = []

    def keep() -> None:
        kept.append(True)

    def finish_now() -> None:
        if kept:
            return
        if names := _persist(site, boot, others):
            works = f"cluster {boot.cluster} is kept: it works on {', '.join(names)} too"
            say(f"{works}; {ends_by_itself(boot)}; `crpbot cluster down` ends it now")
            return
        say("ending the cluster")
        finish(site, boot)

    with guard.ending(ENDING, finish_now):
        try:
            yield keep
        except CrpbotError as error:
            say(f"stopped: {error.detail}")  # the ending may have errors of its own
            raise


def finish(site: Site, boot: Boot | None = None) -> Left:
    """Ends everything of that launch, without one all of the cluster, and shows that nothing of it is left.

    Patient with a lost connection.
    """
    if boot is None:
        return _persist(site, None, lambda: end(site.cluster, site.cloud, site.files, say))
    return _persist(site, boot, lambda: end_boot(boot, site.cloud, site.files, say))


def _persist(site: Site, boot: Boot | None, ask: Callable[[], Answer]) -> Answer:
    def tell(why: str) -> None:
        say(f"trying again to end the cluster: {why}")

    try:
        return persist(ask, Outage(site.patience.seconds), tell, lambda: time.sleep(site.patience.pause))
    except CrpbotError as error:
        raise _not_sure(error, boot) from error


def _elsewhere(cluster: Cluster, region: str) -> Cluster:
    """The same cluster in another region: its zones by the same letters, those that exist there."""
    zones = tuple(zone.replace(cluster.region, region, 1) for zone in cluster.zones)
    content = copy.deepcopy(cluster.content)
    content["provider"] |= {"region": region, "availability_zone": ",".join(zones)}
    return replace(cluster, region=region, zones=zones, content=content)


def _not_sure(error: CrpbotError, boot: Boot | None) -> CrpbotError:
    later = "" if boot is None else f"; if nothing is done, {ends_by_itself(boot)}"
    return CrpbotError(
        error.code,
        f"it is not sure that nothing of the cluster is left: {error.detail}; remedy: run `crpbot cluster down` as "
        f"soon as AWS answers{later}",
        reason="MAY_BE_LEFT",
    )
