"""The loop against plain PyTorch, and against itself under other cuts of the same batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModel

from tests.train.gang import run_gang
from tests.train.small import DATA, Place, run_job
from xsweep.models.heads import make_head
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Training
from xsweep.store.store import Store
from xsweep.tasks.examples import load_split
from xsweep.tasks.formats import FORMATS
from xsweep.train import live
from xsweep.train.seeds import derive
from xsweep.train.stage import Context
from xsweep.train.world import World


def weights(stage: Stage, context: Context) -> dict[str, Tensor]:
    return load_file(Store(context.store).weights(stage.key) / "model.safetensors")


def train(stage: Stage, context: Context) -> tuple[dict[str, Tensor], list[float]]:
    steps: list[float] = []
    run_job(Job((stage,), frozenset({stage.key})), context, World.single(), lambda step: steps.append(step.loss))
    return weights(stage, context), steps


def padded(monkeypatch: pytest.MonkeyPatch, price: int) -> None:
    """From here on every encoder is padded, and one more micro-batch costs ``price``."""
    monkeypatch.setattr("xsweep.models.load.REGISTERED", {"segments": "sdpa"})
    monkeypatch.setattr("xsweep.train.stage.price", lambda device, trunk: price)
    live._LIVE.clear()


def distance(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    """The largest difference of any matrix.

    Biases stay out: where a softmax cancels one, its gradient is rounding alone, which Adam scales up.
    """
    return max((first[name] - second[name]).abs().max().item() for name in first if first[name].ndim > 1)


def plain(place: Place, stage: Stage) -> tuple[dict[str, Tensor], list[float]]:
    """The same stage of sentence pairs in plain PyTorch: no micro-batches, no hooks, no state."""
    from transformers import AutoTokenizer

    folder, task, recipe = place.mirror / "made--bert", stage.tasks[0], stage.training
    assert stage.hyper is not None
    encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="sdpa")
    for parameter in encoder.parameters():
        parameter.data = parameter.data.clone()
    head = make_head(
        "pair",
        encoder.embeddings.word_embeddings.weight,
        2,
        dropout=0.0,
        pooling="first",
        std=0.1,
        seed=derive(stage.seed, "head", "pair"),
    )
    examples = load_split(task, "train", place.sources).examples
    features = FORMATS["pair"].encode(examples, task, AutoTokenizer.from_pretrained(folder))
    rows = [torch.from_numpy(features.ids[features.span(i)].astype(np.int64)) for i in range(len(features))]
    labels = torch.tensor(features.targets, dtype=torch.int64)
    net = nn.ModuleDict({"encoder": encoder, "head": head}).train()
    decay = [p for p in net.parameters() if p.ndim > 1]
    other = [p for p in net.parameters() if p.ndim == 1]
    groups = [{"params": decay, "weight_decay": recipe.weight_decay}, {"params": other, "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=stage.hyper.lr, fused=True)
    total = stage.hyper.epochs * -(-len(rows) // recipe.batch_size)
    warm = round(recipe.warmup * total)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda s: (s + 1) / warm if s < warm else (total - s) / (total - warm)
    )
    seen = []
    for epoch in range(1, stage.hyper.epochs + 1):
        order = np.random.Generator(np.random.PCG64(derive(stage.seed, "order", epoch))).permutation(len(rows))
        for batch in np.split(order, range(recipe.batch_size, len(rows), recipe.batch_size)):
            chosen = sorted(batch.tolist(), key=lambda i: len(rows[i]))
            ids = nn.utils.rnn.pad_sequence([rows[i] for i in chosen], batch_first=True, padding_value=1)
            mask = nn.utils.rnn.pad_sequence([torch.ones_like(rows[i]) for i in chosen], batch_first=True)
            first = encoder(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
            logits = head.out(torch.tanh(head.dense(first)))  # type: ignore[operator]
            loss = nn.functional.cross_entropy(logits, labels[torch.tensor(chosen)], reduction="sum") / len(chosen)
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
            adam.step()
            schedule.step()
            seen.append(loss.item())
    return {name: p.detach() for name, p in net.named_parameters()}, seen


def test_equal_to_plain_pytorch_bit_for_bit(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all of a batch in one padded micro-batch, as plain code has it."""
    stage = place.stage(place.task("others"), place.model(), training=Training(batch_size=7))
    padded(monkeypatch, 100_000)
    torch.set_num_threads(1)
    expected, losses = plain(place, stage)
    got, steps = train(stage, place.context())
    assert steps == pytest.approx(losses, rel=1e-6)
    assert got.keys() == expected.keys()
    assert [name for name in got if not torch.equal(got[name], expected[name])] == []


@pytest.mark.parametrize("form", ["pair", "span", "choice", "tag"])
def test_micro_batches_leave_the_training_as_it_is(place: Place, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without padding, however many there are; and with it, at any price of one."""
    task = place.task(DATA[form], form)
    stage = place.stage(task, place.model(), hyper=Hyper(1e-3, 1))
    whole, losses = train(stage, place.context("whole", tokens=100_000))
    for tokens, price in ((20, None), (60, None), (20, 32), (60, 32), (4096, 0), (100_000, 100_000)):
        if price is not None:
            padded(monkeypatch, price)
        parts, steps = train(stage, place.context(f"cut-{tokens}-{price}", tokens=tokens))
        assert steps == pytest.approx(losses, abs=1e-6)
        # Of choices one weight in thousands has next to no gradient, whose rounding Adam blows up.
        assert distance(parts, whole) < (1e-4 if form == "choice" else 1e-5)


@pytest.mark.parametrize("form", ["pair", "span"])
def test_what_is_not_padded_trains_alike_for_a_hundred_steps(
    place: Place, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = place.stage(place.task(DATA[form], form), place.model(), hyper=Hyper(1e-3, 13))
    _, ours = train(stage, place.context("unpadded"))
    padded(monkeypatch, 100_000)
    _, theirs = train(stage, place.context("padded"))
    assert len(ours) > 60
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_the_last_short_batch_counts_its_own_rows(place: Place) -> None:
    stage = place.stage(place.task("others"), place.model(), training=Training(batch_size=39), hyper=Hyper(1e-9, 1))
    _, steps = train(stage, place.context())
    assert len(steps) == 2
    assert 0.2 < steps[1] < 2.0


@pytest.mark.parametrize("form", ["pair", "span", "choice", "tag"])
def test_two_workers_train_as_one(place: Place, tmp_path: Path, form: str) -> None:
    task = place.task(DATA[form], form)
    # 13 rows a batch leave the workers unequal rows, and unequal micro-batches at a few tokens.
    training = Training(batch_size=13, freeze="embeddings" if form == "span" else "none")
    stage = place.stage(task, place.model(), training=training, hyper=Hyper(1e-3, 1))
    scored = place.evaluate(stage)
    job = Job((stage, scored), frozenset({stage.key}))
    one, alone = place.context("one", tokens=80), []
    run_job(job, one, World.single(), lambda step: alone.append(step.loss))
    two = place.context("two", tokens=80)
    stages, steps = run_gang(2, job, two, tmp_path)
    assert [entry["status"] for entry in stages] == [Store(one.store).manifest(s.key).status for s in job.stages]  # type: ignore[union-attr]
    assert [step["loss"] for step in steps] == pytest.approx(alone, abs=1e-5)
    first, second = weights(stage, one), weights(stage, two)
    assert first.keys() == second.keys()
    assert distance(first, second) < 1e-4
    tests = [Store(context.store).manifest(scored.key).metrics["test"] for context in (one, two)]  # type: ignore[union-attr]
    assert tests[0] == tests[1]
    manifest = Store(two.store).manifest(stage.key)
    assert manifest is not None
    assert manifest.layout["world"] == 2


def test_dropout_is_drawn_from_the_stage_seed(place: Place) -> None:
    model = place.model()
    stage = place.stage(place.task("others"), model, training=Training(batch_size=8, dropout=0.2))
    first, _ = train(stage, place.context("a"))
    torch.manual_seed(99)
    state = torch.get_rng_state()
    again, _ = train(stage, place.context("b"))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert torch.equal(state, torch.get_rng_state())
    other, _ = train(place.stage(place.task("others"), model, training=stage.training, seed=2), place.context("c"))
    assert not torch.equal(
        first["encoder.encoder.layer.0.output.dense.weight"], other["encoder.encoder.layer.0.output.dense.weight"]
    )
