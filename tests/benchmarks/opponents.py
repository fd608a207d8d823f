"""What training is compared with: ``Trainer`` in several settings, and a bare loop over the same padded batches."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoTokenizer, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from tests.benchmarks.case import LR, SEED, Case, Clock, Run, peak
from xsweep.models.heads import Network, make_head, span_losses
from xsweep.models.load import head_settings, load_encoder, word_table
from xsweep.tasks.features import Features
from xsweep.tasks.formats import FORMATS
from xsweep.train.batches import Rows, epoch_batches
from xsweep.train.optimizer import Optimizer
from xsweep.train.schedule import Schedule, schedule_of
from xsweep.train.seeds import derive
from xsweep.train.trim import trimmed
from xsweep.train.world import World


@dataclass(frozen=True)
class Theirs:
    """One way to set ``Trainer`` up."""

    pad_to: int | None = None
    grouped: bool = False
    tuned: bool = False


def looped(case: Case, features: Features) -> Run:
    """The batches of ``theirs`` padded to the longest in a loop of our own: what is left between them is overhead."""
    model, clock, stage = _model(case), Clock(case), case.stage
    batches, collate = epoch_batches(len(features), case.batch, SEED, 1), _Collator(features, None)
    device = torch.device("cuda" if case.gpu else "cpu")
    model.to(device).train()
    with _own_table(case, model, features), peak(case.gpu) as measured:
        optimizer = Optimizer(model.network, stage.training, LR, _schedule(case, features))
        for number, rows in enumerate(batches):
            inputs = {name: value.to(device) for name, value in collate([{"row": row} for row in rows]).items()}
            model.tokens.append(inputs["attention_mask"].sum())
            with torch.autocast("cuda", torch.bfloat16, enabled=case.gpu):
                loss = model(**inputs)["loss"]
            loss.backward()
            model.losses.append(loss.detach())
            optimizer.step(number, optimizer.gather())
            clock.mark()
    return _run(clock, model, measured)


def theirs(case: Case, how: Theirs, features: Features, steps: int) -> Run:
    """As many ``steps`` through ``Trainer``, of the same rows where they are not ``grouped``."""
    clock, model, training = Clock(case), _model(case), case.training
    # What a stage asked for would slow others down.
    torch.use_deterministic_algorithms(False)
    options: dict[str, Any] = {"bf16": case.gpu}
    if how.tuned:
        options |= {"torch_compile": True, "dataloader_num_workers": 4}
    if how.grouped:
        options["train_sampling_strategy"] = "group_by_length"
    # Its settings stay behind in the environment, and the next one would be compiled too.
    with tempfile.TemporaryDirectory() as out, patch.dict(os.environ):
        arguments = TrainingArguments(
            out,
            per_device_train_batch_size=case.batch,
            max_steps=steps,
            learning_rate=LR,
            weight_decay=training.weight_decay,
            max_grad_norm=training.clip,
            use_cpu=not case.gpu,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            **options,
        )
        trainer = _Trainer(
            model,
            arguments,
            data_collator=_Collator(features, how.pad_to),
            train_dataset=[{"row": i, "input_ids": features.ids[features.span(i)]} for i in range(len(features))],
            callbacks=[_Marks(clock)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.schedule = _schedule(case, steps=steps)
        trainer.order = None if how.grouped else np.concatenate(epoch_batches(len(features), case.batch, SEED, 1))
        with _own_table(case, model, features), peak(case.gpu) as measured:
            trainer.train()
    return _run(clock, model, measured)


def _schedule(case: Case, features: Features | None = None, steps: int = 0) -> Schedule:
    return schedule_of(case.stage, steps if features is None else -(-len(features) // case.batch))


def _own_table(case: Case, model: _Plain, features: Features) -> Any:
    """On a CPU the word table is trimmed for all, so that padding alone is compared."""
    if case.gpu:
        return nullcontext()
    special = AutoTokenizer.from_pretrained(case.folder).all_special_ids
    return trimmed(model.network, [features], special, World.single())


def _model(case: Case) -> _Plain:
    """The encoder and head that the stage starts from."""
    encoder = load_encoder(case.folder, 0.0)
    dropout, std = head_settings(encoder)
    seed = derive(SEED, "head", case.task.format)
    shape = (word_table(encoder), FORMATS[case.task.format].outputs(case.task))
    head = make_head(case.task.format, *shape, dropout=dropout, pooling="first", std=std, seed=seed)
    return _Plain(Network(encoder, head))


def _run(clock: Clock, model: _Plain, measured: Sequence[int | None]) -> Run:
    tokens = sum(int(count) for count in model.tokens[clock.case.skipped :])
    return Run(clock.seconds, tokens, [float(loss) for loss in model.losses], measured[0], "padded")


class _Plain(nn.Module):
    """The network as ``Trainer`` calls a model: padded, as the model classes of ``transformers`` are.

    The loss of spans is the masked one: theirs takes padding for possible answers, so that it depends on the batch.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.losses, self.tokens = network, list[Tensor](), list[Tensor]()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, targets: Tensor, allowed: Tensor | None = None
    ) -> dict[str, Tensor]:
        head: Any = self.network.head
        hidden = self.network.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if allowed is not None:
            loss = span_losses(head.out(hidden).float(), targets, allowed).mean()
        else:
            logits = head.out(torch.tanh(head.dense(hidden[:, 0])))
            loss = nn.functional.cross_entropy(logits.float(), targets)
        return {"loss": loss}


class _Trainer(Trainer):
    order: Rows | None = None
    schedule: Schedule

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return super()._get_train_sampler(train_dataset) if self.order is None else self.order.tolist()

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        # Theirs begins to warm up at a rate of 0, ours one step later: the steps must be the same.
        used: Any = optimizer or self.optimizer
        self.lr_scheduler = LambdaLR(used, self.schedule.rate)
        return self.lr_scheduler

    def compute_loss(self, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
        plain: Any = self.model
        plain.tokens.append(inputs["attention_mask"].sum())
        loss: Any = super().compute_loss(model, inputs, *given, **named)
        plain.losses.append(loss.detach())
        return loss


class _Marks(TrainerCallback):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._clock.mark()


@dataclass(frozen=True)
class _Collator:
    features: Features
    pad_to: int | None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        chosen = np.array([row["row"] for row in rows])
        width = self.pad_to or int(self.features.lengths[chosen].max())
        ids, mask = np.ones((2, len(rows), width), dtype=np.int64) * np.array([1, 0])[:, None, None]
        for place, row in enumerate(chosen):
            own = self.features.ids[self.features.span(row)]
            ids[place, : len(own)], mask[place, : len(own)] = own, 1
        found = {"input_ids": ids, "attention_mask": mask, "targets": self.features.targets[chosen].astype(np.int64)}
        if self.features.allowed is not None:
            found["allowed"] = self.features.allowed[chosen].astype(np.int64)
        return {name: torch.from_numpy(value) for name, value in found.items()}
