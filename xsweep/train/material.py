"""What a training stage works on: rows by head, the steps of each epoch, and the scores that judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xsweep.models.heads import Joint, Network
from xsweep.plan.mixing import head_groups, masked_share, rows_each
from xsweep.plan.stage import Stage
from xsweep.spec.sweep import Mixture
from xsweep.tasks.features import Features
from xsweep.tasks.shuffled import shuffled
from xsweep.tasks.task import Task
from xsweep.train.batches import Rows, concat, epoch_batches
from xsweep.train.data import SHUFFLE_SEED, Loaded, Reader
from xsweep.train.mixture import Sampler, Stream
from xsweep.train.part import Part
from xsweep.train.predict import Setting
from xsweep.train.score import Development, Developments


@dataclass(frozen=True)
class Material:
    """``batches`` gives the steps of an epoch (from 1), as many in each: the part, and which of its rows."""

    parts: tuple[Part, ...]
    batches: Callable[[int], Sequence[tuple[int, Rows]]]
    development: Development | Developments
    features: tuple[Features, ...]
    """All that goes through the network in this stage."""
    facts: dict[str, Any]
    """What was read, for the metrics."""


def material(stage: Stage, network: Network | Joint, reader: Reader, setting: Setting) -> Material:
    """Read what ``stage`` trains on; raises ``DataError``."""
    if stage.mixture is not None:
        return _mixed(stage, stage.mixture, network.parts, reader, setting)
    task, (alone,) = stage.tasks[0], network.parts
    train = _controlled(stage, task, reader.part(stage.tasks, "train", stage.examples))
    selection = reader.part(stage.tasks, "selection", stage.score_examples)
    rows, size = len(train.features), stage.training.batch_size
    return Material(
        (Part(alone, task.format, train.features, setting),),
        lambda epoch: [(0, batch) for batch in epoch_batches(rows, size, stage.seed, epoch)],
        Development(alone, task, selection, setting),
        (train.features, selection.features),
        _read(train),
    )


def _mixed(stage: Stage, mixture: Mixture, networks: Sequence[Network], reader: Reader, setting: Setting) -> Material:
    tasks = {task.name: task for task in stage.tasks}
    loaded = zip(stage.tasks, reader.parts(stage.tasks, "train", stage.examples), strict=True)
    train = {task.name: _controlled(stage, task, rows) for task, rows in loaded}
    each = rows_each(mixture.sampling, {name: len(loaded.features) for name, loaded in train.items()})
    heads = [[stage.tasks[number].name for number in group] for group in head_groups(stage.payload())]
    streams = [stream for head, names in enumerate(heads) for stream in _streams(head, names, train, each)]
    if mixture.mlm:
        text = mixture.mlm.task
        train[text.name] = reader.part((text,), "train", None)
        batches = sum(-(-sum(each[name] for name in names) // stage.training.batch_size) for names in heads)
        masked = max(1, round(masked_share(mixture.mlm.ratio) * batches))
        each[text.name] = masked * stage.training.batch_size
        streams += _streams(len(heads), [text.name], train, each)
        heads.append([text.name])
        tasks[text.name] = text
    parts = [
        _part(network, [(tasks[name], train[name]) for name in names], mixture.weights, setting)
        for network, names in zip(networks, heads, strict=True)
    ]
    selection = {task.name: reader.part((task,), "selection", stage.score_examples) for task in stage.tasks}
    judged = {
        task.name: Development(networks[head], task, selection[task.name], setting)
        for task in stage.tasks
        for head, names in enumerate(heads)
        if task.name in names
    }
    read = {name: _read(loaded) | {"epoch_rows": each[name]} for name, loaded in train.items()}
    return Material(
        tuple(parts),
        Sampler(tuple(streams), stage.training.batch_size, stage.seed).epoch,
        Developments(judged) if len(judged) > 1 else judged[stage.tasks[0].name],
        tuple(loaded.features for loaded in (*train.values(), *selection.values())),
        {**_read(*(train[task.name] for task in stage.tasks)), "tasks": read},
    )


def _controlled(stage: Stage, task: Task, loaded: Loaded) -> Loaded:
    """The rows of a task, with shuffled labels where the stage is that control."""
    if not stage.shuffled:
        return loaded
    return replace(loaded, features=shuffled(loaded.features, task.format, SHUFFLE_SEED))


def _streams(head: int, names: Sequence[str], train: Mapping[str, Loaded], each: Mapping[str, int]) -> list[Stream]:
    """The rows of a head's tasks, one after the other."""
    counts = [len(train[name].features) for name in names]
    starts = [sum(counts[:number]) for number in range(len(counts))]
    return [Stream(name, head, s, n, each[name]) for name, s, n in zip(names, starts, counts, strict=True)]


def _part(
    network: Network, rows: Sequence[tuple[Task, Loaded]], weights: Mapping[str, float], setting: Setting
) -> Part:
    features = concat([loaded.features for _, loaded in rows])
    scale = np.repeat([weights.get(task.name, 1.0) for task, _ in rows], [len(loaded.features) for _, loaded in rows])
    return Part(network, rows[0][0].format, features, setting, None if (scale == 1).all() else scale)


def _read(*parts: Loaded) -> dict[str, Any]:
    """How many examples there are, and what is left out of them and of their texts, summed over ``parts``."""
    dropped: dict[str, int] = {}
    for part in parts:
        features = part.features
        unread = {"unread": features.unread} if features.unread else {}
        for why, count in {**part.dropped, "truncated": features.truncated, **unread}.items():
            dropped[why] = dropped.get(why, 0) + count
    return {"train_examples": sum(part.count for part in parts), "dropped": dropped}
