"""How often the primary intervals hold the truth that their label names, and how often a null slope is called one.

Run from the checkout: ``python -m tests.benchmarks.coverage [--runs N]``
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from xsweep.analysis.estimate import crossed, t_estimate
from xsweep.analysis.scaling import Sizes

SEED_SD, LANGUAGE_SD, RESIDUAL_SD, SELECTION_SD = 0.6, 0.8, 0.5, 0.5
LANGUAGES = 14
SIZES = Sizes.of((120_000_000, 280_000_000, 560_000_000, 1_200_000_000, 3_500_000_000), ["one"] * 5)
UNITS = (3, 5, 8)
TRUTH = 1.0


def covered(units: int, runs: int, seed: int = 0) -> Iterator[tuple[str, float]]:
    """Share of ``runs`` simulated gains (units x languages) whose interval holds what it is of.

    What the search chose adds to a cell once for all its seeds, so it is part of the truth of the first two, and of the
    spread of the third, whose unit is the repeat of the search.
    """
    drawn = np.random.default_rng(seed)
    held = dict.fromkeys(("seeds, these languages", "seeds and languages in general", "repeats of the search"), 0)
    for _ in range(runs):
        languages = drawn.normal(0, LANGUAGE_SD, LANGUAGES)
        chosen = drawn.normal(0, SELECTION_SD)
        noise = drawn.normal(0, SEED_SD, (units, 1)) + drawn.normal(0, RESIDUAL_SD, (units, LANGUAGES))
        cells = TRUTH + chosen + languages + noise
        here = t_estimate(cells.mean(axis=1))
        general = crossed(cells)
        repeats = t_estimate((TRUTH + drawn.normal(0, SELECTION_SD, (units, 1)) + languages + noise).mean(axis=1))
        fixed = TRUTH + float(languages.mean())
        for name, found, truth in zip(
            held, (here, general, repeats), (fixed + chosen, TRUTH + chosen, fixed), strict=True
        ):
            assert found.low is not None
            assert found.high is not None
            held[name] += found.low <= truth <= found.high
    yield from ((name, count / runs) for name, count in held.items())


def false_slopes(units: int, runs: int, seed: int = 0, searches: int | None = None) -> float:
    """Share of ``runs`` in which two families of equal slope differ at .05; cells carry what their search chose.

    Each unit has a search of its own. With one search for all of them (``searches=1``) the choice bends the curve for
    every seed alike, which no seed can show: what is tested then is the slope given the chosen hyperparameters.
    """
    drawn = np.random.default_rng(seed)
    weights = SIZES.slope()
    assert weights is not None
    models, spread = len(SIZES.params), (SEED_SD**2 + RESIDUAL_SD**2 / LANGUAGES) ** 0.5
    called = 0
    for _ in range(runs):
        chosen = drawn.normal(0, SELECTION_SD, (2, searches or units, models))
        nli, qa = TRUTH + chosen + drawn.normal(0, spread, (2, units, models))
        p = t_estimate((qa - nli) @ weights).p
        called += p is not None and p < 0.05
    return called / runs


def main() -> None:
    """Print a line per number of units."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=4000)
    runs = parser.parse_args().runs
    for units in UNITS:
        told = ", ".join(f"{name} {share:.3f}" for name, share in covered(units, runs))
        print(f"{units} units: {told}; false slopes {false_slopes(units, runs):.3f}")
        blind = false_slopes(units, runs, searches=1)
        print(f"  one search for all seeds, and its choice taken for the truth of the cell: false slopes {blind:.3f}")


if __name__ == "__main__":
    main()
