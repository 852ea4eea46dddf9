"""Files in a folder of this machine: each takes its name in one step, when it is safely on disk.

    FOLDER/.lock              who is alone holds it; the lock ends with the process
    FOLDER/.NAME.XXXX.new     half written; locked by its writer, so that what a killed one left is known and swept

Readers never wait and never see half a file. Pointers are symbolic links to a file beside them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import BinaryIO, Final

from core.errors import Code, CrpbotError
from core.files import LOCK, NEW, check_name

LOOK_SECONDS: Final = 1.0  # a look at a folder costs microseconds


class FolderFiles:
    """A folder as `core.files.Files`. It is made by the first who writes."""

    look_seconds = LOOK_SECONDS

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def url(self) -> str:
        return str(self.root)

    def stamps(self, under: str = "", *, deep: bool = True) -> dict[str, str]:
        """Inode and time of each: whatever replaces a file is another inode."""
        begin = under.rpartition("/")[0]
        try:
            return dict(sorted((name, stamp) for name, stamp in self._walk(begin, deep) if name.startswith(under)))
        except OSError as error:
            detail = f"what lies in {self.root} cannot be read ({error.strerror}); remedy: the rights of the folder"
            raise CrpbotError(Code.UNAVAILABLE, detail, reason="STORE_UNREADABLE") from error

    def changed(self, name: str) -> datetime | None:
        """By the disk's clock; of the folder itself, when a name in it was last made or taken away."""
        try:
            status = self._path(name).lstat() if name else self.root.lstat()
        except OSError:
            return None
        return datetime.fromtimestamp(status.st_mtime, UTC)

    def read(self, name: str, *, most: int) -> bytes:
        """A plain file: no pipe that never ends, no other file behind a link."""
        try:
            with _open(self._path(name)) as file:
                if not S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise fault(name, "is no plain file")
                content: bytes = file.read(most + 1)
        except OSError as error:
            raise _unreadable(name, error) from None
        if len(content) > most:
            raise fault(name, f"has more than {most:,} bytes")
        return content

    def write(self, name: str, content: bytes) -> None:
        """By way of a file beside it, which takes the name."""
        path = self._path(name)
        with explained(path), _draft(path, content) as draft:
            draft.replace(path)
            _sync(path.parent)

    def create(self, name: str, content: bytes) -> bool:
        """By way of a second name of a file that is whole: a name that is taken is not given twice."""
        path = self._path(name)
        with explained(path), _draft(path, content) as draft:
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                return False
            _sync(path.parent)
        return True

    def remove(self, name: str) -> None:
        path = self._path(name)
        with explained(path), suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()
            _sync(path.parent)

    def point(self, name: str, target: str) -> None:
        """A symbolic link, in one step."""
        path = self._path(name)
        with explained(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            while True:
                draft = _draft_of(path)
                draft.symlink_to(target)
                with suppress(FileNotFoundError):  # swept by one who took us for dead: a link holds no lock
                    draft.replace(path)
                    _sync(path.parent)
                    return

    def target(self, name: str) -> str:
        try:
            return str(self._path(name).readlink())
        except FileNotFoundError as error:
            raise _unreadable(name, error) from None
        except OSError as error:
            raise fault(name, f"is no link ({error.strerror})") from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The lock ends with the process. Sweeps what killed writers left half written."""
        with explained(self.root):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.root / LOCK).open("a")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for rest in self.root.glob(f".*{NEW}"):
                _sweep(rest)
            yield

    def _path(self, name: str) -> Path:
        return self.root / check_name(name)

    def _walk(self, folder: str, deep: bool) -> Iterator[tuple[str, str]]:
        try:
            found = list(os.scandir(self.root / folder))
        except FileNotFoundError:
            return
        except NotADirectoryError:
            if not folder:
                raise
            return
        for each in found:
            name = f"{folder}/{each.name}" if folder else each.name
            if each.is_dir(follow_symlinks=False):
                if deep:
                    yield from self._walk(name, deep)
            elif each.name != LOCK and not (each.name.startswith(".") and each.name.endswith(NEW)):
                with suppress(FileNotFoundError):  # taken away since the names were read
                    status = each.stat(follow_symlinks=False)
                    yield name, f"{status.st_ino}-{status.st_mtime_ns}"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """A disk that is full or not ours, in words; what was there before is unchanged."""
    try:
        yield
    except OSError as error:
        raise CrpbotError(
            Code.UNAVAILABLE,
            f"{path} cannot be written ({error.strerror}); what was there is unchanged; remedy: free space or rights, "
            "then the same command again",
            reason="STORE_UNWRITABLE",
        ) from error


def _open(path: Path) -> BinaryIO:
    """Neither through a link nor waiting for the other end of a pipe."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK))


def fault(name: str, why: str) -> CrpbotError:
    """A file that cannot be used, by its name without the folders."""
    return CrpbotError(Code.FAILED_PRECONDITION, f"{name.rpartition('/')[2]} {why}", reason="BAD_FILE")


def _unreadable(name: str, error: OSError) -> CrpbotError:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return CrpbotError(Code.NOT_FOUND, f"{name.rpartition('/')[2]} is missing", reason="NO_SUCH_FILE")
    return fault(name, f"cannot be read ({error.strerror})")


@contextmanager
def _draft(path: Path, content: bytes) -> Iterator[Path]:
    """The content beside its place, safely on disk, and locked for as long as we live."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = _draft_of(path)
    try:
        with draft.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not os.fstat(file.fileno()).st_nlink:  # swept between the two lines above, by one who took us for dead
                with _draft(path, content) as other:
                    yield other
                return
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            yield draft
    finally:
        draft.unlink(missing_ok=True)


def _draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{NEW}")


def _sweep(rest: Path) -> None:
    """Takes away what nobody writes any more: its lock ended with its writer."""
    with suppress(OSError):
        if not S_ISLNK(rest.lstat().st_mode):
            with _open(rest) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        rest.unlink()


def _sync(folder: Path) -> None:
    """The new name too is on disk."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
