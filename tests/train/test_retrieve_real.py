"""Retrieval with a real small encoder on real sentences, counted again by other implementations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from tests.tasks.made import Mirror
from tests.tasks.test_ranking import plain_margin_pairs
from xsweep.models.heads import Network, make_head
from xsweep.models.load import word_table
from xsweep.spec.sweep import Training
from xsweep.tasks import ranking
from xsweep.tasks.catalog import task as catalogued
from xsweep.tasks.examples import fingerprint, load_split
from xsweep.tasks.retrieval import sides
from xsweep.tasks.source import Sources
from xsweep.tasks.task import Data
from xsweep.train.data import Reader
from xsweep.train.embed import Slot, embed
from xsweep.train.live import live
from xsweep.train.predict import Setting
from xsweep.train.retrieve import headline, retrieve
from xsweep.train.world import World


def test_real_sentences_find_their_translations(real_setting: tuple[Network, Sources, Any, Setting]) -> None:
    """German and Hindi of Tatoeba; a layer's own accuracy is counted again with scikit-learn."""
    network, sources, tokenizer, setting = real_setting
    of = catalogued("tatoeba")
    prints = {f"test/tatoeba/{code}": fingerprint(of, "test", sources, code) for code in ("de", "hi")}
    reader = Reader(sources, tokenizer, "real", prints)
    rows = {code: reader.part((of,), "test", None, code) for code in ("de", "hi")}
    found = retrieve(network, of, rows, setting)
    assert found.layers is not None
    lines = {(x["language"], x["layer"], x["pooling"]): x["score"] for x in found.layers.to_pylist()}
    assert lines["de", 2, "mean"] > lines["de", 1, "mean"] > lines["de", 0, "mean"] > 10
    assert lines["hi", 2, "mean"] > 40
    texts = sides(rows["de"].features)
    vectors, _ = embed(network, texts, np.arange(2000), [Slot(2, "mean")], setting)
    other = NearestNeighbors(n_neighbors=1, algorithm="brute", metric="cosine").fit(vectors[0, 1::2])
    places = other.kneighbors(vectors[0, 0::2], return_distance=False)[:, 0]
    assert 100 * np.mean(places == np.arange(1000)) == pytest.approx(lines["de", 2, "mean"], abs=0.2)


def test_real_corpora_are_mined(real_setting: tuple[Network, Sources, Any, Setting], tmp_path: Path) -> None:
    """BUCC's Chinese-English gold among as many other sentences, counted again by a plain implementation."""
    network, sources, tokenizer, setting = real_setting
    place = Mirror(tmp_path)
    gold, *corpora = (
        sources.table(Data(dataset="bucc2018-mining", config="zh-en", split=split)).to_pandas()
        for split in ("dev_gold", "dev_zh", "dev_en")
    )
    for split, corpus, names in zip(("zh", "en"), corpora, (gold["source_id"], gold["target_id"]), strict=True):
        cut = corpus[corpus["id"].isin(names) | (corpus.index % 40 == 0)]
        place.write({name: cut[name].tolist() for name in ("id", "text")}, at=f"cut--bucc/zh/{split}.parquet")
    place.write({name: gold[name].tolist() for name in gold.columns}, at="cut--bucc/zh/gold.parquet")
    sides_ = {
        name: Data(dataset="cut/bucc", config="zh", split=split)
        for name, split in (("queries", "zh"), ("candidates", "en"))
    }
    columns = {"query_id": "source_id", "candidate_id": "target_id"}
    test = Data(dataset="cut/bucc", config="zh", split="gold", columns=columns, **sides_)
    of = catalogued("bucc2018").model_copy(update={"test": test, "languages": ("zh",)})
    prints = {"test/bucc2018/zh": fingerprint(of, "test", place.sources, "zh")}
    rows = Reader(place.sources, tokenizer, "real", prints).part((of,), "test", None, "zh")
    found = retrieve(network, of, {"zh": rows}, setting)
    pool = ranking.pool(rows.examples, merge=True)
    wanted = np.concatenate([pool.query_rows, pool.candidate_rows])
    vectors, _ = embed(network, sides(rows.features), wanted, [headline(2)], setting)
    queries, candidates = np.split(vectors[0], [len(pool.ids)])
    kept = plain_margin_pairs(queries, candidates)[:257]
    right = sum(candidate in pool.gold[query] for query, candidate in kept)
    assert found.metrics["zh"]["f1"] == pytest.approx(100 * right / 257, abs=0.4)
    assert found.metrics["zh"]["f1"] > 30
    assert found.metrics["zh"]["n"] == len(pool.ids) > 450


@pytest.fixture
def real_setting(shared: Path, ladder: Path, tmp_path: Path) -> tuple[Network, Sources, Any, Setting]:
    base = live(ladder / "intfloat--multilingual-e5-small-L2", "real", Training(), World.single())
    base.reset(0)
    head = make_head("retrieval", word_table(base.encoder), 0, dropout=0.0, pooling="mean", std=0.02, seed=0)
    sources = Sources((shared / "data",), tmp_path / "cache")
    return Network(base.encoder, head), sources, base.tokenizer, Setting(World.single(), 4096, None)


def test_real_questions_are_ranked_over_all_languages(real_setting: tuple[Network, Sources, Any, Setting]) -> None:
    """An untrained dual encoder on LAReQA: English and German questions, answers in both."""
    network, sources, tokenizer, setting = real_setting
    of = catalogued("lareqa").model_copy(update={"max_length": 24})
    prints = {f"test/lareqa/{code}": fingerprint(of, "test", sources, code) for code in ("en", "de")}
    reader = Reader(sources, tokenizer, "real", prints)
    rows = {code: reader.part((of,), "test", 100, code) for code in ("en", "de")}
    found = retrieve(network, of, rows, setting)
    assert {code: table.num_rows for code, table in found.predictions.items()} == {"en": 100, "de": 100}
    pool = len(load_split(of, "test", sources, "en").examples)
    assert found.predictions["en"].column("prediction").to_numpy().max() > pool / 2
    assert all(5 < scores["map20"] < 100 for scores in found.metrics.values())
