from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.builders import space, sweep
from tests.plan.test_resolve import resolver, run_all
from xsweep.engine.space import beginnings_to_write, check_space, trials_to_write, weights_to_write
from xsweep.errors import StoreFull
from xsweep.spec.sweep import Halving, Search
from xsweep.store.files import guarded


class Usage(NamedTuple):
    free: int


def test_weights_that_are_there_need_no_room(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", sweep())
    arms, seeds = 2, 3  # the search's seed and two reporting ones
    assert weights_to_write(at) == 4 * (300 + 900) * arms * seeds
    run_all(at)
    assert weights_to_write(at) == 4 * (300 + 900) * arms, "decided by hand, so the search's own are not there"


def test_trials_of_intermediates_stay_until_their_level_is_decided(tmp_path: Path) -> None:
    at = resolver(tmp_path / "store", sweep(search=Search(intermediate=space(9), target=space(9))))
    assert trials_to_write(at) == 4 * (300 + 900) * 2 * 9
    both = resolver(tmp_path / "store", sweep(search=Search(mode="joint", intermediate=space(9), target=space(9))))
    assert trials_to_write(both) == trials_to_write(at), "targets share them"
    run_all(at)
    assert trials_to_write(at) == 0


def test_stopped_trials_need_room_until_a_search_is_over(tmp_path: Path) -> None:
    assert beginnings_to_write(resolver(tmp_path / "a", sweep())) == 0
    search = Search(intermediate=space(9, (3, 3)), target=space(9, (3, 3)), halving=Halving())
    at = resolver(tmp_path / "b", sweep(search=search))
    assert beginnings_to_write(at) == 3 * 4 * 900 * 9
    run_all(at)
    assert beginnings_to_write(at) == 0


def test_a_disk_without_room_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = resolver(tmp_path / "store", sweep())
    check_space(at)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(free=1 << 20))
    with pytest.raises(StoreFull, match=r"0.00 GB are free, and the sweep needs about 0.07 GB; free some, or"):
        check_space(at)


def test_a_full_disk_is_told_from_other_faults(tmp_path: Path) -> None:
    with pytest.raises(StoreFull, match="no space left; free some and run the same command again"), guarded(tmp_path):
        raise OSError(28, "No space left on device", "somewhere")
