"""No worker reads, or ever holds, the whole of a model that several share: counted where the files are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist
from safetensors import safe_open
from torch.multiprocessing.spawn import start_processes

from tests.train.small import Laid, Place, run_job
from xsweep.models import weights
from xsweep.models.load import load_encoder
from xsweep.plan.stage import Hyper, Job
from xsweep.spec.sweep import Lora, Training
from xsweep.train import live
from xsweep.train.world import World


class Counting:
    """A safetensors file that counts the bytes handed out."""

    def __init__(self, file: Any, taken: list[int]) -> None:
        self._file, self._taken = file, taken

    def get_slice(self, name: str) -> Any:
        part, taken = self._file.get_slice(name), self._taken

        class Slice:
            def __getitem__(self, rows: Any) -> Any:
                found = part[rows]
                taken.append(found.nbytes)
                return found

        return Slice()

    def __exit__(self, *left: Any) -> None:
        self._file.__exit__(*left)


def worker(rank: int, size: int, name: str, job: Job, context: Laid) -> None:
    taken: list[int] = []

    class Opening:
        def __init__(self, *path: Any, **options: Any) -> None:
            self._file: Any = safe_open(*path, **options)

        def __enter__(self) -> Counting:
            return Counting(self._file.__enter__(), taken)

    weights.safe_open = Opening  # type: ignore[assignment, attr-defined]
    if size > 1:
        dist.init_process_group("gloo", init_method=f"file://{name}", rank=rank, world_size=size)
    try:
        run_job(job, context, World.current())
    finally:
        if size > 1:
            dist.destroy_process_group()
    ((held, _),) = live._LIVE._held.values()
    Path(f"{name}.{rank}").write_text(json.dumps({"read": sum(taken), "held": held.bytes}))


@pytest.mark.parametrize("lora", [None, Lora(rank=2, alpha=4)], ids=["whole", "adapters"])
@pytest.mark.parametrize("size", [1, 2])
def test_each_worker_reads_its_own_rows_once(place: Place, tmp_path: Path, size: int, lora: Lora | None) -> None:
    stage = place.stage(
        place.task("others"),
        place.model(),
        training=Training(batch_size=20, lora=lora),
        hyper=Hyper(1e-3, 1),
        examples=20,
    )
    name = str(tmp_path / "meeting")
    arguments = (size, name, Job((stage,)), place.context("counted"))
    start_processes(worker, args=arguments, nprocs=size, start_method="forkserver")  # type: ignore[no-untyped-call]
    found = [json.loads(Path(f"{name}.{rank}").read_text()) for rank in range(size)]
    whole = sum(value.nbytes for value in load_encoder(place.mirror / "made--bert", None).parameters())
    assert sum(one["read"] for one in found) == whole
    assert max(one["read"] for one in found) < 1.05 * whole / size
    assert max(one["held"] for one in found) < 1.2 * whole / size
