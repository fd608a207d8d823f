from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests import made_up
from tests.builders import task
from tests.plan.test_stage import STAGE
from xsweep.plan.records import Record
from xsweep.spec.sweep import MaskedText, Mixture, Sampling
from xsweep.store.manifests import Manifest
from xsweep.tracking.facts import distinct, facts, manifests, outcome


def pick(records: list[Record], **where: object) -> Record:
    return next(r for r in records if all(getattr(r, name) == value for name, value in where.items()))


RECORDS = made_up.records(made_up.sweep())


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ({"kind": "evaluate", "arm": "snli", "target": "xnli", "seed": 2}, "snli / xnli / small / s2"),
        ({"kind": "target", "arm": "snli", "target": "xnli", "seed": 2}, "snli / xnli / small / s2 (target)"),
        ({"kind": "intermediate", "arm": "anli", "seed": 1}, "anli / small / s1 (intermediate)"),
        ({"kind": "target", "arm": "none", "target": "xquad", "trial": 1}, "none / xquad / small / t01"),
        ({"kind": "intermediate", "arm": "squad", "trial": 0}, "squad / small / t00"),
    ],
)
def test_names_say_what_varies(where: dict[str, object], name: str) -> None:
    assert facts(pick(RECORDS, **where), {}).name == name


def test_no_two_stages_share_a_name() -> None:
    names = [facts(record, {}).name for record in RECORDS]
    assert len(set(names)) == len(names)


def test_evaluations_tell_every_language_and_the_mean_of_the_others() -> None:
    told = facts(pick(RECORDS, kind="evaluate", arm="none", target="xnli", seed=1), {})
    metrics = {key: value for key, value, _ in told.metrics}
    assert metrics["eval/xnli/de/accuracy"] == 61.0
    assert metrics["eval/xnli/de/n"] == 300.0
    assert metrics["eval/xnli/mean_others/accuracy"] == 56.0
    assert "eval/xnli/mean_others/n" not in metrics
    assert metrics["scale/params"] == 1e8
    assert metrics["scale/log10_params"] == 8.0
    assert told.params["lr"] == "3e-05"
    assert told.tags["xsweep.seed"] == told.params["seed"] == "1"


def test_a_mixture_says_what_it_is_made_of() -> None:
    record = pick(RECORDS, kind="intermediate", arm="anli", seed=1)
    assert record.manifest
    assert "tasks" not in facts(record, {}).params
    text = MaskedText(task=task("text", family="text", format="text", labels=()), ratio=0.2)
    mixture = Mixture(sampling=Sampling(temperature=2, cap=10), heads="task", weights={"squad": 0.5}, mlm=text)
    stage = replace(STAGE, tasks=(task("snli"), task("squad")), mixture=mixture)
    metrics = {"dev": [{"epoch": 1, "snli/accuracy": 50.0, "squad/f1": 30.0, "mean": 40.0}], "score": 40.0}
    metrics |= {
        "tasks": {"snli": {"train_examples": 9, "dropped": {}, "epoch_rows": 7}},
        "degenerate": {"squad": "why"},
    }
    mixed = replace(record, manifest=replace(record.manifest, spec=stage.payload(), metrics=metrics))
    told = facts(mixed, {})
    expected = {
        "tasks": "snli,squad",
        "sampling": "cap=10 shares=proportional temperature=2.0",
        "heads": "task",
        "weights": "squad=0.5",
        "mlm": "text 0.2",
    }
    assert {name: told.params[name] for name in expected} == expected
    assert {("dev/snli/accuracy", 50.0, 1), ("dev/squad/f1", 30.0, 1), ("dev/mean", 40.0, 1)} <= set(told.metrics)
    assert ("train/epoch_rows/snli", 7.0, 0) in told.metrics
    plain = replace(stage, mixture=Mixture())
    told = facts(replace(mixed, manifest=replace(record.manifest, spec=plain.payload())), {})
    assert (told.params["weights"], told.params["mlm"]) == ("1", "none")


def test_dev_metrics_step_by_epoch() -> None:
    told = facts(pick(RECORDS, kind="target", trial=0), {})
    assert [m for m in told.metrics if m[0] == "dev/accuracy"] == [("dev/accuracy", 50.0, 1), ("dev/accuracy", 61.0, 2)]
    assert ("score", 61.0, 0) in told.metrics
    assert told.tags["xsweep.trial"] == "0"
    assert told.tags["xsweep.study"].startswith("study-")


def test_what_mlflow_compares_runs_by_comes_first() -> None:
    """Its plots take the parameters that differ and the first metric: no axis may be a mere number of a run."""
    trials = [facts(record, {}) for record in RECORDS if record.kind == "target" and record.trial is not None]
    assert {told.metrics[0][0] for told in trials} == {"score"}
    assert not {name for told in trials for name, _, _ in told.metrics if name.startswith("scale/")}
    assert {"lr", "log10_lr", "epochs"} <= set(trials[0].params)
    assert "trial" not in trials[0].params
    scored = facts(pick(RECORDS, kind="evaluate", target="xnli"), {})
    assert scored.metrics[0][0] == "eval/xnli/mean_others/accuracy"
    assert {"scale/params", "scale/log10_params"} <= {name for name, _, _ in scored.metrics}


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_not_finite_is_left_out_and_said(value: float | None) -> None:
    record = pick(RECORDS, kind="evaluate", arm="none", target="xnli", seed=1)
    assert record.manifest
    test = {"de": {"accuracy": value, "n": 300}, "en": {"accuracy": 80.0, "n": 300}}
    told = facts(replace(record, manifest=replace(record.manifest, metrics={"test": test})), {})
    keys = {key for key, _, _ in told.metrics}
    assert "eval/xnli/en/accuracy" in keys
    assert not {"eval/xnli/de/accuracy", "eval/xnli/mean_others/accuracy"} & keys
    assert told.tags["xsweep.nonfinite"] == "true"
    assert "xsweep.nonfinite" not in facts(record, {}).tags


def test_a_failed_attempt_tells_why_and_no_numbers() -> None:
    cell = ("small", "snli", "xnli", 1)
    records = made_up.records(made_up.sweep(), statuses={("target", cell): "failed"})
    told = facts(pick(records, kind="target", arm="snli", target="xnli", seed=1), {})
    assert not told.finished
    assert not told.metrics
    assert told.tags["xsweep.reason"] == "made to end failed"


def test_degenerate_is_inherited() -> None:
    chain = {
        "a": Manifest(key="a", kind="intermediate", status="degenerate"),
        "b": Manifest(key="b", kind="target", status="ok", parent="a"),
        "c": Manifest(key="c", kind="evaluate", status="ok", parent="b"),
    }
    assert outcome(chain["c"], chain) == "degenerate"
    assert outcome(chain["c"], {}) == "ok"
    assert outcome(replace(chain["b"], status="diverged"), chain) == "diverged"


def test_the_digest_follows_the_facts() -> None:
    record = pick(RECORDS, kind="evaluate", arm="none", target="xnli", seed=1)
    ended = manifests(RECORDS)
    assert facts(record, ended).digest == facts(record, ended).digest
    assert facts(replace(record, arm="renamed"), ended).digest != facts(record, ended).digest


def test_distinct_keeps_the_first_record_of_a_stage() -> None:
    twin = replace(RECORDS[0], arm="twin")
    assert list(distinct([RECORDS[0], twin, replace(twin, key=None)]).values()) == [RECORDS[0]]
