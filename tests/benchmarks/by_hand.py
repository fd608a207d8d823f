"""The small grid of ``tests.benchmarks.sweep_cost`` as a user would run it by hand.

One Ray Tune run per search, in it one ``TorchTrainer`` with one ``Trainer`` of ``transformers`` per training run; the
chosen intermediate of each seed is trained once and kept in a folder for every target. Rows are tokenised before, and
scored, as ``xsweep`` does; batches are padded to their longest row.

    python -m tests.benchmarks.by_hand SWEEP FOLDER [--trials K]

Writes ``scores.csv`` to FOLDER, and ``spent.json``: what ``sweep_cost.Spent`` holds beside the times.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

from xsweep.spec.load import load_sweep
from xsweep.spec.sweep import Space, Sweep
from xsweep.tasks.catalog import CATALOG

TOLD = "told.json"
COLUMNS = "model,arm,target,seed,language,score\n"


def train(config: dict[str, Any]) -> None:
    """One training run in a worker of a ``TorchTrainer``; writes its score and steps, and test scores if asked."""
    import torch
    from transformers import AutoTokenizer, Trainer, TrainingArguments, set_seed

    torch.set_num_threads(1)
    set_seed(config["seed"])
    task = CATALOG[config["task"]]
    tokenizer = AutoTokenizer.from_pretrained(config["encoder"])
    model = _model(task.format, config["start"], len(task.labels))
    rows = _rows(task, tokenizer, "train", None)
    arguments = TrainingArguments(
        config["out"],
        per_device_train_batch_size=32,
        num_train_epochs=config["epochs"],
        learning_rate=config["lr"],
        warmup_steps=0.1,
        weight_decay=0.01,
        seed=config["seed"],
        use_cpu=True,
        save_strategy="epoch",
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    trainer = Trainer(model, arguments, data_collator=_collate, train_dataset=rows.items())
    steps = trainer.train().global_step
    if config["keep"]:
        trainer.save_model(_kept(config))
    found: dict[str, Any] = {"steps": steps, "score": _rows(task, tokenizer, "selection", None).score(model, task)}
    if config["scored"]:
        languages = {code: _rows(task, tokenizer, "test", code) for code in task.languages}
        found["test"] = {code: of.score(model, task) for code, of in languages.items()}
    Path(config["out"], TOLD).write_text(json.dumps(found))  # Train keeps no metrics without a checkpoint of its own


def _model(format: str, start: str, labels: int) -> Any:
    """A model of ``transformers`` with a new head on the encoder in ``start``."""
    from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification

    if format == "pair":
        return AutoModelForSequenceClassification.from_pretrained(
            start, num_labels=labels, ignore_mismatched_sizes=True
        )
    return AutoModelForQuestionAnswering.from_pretrained(start, num_labels=2, ignore_mismatched_sizes=True)


@dataclass(frozen=True)
class Part:
    """Tokenised rows and the examples behind them."""

    features: Any
    examples: list[Any]

    def items(self) -> list[dict[str, Any]]:
        """The rows one by one."""
        of = self.features
        return [{"ids": of.ids[of.span(i)], "target": of.targets[i]} for i in range(len(of))]

    def score(self, model: Any, task: Any) -> float:
        """Points on these rows by the task's metric."""
        import torch

        from xsweep.tasks.formats import FORMATS

        model.eval()
        logits: list[Any] = []
        items = self.items()
        for start in range(0, len(items), 64):
            batch = _collate(items[start : start + 64])
            asked = {name: batch[name] for name in ("input_ids", "attention_mask")}
            with torch.no_grad():
                told = model(**asked)
            whole = told.logits if task.format == "pair" else torch.stack([told.start_logits, told.end_logits], -1)
            lengths = batch["attention_mask"].sum(1).tolist()
            logits += [row.numpy() if task.format == "pair" else row[:n].numpy()
                       for row, n in zip(whole, lengths, strict=True)]  # fmt: skip
        form = FORMATS[task.format]
        return float(form.score(form.predict(self.features, logits, self.examples, task))[task.metric])


def _rows(task: Any, tokenizer: Any, part: Any, language: str | None) -> Part:
    from xsweep.store.files import default_cache
    from xsweep.tasks.examples import load_split
    from xsweep.tasks.formats import FORMATS
    from xsweep.tasks.source import Sources

    examples = load_split(task, part, Sources(cache=default_cache()), language).examples
    return Part(FORMATS[task.format].encode(examples, task, tokenizer), list(examples))


def _collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids = [torch.as_tensor(item["ids"], dtype=torch.long) for item in items]
    targets = torch.as_tensor([item["target"].tolist() for item in items])
    found = {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=1),
        "attention_mask": pad_sequence([torch.ones_like(own) for own in ids], batch_first=True),
    }
    if targets.ndim == 1:
        return {**found, "labels": targets}
    return {**found, "start_positions": targets[:, 0], "end_positions": targets[:, 1]}


def _trial(config: dict[str, Any]) -> None:
    """A trial of Tune: a ``TorchTrainer`` of its own."""
    import ray.tune
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    name = Path(config["out"]).name
    run = RunConfig(name=name, storage_path=str(Path(config["out"]).parent / "train"))
    scaling = ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1})
    TorchTrainer(train, train_loop_config=config, scaling_config=scaling, run_config=run).fit()
    ray.tune.report(json.loads(Path(config["out"], TOLD).read_text()))


class Enough(Exception):
    """As many training runs of a kind were made as were asked for."""


@dataclass
class Made:
    """Training runs of one kind: of intermediates, or of targets."""

    wanted: int
    """In the whole grid."""
    runs: int = 0
    steps: int = 0
    seconds: float = 0.0
    """Wall time in Tune."""

    @property
    def more(self) -> float:
        """The whole over what was made."""
        return self.wanted / self.runs


@dataclass
class Grid:
    """The grid under way; of either kind ``limit`` training runs are made at most."""

    sweep: Sweep
    folder: Path
    limit: int | None
    rows: list[str] = field(default_factory=list)

    @cached_property
    def made(self) -> dict[str, Made]:
        """What was made of each kind."""
        of = self.sweep
        arms, reports = sum(arm.trained for arm in of.arms), len(of.seeds)
        first = len(of.models) * arms * (of.search.intermediate.trials + reports)
        second = len(of.models) * len(of.arms) * len(of.targets) * (of.search.target.trials + reports)
        return {"intermediate": Made(first), "target": Made(second)}

    def run(self) -> None:
        """All of it, model after model."""
        for model, arm in product(self.sweep.models, self.sweep.arms):
            starts = dict.fromkeys((self.sweep.search.seed, *self.sweep.seeds), model.path)
            with suppress(Enough):
                if arm.trained:
                    starts = self.chosen(f"{model.name}-{arm.name}", arm.tasks[0].name, model.path, starts, True)
                for target in self.sweep.targets:
                    where = f"{model.name}-{arm.name}-{target.name}"
                    self.chosen(where, target.name, model.path, starts, False)

    @property
    def spent(self) -> dict[str, float]:
        """What was made, and what the whole comes to by the mean of each kind."""
        made = list(self.made.values())
        return {
            "made": sum(one.runs for one in made),
            "trainings": sum(one.wanted for one in made),
            "steps": round(sum(one.steps * one.more for one in made)),
            "seconds": sum(one.seconds for one in made),
            "whole_seconds": sum(one.seconds * one.more for one in made),
        }

    def chosen(self, name: str, task: str, encoder: str, starts: dict[int, str], first: bool) -> dict[int, str]:
        """Search, then train what was chosen with each reporting seed; returns where each seed's model is kept."""
        search, seeds = self.sweep.search, self.sweep.seeds
        space: Space = search.intermediate if first else search.target
        keep = str(self.folder / "kept" / name) if first else ""
        common = {"task": task, "encoder": encoder, "epochs": space.epochs.high, "keep": keep}
        made = self.made["intermediate" if first else "target"]
        trial = {**common, "scored": False, "seed": search.seed, "start": starts[search.seed]}
        tried = self.tuned(name, [trial], made, space)
        best = max(tried, key=lambda one: one["score"])["config"]
        again = {**common, "scored": not first, "lr": best["lr"]}
        reports = self.tuned(f"{name}-report", [{**again, "seed": seed, "start": starts[seed]} for seed in seeds], made)
        for one in reports if not first else ():
            seed = one["config"]["seed"]
            self.rows += [
                f"{name.replace('-', ',')},{seed},{code},{score:.6f}\n" for code, score in one["test"].items()
            ]
        return {one["config"]["seed"]: _kept(one["config"]) for one in [{"config": best}, *reports]}

    def tuned(
        self, name: str, configs: Sequence[dict[str, Any]], made: Made, space: Space | None = None
    ) -> list[dict[str, Any]]:
        """The results of one Tune run: of each of ``configs``, or of as many rates as ``space`` has trials."""
        from ray import tune
        from ray.tune.search import BasicVariantGenerator

        left = (made.wanted if self.limit is None else self.limit) - made.runs
        whole = space.trials if space else len(configs)
        count = min(whole, left)
        if count < 1:
            raise Enough
        param: dict[str, Any] = {"config": tune.grid_search(list(configs)[:count])}
        if space:
            param["lr"] = tune.loguniform(space.lr.low, space.lr.high)
        outs = self.folder / "out"

        def run(given: dict[str, Any]) -> None:
            config = {**given["config"], **({"lr": given["lr"]} if "lr" in given else {})}
            _trial({**config, "out": str(outs / f"{name}-s{config['seed']}-{config['lr']:.6g}")})

        tuner = tune.Tuner(
            tune.with_resources(run, {"trial": 1}),  # none of the cores that its worker waits for
            param_space=param,
            tune_config=tune.TuneConfig(
                num_samples=count if space else 1,
                max_concurrent_trials=os.cpu_count(),
                search_alg=BasicVariantGenerator(random_state=0),
            ),
            run_config=tune.RunConfig(name=name, storage_path=str(self.folder / "tune"), verbose=0),
        )
        found, start = [], time.monotonic()
        results = tuner.fit()
        made.seconds += time.monotonic() - start
        for result in (results[number] for number in range(len(results))):
            if result.error:
                raise SystemExit(str(result.error))
            given = result.config or {}
            own = {**given["config"], **({"lr": given["lr"]} if "lr" in given else {})}
            found.append({**(result.metrics or {}), "config": own})
        made.runs += len(found)
        made.steps += sum(one["steps"] for one in found)
        if count < whole:
            raise Enough
        return found


def _kept(config: dict[str, Any]) -> str:
    """Where the model of a training run is kept."""
    return f"{config['keep']}-s{config['seed']}-{config['lr']:.6g}"


def main(words: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trials", type=int, help="training runs of intermediates, and as many of targets")
    given = parser.parse_args(words)
    import ray

    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    cores = os.cpu_count() or 1
    ray.init("local", num_cpus=cores, resources={"trial": cores}, include_dashboard=False, log_to_driver=False)
    grid = Grid(load_sweep(given.sweep), given.folder, given.trials)
    grid.run()
    ray.shutdown()
    (given.folder / "scores.csv").write_text(COLUMNS + "".join(sorted(grid.rows)))
    kinds = ("*.safetensors", "optimizer.pt")
    bytes_ = sum(path.stat().st_size for kind in kinds for path in given.folder.rglob(kind))
    told = {**grid.spent, "checkpoints": bytes_, "rows": len(grid.rows)}
    (given.folder / "spent.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
