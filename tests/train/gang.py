"""Workers as processes of their own, over gloo: what the engine does, without Ray."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch.distributed as dist
import torch.multiprocessing as mp

from xsweep.plan.stage import Job
from xsweep.train.loop import Progress
from xsweep.train.stage import Context, run_job
from xsweep.train.world import World


def run_gang(size: int, job: Job, context: Context, folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run ``job`` on ``size`` processes; returns the job's answer and every step's progress."""
    name = folder / uuid4().hex
    mp.spawn(_worker, args=(size, str(name), job, context), nprocs=size)
    answer = json.loads(name.with_suffix(".json").read_text())
    return answer["stages"], answer["steps"]


def _worker(rank: int, size: int, name: str, job: Job, context: Context) -> None:
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
