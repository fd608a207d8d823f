"""The Ray cluster of one run: a private one on this machine, or one that is already there."""

from __future__ import annotations

import functools
import logging
import os
import re
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from xsweep.engine import watchdog
from xsweep.errors import EnvironmentProblem

# Ray's node prints warnings to the driver's standard output; this is the only way to keep that clean, and
# Ray reads it when it is imported, which is after this module.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")

# Ray's workers run at niceness 15 and are left so: where a machine is somebody's desk the desk goes first, and where it
# has nothing else to do that changes nothing. RAY_worker_niceness=0 takes it off.
_SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output engine prints boxes at any verbosity
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # one process less per group
    "RAY_TRAIN_ENABLE_STATE_ACTOR_RECONCILIATION": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # a dead worker is seen, and a closed group ends, this soon
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ours stops the whole run, Tune's would make it look finished
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # the store is the truth: Tune's snapshots are never read
    "TUNE_MAX_PENDING_TRIALS_PG": "64",  # trials asked for ahead: their jobs fill the pool's queue
    "TUNE_WARN_THRESHOLD_S": "3600",
}
_LOCAL_SETTINGS = {
    # Unset, `ray.init` turns token authentication on, also in a process that has imported Ray already;
    # set to "token" after that import, Ray's own client would not know and be refused.
    "RAY_AUTH_MODE": None,
    # On every system, whatever its name says: Ray's servers listen on loopback alone. See `_on_loopback`, too.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
_TRAVELLING = re.compile(r"(XSWEEP|HF)_(?!.*(TOKEN|SECRET|PASSWORD|KEY)).*")
"""The driver's variables that its workers on a cluster get. No secrets: Ray shows them with the job, in clear."""
_SHUTDOWN_SECONDS = 30.0
_THREAD_SECONDS = 5.0
_LONGEST_FOLDER = 40
"""Ray puts Unix sockets some 60 characters below its folder, and a socket's path ends at 107 bytes."""


class Cluster:
    """A connected Ray, from ``with`` to the end of its block.

    Without an address, or with "local", a cluster of this machine alone is started: private folder, token
    authentication with a token that exists in memory only, no dashboard. With "auto" or an address the one
    that runs there is joined, with the user's own authentication settings; ``scratch`` must then be a
    folder that all its nodes see. Environment variables and signal handlers are as before afterwards.

    Raises EnvironmentProblem when Ray does not start or is not to be reached.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus: int | None = None,
        scratch: Path | None = None,
        logs: Path | None = None,
    ) -> None:
        self.local = address in (None, "local")
        self.kept: Path | None = None
        """Where Ray's logs stay after the end: in ``logs`` where that is given. None when they go, as they do unless
        ``keep`` was called."""
        self._address = "local" if self.local else address
        self._cpus = cpus
        self._scratch = scratch
        self._logs = logs
        self._deadline: threading.Timer | None = None
        self._folder: Path | None = None
        self._ray_processes: list[Any] = []
        self._threads: list[threading.Thread] = []
        self._stack = ExitStack()

    def __enter__(self) -> Cluster:
        with ExitStack() as stack:
            self._folder = _short_folder()
            watchdog.tell("folder", self._folder)
            stack.callback(self._remove_folder)
            stack.enter_context(_environment(self._settings()))
            if self.local:
                stack.enter_context(_on_loopback())
            stack.callback(self._stop)
            with _kept_signal_handlers():
                self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def scratch(self) -> Path:
        """A folder for Ray Train's and Tune's own files, removed at the end when it is the private one."""
        return self._scratch or self._private_folder / "runs"

    @property
    def resources(self) -> dict[str, float]:
        """What the cluster holds now: "CPU", "GPU" and so on."""
        import ray

        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return resources

    def other_nodes(self) -> dict[str, str]:
        """Id and address of every node that is up, this one apart."""
        import ray

        here = ray.get_runtime_context().get_node_id()
        alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        return {node["NodeID"]: node["NodeManagerAddress"] for node in alive if node["NodeID"] != here}

    def thread(self, body: Callable[..., None], *arguments: Any) -> threading.Thread:
        """Start a thread that calls Ray. The cluster's end waits for it a while: see ``_stop``."""
        thread = threading.Thread(target=body, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def failure(self) -> str | None:
        """Which of a local cluster's own processes has ended, in words; None while all run."""
        import psutil

        for process in self._ray_processes:
            with suppress(psutil.Error):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    continue
            return f"a process of Ray (pid {process.pid}) has ended"
        return None

    def keep(self) -> str:
        """Leave Ray's logs behind, and say where."""
        if not self.local:
            return "on the cluster's nodes"
        self.kept = self._logs / "ray" if self._logs else self._private_folder / "session_latest" / "logs"
        return str(self.kept)

    def lost(self) -> None:
        """Ray is gone: the end of the block comes within a bounded time, or a driver of its own is ended."""
        self._deadline = self._deadline or watchdog.end_soon()

    @property
    def _private_folder(self) -> Path:
        if self._folder is None:
            raise RuntimeError("the cluster is not entered")
        return self._folder

    def _settings(self) -> dict[str, str | None]:
        # The user's own win: they are there to be tuned. Ray sets PYTHONBREAKPOINT and leaves it.
        settings: dict[str, str | None] = {name: os.environ.get(name, value) for name, value in _SETTINGS.items()}
        settings["PYTHONBREAKPOINT"] = os.environ.get("PYTHONBREAKPOINT")
        return settings | _LOCAL_SETTINGS | {"RAY_AUTH_TOKEN": _token()} if self.local else settings

    def _start(self) -> None:
        import psutil
        import ray

        before = {child.pid for child in psutil.Process().children()}
        try:
            ray.init(
                address=self._address,
                include_dashboard=False if self.local else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(self._local_options() if self.local else self._remote_options()),
            )
        except Exception as error:
            what = "start" if self.local else f"answer at {self._address}"
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise EnvironmentProblem(f"Ray did not {what}: {reason[0]}; its logs: {self.keep()}") from error
        if self.local and os.environ.get("RAY_AUTH_MODE") != "token":
            raise EnvironmentProblem("Ray started without token authentication; this version of Ray is not supported")
        for name in ("ray", "ray.tune", "ray.train", "ray.data"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is raised
        if self.local:
            self._ray_processes = [child for child in psutil.Process().children() if child.pid not in before]

    def _local_options(self) -> dict[str, Any]:
        # The object store carries nothing big: weights and data go through files.
        return {
            "_temp_dir": str(self._private_folder),
            "num_cpus": self._cpus,
            "object_store_memory": 128 * 2**20,
        }

    def _remote_options(self) -> dict[str, Any]:
        if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:  # inside a job: its own environment travels already
            return {}
        mine = {name: value for name, value in os.environ.items() if _TRAVELLING.fullmatch(name)}
        return {"runtime_env": {"env_vars": mine}}

    def _stop(self) -> None:
        import ray

        left = _with_descendants(self._ray_processes)
        if not self._quiet() and self.local:
            _kill_workers(left)  # what waits for them fails, and so ends
            self._quiet()
        with _kept_signal_handlers():
            worker = threading.Thread(target=_quietly, args=(ray.shutdown,), daemon=True)
            worker.start()
            worker.join(_SHUTDOWN_SECONDS)  # without its raylet, Ray may wait for ever
        if self.local:
            _end(left + _processes_naming(self._private_folder))
        self._ray_processes = []
        if self._deadline:
            self._deadline.cancel()

    def _quiet(self) -> bool:
        """Whether no thread calls Ray any more, waiting a while for those that still do.

        Ray ends the whole process, with status 1, when a thread calls it after its shutdown.
        """
        end = time.monotonic() + _THREAD_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _remove_folder(self) -> None:
        if self._folder is None or (self.kept and not self._logs):
            return
        if self.kept:
            with suppress(OSError):
                shutil.copytree(self._folder / "session_latest" / "logs", self.kept, dirs_exist_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)


@functools.cache
def _token() -> str:
    # One per process: Ray's own code reads the token once and remembers it.
    return secrets.token_hex(32)


def _short_folder() -> Path:
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="xsweep-", dir=base if len(base) + 16 <= _LONGEST_FOLDER else "/tmp"))


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Do in this process, which has read its environment already, what the setting does in those that Ray starts.

    There is no public way to it: `ray.init` replaces a loopback address by one that others can reach.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _environment(settings: Mapping[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    _set_environment(settings)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(settings: Mapping[str, str | None]) -> None:
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Undo what Ray does to the handlers of the driver."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _quietly(call: Any) -> None:
    with suppress(Exception):
        call()


def _with_descendants(roots: list[Any]) -> list[Any]:
    import psutil

    found = list(roots)
    for root in roots:
        with suppress(psutil.Error):
            found += root.children(recursive=True)
    return found


def _processes_naming(folder: Path) -> list[Any]:
    """Processes whose command line names ``folder``: agents that outlive a dead raylet."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(folder) in word for word in process.cmdline()):
                found.append(process)
    return found


def _kill_workers(processes: list[Any]) -> None:
    """End what runs actors and tasks; the node's own processes and agents stay, so that Ray can be shut down."""
    import psutil

    for process in processes:
        with suppress(psutil.Error):
            title = " ".join(process.cmdline()[:1])
            if title.startswith("ray::") and "Agent" not in title:
                process.kill()


def _end(processes: list[Any]) -> None:
    import psutil

    def alive() -> list[Any]:
        found = []
        for process in processes:
            with suppress(psutil.Error):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    for seconds, last in ((1.0, False), (5.0, True)):
        end = time.monotonic() + seconds
        while (left := alive()) and time.monotonic() < end:
            time.sleep(0.05)
        for process in [] if last else left:
            with suppress(psutil.Error):
                process.kill()
