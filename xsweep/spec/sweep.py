"""A sweep file as frozen values. Field docstrings are what the file's reader needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from xsweep.models.model import Model
from xsweep.tasks.task import Declared, Family, Task

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Control = Literal["shuffled-labels", "compute-matched"]

CONTROL: Family = "control"
"""Family of the arms that are there to be compared with; it is in no headline."""


class Sampling(Declared):
    """How many rows of each task an epoch holds: shares by ``min(rows, cap) ** (1 / temperature)``.

    An epoch is as long as all rows, each task's cut to ``cap``, so that proportional shares visit each row once.
    """

    shares: Literal["proportional", "uniform"] = "proportional"
    """``uniform`` is the limit of a high temperature: as many rows of each task."""
    temperature: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    cap: Count | None = None


class MaskedText(Declared):
    """Batches of masked language modelling among those of an arm's tasks."""

    task: Task
    """Raw text, of one language or many; trained on alone, nothing is chosen by it."""
    ratio: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
    """Their share of all batches."""


class Mixture(Declared):
    """How several tasks are trained on together: each batch is of one head, heads take turns by chance."""

    sampling: Sampling = Sampling()
    heads: Literal["format", "task"] = "format"
    """``format``: tasks of one format and one label set share a head."""
    weights: Mapping[str, Rate] = {}
    """Task (or raw text) -> what its loss is multiplied by; 1 where nothing is said."""
    mlm: MaskedText | None = None


class Arm(Mixture):
    """An intermediate condition. The arm ``none`` has no tasks and is the baseline of every gain."""

    name: str
    tasks: tuple[Task, ...] = ()
    """Where they have one format and one label set and nothing else is said, pooled into one training set."""
    examples: Count | None = None
    """Train on this many rows: nested subsets, so 1000 lie inside 10000."""
    family: Family | None = None
    """Taken from the tasks when they agree, ``control`` for a control; raw text is of a family of its own."""
    control: Control | None = None
    """``shuffled-labels``: the tasks' training labels are shuffled, so that there is nothing to learn.
    ``compute-matched``: no intermediate, but a target stage lengthened to the steps of both stages of the arm ``of``,
    with the baseline's learning rate; to the nearest whole epoch."""
    of: str | None = None
    """The arm whose steps a compute-matched control has."""

    @property
    def derived_family(self) -> Family | None:
        """The family of an arm that declares none: its tasks' where they agree; None where there are no tasks."""
        if self.control:
            return CONTROL
        families = {task.family for task in self.reads} if self.tasks else set()
        return families.pop() if len(families) == 1 else "mixture" if families else None

    @property
    def trained(self) -> bool:
        """Whether there is an intermediate stage; the baseline and a compute-matched control have none."""
        return bool(self.tasks)

    @property
    def mixture(self) -> Mixture | None:
        """How the tasks are mixed; None where they are pooled into one training set with one head."""
        told = {name: getattr(self, name) for name in Mixture.model_fields}
        told["weights"] = {name: weight for name, weight in self.weights.items() if weight != 1}
        mixture = Mixture(**told)
        pooled = len({(task.format, task.labels) for task in self.tasks}) <= 1
        return None if pooled and mixture == Mixture() else mixture

    @property
    def reads(self) -> tuple[Task, ...]:
        """Everything trained on: the tasks, and the raw text if there is any."""
        return (*self.tasks, self.mlm.task) if self.mlm else self.tasks


class Target(Declared):
    """A task fine-tuned in English, or not at all where it has no training rows, and scored in every language."""

    task: Task
    languages: tuple[str, ...]
    """Languages scored; all of the task's when the file leaves them out."""
    examples: Count | None = None
    """English training rows; all when left out."""
    score_examples: Count | None = None
    """Rows scored per language, the same parallel ids in each; all when left out."""

    @property
    def name(self) -> str:
        """The task's name; unique among a sweep's targets."""
        return self.task.name

    @property
    def trained(self) -> bool:
        """Whether the target is fine-tuned; retrieval of translations is not."""
        return bool(self.task.train)


class LogUniform(Declared):
    """A range searched evenly in its logarithm."""

    low: Rate
    high: Rate


class IntRange(Declared):
    """A range of integers, both ends included."""

    low: Annotated[int, Field(ge=1, le=1000)]
    high: Annotated[int, Field(ge=1, le=1000)]


class Ranges(Declared):
    """What is searched for one model; what is left out is as for all."""

    lr: LogUniform | None = None
    epochs: IntRange | None = None


class Space(Declared):
    """What one study may choose from. A fixed value is a range with equal ends."""

    trials: Annotated[int, Field(ge=1, le=10_000)]
    lr: LogUniform
    epochs: IntRange
    models: Mapping[str, Ranges] = {}
    """Model -> its own ranges."""

    def of(self, model: str) -> Space:
        """The space of that model's studies."""
        own = self.models.get(model, Ranges())
        return Space(trials=self.trials, lr=own.lr or self.lr, epochs=own.epochs or self.epochs)


class Halving(Declared):
    """Early stopping by successive halving, judged on the English held-out data.

    All trials of a study train for ``epochs``; the best 1/``eta`` of them go on to ``eta`` times as many, and so on.
    """

    eta: Annotated[int, Field(ge=2, le=10)] = 3
    epochs: Count = 1
    asynchronous: bool = False
    """A trial goes on as soon as it is among the best 1/``eta`` of those that have come as far (ASHA), so that no group
    waits for the others. Which trials go on then depends on timing: another run may decide otherwise."""


class Transfer(Declared):
    """Each model but the first of its ladder, in file order, tries the best configurations of the one before alone."""

    trials: Count = 3
    power: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] = 1.0
    """Learning rates are multiplied by (width of the model before / width of this one) to this power."""
    check: str | None = None
    """A model whose baseline search on the first trained target is run in full beside, to show what was lost."""


class Search(Declared):
    """How learning rate and epochs are chosen, on English held-out data alone."""

    mode: Literal["staged", "joint"] = "staged"
    """``staged``: a study of each arm's intermediate stage, then one of each of its targets. ``joint``: one study of
    both stages for each arm and target; a trial trains both, and the target's score alone judges it."""
    sampler: Literal["quasi-random", "random", "tpe"] = "quasi-random"
    seed: Seed = 0
    """Training seed of every trial, and of the sampler; must not be a reporting seed."""
    batch: Count = 4
    """TPE asks for this many trials at a time; they are told in trial order."""
    intermediate: Space
    target: Space
    score_examples: Count | None = None
    """English held-out rows behind each development score; all when left out."""
    target_per: Literal["arm", "baseline"] = "arm"
    """Search the target stage for each arm, or once per model and target on the baseline."""
    repeats: Count = 1
    """The whole search is done this many times, with other points and training seeds; reporting seeds take turns."""
    halving: Halving | None = None
    transfer: Transfer | None = None


class Lora(Declared):
    """Low-rank adapters on every linear map of the layers; the model itself is frozen."""

    rank: Count
    alpha: Rate
    """What adapters add is multiplied by ``alpha / rank``."""
    dropout: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0
    """Of what goes into the adapters."""


class Training(Declared):
    """The recipe of every stage. It is part of each stage's key."""

    batch_size: Count = 32
    """Examples (windows, for span tasks) per optimiser step over all workers."""
    warmup: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.1
    """Share of the steps with a rising rate; with ``schedule: wsd`` of the first epoch's."""
    schedule: Literal["linear", "wsd"] = "linear"
    """After the warm-up the rate falls linearly to zero; or (``wsd``) it stays, and falls in the ``cooldown`` alone.
    Then runs that differ in their epochs alone have a beginning in common, which is trained once."""
    cooldown: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.1
    """Share of all steps with a falling rate, with ``schedule: wsd``."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    clip: Rate = 1.0
    """Largest global gradient norm."""
    dropout: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None
    """Overrides the model's own dropout; the model's when left out."""
    freeze: Literal["none", "embeddings"] = "none"
    """``embeddings``: the word table is left as pretrained."""
    carry: Literal["encoder", "encoder+head"] = "encoder"
    """What goes from the intermediate to the target stage; a head only between equal formats and labels."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """``bf16``: weights and activations in bf16, with masters, gradients and optimiser in fp32."""
    lora: Lora | None = None
    """Train adapters and head alone, in every stage and arm alike; needs the package's extra ``lora``."""


class Gang(NamedTuple):
    """What one worker group holds; groups of one gang can run each other's jobs."""

    workers: int
    cpus: int
    gpus: float
    """CPU cores and GPUs of each worker."""


class Layout(Declared):
    """How one job is laid on the machine. Recorded with its result, part of no key."""

    workers: Count = 1
    """Workers that share one stage."""
    cpus: Count = 1
    """CPU cores, and torch threads, per worker."""
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """GPUs per worker."""
    tokens: Count = 4096
    """Largest micro-batch of one worker, in tokens; padding included where there is any."""
    recompute: bool = False
    """Keep each layer's input alone for the backward pass and compute the rest again: a third more work, and memory
    for activations that hardly grows with a layer's width."""
    checkpoint_seconds: Rate = 60.0
    """A running stage can lose at most this much work."""
    ooms: Annotated[int, Field(ge=0)] = 0
    """How often memory ran out under this job before; each time ``tokens`` was halved."""

    @property
    def gang(self) -> Gang:
        """The worker group that it needs."""
        return Gang(self.workers, self.cpus, self.gpus)

    def halved(self) -> Layout:
        """The layout to try again with when memory ran out: micro-batches of half the tokens, so twice as many."""
        return self.model_copy(update={"tokens": max(1, self.tokens // 2), "ooms": self.ooms + 1})


class Fit(Declared):
    """What a model's layout may choose; what is left out, or ``auto``, the planner chooses from its memory."""

    workers: Count | None = None
    """Workers that share one stage. Left out: the fewest (1, 2, 4, ...) whose GPUs hold it; 1 without GPUs."""
    recompute: bool | None = None
    """Work activations out again on the way back: a third more arithmetic for a fraction of their memory. Left out:
    only where it saves workers."""
    tokens: Count | None = None
    """Largest micro-batch of one worker, in tokens; 4096 when left out. The batch of a step stays what it is."""


class Layouts(Fit):
    """How a sweep's stages are laid on the machine: the ``layout`` of its file."""

    groups: Count | None = None
    """Worker groups at once; as many as the cluster holds when left out."""
    cpus: Count = 1
    """CPU cores, and torch threads, per worker."""
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """GPUs per worker."""
    gpu_memory: Rate = 80.0
    """GB (10^9 bytes) of one GPU, which workers are chosen to fit into."""
    gpu_hour_cost: Rate | None = None
    """Price of one GPU for an hour, in whatever currency; without it nothing is priced."""
    checkpoint_seconds: Rate = 60.0
    """A running stage can lose at most this much work."""
    models: Mapping[str, Fit] = {}
    """Model -> what is told for it alone."""


class Budget(Declared):
    """What a sweep may spend. Once that is spent nothing more is started; what runs then is finished."""

    gpu_hours: Rate | None = None
    """Hours of workers where there are no GPUs. The stages that the store has count, whoever ran them."""
    cost: Rate | None = None
    """In the currency of ``layout.gpu_hour_cost``."""


class Sweep(Declared):
    """A whole sweep, everything filled in and checked."""

    name: str
    description: str = ""
    models: tuple[Model, ...]
    arms: tuple[Arm, ...]
    targets: tuple[Target, ...]
    seeds: tuple[Seed, ...]
    """Reporting seeds: each trains the decided configuration anew; only these enter the curves."""
    search: Search
    train: Training = Training()
    keep: Literal["none", "parents", "all"] = "parents"
    """Weights kept after use: none, those of intermediate stages, or all."""
    layout: Layouts = Layouts()
    budget: Budget | None = None
    max_failures: Count = 20
    """The sweep stops once this many stages have failed of one cause in one launch."""
