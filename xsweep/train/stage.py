"""Stages, one after the other, on one worker group: from a job to manifests in the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xsweep.errors import EnvironmentProblem, UsageError
from xsweep.models.attention import unpadded
from xsweep.models.fit import check_tasks
from xsweep.models.folder import count_params, model_folder, model_print
from xsweep.models.heads import Joint, Network, make_head
from xsweep.models.load import head_settings, hidden_width, positions, set_recompute, word_table
from xsweep.plan.mixing import head_groups, head_names, head_shape
from xsweep.plan.stage import Job, Stage
from xsweep.store.failpoint import reach
from xsweep.store.manifests import Status
from xsweep.store.store import Store
from xsweep.tasks.formats import FORMATS
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Task
from xsweep.train.batches import price
from xsweep.train.beginning import Beginnings, farthest, left_beginnings
from xsweep.train.checkpoint import Checkpoints, drop_damaged, newest
from xsweep.train.data import Reader
from xsweep.train.failpoint import at_start
from xsweep.train.live import Live, live
from xsweep.train.loop import DivergenceError, Loop, Progress
from xsweep.train.material import material
from xsweep.train.predict import Setting
from xsweep.train.record import Outcome, commit, summary
from xsweep.train.score import score_languages
from xsweep.train.seeds import derive
from xsweep.train.shard import load_weights, save_weights, shard_head
from xsweep.train.trim import trimmed
from xsweep.train.world import World

OnStep = Callable[[Progress], None]

TRAINED = ("ok", "degenerate")
"""Statuses of training stages that leave a model."""


@dataclass(frozen=True)
class Context:
    """Where jobs read and write."""

    store: Path | str
    """What ``Store`` opens."""
    sources: Sources


def run_job(job: Job, context: Context, world: World, on_step: OnStep | None = None) -> list[dict[str, Any]]:
    """Run a job's stages; every worker of ``world`` calls it with the same job.

    Stages whose manifest (and weights, where they are needed) lie in the store are left out. The first
    worker commits. ``on_step`` is called on every worker after every optimiser step; an exception from it
    ends the job, and must come on all workers at the same step. Returns, for each stage, ``key``, ``kind``,
    ``status``, ``reason`` and ``score``. Raises ``DataError`` and ``EnvironmentProblem``, on all workers.
    """
    torch.set_num_threads(job.layout.cpus)
    if world.device.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
    runner = _Runner(job, context, world, on_step)
    runner.mend()
    return [runner.run(stage) for stage in job.stages]


def todo(job: Job, store: Store) -> frozenset[str]:
    """Keys of the stages that have to run: not ended yet, or ended with weights that are needed and gone, or damaged.

    A stage that has a checkpoint to go on from does not need its parent's weights. Damaged weights are removed.
    """
    keys: set[str] = set()
    needed = {stage.key for stage in job.stages} & job.keep
    for stage in reversed((*job.ancestors, *job.stages)):
        manifest = store.manifest(stage.key)
        if manifest is not None and manifest.final:
            leaves = stage.kind != "evaluate" and manifest.status in TRAINED
            if not (leaves and stage.key in needed and not store.sound_weights(stage.key)):
                continue
        keys.add(stage.key)
        begun = newest(store.working(stage.key)) >= 0 or farthest(store, stage)
        if stage.parent is not None and not begun:
            needed.add(stage.parent)
    return frozenset(keys)


@dataclass(frozen=True)
class _Ready:
    """A stage with everything loaded."""

    stage: Stage
    network: Network | Joint
    reader: Reader
    setting: Setting
    special: Sequence[int]
    """Ids of the tokenizer's special tokens."""
    params: dict[str, int]
    load_seconds: float
    taken: int
    """The epoch up to which it goes on from another run's beginning, 0 where it does not."""


class _Runner:
    def __init__(self, job: Job, context: Context, world: World, on_step: OnStep | None) -> None:
        self._job, self._context, self._world, self._on_step = job, context, world, on_step
        self._store = Store(context.store)
        stages = (*job.ancestors, *job.stages)
        for stage in stages:
            with world.together():
                folders = [self._store.working(stage.key), *left_beginnings(self._store, stage).values()]
            for folder in folders:
                drop_damaged(folder, world)
        with world.together():
            found = todo(job, self._store) if world.first else frozenset()
        self._todo = {stage.key for stage in stages if world.agree(int(stage.key in found))}
        self._statuses: dict[str, str] = {}
        self._lost = job.lost
        """On the account of the first stage that ends."""
        self._held: tuple[Stage, Network | Joint] | None = None
        """The training stage whose model is in memory."""

    def mend(self) -> None:
        """Run ancestors again whose weights are damaged."""
        for stage in self._job.ancestors:
            if stage.key in self._todo:
                self.run(stage)

    def run(self, stage: Stage) -> dict[str, Any]:
        """Run one stage, or say what the store knows of it."""
        if stage.key not in self._todo:
            manifest = self._store.manifest(stage.key)
            assert manifest is not None
            self._statuses[stage.key] = manifest.status
            return summary(stage, manifest.status, manifest.reason, manifest.metrics)
        outcome = self._outcome(stage)
        self._statuses[stage.key] = outcome.status
        with self._world.together():
            if self._world.first:
                commit(self._store, stage, outcome, self._job.layout, self._world, lost=self._lost)
        self._lost = 0.0
        return summary(stage, outcome.status, outcome.reason, outcome.metrics)

    def _outcome(self, stage: Stage) -> Outcome:
        at_start(stage.kind, stage.model.name, self._job.layout.tokens)
        if stage.parent is not None and self._status(stage.parent) not in TRAINED:
            return Outcome("diverged", f"its parent {stage.parent} {self._status(stage.parent)}")
        with self._world.together():
            taken = farthest(self._store, stage)
        taken = self._world.agree(taken)
        with self._world.together():
            ready = self._prepare(stage, taken)
        return self._evaluate(ready) if stage.kind == "evaluate" else self._train(ready)

    def _status(self, key: str) -> str:
        if key not in self._statuses:
            manifest = self._store.manifest(key)
            if manifest is None:
                raise EnvironmentProblem(f"{self._store.shown(key)}: the parent stage is not in the store")
            self._statuses[key] = manifest.status
        return self._statuses[key]

    # Loading

    def _prepare(self, stage: Stage, taken: int) -> _Ready:
        start, sources = time.perf_counter(), self._context.sources
        folder = model_folder(stage.model, sources)
        if model_print(stage.model, sources) != stage.model_print:
            raise EnvironmentProblem(f"{folder}: the model has changed since it was planned; run again")
        base = live(folder, stage.model_print, stage.training, self._world)
        mlm = (stage.mixture.mlm.task,) if stage.mixture and stage.mixture.mlm else ()
        check_tasks(folder, positions(base.encoder), (*stage.tasks, *mlm))
        set_recompute(base.encoder, self._job.layout.recompute)
        layout, params = self._job.layout, count_params(folder)
        cost = None if unpadded(base.encoder) else price(self._world.device.type, params["trunk"])
        return _Ready(
            stage,
            self._network(stage, base, taken > 0),
            Reader(sources, base.tokenizer, base.tokenizer_print, stage.prints),
            Setting(self._world, layout.tokens, cost),
            base.tokenizer.all_special_ids,
            params,
            time.perf_counter() - start,
            taken,
        )

    def _network(self, stage: Stage, base: Live, begun: bool) -> Network | Joint:
        """The network that ``stage`` starts from: pretrained, or its parent's, from memory or from the store."""
        held, self._held = self._held, None
        in_memory = held is not None and held[0].key == stage.parent and held[1].encoder is base.encoder
        untrained = not stage.tasks[0].train  # the parent is an intermediate stage, with a head of its own
        carried = "head" if stage.kind == "evaluate" and not untrained else self._carried_head(stage)
        if in_memory and held is not None:
            if stage.kind == "evaluate":
                self._held = held
            return Network(base.encoder, held[1].get_submodule(carried)) if carried else self._fresh(stage, base)
        network = self._fresh(stage, base)
        base.reset(stage.seed)
        if stage.parent is not None and not begun and not self._resumes(stage):
            path = self._store.weights(stage.parent) / "model.safetensors"
            load_weights(network, path, self._world, head=carried)
        return network

    def _fresh(self, stage: Stage, base: Live) -> Network | Joint:
        """The encoder with new heads: one, or those of a mixture."""
        tasks = [stage.tasks[group[0]] for group in head_groups(stage.payload())]
        # A head alone is the same for every task of its format; several differ.
        names = [[task.name] if len(tasks) > 1 else [] for task in tasks]
        seeds = [derive(stage.seed, "head", task.format, *name) for task, name in zip(tasks, names, strict=True)]
        if stage.mixture and stage.mixture.mlm:
            tasks.append(stage.mixture.mlm.task)
            seeds.append(derive(stage.seed, "head", "text"))
        heads = [self._head(task, seed, stage, base) for task, seed in zip(tasks, seeds, strict=True)]
        return Network(base.encoder, heads[0]) if len(heads) == 1 else Joint(base.encoder, heads)

    def _head(self, task: Task, seed: int, stage: Stage, base: Live) -> torch.nn.Module:
        dropout, std = head_settings(base.encoder)
        head = make_head(
            task.format,
            word_table(base.encoder),
            FORMATS[task.format].outputs(task),
            width=hidden_width(base.encoder),
            dropout=dropout,
            pooling=stage.model.pooling,
            std=std,
            seed=seed,
        )
        shard_head(head, self._world, stage.training.precision)
        return head

    def _carried_head(self, stage: Stage) -> str:
        """The parent's head that goes on, "" where none does; raises ``UsageError`` when one should but none fits.

        Of a mixture's heads that fit, it is the target's own if the target is among the tasks, else the first.
        """
        if stage.kind != "target" or stage.parent is None or stage.training.carry != "encoder+head":
            return ""
        parent = next((other.payload() for other in self._job.stages if other.key == stage.parent), None)
        if parent is None:
            manifest = self._store.manifest(stage.parent)
            assert manifest is not None
            parent = dict(manifest.spec)
        if parent["kind"] == "pretrain":
            return ""  # the baseline of a model that started from random weights
        after = stage.payload()["tasks"][0]
        groups = [[parent["tasks"][number] for number in group] for group in head_groups(parent)]
        fitting = [number for number, group in enumerate(groups) if head_shape(group[0]) == head_shape(after)]
        if not fitting:
            before = " or ".join(head_shape(group[0]) for group in groups)
            raise UsageError(
                f"carry: encoder+head needs equal formats and labels, not {before} and {head_shape(after)}"
            )
        own = [number for number in fitting if after["name"] in [task["name"] for task in groups[number]]]
        return head_names(parent)[(own or fitting)[0]]

    def _resumes(self, stage: Stage) -> bool:
        return stage.kind != "evaluate" and newest(self._store.working(stage.key)) >= 0

    # Running

    def _train(self, ready: _Ready) -> Outcome:
        stage, start = ready.stage, time.perf_counter()
        with self._world.together():
            found = material(stage, ready.network, ready.reader, ready.setting)
            work = self._store.working(stage.key)
        load = ready.load_seconds + time.perf_counter() - start
        development = found.development
        checkpoints = Checkpoints(work, self._world, self._job.layout.checkpoint_seconds)
        leaves = self._job.begins and stage is self._job.stages[-1]
        beginnings = Beginnings(self._store, stage, self._world, taken=ready.taken, leaves=leaves)
        trained = (ready.network, found.parts, found.batches, stage)
        reason, diverged = "", False
        with trimmed(ready.network, found.features, ready.special, self._world):
            loop = Loop(*trained, self._world, checkpoints, beginnings, development.score, self._on_step)
            start = time.perf_counter()
            try:
                loop.run()
            except DivergenceError as error:
                reason, diverged = str(error), True
        reach("stage.trained")
        state = loop.state
        metrics = {
            "dev": state.history,
            "score": None if diverged or not self._world.first else development.points,
            "params": ready.params,
            **found.facts,
            "steps": loop.steps,
            "tokens": state.tokens,
        }
        seconds = state.seconds - state.taken_seconds  # what it took over is on the other run's account
        timings = {"load": load, "train": seconds, "score": development.seconds}
        timings["tokens_per_second"] = (state.tokens - state.taken_tokens) / seconds if seconds else 0.0
        if diverged:
            return Outcome("diverged", reason, metrics, timings=timings)
        self._held = stage, ready.network
        weights = self._save(ready) if stage.key in self._job.keep else None
        if not self._world.first:
            return Outcome("ok", metrics=metrics)
        reason, flaws = development.verdict(), development.flaws()
        metrics |= {"degenerate": flaws} if flaws else {}
        status: Status = "degenerate" if reason else "ok"
        if stage.hyper and stage.hyper.until and not reason:
            status, reason = "pruned", f"stopped after {stage.hyper.until} of {stage.hyper.epochs} epochs"
        return Outcome(status, reason, metrics, development.results(), weights, timings)

    def _save(self, ready: _Ready) -> Path:
        path = self._store.work(ready.stage.key) / "model.safetensors"
        with self._world.together():
            save_weights(ready.network, path, self._world)
        return path

    def _evaluate(self, ready: _Ready) -> Outcome:
        stage, task, start = ready.stage, ready.stage.tasks[0], time.perf_counter()
        with self._world.together():
            rows = ready.reader.languages(task, stage.score_examples, stage.languages)
        load, start = ready.load_seconds + time.perf_counter() - start, time.perf_counter()
        (network,) = ready.network.parts
        tested = score_languages(network, task, rows, ready.setting)
        reach("stage.predicted")
        seconds = time.perf_counter() - start
        timings = {"load": load, "train": 0.0, "score": seconds, "tokens_per_second": tested.tokens / seconds}
        metrics = {"test": tested.metrics, "params": ready.params}
        return Outcome("ok", "", metrics, tested.results, timings=timings)
