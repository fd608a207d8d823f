"""A few rows of every data set of the full sweeps: real ones where they can be had, made by hand in the hub's schema
where not; a tiny encoder with a real tokenizer; and the sweep files, cut down to them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

SWEEPS = Path(__file__).resolve().parent.parent / "sweeps"

LANGUAGES = {
    "xnli": ["en", "de", "th"], "pawsx": ["en", "de", "zh"], "xcopa": ["en", "id", "th"],
    "udpos": ["en", "de", "th", "ro"], "panx": ["en", "de", "ru"], "xquad": ["en", "de", "zh"],
    "mlqa": ["en", "de", "zh"], "tydiqa": ["en", "ko", "te"], "bucc2018": ["zh"], "tatoeba": ["de", "th", "ro"],
    "mewslix": ["de", "en"], "lareqa": ["en", "de"],
}  # fmt: skip
"""Target -> languages with rows here."""

SCALING = ("none", "snli", "nli_mix", "qa_mix", "snli_shuffled", "longer")
"""Arms of the scaling grid's reduced copy."""

Keep = Callable[[Mapping[str, Any]], bool]
Row = dict[str, Any]


def reduced(name: str) -> str:
    """The shipped sweep file ``name``: its arms and all its targets, one tiny model, one seed and one trial."""
    sweep = yaml.safe_load((SWEEPS / f"{name}.yaml").read_text("utf-8"))
    targets = [{"task": target} if isinstance(target, str) else target for target in sweep["targets"]]
    # Arms of one format differ in their rows alone; the mixtures of the scaling grid read all of them.
    arms = SCALING if name == "xtreme_r" else None
    kept = [arm for arm in sweep["arms"] if arms is None or (arm if isinstance(arm, str) else arm["name"]) in arms]
    space = {"trials": 1, "lr": 0.001, "epochs": 1}
    sweep |= {
        "arms": kept,
        "models": [{"name": "tiny", "id": "made/tiny", "pooling": "mean"}],
        "targets": [
            target | {"languages": [code for code in here if code in target.get("languages", here)]}
            for target in targets
            for here in [LANGUAGES[target["task"]]]
        ],
        "seeds": [1],
        "layout": {"groups": 2, "workers": 1, "cpus": 1, "tokens": 16384},
    }
    # A search for each arm and target would take minutes, and is the same code.
    sweep["search"] |= {"intermediate": space, "target": space, "target_per": "baseline"}
    return yaml.safe_dump(sweep)


class Few:
    """Writes the mirror ``root`` from the real data sets in ``data``."""

    def __init__(self, root: Path, data: Path) -> None:
        self.root, self.data = root, data

    def write(self) -> None:
        """Every data set of both sweeps."""
        self._pairs()
        self._answers()
        self._choices()
        self._tags()
        self._retrieval()
        self._texts()

    def copy(self, source: str, rows: slice, target: str = "", keep: Keep = lambda _: True) -> list[Row]:
        """Rows of one real file that ``keep`` accepts, as a file of the mirror, with its label names; the rows too."""
        table = pq.read_table(self.data / f"{source}.parquet").slice(0, 3000)
        kept = [number for number, row in enumerate(table.to_pylist()) if keep(row)][rows]
        assert kept, source
        self._save(target or source, table.take(kept))
        return [dict(row) for row in table.take(kept).to_pylist()]

    def make(self, target: str, rows: list[Row], names: list[str] | None = None) -> None:
        """A file of the mirror made by hand; ``names`` are those of the column ``label``."""
        features = {"label": {"_type": "ClassLabel", "names": names}} if names else {}
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        self._save(target, pa.Table.from_pylist(rows).replace_schema_metadata(metadata))

    def _save(self, target: str, table: pa.Table) -> None:
        path = self.root / f"{target}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)

    def _pairs(self) -> None:
        snli = "stanfordnlp--snli/plain_text"
        rows = self.copy(f"{snli}/train", slice(0, 40))
        self.copy(f"{snli}/validation", slice(0, 12))
        mnli = "nyu-mll--multi_nli/default"
        self.copy(f"{mnli}/validation_matched", slice(0, 24), f"{mnli}/train")
        self.copy(f"{mnli}/validation_matched", slice(24, 36))
        for part in (1, 2, 3):
            anli = f"facebook--anli/plain_text/dev_r{part}"
            self.copy(anli, slice(0, 12), anli.replace("dev", "train"))
            self.copy(anli, slice(12, 18))
        labels = ("entailment", "neutral", "contradiction")
        texts = (
            {name: row[name] for name in ("premise", "hypothesis")} | {"gold": labels[row["label"]]} for row in rows
        )
        self.make("alisawuffles--WANLI/default/train", list(texts))
        self.copy("facebook--xnli/en/validation", slice(0, 12))
        for code in LANGUAGES["xnli"]:
            self.copy(f"facebook--xnli/{code}/test", slice(0, 9))
        pawsx = "google-research-datasets--paws-x"
        self.copy(f"{pawsx}/en/validation", slice(0, 24), f"{pawsx}/en/train")
        self.copy(f"{pawsx}/en/validation", slice(24, 36))
        for code in LANGUAGES["pawsx"]:
            self.copy(f"{pawsx}/{code}/test", slice(0, 8))
        for split, numbers in (("train", range(24)), ("validation", range(24, 36))):
            asked = [{"question1": f"How far is {n} miles?", "question2": f"How long are {n + n % 2} miles?",
                      "label": 1 - n % 2, "idx": n} for n in numbers]  # fmt: skip
            self.make(f"nyu-mll--glue/qqp/{split}", asked, ["not_duplicate", "duplicate"])

    def _answers(self) -> None:
        squad = "rajpurkar--squad/plain_text"
        rows = self.copy(f"{squad}/train", slice(0, 20), keep=_short)
        self.copy(f"{squad}/train", slice(20, 30), f"{squad}/validation", _short)
        newer = "rajpurkar--squad_v2/squad_v2"
        self.copy(f"{newer}/train", slice(0, 20), keep=_short)
        self.copy(f"{newer}/train", slice(20, 32), f"{newer}/validation", _short)
        for name in ("newsqa", "triviaqa", "naturalquestionsshortqa", "hotpotqa"):
            for split, part in (("train", rows[:14]), ("validation", rows[14:])):
                self.make(f"lucadiliello--{name}/default/{split}", [_by_ends(row, name) for row in part])
        for code in LANGUAGES["xquad"]:
            self.copy(f"google--xquad/xquad.{code}/validation", slice(0, 4), keep=_short)
        for code in LANGUAGES["mlqa"]:
            place = f"facebook--mlqa/mlqa.{code}.{code}"
            self.copy(f"{place}/validation", slice(0, 4), f"{place}/test", _short)
        tydiqa = "google-research-datasets--tydiqa/secondary_task"
        self.copy(f"{tydiqa}/train", slice(0, 30), keep=lambda row: _short(row) and row["id"].startswith("english-"))
        spoken = [[row for row in pq.read_table(self.data / f"{tydiqa}/validation.parquet").to_pylist()
                   if _short(row) and row["id"].startswith(f"{name}-")][:4]
                  for name in ("english", "korean", "telugu")]  # fmt: skip
        self.make(f"{tydiqa}/validation", [row for part in spoken for row in part])

    def _choices(self) -> None:
        for place in ("Rowan--hellaswag/default", "allenai--social_i_qa/default", "tau--commonsense_qa/default"):
            self.copy(f"{place}/train", slice(0, 20))
            self.copy(f"{place}/validation", slice(0, 10))
        cosmos = "allenai--cosmos_qa/default"
        self.copy(f"{cosmos}/validation", slice(0, 20), f"{cosmos}/train")
        self.copy(f"{cosmos}/validation", slice(20, 30))
        self.copy("aps--super_glue/copa/train", slice(0, 16))
        self.copy("aps--super_glue/copa/validation", slice(0, 8))
        copa = "pkavumba--balanced-copa/default"
        self.copy(f"{copa}/train", slice(0, 8), f"{copa}/test")
        for code in LANGUAGES["xcopa"][1:]:
            self.copy(f"cambridgeltl--xcopa/{code}/test", slice(0, 8))

    def _tags(self) -> None:
        udpos = "google--xtreme/udpos"
        self.copy(f"{udpos}.English/train", slice(0, 24))
        self.copy(f"{udpos}.English/validation", slice(0, 12))
        for name in ("English", "German", "Thai"):
            self.copy(f"{udpos}.{name}/test", slice(0, 8))
        made = pa.table(
            {
                "tokens": [["Casa", "este", "mare", "."], ["Ana", "are", "mere", "."]],
                "pos_tags": [[7, 3, 0, 12], [11, 15, 7, 12]],
            }
        )
        kinds = pq.read_schema(self.data / f"{udpos}.English/test.parquet").metadata
        self._save("izhx--xtreme-r-udpos/ro/test", made.replace_schema_metadata(kinds))
        wikiann = "unimelb-nlp--wikiann"
        self.copy(f"{wikiann}/en/train", slice(0, 24))
        self.copy(f"{wikiann}/en/validation", slice(0, 12))
        for code in LANGUAGES["panx"]:
            self.copy(f"{wikiann}/{code}/test", slice(0, 8))
        sentences = [
            "Pigs\tN\nfly\tS[dcl]\\NP\n.\t.",
            "A\tNP[nb]/N\npig\tN\nflies\tS[dcl]\\NP\n.\t.",
            "Away\tOTHER\n!\t.",
        ]
        for split, times in (("train", 8), ("validation", 3)):
            path = self.root / "ldc--ccgbank" / f"{split}.conll"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n\n".join(sentences * times))

    def _retrieval(self) -> None:
        self.copy("google--xtreme/bucc18.zh/validation", slice(0, 12), "google--xtreme/bucc18.zh/test")
        for name in ("deu", "tha"):
            self.copy(f"google--xtreme/tatoeba.{name}/validation", slice(0, 12))
        self.copy("mteb--tatoeba-bitext-mining/ron-eng/test", slice(0, 12))
        for code in LANGUAGES["lareqa"]:
            self.copy(f"google-research-datasets--xquad_r/{code}/validation", slice(0, 4), keep=_short)
        entities = [{"entity_id": f"Q{n}", "description": f"the town number {n} on the river"} for n in range(30)]
        mewslix = "izhx--mewsli-x"
        self.make(f"{mewslix}/candidate_entities/test", entities)
        for split, numbers in (("train", range(20)), ("validation", range(20, 30))):
            pairs = [{"mention": f"They came to town {n}.", "entity": entities[n]["description"]} for n in numbers]
            self.make(f"{mewslix}/wikipedia_pairs/{split}", pairs)
        for code, text in (("de", "Sie kamen in die Stadt"), ("en", "They left town")):
            asked = [{"mention": f"{text} {n}.", "entity_id": f"Q{n}"} for n in range(0, 30, 5)]
            self.make(f"{mewslix}/{code}/test", asked)

    def _texts(self) -> None:
        """Short ones: a masked token costs a logit for every word of the real vocabulary."""
        for folder in sorted((self.data / "mlm-text").iterdir()):
            split = "validation" if folder.name == "en" else "train"
            target = f"own--multilingual-text/{folder.name}/{split}"
            self.copy(f"mlm-text/{folder.name}/train", slice(0, 3), target, lambda row: len(row["text"]) < 80)


def tiny_encoder(root: Path, real: Path) -> None:
    """The model ``made/tiny`` in the mirror ``root``: random, one layer, and the tokenizer of the model in ``real``."""
    import torch
    from transformers import AutoConfig, AutoModel

    folder = root / "made--tiny"
    config = AutoConfig.from_pretrained(real)
    config.hidden_size, config.intermediate_size, config.num_attention_heads, config.num_hidden_layers = 16, 32, 2, 1
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make: Any = AutoModel
        make.from_config(config, add_pooling_layer=False).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(real / name, folder)


def _short(row: Mapping[str, Any]) -> bool:
    return len(row["context"]) < 500


def _by_ends(row: Row, name: str) -> Row:
    """A question of SQuAD in the form of the MRQA shared task; the context is made each data set's own."""
    start, text = row["answers"]["answer_start"][0], row["answers"]["text"][0]
    ends = {"start": [start], "end": [start + len(text) - 1]}
    context = f"{row['context']} ({name})"
    return {"context": context, "question": row["question"], "key": f"{name}-{row['id']}", "labels": [ends]}
