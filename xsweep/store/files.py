"""Files of this machine that must be whole or absent: a temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from xsweep.errors import EnvironmentProblem, StoreFull
from xsweep.store.failpoint import reach

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def default_cache() -> Path:
    """``$XSWEEP_CACHE``, or ``xsweep`` in the user's cache folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("XSWEEP_CACHE") or base / "xsweep")


def slug(name: str) -> str:
    """``name`` itself when it is safe as one path part; raises ``ValueError`` otherwise."""
    if not _SLUG.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a file: letters, digits, dot, dash and underscore only")
    return name


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn what the file system says (full, read-only, gone) into one plain line naming the path."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(f"{where}: no space left; free some and run the same command again") from error
        raise EnvironmentProblem(f"{where}: {error.strerror or error}") from error


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` so that a reader, or a reader after a crash, sees the old file or the new one, never a part.

    Raises ``StoreFull`` or another ``EnvironmentProblem``.
    """
    with guarded(path):
        _write_atomic(path, data)


def _write_atomic(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not `tempfile`, whose files are for their owner alone: results are shared by a team.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with temporary.open("xb") as handle:
        try:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
            reach("file.before_rename")
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    reach("file.after_rename")
    sync_folder(path.parent)


def drop_temporaries(path: Path) -> None:
    """Remove what writers of ``path`` that were killed have left; nobody else may be writing it."""
    with guarded(path):
        for left in path.parent.glob(f".{path.name}.*"):
            left.unlink(missing_ok=True)


def move(source: Path, target: Path) -> str:
    """Move a finished file into place on the same file system; the caller syncs the target's folder.

    Returns its hex SHA-256, read while the disk writes.
    """
    with source.open("rb") as handle, ThreadPoolExecutor(1) as beside:
        durable = beside.submit(os.fsync, handle.fileno())
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
        durable.result()
    reach("move.before_rename")
    os.replace(source, target)
    reach("move.after_rename")
    return digest


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> int:
    """Remove ``folder`` with all that it holds; returns the bytes of its files, 0 when it was not there."""
    if not folder.is_dir():
        return 0
    freed = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
    shutil.rmtree(folder)
    return freed


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sha256_once(path: Path) -> str:
    """The same, read once per process while the file's size, time and inode stay as they are."""
    state = path.stat()
    return _remembered(path, state.st_size, state.st_mtime_ns, state.st_ino)


def intact(path: Path, entry: Mapping[str, Any]) -> bool:
    """Whether a file has the ``bytes`` and the ``sha256`` that its manifest says; the digest is read once."""
    return path.is_file() and path.stat().st_size == entry["bytes"] and sha256_once(path) == entry["sha256"]


@lru_cache(maxsize=4096)
def _remembered(path: Path, size: int, mtime_ns: int, inode: int) -> str:
    return sha256(path)
