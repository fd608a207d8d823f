"""Retrieval on tiny models: encoders as they come, and dual encoders."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.tasks.made import Mirror
from tests.train.gang import run_gang
from tests.train.small import WORDS, Place, pair_rows, run_job, write_model
from xsweep.models.families import FAMILIES
from xsweep.models.heads import Network, make_head
from xsweep.models.load import load_encoder, word_table
from xsweep.models.segments import Segments
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Layout, Training
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store
from xsweep.tasks.catalog import task as catalogued
from xsweep.tasks.examples import fingerprint
from xsweep.tasks.retrieval import sides
from xsweep.tasks.task import Task
from xsweep.train import embed as embed_module
from xsweep.train.batches import Batch, Rows
from xsweep.train.contrast import SCALE, contrast
from xsweep.train.data import Reader
from xsweep.train.embed import Slot, all_slots, embed, hidden_states
from xsweep.train.live import live
from xsweep.train.predict import Setting
from xsweep.train.retrieve import headline, retrieve
from xsweep.train.stage import Context
from xsweep.train.world import World


def match_rows(rows: int, seed: int) -> dict[str, list[Any]]:
    """Each word of the query has its own in the candidate, half the vocabulary away."""
    rng = random.Random(seed)
    numbers = [rng.sample(range(60), 4) for _ in range(rows)]
    queries = [" ".join(WORDS[n] for n in row) for row in numbers]
    return {"query": queries, "candidate": [" ".join(WORDS[n + 60] for n in row) for row in numbers]}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.data("matches", match_rows, train=96)
    return place


def declared(place: Place, **changes: Any) -> Task:
    base = place.task("matches", "span")
    fields = {"format": "retrieval", "metric": "map20", "family": "retrieval", "stride": 0, **changes}
    return Task.model_validate({**base.model_dump(), **fields})


def untrained(place: Place, **changes: Any) -> Task:
    return declared(place, **{"train": (), "selection": (), "metric": "accuracy", **changes})


def scoring(place: Place, of: Task, parent: Stage | None = None, **changes: Any) -> Stage:
    prints = {f"test/{of.name}/{code}": fingerprint(of, "test", place.sources, code) for code in ("en", "de")}
    like = place.stage(declared(place), place.model(), seed=0)
    fields = {"kind": "evaluate", "hyper": None, "tasks": (of,), "prints": prints, "languages": ("en", "de")}
    return replace(like, **{**fields, "parent": parent.key if parent else None, **changes})


def run(context: Context, *stages: Stage, keep: tuple[Stage, ...] = ()) -> list[Manifest]:
    run_job(Job(stages, frozenset(stage.key for stage in keep)), context, World.single())
    found = [Store(context.store).manifest(stage.key) for stage in stages]
    return [manifest for manifest in found if manifest]


def table(context: Context, stage: Stage, name: str) -> Any:
    return pq.read_table(Store(context.store).results(stage.key) / f"{name}.parquet")


def test_a_model_as_it_comes_is_scored_in_every_layer(place: Place) -> None:
    stage, context = scoring(place, untrained(place)), place.context()
    (manifest,) = run(context, stage)
    assert manifest.status == "ok"
    assert manifest.parent is None
    lines = table(context, stage, "layers").to_pylist()
    assert [(line["language"], line["layer"], line["pooling"]) for line in lines] == [
        (language, layer, pooling) for language in ("en", "de") for layer in range(3) for pooling in ("first", "mean")
    ]
    for language, scores in manifest.metrics["test"].items():
        found = table(context, stage, f"predictions-{language}")
        assert found.num_rows == scores["n"] == 40
        assert scores["accuracy"] == pytest.approx(100 * np.mean(found.column("correct").to_pylist()))
        (line,) = [x for x in lines if (x["language"], x["layer"], x["pooling"]) == (language, 1, "mean")]
        assert line["score"] == scores["accuracy"], "the layer at 7/12 of two"
        assert "accuracy_xtreme" in scores


def test_the_layer_that_counts_is_fixed_by_depth_alone() -> None:
    assert [headline(depth) for depth in (24, 12, 4, 2, 1)] == [Slot(n, "mean") for n in (14, 7, 2, 1, 1)]


def test_mining_keeps_a_row_for_every_query(place: Place) -> None:
    stage, context = scoring(place, untrained(place, metric="f1")), place.context()
    (manifest,) = run(context, stage)
    for language, scores in manifest.metrics["test"].items():
        found = table(context, stage, f"predictions-{language}")
        assert found.num_rows == scores["n"] == 40
        assert sum(found.column("kept").to_pylist()) == min(
            40, sum(p >= 0 for p in found.column("prediction").to_pylist())
        )
        assert 0 <= scores["f1"] <= 100
        assert "f1_xtreme" in scores


def test_an_intermediate_model_of_another_format_is_scored_without_its_head(place: Place) -> None:
    place.data("pairs", pair_rows)
    parent = place.stage(place.task("pairs"), place.model(), kind="intermediate", hyper=Hyper(3e-3, 2))
    child, base = scoring(place, untrained(place), parent), scoring(place, untrained(place))
    together, apart = place.context("together"), place.context("apart")
    run(together, parent, child, keep=(parent,))
    run(apart, parent, keep=(parent,))
    run(apart, child, base)
    one, other = (table(context, child, "layers").to_pylist() for context in (together, apart))
    assert one == other, "from memory or from the store"
    assert one != table(apart, base, "layers").to_pylist()


def test_a_dual_encoder_is_learned(place: Place) -> None:
    of = declared(place)
    stage = place.stage(of, place.model(), hyper=Hyper(3e-3, 12), training=Training(batch_size=16, warmup=0.1))
    context = place.context()
    trained, tested = run(context, stage, place.evaluate(stage))
    assert trained.status == "ok"
    assert trained.metrics["dev"][0]["map20"] < trained.metrics["score"]
    assert trained.metrics["score"] > 60
    for language in ("en", "de"):
        found = table(context, place.evaluate(stage), f"predictions-{language}")
        assert found.column_names == ["id", "prediction", "average_precision"]
        assert tested.metrics["test"][language]["map20"] > 60
    assert table(context, stage, "predictions-dev").num_rows == 48


def test_a_dual_encoder_that_learned_nothing_is_degenerate(place: Place) -> None:
    (manifest,) = run(place.context(), place.stage(declared(place), place.model(), hyper=Hyper(1e-9, 1)))
    assert manifest.status == "degenerate"
    assert "random order" in manifest.reason or "one candidate" in manifest.reason


def test_two_workers_agree_with_one(place: Place, tmp_path: Path) -> None:
    stage = place.stage(declared(place), place.model(), hyper=Hyper(3e-3, 2))
    tested, base = place.evaluate(stage), scoring(place, untrained(place))
    job = Job((stage, tested, base), frozenset({stage.key}))
    one, two = place.context("one"), replace(place.context("two"), layout=Layout(workers=2, tokens=64))
    run_job(job, one, World.single())
    run_gang(2, job, two, tmp_path)
    for other in job.stages:
        first, second = (Store(context.store).manifest(other.key) for context in (one, two))
        assert first
        assert second
        if other is stage:
            for before, after in zip(first.metrics["dev"], second.metrics["dev"], strict=True):
                assert after["map20"] == pytest.approx(before["map20"], abs=1.0)
        else:
            for language, scores in first.metrics["test"].items():
                assert second.metrics["test"][language] == pytest.approx(scores, abs=2.6)
    lines = [table(context, base, "layers").column("score").to_pylist() for context in (one, two)]
    assert lines[0] == pytest.approx(lines[1], abs=2.6), "one query of forty, where two are as near"


# One forward pass, one gradient


def loaded(place: Place, tokens: int = 4096) -> tuple[Network, Any, Setting]:
    of, model = declared(place), place.model()
    base = live(place.mirror / "made--bert", "print", Training(), World.single())
    base.reset(0)
    head = make_head("retrieval", word_table(base.encoder), 0, dropout=0.0, pooling=model.pooling, std=0.1, seed=0)
    prints = {"train/matches": fingerprint(of, "train", place.sources)}
    rows = Reader(place.sources, base.tokenizer, "print", prints).part((of,), "train", None)
    return Network(base.encoder, head), rows, Setting(World.single(), tokens, None)


def gradients(network: Network) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    return found


@pytest.mark.parametrize("tokens", [8, 30, 4096])
def test_the_gradient_is_that_of_the_whole_batch_at_once(place: Place, tokens: int) -> None:
    network, rows, setting = loaded(place, tokens)
    texts, batch = sides(rows.features), np.arange(3, 19)
    network.train()
    loss = contrast(network, texts, batch, setting)
    ours = gradients(network)
    whole: list[Rows] = [2 * batch, 2 * batch + 1]
    first, second = (setting.collate(texts, part) for part in whole)
    queries, candidates = (network(part.ids, part.segments, part.types) for part in (first, second))
    plain = torch.nn.functional.cross_entropy(SCALE * queries @ candidates.T, torch.arange(16))
    plain.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    for name, value in gradients(network).items():
        torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5)


def test_vectors_are_those_of_each_text_alone_however_they_are_kept(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, rows, setting = loaded(place, 40)
    texts, wanted, slots = sides(rows.features), np.arange(20), all_slots(2)
    vectors, finite = embed(network, texts, wanted, slots, setting)
    assert finite
    assert vectors.shape == (6, 20, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-5)
    ids = torch.from_numpy(texts.ids[texts.span(7)].astype(np.int64))[None]
    with torch.no_grad():
        hidden = network.encoder(input_ids=ids, output_hidden_states=True).hidden_states
    for number, slot in enumerate(slots):
        plain = hidden[slot.layer][0, 0] if slot.pooling == "first" else hidden[slot.layer][0].mean(0)
        np.testing.assert_allclose(vectors[number, 7], plain / plain.norm(), atol=1e-5)
    monkeypatch.setattr(embed_module, "IN_MEMORY", 1000)
    kept, _ = embed(network, texts, wanted, slots, setting)
    assert isinstance(kept, np.memmap)
    assert (kept == vectors).all()


@pytest.mark.parametrize("kind", FAMILIES)
def test_hidden_states_are_those_that_transformers_collects(kind: str, tmp_path: Path) -> None:
    encoder = load_encoder(write_model(tmp_path, kind), None).eval()
    ids, mask = torch.tensor([[0, 9, 8, 2], [0, 7, 2, 1]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    segments = Segments(np.array([4, 3]), torch.device("cpu"))
    batch = Batch(ids[mask.bool()], segments, None, ids[:, 0], None, None, None)
    with torch.no_grad():
        ours = hidden_states(encoder, batch)
        theirs = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    assert len(ours) == len(theirs) == 3
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other[mask.bool()], rtol=1e-5, atol=1e-6)


def test_fewer_queries_search_the_same_candidates(place: Place) -> None:
    of = untrained(place)
    prints = {"test/matches/de": fingerprint(of, "test", place.sources, "de")}
    network, _, setting = loaded(place)
    base = live(place.mirror / "made--bert", "print", Training(), World.single())
    reader = Reader(place.sources, base.tokenizer, "other", prints)
    every, some = (reader.part((of,), "test", count, "de") for count in (None, 10))
    whole = retrieve(network, of, {"de": every}, setting).predictions["de"].to_pylist()
    fewer = retrieve(network, of, {"de": some}, setting).predictions["de"].to_pylist()
    assert len(fewer) == 10
    right = {row["id"]: row["correct"] for row in whole}
    assert {row["id"]: row["correct"] for row in fewer} == {row["id"]: right[row["id"]] for row in fewer}


def test_one_list_of_candidates_is_read_once_for_all_languages(place: Place) -> None:
    """Mewsli-X in the hub's schema: mentions by language, entities of all languages in one list."""
    words = {"Q1": "w1 w2", "Q2": "w3 w4", "Q3": "w5 w6"}
    mirror = Mirror(place.root)
    for language, names in (("de", ["Q2", "Q1"]), ("en", ["Q3"])):
        mentions = {"mention": [words[name] for name in names], "entity_id": names}
        mirror.write(mentions, at=f"izhx--mewsli-x/{language}/test.parquet")
    entities = {"entity_id": list(words), "description": list(words.values())}
    mirror.write(entities, at="izhx--mewsli-x/candidate_entities/test.parquet")
    of = catalogued("mewslix")
    assert of.one_list
    prints = {f"test/mewslix/{code}": fingerprint(of, "test", place.sources, code) for code in ("de", "en")}
    network, _, setting = loaded(place)
    base = live(place.mirror / "made--bert", "print", Training(), World.single())
    rows = Reader(place.sources, base.tokenizer, "mewslix", prints).languages(of, None, ("de", "en"))
    assert {code: len(part.examples) for code, part in rows.items()} == {"de": 2 + 3, "en": 1}
    found = retrieve(network, of, rows, setting)
    assert {code: scores["map20"] for code, scores in found.metrics.items()} == {"de": 100.0, "en": 100.0}
    assert found.predictions["de"].column("prediction").to_pylist() == [1, 0]
    assert found.layers is None, "the vectors that were trained are the ones that count"
