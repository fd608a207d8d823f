from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.builders import sweep
from tests.tasks.made import Mirror, answers, pair_task, pairs, span_task
from xsweep.engine.audit import audit, audit_text
from xsweep.spec.sweep import Arm, Sweep, Target
from xsweep.tasks.task import Data


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path)


def data(split: str, config: str = "default", **more: Any) -> Data:
    return Data(dataset="org/set", config=config, split=split, **more)


def small(**fields: Any) -> Sweep:
    nli = pair_task(
        data("train", folds=(0, 1, 2, 3, 4, 5, 6, 7), blank="drop"), name="nli", selection=(data("validation"),)
    )
    test = data("test", "{language}")
    qa = span_task(data("questions"), name="qa", selection=(data("held"),), test=test, languages=("en", "zh"))
    arms = (Arm(name="none"), Arm(name="nli", tasks=(nli,)))
    return sweep(arms=arms, targets=(Target(task=qa, languages=("en", "zh")),), **fields)


def questions(*contexts: str) -> dict[str, list[Any]]:
    gold = [answers(context[:2], 0) for context in contexts]
    return {"question": ["what?"] * len(contexts), "context": list(contexts), "answers": gold}


def fill(mirror: Mirror) -> None:
    mirror.write(pairs(40, premise=[f"premise {i % 38}" for i in range(39)] + [""]))
    mirror.write(pairs(6), at="org--set/default/validation.parquet")
    for split in ("questions", "held"):
        mirror.write(questions("ab cd", "ab cd", "ef gh"), at=f"org--set/default/{split}.parquet")
    mirror.write(questions("ab cd"), at="org--set/en/test.parquet")
    mirror.write(questions("北京市", "上海市"), at="org--set/zh/test.parquet")


def test_every_split_with_what_it_holds(mirror: Mirror) -> None:
    fill(mirror)
    found = audit(small(), mirror.sources)
    assert found.faults == ()
    assert [split.name for split in found.splits] == [
        "train/nli",
        "selection/nli",
        "train/qa",
        "selection/qa",
        "test/qa/en",
        "test/qa/zh",
    ]
    train, selection, squad, *_, chinese = found.splits
    assert train.read == 40 == train.used + sum(train.dropped.values())
    assert train.dropped["blank"] == 1
    assert train.dropped["folds"] > 0
    assert selection.content == "entailment 2, neutral 2, contradiction 2"
    assert (squad.used, squad.duplicates, squad.content) == (3, 1, "100.0 % with an answer, 1.0 each")
    assert (chinese.language, chinese.used) == ("zh", 2)
    lines = audit_text(found).splitlines()
    assert len(lines) == 7
    assert lines[1].split()[:4] == ["train/nli", "en", "40", str(train.used)]
    assert all(split.fingerprint[:16] in line for split, line in zip(found.splits, lines[1:], strict=True))


def test_every_fault_at_once(mirror: Mirror) -> None:
    fill(mirror)
    mirror.write(pairs(6, label=[0, 1, 9, 0, 7, 0]), at="org--set/default/validation.parquet")
    mirror.write(pairs(9, label=[1] * 9))
    wrong = questions("ab cd", "ab cd")
    wrong["answers"][1] = answers("zz", 0)
    mirror.write(wrong, at="org--set/zh/test.parquet")
    found = audit(small(), mirror.sources)
    assert len(found.faults) == 4
    one_class, first, second, answer = sorted(found.faults, key=lambda fault: ("org/set" in fault, fault))
    assert one_class.startswith("train/nli: all ")
    assert one_class.endswith(" rows have the label 'neutral'")
    assert "org/set default validation row 2: the label 9 has no name" in first
    assert "row 4: the label 7 has no name" in second
    assert "org/set zh test row 1: the answer 'zz' is not at its offset 0" in answer
    assert [split.name for split in found.splits] == ["train/nli", "train/qa", "selection/qa", "test/qa/en"]
