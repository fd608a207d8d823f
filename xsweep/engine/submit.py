"""Submitting a sweep to a cluster as a job: what is sent, and what must hold before anything is."""

from __future__ import annotations

import hashlib
import re
import shlex
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from xsweep.engine.jobs import CONTENT, STORE, SWEEP, Job, JobServer
from xsweep.errors import EnvironmentProblem, UsageError
from xsweep.plan.layout import placement
from xsweep.plan.nodes import room_for
from xsweep.spec.sweep import Gang, Sweep

STOP_SECONDS = 90
"""From the wish to stop to the end by force: a step, a checkpoint, and Ray's own end."""
EXCLUDED = [".git", ".env"]
"""Never packed, beside what .gitignore and .rayignore name."""
_SHOWN = 3
"""Of the largest entries of a folder that is too large."""
_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(r"token|secret|passw|key|signature|credential", re.IGNORECASE)


@dataclass(frozen=True)
class Submission:
    """A sweep as it is handed to a cluster. Places are the cluster's: absolute paths, URIs, or ``$NAME``.

    ``$NAME`` is a variable in the environment of the cluster's nodes: its value is read there, by the job's shell, and
    stands in nothing that Ray keeps or shows of the job. Raises ``UsageError`` for a place that would go with the job,
    and for one that shows a password.
    """

    sweep: str
    file: Path
    """Below ``folder``."""
    folder: Path
    """The working directory, packed and sent."""
    store: str
    tracking: str | None = None
    mirrors: tuple[str, ...] = ()
    wait: float = 300.0
    """Seconds that the run waits for nodes."""

    def __post_init__(self) -> None:
        places = {"--store": (self.store,), "--mirror": self.mirrors}
        for option, given in places.items():
            for place in given:
                if not (place.startswith("/") or "://" in place or _VARIABLE.fullmatch(place)):
                    raise UsageError(
                        f"{option} {place}: a job's folder goes when the job ends; name a folder that every node sees "
                        "by its whole path, s3://BUCKET/FOLDER, or '$NAME' of a variable of the cluster's nodes"
                    )
        for option, given in {**places, "--tracking": (self.tracking,) if self.tracking else ()}.items():
            for place in given:
                if _shows_secret(place):
                    raise UsageError(
                        f"{option}: the address holds a password or key, which everyone who sees the job could read; "
                        f"put it into a variable of the cluster's nodes and give {option} '$NAME'"
                    )
        if not self.file.resolve().is_relative_to(self.folder.resolve()):
            raise UsageError(
                f"{self.file}: not below {self.folder}, which is what is sent; submit from a folder above it"
            )

    @property
    def entrypoint(self) -> str:
        """The command that the job runs, by a shell on the head."""
        return self.entrypoint_of(str(self._inside))

    def entrypoint_of(self, file: str) -> str:
        """The same where the sweep file lies elsewhere."""
        words = ["exec", "xsweep", "run", shlex.quote(file), "--store", _quoted(self.store)]
        words += ["--tracking", _quoted(self.tracking)] if self.tracking else []
        for mirror in self.mirrors:
            words += ["--mirror", _quoted(mirror)]
        return " ".join([*words, "--wait", f"{self.wait:g}"])

    @property
    def runtime_env(self) -> dict[str, Any]:
        """What Ray sets up for the job: its folder, and how long it may take to stop."""
        settings = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}
        return {"working_dir": str(self.folder), "excludes": EXCLUDED, "env_vars": settings}

    @property
    def metadata(self) -> dict[str, str]:
        """What `xsweep jobs` knows a job by."""
        content = hashlib.sha256(self.file.read_bytes() + self.entrypoint.encode()).hexdigest()[:16]
        return {SWEEP: self.sweep, STORE: self.store, CONTENT: content}

    @property
    def _inside(self) -> Path:
        return self.file.resolve().relative_to(self.folder.resolve())

    def check_size(self) -> None:
        """Pack the folder as Ray will; raises ``EnvironmentProblem`` when it is more than Ray takes, and
        ``UsageError`` when the sweep file is not in it."""
        from ray._private.runtime_env.packaging import GCS_STORAGE_MAX_SIZE, create_package

        with tempfile.TemporaryDirectory() as scratch:
            package = Path(scratch) / "package.zip"
            create_package(str(self.folder), package, include_gitignore=True, excludes=EXCLUDED, logger=_silent())
            size = package.stat().st_size
            with zipfile.ZipFile(package) as packed:
                sizes = {entry.filename: entry.compress_size for entry in packed.infolist()}
        if size >= GCS_STORAGE_MAX_SIZE:
            raise EnvironmentProblem(
                f"{self.folder}: {size / 2**20:,.1f} MiB packed, and Ray takes less than "
                f"{GCS_STORAGE_MAX_SIZE / 2**20:,.1f}; name in .rayignore what the job does not need; the largest: "
                f"{', '.join(_largest(sizes))}"
            )
        if str(self._inside) not in sizes:
            raise UsageError(f"{self.file}: .gitignore or .rayignore keeps it out of what is sent")


def gangs_of(sweep: Sweep) -> dict[str, Gang]:
    """What one worker group of each model holds; raises ``UsageError`` where none fits the file's GPUs."""
    return {model.name: placement(sweep, model).layout.gang for model in sweep.models}


def submit(server: JobServer, submission: Submission, gangs: Mapping[str, Gang], *, attach: bool) -> tuple[Job, bool]:
    """Submit, or with ``attach`` return the job that runs the very same; (the job, whether it is new).

    Of two at once the server takes one: ids are numbered, and a number is given once. Raises ``EnvironmentProblem``
    when the cluster lacks room that no autoscaler can bring, when the folder is too large, and when a job of the sweep
    runs on the same store already.
    """
    _check_room(server, gangs)
    submission.check_size()
    drivers = {"driver": 1.0} if any(node.drivers for node in server.nodes()) else {}
    metadata = submission.metadata
    while True:
        mine = [job for job in server.jobs() if job.sweep == submission.sweep]
        running = next((job for job in mine if not job.ended and job.store == submission.store), None)
        if running and attach and running.content == metadata[CONTENT]:
            return running, False
        if running:
            raise EnvironmentProblem(
                f"{submission.sweep}: runs already on this store, as job {running.id}; follow it: xsweep logs -f "
                f"{running.id}; end it: xsweep stop {running.id}"
            )
        identifier = f"xsweep-{submission.sweep}-{1 + max((_number(job) for job in mine), default=0)}"
        if server.submit(identifier, submission.entrypoint, submission.runtime_env, metadata, drivers):
            return server.find(identifier), True


def _check_room(server: JobServer, gangs: Mapping[str, Gang]) -> None:
    nodes = server.nodes()
    lacking = {name: gang for name, gang in gangs.items() if not room_for(gang, nodes)}
    if lacking and not server.scales():
        name, gang = max(lacking.items(), key=lambda item: (item[1].workers * item[1].gpus, item[1].workers))
        cpus, gpus = sum(node.cpus or 0.0 for node in nodes), sum(node.gpus or 0.0 for node in nodes)
        raise EnvironmentProblem(
            f"{server.address}: no room for model {name}, whose workers are {gang.workers} of {gang.cpus} CPU and "
            f"{gang.gpus:g} GPU each; the cluster has {cpus:g} CPU and {gpus:g} GPU on {len(nodes)} nodes, and no "
            "autoscaler that could bring more"
        )


def _number(job: Job) -> int:
    found = re.search(r"-(\d+)$", job.id)
    return int(found[1]) if found else 0


def _quoted(place: str) -> str:
    """A word of the job's shell; a variable is left for it to fill in."""
    return f'"{place}"' if _VARIABLE.fullmatch(place) else shlex.quote(place)


def _shows_secret(place: str) -> bool:
    try:
        parts = urlsplit(place)
        return parts.password is not None or any(_SECRET.search(name) for name, _ in parse_qsl(parts.query))
    except ValueError:
        return False


def _largest(sizes: Mapping[str, int]) -> Sequence[str]:
    """The largest entries at the top of the package, with their sizes."""
    tops: dict[str, int] = {}
    for name, size in sizes.items():
        tops[name.partition("/")[0]] = tops.get(name.partition("/")[0], 0) + size
    largest = sorted(tops, key=lambda name: -tops[name])[:_SHOWN]
    return [f"{name} ({tops[name] / 2**20:,.1f} MiB)" for name in largest]


def _silent() -> Any:
    import logging

    logger = logging.getLogger("xsweep.submit")
    logger.setLevel(logging.CRITICAL)
    return logger
