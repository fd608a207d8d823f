"""Workers as processes of their own, over gloo: what the engine does, without Ray."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes

from tests.train.small import run_job
from xsweep.plan.stage import Job
from xsweep.train.loop import Progress
from xsweep.train.stage import Context
from xsweep.train.world import World

Answer = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""What the job answered, and every step's progress."""


def run_here(job: Job, context: Context) -> Answer:
    """Run ``job`` in this process."""
    steps: list[Progress] = []
    return run_job(job, context, World.single(), steps.append), [asdict(step) for step in steps]


def run_gang(
    size: int, job: Job, context: Context, folder: Path, environment: Mapping[str, str] | None = None
) -> Answer:
    """Run ``job`` on ``size`` processes, forked from one that has imported all this once."""
    multiprocessing.set_forkserver_preload([__name__])
    name = folder / uuid4().hex
    arguments = (size, str(name), job, context, dict(environment or {}))
    start_processes(_worker, args=arguments, nprocs=size, start_method="forkserver")  # type: ignore[no-untyped-call]
    answer = json.loads(name.with_suffix(".json").read_text())
    return answer["stages"], answer["steps"]


def _worker(rank: int, size: int, name: str, job: Job, context: Context, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    steps: list[Progress] = []
    if size > 1:
        dist.init_process_group("gloo", init_method=f"file://{name}", rank=rank, world_size=size)
    try:
        stages = run_job(job, context, World.current(), steps.append)
    finally:
        if size > 1:
            dist.destroy_process_group()
    if rank == 0:
        text = json.dumps({"stages": stages, "steps": [asdict(step) for step in steps]})
        Path(name).with_suffix(".json").write_text(text)
