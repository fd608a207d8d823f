"""Seconds from the last step of one stage to the first step of the next, in one warm process.

Between them lie the development score, the manifest, putting the model back and finding the data. Run from
the checkout: ``python -m tests.benchmarks.warm_start``
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from tests.train.small import Place, pair_rows, run_job
from xsweep.models.folder import count_params
from xsweep.plan.stage import Hyper, Job
from xsweep.train.loop import Progress
from xsweep.train.world import World

STAGES = 11
SHAPE = {"hidden_size": 128, "intermediate_size": 512, "layers": 4}


def main() -> None:
    """Print the median, the least and the most of ten waits."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        place.data("pairs", pair_rows, train=64)
        model = place.model("bert", **SHAPE)
        task = place.task("pairs")
        steps: list[tuple[float, Progress]] = []
        for seed in range(STAGES):
            stage = place.stage(task, model, seed=seed, hyper=Hyper(1e-3, 1))
            job = Job((stage,), frozenset({stage.key}))
            run_job(job, place.context(), World.single(), lambda step: steps.append((time.perf_counter(), step)))
        params = count_params(place.mirror / "made--bert")["forward"]
    last = [at for at, step in steps if step.step == step.steps]
    first = [at - step.seconds for at, step in steps if step.step == 1]
    waits = [begin - end for end, begin in zip(last, first[1:], strict=False)]
    print(f"{params:,} parameters, {len(waits)} waits between a stage's last step and the next one's first:")
    print(f"median {statistics.median(waits):.3f} s, least {min(waits):.3f} s, most {max(waits):.3f} s")


if __name__ == "__main__":
    main()
