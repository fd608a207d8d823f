"""What a sweep costs, by hand and by ``xsweep``, and what each lever takes off it.

Without a mode, a fixed grid (2 sizes x 2 arms and none x 2 targets x 2 seeds x 4 trials) of the artificial world's
small tasks is run twice, to a table of the same rows: (a) by hand, as ``tests.benchmarks.by_hand`` has it, and (b) by
``xsweep run``. ``--trials K`` makes K training runs of intermediates and K of targets of (a) alone and says so: the
rest is extrapolated, each kind by its mean.

``--simulate`` prices the large grid (5 sizes to 10.7B x 11 arms and none x 10 targets x 3 seeds x 16 trials) with the
plan's own cost model. Nothing is trained; rates are the plan's assumed ones unless measured ones are given.

``--stubs`` measures the control plane with stages that return at once.

    python -m tests.benchmarks.sweep_cost [--trials K] [--only xsweep|by-hand]
    python -m tests.benchmarks.sweep_cost --simulate [--shares S S S S S] [--speedups F F F F F]
    python -m tests.benchmarks.sweep_cost --stubs STAGES
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from xsweep.models.catalog import MODELS
from xsweep.models.model import Model
from xsweep.plan.cells import build_plan
from xsweep.plan.cost import trunk_params
from xsweep.plan.hours import PEAK, assumed_share
from xsweep.plan.levers import Price, levers
from xsweep.spec.sweep import Arm, Halving, IntRange, LogUniform, Search, Space, Sweep, Target, Transfer
from xsweep.store.store import Store
from xsweep.tasks.catalog import CATALOG

ROOT = Path(__file__).resolve().parents[2]

# ---- the large grid ------------------------------------------------------------------------------------------

SIZES = (
    MODELS["xlmr-base"],
    MODELS["xlmr-large"],
    MODELS["xlmr-xl"],
    Model(name="6.5B", id="stand-in/6.5b", params=6_500_000_000, embedding_params=820_000_000),
    MODELS["xlmr-xxl"],
)
INTERMEDIATES = ("anli_plus", "snli", "mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "ccg", "cosmosqa",
                 "commonsenseqa", "socialiqa")  # fmt: skip
GOALS = ("xnli", "pawsx", "xcopa", "udpos", "panx", "xquad", "mlqa", "tydiqa", "lareqa", "tatoeba")
TRIALS, EPOCHS, SCORED = 16, 2, 2000
LEVERS: dict[str, Any] = {
    "target_per": "baseline",
    "halving": Halving(eta=4, epochs=1),
    "transfer": Transfer(trials=3),
}
NAMES = {"target_per": "one target search for all arms", "halving": "halving", "transfer": "transfer between sizes"}


def large(models: Sequence[Model], **search: Any) -> Sweep:
    """The large grid on some of its sizes; epochs are fixed, since halving compares runs of one length."""
    space = Space(trials=TRIALS, lr=LogUniform(low=3e-6, high=5e-5), epochs=IntRange(low=EPOCHS, high=EPOCHS))
    tasks = [CATALOG[name] for name in GOALS]
    return Sweep(
        name="large",
        models=tuple(model.model_copy(update={"ladder": "one"}) for model in models),
        arms=(Arm(name="none"), *(Arm(name=name, tasks=(CATALOG[name],)) for name in INTERMEDIATES)),
        targets=tuple(Target(task=task, languages=task.languages, score_examples=SCORED) for task in tasks),
        seeds=(1, 2, 3),
        search=Search(intermediate=space, target=space, **search),
    )


@dataclass(frozen=True)
class Line:
    """The grid with the levers down to one: training runs, and GPU-hours of training and of scoring for each size."""

    lever: str
    trainings: int
    train: tuple[float, ...]
    score: tuple[float, ...]

    @property
    def hours(self) -> float:
        """Of all sizes."""
        return sum(self.train) + sum(self.score)


def lines(shares: Sequence[float], **search: Any) -> list[Line]:
    """A line for each lever pulled after those before it; ``shares`` of ``PEAK`` are reached at each size."""
    # A size adds to the price of those before it, and takes its configurations from the last of them.
    priced = [levers(build_plan(large(SIZES[:count], **search)), None) for count in range(1, len(SIZES) + 1)]
    found = []
    for number, whole in enumerate(priced[-1]):
        if whole.declared:
            column = [prices[number] for prices in priced]
            train, score = (_hours(column, shares, of) for of in (lambda p: p.flops, lambda p: p.scoring))
            found.append(Line(whole.lever, whole.trainings, train, score))
    return found


def _hours(prices: Sequence[Price], shares: Sequence[float], of: Callable[[Price], float | None]) -> tuple[float, ...]:
    """Of each size alone, from the prices of it and of all before it."""
    flops = [of(price) for price in prices]
    assert None not in flops  # every task of the grid tells its rows and tokens
    known = [0.0, *(value or 0.0 for value in flops)]
    each = [after - before for before, after in pairwise(known)]
    return tuple(value / (PEAK * share) / 3600 for value, share in zip(each, shares, strict=True))


def simulate(shares: Sequence[float] | None, speedups: Sequence[float] | None) -> list[Line]:
    """Print the price of the large grid with each lever, and without; returns the lines."""
    known = shares or [assumed_share(trunk_params(model) or 0) for model in SIZES]
    pulled = lines(known, **LEVERS)
    if speedups:
        first = pulled[0]
        train, score = ([s * hours for s, hours in zip(speedups, of, strict=True)] for of in (first.train, first.score))
        pulled = [replace(first, lever="from scratch, by Trainer", train=tuple(train), score=tuple(score)), *pulled]
    print(f"{len(SIZES)} sizes, {len(INTERMEDIATES)} arms and none, {len(GOALS)} targets, 3 seeds, {TRIALS} trials, "
          f"{EPOCHS} epochs; {SCORED:,} rows scored per language.")  # fmt: skip
    print(f"Share of {PEAK / 1e12:.0f} TFLOP/s {'as given' if shares else 'assumed, not measured'}: "
          + ", ".join(f"{model.name} {share:.0%}" for model, share in zip(SIZES, known, strict=True)))  # fmt: skip
    print(f"\n{'with each lever after the other':<36} {'trainings':>9} {'GPU-hours':>9} {'of them scoring':>15} {'':>6}"
          + "".join(f"{model.name:>11}" for model in SIZES))  # fmt: skip
    for number, line in enumerate(pulled):
        name = line.lever if number == 0 else f"+ {line.lever}"
        each = [t + s for t, s in zip(line.train, line.score, strict=True)]
        times = pulled[0].hours / line.hours
        print(f"{name:<36} {line.trainings:>9,} {line.hours:>9,.0f} {sum(line.score):>15,.0f} {times:>5.1f}x"
              + "".join(f"{hours:>11,.0f}" for hours in each))  # fmt: skip
    print(f"\n{'all but this one':<36} {'trainings':>9} {'GPU-hours':>9}")
    for name, said in NAMES.items():
        left = lines(known, **{other: value for other, value in LEVERS.items() if other != name})[-1]
        print(f"{said:<36} {left.trainings:>9,} {left.hours:>9,.0f}")
    if not speedups:
        print("\nThe engine's own speed is left out: give what tests.benchmarks.throughput measures as --speedups.")
    return pulled


# ---- the small grid ------------------------------------------------------------------------------------------

GRID = """\
name: sweep_cost
models:
  - {{name: e24, path: {e24}}}
  - {{name: e48, path: {e48}}}
arms: [none, {{name: nli, tasks: [world_nli]}}, {{name: qa, tasks: [world_qa]}}]
targets: [world_nli_small, world_qa_small]
seeds: [1, 2]
search:
  sampler: random
  intermediate: {{trials: 4, lr: {{low: 1.5e-3, high: 5e-3}}, epochs: 3}}
  target: {{trials: 4, lr: {{low: 1.5e-3, high: 8e-3}}, epochs: 8}}
layout: {{workers: 1, cpus: 1, tokens: 8192}}
"""
"""Encoders with random weights: what a stage costs does not depend on what they know, and by hand nobody pretrains."""


@dataclass(frozen=True)
class Spent:
    """What one way of running the grid took."""

    wall: float
    cpu: float
    """CPU-seconds of it and of everything that it started."""
    trainings: int
    steps: int
    """Optimiser steps executed."""
    checkpoints: int
    """Bytes of weights and optimiser states left on disk; never extrapolated."""
    rows: int
    """Of the table of scores: model, arm, target, seed, language; never extrapolated."""
    made: int
    """Training runs that were made; where these are fewer, the others are taken to be as the mean of their kind."""


def write_grid(folder: Path) -> Path:
    """The sweep file, and the encoders beside it."""
    from xsweep.models.world import world_folder

    places = {f"e{width}": world_folder(f"world/encoder-{width}", folder / "cache") for width in (24, 48)}
    file = folder / "sweep_cost.yaml"
    file.write_text(GRID.format(**places))
    return file


def measured(call: Sequence[str], log: Path, cache: Path) -> tuple[float, float]:
    """(wall seconds, CPU-seconds) of a command and all that it starts, read twice a second; its words go to ``log``."""
    used: dict[int, float] = {}
    start = time.monotonic()
    places = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "XSWEEP_CACHE": str(cache), "OMP_NUM_THREADS": "1", "PYTHONPATH": places}
    with log.open("w") as said, subprocess.Popen(call, stdout=said, stderr=subprocess.STDOUT, env=environment) as run:
        while run.poll() is None:
            used |= _family(run.pid)
            time.sleep(0.5)
    if run.returncode:
        raise SystemExit(f"{' '.join(call)}: exit {run.returncode}\n{log.read_text()[-3000:]}")
    return time.monotonic() - start, sum(used.values())


def _family(root: int) -> dict[int, float]:
    """Process -> CPU-seconds so far, of ``root`` and its descendants."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return {pid: seconds[pid] for pid in family if pid in seconds}


def by_hand(folder: Path, file: Path, trials: int | None) -> Spent:
    """The grid by hand, or its first training runs."""
    limit = ["--trials", str(trials)] if trials else []
    call = [sys.executable, "-m", "tests.benchmarks.by_hand", str(file), str(folder / "hand"), *limit]
    wall, cpu = measured(call, folder / "hand.log", folder / "cache")
    told = json.loads((folder / "hand" / "spent.json").read_text())
    seconds, whole = told.pop("seconds"), told.pop("whole_seconds")
    return Spent(wall + whole - seconds, cpu * whole / seconds, **told)


def by_xsweep(folder: Path, file: Path) -> Spent:
    """The grid by ``xsweep run``, its report and all."""
    store = folder / "runs"
    call = [sys.executable, "-m", "xsweep.cli", "run", str(file), "--store", str(store)]
    spent = measured(call, folder / "xsweep.log", folder / "cache")
    trained = [manifest for manifest in Store(store).manifests() if "steps" in manifest.metrics]
    table = (store / "reports" / "sweep_cost" / "tables" / "scores.csv").read_text().splitlines()
    kept = sum(path.stat().st_size for path in store.rglob("*.safetensors"))
    steps = sum(manifest.metrics["steps"] for manifest in trained)
    return Spent(*spent, len(trained), steps, kept, len(table) - 1, len(trained))


def compare(trials: int | None, only: str | None) -> None:
    """Run the small grid both ways, or one, and print what each took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = write_grid(folder)
        # xsweep is first, so that by hand finds the rows that it has made.
        ours = by_xsweep(folder, file) if only != "by-hand" else None
        hand = by_hand(folder, file, trials) if only != "xsweep" else None
    for what, spent in (("xsweep", ours), ("by hand", hand)):
        for field, value in vars(spent).items() if spent else ():
            print(f"{what:<8} {field:<12} {value:>14,.2f}" if isinstance(value, float)
                  else f"{what:<8} {field:<12} {value:>14,}")  # fmt: skip
    if hand is None or ours is None:
        return
    if hand.made < hand.trainings:
        print(f"\nBy hand, {hand.made} of {hand.trainings} training runs were made: times and steps are extrapolated.")
    times, steps = hand.wall / ours.wall, hand.steps / ours.steps
    print(f"\nWall time: {times:.1f} times xsweep's; CPU time: {hand.cpu / ours.cpu:.1f} times.")
    print(f"Optimiser steps account for a factor of {steps:.2f} of it (both share intermediates and score trials on")
    print(
        f"English alone); groups that stay, and what they need not read or pad again, for one of {times / steps:.1f}."
    )


# ---- the control plane ---------------------------------------------------------------------------------------


def stubs(stages: int) -> None:
    """Print how fast stages that return at once are planned, scheduled and resumed, and what is wanted."""
    from tests.benchmarks import control_plane, pool_gap

    control_plane.main()
    print("wanted: planned in 5 s, resumed in 10 s, 2 GiB\n")
    wanted = {"straight": ", wanted: 100", "through Tune": ", wanted: 20"}
    for what, (gap, rate) in pool_gap.rates(stages).items():
        told = f"{rate:.0f} stages/s{wanted.get(what, '')}; median gap {gap:.1f} ms"
        print(f"{what}: {stages} stages that return at once, {told}, load {os.getloadavg()[0]:.1f}")


def main(words: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, help="how many training runs of either kind (a) makes")
    parser.add_argument("--only", choices=("xsweep", "by-hand"))
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--shares", type=float, nargs=len(SIZES), help="of the GPU's peak that each size reaches")
    parser.add_argument("--speedups", type=float, nargs=len(SIZES), help="over a padded Trainer, at each size")
    parser.add_argument("--stubs", type=int, metavar="STAGES")
    given = parser.parse_args(words)
    if given.simulate:
        simulate(given.shares, given.speedups)
    elif given.stubs:
        stubs(given.stubs)
    else:
        compare(given.trials, given.only)


if __name__ == "__main__":
    main()
