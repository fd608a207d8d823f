"""What a worker group does beside its jobs, without Ray."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import distributed
from torch.multiprocessing.spawn import start_processes

from xsweep.engine import worker
from xsweep.engine.worker import describe


def test_reasons_fit_in_a_line_and_name_the_place() -> None:
    def bad() -> None:
        raise KeyError("two\nlines")

    with pytest.raises(KeyError) as caught:
        bad()
    assert describe(caught.value).startswith("KeyError: 'two\\nlines' (test_worker.py:")
    assert describe(ValueError()) == "ValueError"


def test_workers_that_share_a_gpu_keep_to_their_part_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    capped: list[tuple[float, torch.device]] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, at: capped.append((share, at)))
    gpu, cpu = torch.device("cuda", 1), torch.device("cpu")
    for device, share in ((gpu, 0.25), (gpu, 1.0), (cpu, 0.0), (cpu, 0.25)):
        worker._cap_memory(device, share)
    assert capped == [(0.25, gpu)]


@pytest.mark.parametrize(
    ("error", "spoils"),
    [
        (torch.OutOfMemoryError("full"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: device-side assert triggered"), True),
        (RuntimeError("another worker of this stage failed"), False),
        (ValueError("no such task"), False),
    ],
)
def test_what_leaves_a_process_unfit_for_another_job(error: Exception, spoils: bool) -> None:
    assert worker._spoils(error) == spoils


def _reduce(rank: int, folder: str) -> None:
    """The second of two workers dies as the first waits for it."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    distributed.all_reduce(torch.ones(1))
    if rank == 1:
        os._exit(0)
    try:
        distributed.all_reduce(torch.ones(1))
    except Exception as error:
        Path(folder, "said").write_text(f"{worker.peer_is_gone(error)} {describe(error)}")


def test_a_worker_whose_peer_is_gone_knows_that_it_did_not_fail_itself(tmp_path: Path) -> None:
    start_processes(_reduce, (str(tmp_path),), nprocs=2, start_method="spawn")  # type: ignore[no-untyped-call]  # torch
    said = (tmp_path / "said").read_text()
    assert said.startswith("True "), said
    assert not worker.peer_is_gone(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert worker.peer_is_gone(distributed.DistBackendError("NCCL error: remote process exited"))


def test_a_worker_ends_at_a_step_once_all_is_over() -> None:
    heart = worker._Heart.__new__(worker._Heart)
    heart._over, heart._channel = False, worker._Channel(SimpleNamespace(rank=0, size=1))
    heart.on_step(SimpleNamespace(tokens=300, seconds=2.0))
    assert heart._rate == 150.0
    heart._over = True
    with pytest.raises(worker._OverError):
        heart.on_step(SimpleNamespace(tokens=300, seconds=2.0))
