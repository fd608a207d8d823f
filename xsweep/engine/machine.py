"""What `xsweep doctor` asks of this machine and of a cluster: each question is one check, answered in one line."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from xsweep.spec.sweep import Layouts

GIGA = 10**9
MEMORY_FLOOR = 4 * GIGA
"""Bytes of free memory below which one worker with a base-size model may not fit."""
DISK_FLOOR, DISK_LEAST = 10 * GIGA, GIGA
"""Free bytes below which a store is short of room, and below which nothing should be started."""
SHARED_FLOOR = 256 * 2**20
"""Bytes of /dev/shm that Ray's object store wants; with less it uses the disk, slowly."""
PATIENCE = 3.0
"""Seconds that a cluster's port has to take a connection."""


@dataclass(frozen=True)
class Check:
    """One answer: what was asked, how it stands, and what there is or what to do."""

    name: str
    state: Literal["ok", "warn", "fail"]
    said: str


def check_versions(installed: Callable[[str], str] = version, wanted: Iterable[str] | None = None) -> Check:
    """Whether the packages are those that xsweep declares."""
    declared = requires("xsweep-scaling") if wanted is None else wanted
    found, wrong = {}, []
    for text in declared or ():
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found[need.name] = installed(need.name)
        except PackageNotFoundError:
            wrong.append(f"{need.name} is missing")
            continue
        if not need.specifier.contains(found[need.name], prereleases=True):
            wrong.append(f"{need.name} {found[need.name]} is not {need.specifier}")
    if wrong:
        return Check(
            "versions", "fail", f"{'; '.join(wrong)}: install xsweep-scaling anew, in an environment of its own"
        )
    told = [f"{name} {found[name]}" for name in ("ray", "torch", "transformers", "optuna", "mlflow") if name in found]
    return Check("versions", "ok", ", ".join(told))


def check_cores(cores: int, layout: Layouts | None, local: bool) -> Check:
    """Whether this machine has the cores of one worker group."""
    wanted = layout.cpus * (layout.workers or 1) if layout else 1
    if local and wanted > cores:
        said = f"{cores}, but a group of workers takes {wanted}: lower layout.workers or layout.cpus, or use --address"
        return Check("cores", "fail", said)
    return Check("cores", "ok", str(cores))


def check_memory(available: int, total: int) -> Check:
    """Whether there is memory for one worker."""
    said = f"{available / GIGA:.1f} GB free of {total / GIGA:.1f} GB"
    if available < MEMORY_FLOOR:
        return Check("memory", "warn", f"{said}: a worker with a base-size model may not fit; close other programs")
    return Check("memory", "ok", said)


def check_shared_memory(free: int | None) -> Check:
    """Whether Ray finds its shared memory."""
    if free is None:
        return Check("shared memory", "warn", "no /dev/shm: Ray uses the disk instead, slowly")
    said = f"{free / GIGA:.2g} GB free in /dev/shm"
    if free < SHARED_FLOOR:
        return Check("shared memory", "warn", f"{said}: Ray uses the disk instead; give a container --shm-size=1g")
    return Check("shared memory", "ok", said)


def check_disk(folder: Path, free: int) -> Check:
    """Whether the store has room."""
    said = f"{free / GIGA:.1f} GB free at {folder}"
    if free < DISK_LEAST:
        return Check("disk", "fail", f"{said}: free some, `xsweep gc SWEEP` removes weights that are not needed")
    if free < DISK_FLOOR:
        return Check("disk", "warn", f"{said}: may not last; `xsweep gc SWEEP` removes weights that are not needed")
    return Check("disk", "ok", said)


def check_gpus(names: list[str], layout: Layouts | None, local: bool) -> Check:
    """Whether this machine has the GPUs that the sweep asks for."""
    said = f"{len(names)} x {names[0]}" if names else "none"
    if local and layout is not None and layout.gpus and not names:
        return Check("GPUs", "fail", "none, but the sweep's layout asks for some: use --address, or set layout.gpus: 0")
    return Check("GPUs", "ok", said)


def gpus() -> list[str]:
    """Names of this machine's GPUs."""
    import torch

    return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]


def check_token(address: str | None, environment: Mapping[str, str], home: Path) -> Check:
    """Whether the cluster is asked with a token that nobody else on this machine can read."""
    if address in (None, "local"):
        return Check("token", "ok", "made for each run, in memory alone")
    if environment.get("RAY_AUTH_MODE") != "token":
        return Check(
            "token", "fail", "whoever reaches the cluster runs code on it: set RAY_AUTH_MODE=token there and here"
        )
    if environment.get("RAY_AUTH_TOKEN"):
        return Check("token", "ok", "from RAY_AUTH_TOKEN")
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or home / ".ray" / "auth_token")
    if not path.is_file():
        return Check("token", "fail", f"{path}: no such file; put the cluster's token there, or into RAY_AUTH_TOKEN")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Check("token", "fail", f"{path}: mode {mode:04o}, so others can read it: chmod 600 {path}")
    return Check("token", "ok", str(path))


def check_cluster(address: str | None) -> Check:
    """Whether something listens at the cluster's address."""
    if address in (None, "local"):
        return Check("cluster", "ok", "a private one on this machine, for each run")
    found = re.fullmatch(r"(?:[a-z]+://)?(\[[^\]]+\]|[^:/]+):(\d+)/?", address or "")
    if address == "auto":
        return Check("cluster", "warn", "auto: whatever runs on this machine; name it as HOST:PORT to be sure")
    if found is None:
        return Check("cluster", "fail", f"{address}: no address; a cluster's is HOST:PORT")
    try:
        socket.create_connection((found[1].strip("[]"), int(found[2])), timeout=PATIENCE).close()
    except (OSError, OverflowError) as error:
        return Check("cluster", "fail", f"{address} does not answer ({error}): is it up, and the port open to here?")
    return Check("cluster", "ok", f"{address} answers")


def machine(folder: Path, layout: Layouts | None, address: str | None) -> list[Check]:
    """Every check of this machine and of the cluster at ``address``; ``folder`` is where the store is, or will be."""
    import psutil

    memory, local = psutil.virtual_memory(), address in (None, "local")
    shared = Path("/dev/shm")
    return [
        check_versions(),
        check_cores(os.cpu_count() or 1, layout, local),
        check_memory(memory.available, memory.total),
        check_shared_memory(shutil.disk_usage(shared).free if shared.is_dir() else None),
        check_gpus(gpus(), layout, local),
        check_disk(folder, shutil.disk_usage(folder).free),
        check_cluster(address),
        check_token(address, os.environ, Path.home()),
    ]
