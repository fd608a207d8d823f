"""Stages without training, run by real worker groups: what one does stands in its ``prints``."""

from __future__ import annotations

import math
import os
import random
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist

from xsweep.models.model import Model
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Training
from xsweep.train import pulse

RUNNER = "tests.engine.stubs:run"
LATE = "tests.engine.stubs:run_late"


def job(do: str = "nothing", seed: int = 0, hyper: Hyper | None = None) -> Job:
    """``do`` is "VERB" or "VERB:SECONDS"; of "oom", the tokens that fit."""
    model = Model(name="m", path="nowhere")
    stage = Stage("target", model, "print", (), {"do": do}, Training(), seed, hyper)
    return Job((stage,))


def score(hyper: Hyper | None) -> float:
    """A smooth landscape with its top inside the space."""
    return 50.0 if hyper is None else 90.0 - (math.log10(hyper.lr) + 4.3) ** 2 * 20 - abs(hyper.epochs - 3)


def run(job: Job, context: Path, world: Any, on_step: Any) -> list[dict[str, Any]]:
    stage = job.stages[-1]
    verb, _, seconds = stage.prints["do"].partition(":")
    tries = len(list(context.glob(f"{job.key}.*"))) // world.size
    (context / f"{job.key}.{tries}.{world.rank}").write_text(f"{os.getpid()} {time.time()}")
    if verb == "hang" and not tries:
        time.sleep(600)
    elif verb == "raise":
        raise ValueError("no such\nluck")
    elif verb == "raise-last" and world.rank == world.size - 1:
        raise ValueError("bad rank")
    elif verb == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif verb == "oom":
        if job.layout.tokens > float(seconds):
            raise torch.OutOfMemoryError("on purpose")
        return [{"key": job.key, "status": "ok", "score": float(job.layout.tokens)}]
    elif verb in ("sum", "raise-last"):
        value = torch.tensor([float(world.rank + stage.seed)])
        if world.size > 1:
            dist.all_reduce(value)
        return [{"key": job.key, "status": "ok", "score": value.item()}]
    elif verb == "meet":
        (context / f"met-{stage.seed}").touch()
        while not (context / f"met-{stage.seed ^ 1}").exists():
            time.sleep(0.02)
    elif verb == "stick" and not tries:
        pulse.FIRST_SECONDS = 1.0
        with pulse.PULSE.step():
            time.sleep(600)
    elif verb == "steps":
        _step_until_told(job, context, world, on_step)
    elif verb == "diverge":
        return [{"key": job.key, "status": "diverged", "score": None, "reason": "loss is not finite"}]
    if seconds:
        time.sleep(float(seconds))
    return [{"key": job.key, "status": "ok", "score": score(stage.hyper)}]


def _step_until_told(job: Job, context: Path, world: Any, on_step: Any) -> None:
    """Step after step, each with a collective; what ends it leaves a file of each rank."""
    try:
        while True:
            dist.all_reduce(torch.ones(1))
            on_step(SimpleNamespace(tokens=100, seconds=1.0))
    finally:
        (context / f"{job.key}.left.{world.rank}").touch()


def run_late(job: Job, context: Any, world: Any, on_step: Any = None) -> list[dict[str, Any]]:
    """The real runner, each job after a random moment of its own in every launch."""
    from xsweep.train.stage import run_job

    time.sleep(random.SystemRandom().uniform(0, 0.5))
    return run_job(job, context, world, on_step)
