from __future__ import annotations

from pathlib import Path

from tests.builders import space, sweep
from tests.plan.test_resolve import resolver, run_all
from xsweep.engine.diff import Change, diff, diff_text
from xsweep.models.model import Model
from xsweep.spec.sweep import Halving, Search, Sweep, Training, Transfer


def changes(folder: Path, old: Sweep, new: Sweep) -> dict[str, Change]:
    return {change.stage: change for change in diff(resolver(folder, old), resolver(folder, new))}


def test_the_same_file_changes_nothing(tmp_path: Path) -> None:
    found = changes(tmp_path, sweep(), sweep())
    assert all((c.new, c.gone, c.train) == (0, 0, ()) for c in found.values())
    assert {stage: c.kept for stage, c in found.items()} == {
        "intermediate trials": 8, "target trials": 24, "intermediate": 8, "target": 24, "evaluate": 24
    }  # fmt: skip
    assert diff_text(list(found.values())) == "  Nothing changes."


def test_one_more_seed_trains_that_seed_alone(tmp_path: Path) -> None:
    found = changes(tmp_path, sweep(), sweep(seeds=(1, 2, 3)))
    assert {stage: len(c.train) for stage, c in found.items()} == {
        "intermediate trials": 0, "target trials": 0, "intermediate": 4, "target": 12, "evaluate": 12
    }  # fmt: skip
    assert all(label.endswith("s3") for c in found.values() for label in c.train)


def test_a_seed_that_the_store_has_is_not_trained(tmp_path: Path) -> None:
    run_all(resolver(tmp_path, sweep(seeds=(1, 2, 3))))
    found = changes(tmp_path, sweep(), sweep(seeds=(1, 2, 3)))
    assert {(stage, c.new, c.train) for stage, c in found.items() if c.new} == {
        ("intermediate", 4, ()), ("target", 12, ()), ("evaluate", 12, ())
    }  # fmt: skip


def test_one_trial_more_keeps_the_trials_and_leaves_what_follows_open(tmp_path: Path) -> None:
    more = sweep(search=Search(intermediate=space(3), target=space()))
    found = changes(tmp_path, sweep(), more)
    assert (found["intermediate trials"].kept, len(found["intermediate trials"].train)) == (8, 4)
    assert len(found["evaluate"].train) == 16, "another search may decide otherwise: its arms' cells"
    assert found["evaluate"].kept == 8, "the baseline's cells do not depend on it"


def test_another_recipe_is_another_sweep(tmp_path: Path) -> None:
    found = changes(tmp_path, sweep(), sweep(train=Training(schedule="wsd")))
    assert all(c.kept == 0 and len(c.train) == c.new for c in found.values())
    assert "and 4 more" in diff_text(list(found.values()))


def test_halving_and_transfer_can_be_compared(tmp_path: Path) -> None:
    models = tuple(Model(name=name, id=f"org/{name}", ladder="l") for name in ("small", "large"))
    fixed = Search(intermediate=space(9, (3, 3)), target=space(9, (3, 3)))
    plain = sweep(models=models, search=fixed)
    found = changes(tmp_path, plain, sweep(models=models, search=fixed.model_copy(update={"halving": Halving()})))
    assert found["target trials"].new == 12 * (9 + 3)
    moved = sweep(models=models, search=fixed.model_copy(update={"transfer": Transfer(trials=2)}))
    found = changes(tmp_path, plain, moved)
    assert found["target trials"].kept == 6 * 9, "the small model's searches are as they were"
    assert len(found["target trials"].train) == 6 * 2
