from __future__ import annotations

import polars as pl

from tests.builders import sweep, target_task, task
from xsweep.analysis.controls import CONTROLS, controls
from xsweep.analysis.outcomes import BUDGETS
from xsweep.spec.sweep import Arm, Target
from xsweep.tracking.frames import SCORES

SWEEP = sweep(
    arms=(Arm(name="none"), Arm(name="first", tasks=(task("inter"),))),
    targets=(Target(task=target_task("goal"), languages=("en", "de")),),
)


def scores(**by_cell: float) -> pl.DataFrame:
    """One score per ``arm_language_seed``."""
    rows = []
    for name, score in by_cell.items():
        arm, language, seed = name.split("_")
        row: dict[str, object] = dict.fromkeys(SCORES)
        row |= {"model": "m", "arm": arm, "target": "goal", "language": language, "seed": int(seed)}
        rows.append(row | {"metric": "accuracy", "primary": True, "score": score})
    return pl.DataFrame(rows, schema=SCORES)


def budgets(dev: float) -> pl.DataFrame:
    row: dict[str, object] = dict.fromkeys(BUDGETS)
    return pl.DataFrame([row | {"model": "m", "arm": "first", "dev_score": dev}], schema=BUDGETS)


def test_the_best_mean_over_seeds_stands_beside_the_control() -> None:
    found = controls(
        {"goal": {"en": 40.0, "de": 50.0}, "inter": {"en": 30.0, "de": 31.0}, "absent": {"en": 20.0}},
        scores(none_en_1=40, none_en_2=60, first_en_1=90, first_en_2=0, none_de_1=45, first_de_1=44),
        budgets(77.0),
        SWEEP,
    )
    assert found.schema == CONTROLS
    assert found.rows() == [
        ("goal", "en", 40.0, "m", "none", 50.0, False),
        ("goal", "de", 50.0, "m", "none", 45.0, True),
        ("inter", "en", 30.0, "m", "first", 77.0, False),
        ("inter", "de", 31.0, None, None, None, None),
        ("absent", "en", 20.0, None, None, None, None),
    ]
