"""One warm worker takes stages in any order: nothing that one leaves behind reaches another."""

from __future__ import annotations

from dataclasses import replace

from tests.train.small import Laid, Place
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Layout, Training
from xsweep.store.store import Store
from xsweep.train.stage import run_job
from xsweep.train.world import World

ROWS = 400
"""Of each word table; the tokenizer knows 124 of them."""
FAMILIES = ("bert", "xlm-roberta", "modernbert", "qwen3")


def everything(place: Place, name: str, jobs: list[Job]) -> dict[str, dict[str, str]]:
    """SHA-256 of the results and weights of each stage, where this process runs ``jobs`` one after the other."""
    context = place.context(name)
    for number, job in enumerate(jobs):
        run_job(_laid(context, job, number % 2 == 0), context, World.single())
    store, found = Store(context.store), {}
    for stage in (stage for job in jobs for stage in job.stages):
        manifest = store.manifest(stage.key)
        assert manifest
        assert manifest.status in ("ok", "degenerate")
        assert bool(manifest.weights) == (stage.kind != "evaluate")
        found[stage.key] = {name: entry["sha256"] for name, entry in manifest.files.items()}
    return found


def _laid(context: Laid, job: Job, recompute: bool) -> Job:
    layout: Layout = context.layout.model_copy(update={"recompute": recompute})
    return replace(job, layout=layout)


def test_the_order_of_stages_changes_no_bit(place: Place, sizes: list[int]) -> None:
    """Families mixed, dropout on, word tables trimmed, and recomputing turned on and off between: every stage runs
    once with it and once without."""
    training = Training(batch_size=8, dropout=0.1)
    jobs = []
    for seed in (1, 2):
        for kind in FAMILIES:
            model = place.model(f"order-{kind}", kind=kind, vocab_size=ROWS)
            first = place.stage(
                place.task("spans", "span"),
                model,
                training=training,
                seed=seed,
                kind="intermediate",
                hyper=Hyper(3e-3, 1),
            )
            goal: Stage = place.stage(
                place.task("others"), model, training=training, seed=seed, hyper=Hyper(3e-3, 1), parent=first.key
            )
            jobs.append(Job((first, goal, place.evaluate(goal)), frozenset({first.key, goal.key})))
    one_way = everything(place, "first", jobs)
    another = everything(place, "second", jobs[5:] + jobs[:5][::-1])
    assert len(one_way) == 3 * len(jobs)
    assert all(one_way.values())
    assert one_way == another
    assert sizes
    assert max(sizes) < ROWS
