"""Catalogue tasks from their rows to their scores: real rows, a tiny model over characters, a few steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.train.small import SPECIALS, Place, run_job, write_model
from xsweep.plan.stage import Hyper, Job, Stage
from xsweep.spec.sweep import Training
from xsweep.store.manifests import Manifest
from xsweep.store.store import Store
from xsweep.tasks.catalog import CATALOG
from xsweep.tasks.examples import fingerprint, load_split
from xsweep.tasks.task import Task
from xsweep.train import data, live
from xsweep.train.world import World

Keep = Callable[[Mapping[str, Any]], bool]


class Real(Place):
    """A mirror of a few rows of the real data sets, some of them under the name of a split that is not to be had."""

    def __init__(self, root: Path, shared: Path) -> None:
        super().__init__(root)
        self.shared = shared / "data"
        data._PARTS.clear()
        live._LIVE.clear()

    def copy(self, source: str, rows: slice, target: str = "", keep: Keep = lambda _: True) -> None:
        """Rows of one real file that ``keep`` accepts, label names and all, as a file of the mirror."""
        table = pq.read_table(self.shared / f"{source}.parquet")
        kept = [number for number, row in enumerate(table.to_pylist()) if keep(row)][rows]
        self.write(target or source, table.take(kept))

    def write(self, target: str, table: pa.Table) -> None:
        path = self.mirror / f"{target}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)

    def characters(self, texts: Iterable[str]) -> None:
        """The model ``made/bert`` with every character of ``texts`` as a token."""
        folder = self.mirror / "made--bert"
        letters = sorted({char for text in texts for char in text if not char.isspace()})
        vocabulary = {token: number for number, token in enumerate([*SPECIALS, *letters])}
        write_model(folder, vocab_size=len(vocabulary), max_position_embeddings=130, layers=1)
        inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        splits = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
        inner.pre_tokenizer = pre_tokenizers.Sequence(splits)
        inner.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
        fast: Any = PreTrainedTokenizerFast
        fast(tokenizer_object=inner, model_input_names=["input_ids", "attention_mask"], **names).save_pretrained(folder)

    def run(self, task: Task, *languages: str) -> list[Manifest]:
        """Train one epoch, score on English, and in ``languages`` if there are any."""
        task = task.model_copy(update={"max_length": 128, "stride": 32 if task.format == "span" else 0})
        texts = [load_split(task, part, self.sources).examples for part in ("train", "selection")]
        texts += [load_split(task, "test", self.sources, language).examples for language in languages]
        self.characters(value for part in texts for example in part for value in _texts(example))
        trained = self.stage(task, self.model(), training=Training(batch_size=16), hyper=Hyper(1e-3, 1))
        stages: list[Stage] = [trained]
        if languages:
            prints = {f"test/{task.name}/{code}": fingerprint(task, "test", self.sources, code) for code in languages}
            scored = {"kind": "evaluate", "hyper": None, "parent": trained.key, "languages": languages}
            stages.append(replace(trained, prints=prints, **scored))  # type: ignore[arg-type]
        run_job(Job(tuple(stages)), self.context(), World.single())
        store = Store(self.context().store)
        manifests = [store.manifest(stage.key) for stage in stages]
        return [manifest for manifest in manifests if manifest is not None]

    def predictions(self, manifest: Manifest, name: str) -> pa.Table:
        return pq.read_table(Store(self.context().store).results(manifest.key) / f"predictions-{name}.parquet")


def _texts(example: Any) -> list[str]:
    return [example.first, example.second] if hasattr(example, "first") else [example.question, example.context]


@pytest.fixture
def rows(shared: Path, tmp_path: Path) -> Real:
    return Real(tmp_path, shared)


def short(row: Mapping[str, Any]) -> bool:
    return len(row["context"]) < 500 and len(row["question"]) < 80


def spoken(name: str) -> Keep:
    """Short rows of TyDiQA in one language."""
    return lambda row: short(row) and str(row["id"]).startswith(f"{name}-")


def squad(rows: Real) -> None:
    """SQuAD's training rows of the copy, parted: its validation rows are XQuAD's, which selection leaves out."""
    rows.copy("rajpurkar--squad/plain_text/train", slice(0, 40), keep=short)
    rows.copy("rajpurkar--squad/plain_text/train", slice(40, 60), "rajpurkar--squad/plain_text/validation", short)
    rows.copy("google--xquad/xquad.en/validation", slice(0, 5))


def test_squad_v2_is_trained_and_scored_with_and_without_answers(rows: Real) -> None:
    place = "rajpurkar--squad_v2/squad_v2"
    rows.copy(f"{place}/train", slice(0, 40), keep=short)
    rows.copy(f"{place}/train", slice(40, 70), f"{place}/validation", short)
    rows.copy("google--xquad/xquad.en/validation", slice(0, 5))
    (trained,) = rows.run(CATALOG["squad_v2"])
    assert trained.status in ("ok", "degenerate")
    scores = trained.metrics["dev"][-1]
    parts = {f"{part}_{name}" for part in ("has_answer", "no_answer") for name in ("exact_match", "f1")}
    assert parts | {"exact_match", "f1", "threshold", "loss", "epoch"} == scores.keys()
    table = rows.predictions(trained, "dev")
    silent = [null > scores["threshold"] for null in table["null_score"].to_pylist()]
    assert silent == [text == "" for text in table["prediction"].to_pylist()]
    assert 0 < sum(table["has_answer"].to_pylist()) < table.num_rows == 30
    # The threshold is the best one, so that it is no worse than to say nothing at all.
    assert scores["f1"] >= 100 * (1 - sum(table["has_answer"].to_pylist()) / 30) - 1e-9


def test_mlqa_in_each_language_by_its_own_rules(rows: Real) -> None:
    squad(rows)
    languages = ("ar", "de", "en", "es", "zh")
    for code in languages:
        place = f"facebook--mlqa/mlqa.{code}.{code}"
        rows.copy(f"{place}/validation", slice(0, 8), f"{place}/test", short)
    trained, tested = rows.run(CATALOG["mlqa"], *languages)
    assert trained.metrics["train_examples"] == 40
    assert {code: row["n"] for code, row in tested.metrics["test"].items()} == dict.fromkeys(languages, 8)
    for code in languages:
        assert all(rows.predictions(tested, code)["prediction"].to_pylist())  # never the empty answer


def test_tydiqa_from_one_file_for_all_languages(rows: Real) -> None:
    place = "google-research-datasets--tydiqa/secondary_task"
    languages = {"ar": "arabic", "en": "english", "ko": "korean", "ru": "russian", "te": "telugu"}
    for split, wanted in (
        ("train", {"english": 100, "korean": 20}),
        ("validation", dict.fromkeys(languages.values(), 6)),
    ):
        for number, (name, count) in enumerate(wanted.items()):
            part = f"parts/{split}/{number}"
            rows.copy(f"{place}/{split}", slice(0, count), part, spoken(name))
        parts = [pq.read_table(path) for path in sorted((rows.mirror / "parts" / split).iterdir())]
        rows.write(f"{place}/{split}", pa.concat_tables(parts))
    trained, tested = rows.run(CATALOG["tydiqa"], *languages)
    assert {code: row["n"] for code, row in tested.metrics["test"].items()} == dict.fromkeys(languages, 6)
    apart = rows.predictions(trained, "dev").num_rows
    assert trained.metrics["dropped"]["where"] == 20
    assert trained.metrics["train_examples"] + apart == 100
    assert 0 < apart < trained.metrics["train_examples"]


def test_pawsx_with_names_for_its_numbers(rows: Real) -> None:
    place = "google-research-datasets--paws-x"
    rows.copy(f"{place}/en/validation", slice(0, 48), f"{place}/en/train")
    rows.copy(f"{place}/en/validation", slice(48, 80))
    languages = ("de", "en", "es", "fr", "zh")
    for code in languages:
        rows.copy(f"{place}/{code}/test", slice(0, 12))
    trained, tested = rows.run(CATALOG["pawsx"], *languages)
    assert "accuracy" in trained.metrics["dev"][-1]
    assert {code: row["n"] for code, row in tested.metrics["test"].items()} == dict.fromkeys(languages, 12)
    ids = {tuple(rows.predictions(tested, code)["id"].to_pylist()) for code in languages}
    assert len(ids) == 1


QUESTIONS = [
    ("How do I learn to cook?", "What is the best way to learn cooking?", 1),
    ("Why is the sky blue?", "Why is the sea blue?", 0),
    ("Who wrote Emma?", "Which author wrote Emma?", 1),
    ("", "What is this?", 0),
]


def test_qqp_in_the_hubs_schema(rows: Real) -> None:
    names = '{"info": {"features": {"label": {"_type": "ClassLabel", "names": ["not_duplicate", "duplicate"]}}}}'
    for split, times in (("train", 16), ("validation", 8)):
        table = pa.table(
            {
                "question1": [f"{one} {n}" if one else "" for n in range(times) for one, _, _ in QUESTIONS],
                "question2": [two for _ in range(times) for _, two, _ in QUESTIONS],
                "label": [label for _ in range(times) for *_, label in QUESTIONS],
                "idx": list(range(times * len(QUESTIONS))),
            }
        )
        rows.write(f"nyu-mll--glue/qqp/{split}", table.replace_schema_metadata({"huggingface": names}))
    (trained,) = rows.run(CATALOG["qqp"])
    assert trained.metrics["train_examples"] == 48
    assert trained.metrics["dropped"] == {"blank": 16, "truncated": 0}
    table = rows.predictions(trained, "dev")
    gold = [label == right for label, right in zip(table["prediction"].to_pylist(), [1, 0, 1] * 8, strict=True)]
    assert table["correct"].to_pylist() == [int(right) for right in gold]
