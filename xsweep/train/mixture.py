"""The steps of a mixture's epoch: how many rows of each task, which, and in which order the heads take turns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsweep.train.batches import Rows
from xsweep.train.seeds import derive


@dataclass(frozen=True)
class Stream:
    """The rows of one task, which are those of its head from ``start`` on; an epoch takes ``each`` of them.

    They come from permutations one after the other, on from epoch to epoch: a small task is repeated, and of a
    large one every row is seen before any is seen again. What is drawn depends on seed and name alone.
    """

    name: str
    head: int
    start: int
    rows: int
    each: int

    def draw(self, seed: int, epoch: int) -> Rows:
        """The head's rows of an epoch (from 1)."""
        begin, end = (epoch - 1) * self.each, epoch * self.each
        first, last = begin // self.rows, -(-end // self.rows)
        passes = [_permutation(self.rows, seed, "rows", self.name, turn) for turn in range(first, last)]
        return self.start + np.concatenate(passes)[begin - first * self.rows : end - first * self.rows]


@dataclass(frozen=True)
class Sampler:
    """Steps of ``size`` rows, each of one head; equally many in every epoch."""

    streams: tuple[Stream, ...]
    size: int
    seed: int

    def epoch(self, number: int) -> list[tuple[int, Rows]]:
        """Head and rows of each step of an epoch (from 1)."""
        steps: list[tuple[int, Rows]] = []
        for head in sorted({stream.head for stream in self.streams}):
            drawn = [stream.draw(self.seed, number) for stream in self.streams if stream.head == head]
            rows = np.concatenate(drawn)
            rows = rows[_permutation(len(rows), self.seed, "order", number, head)]
            steps += [(head, rows[start : start + self.size]) for start in range(0, len(rows), self.size)]
        return [steps[turn] for turn in _permutation(len(steps), self.seed, "turns", number)]


def _permutation(rows: int, seed: int, *use: str | int) -> Rows:
    return np.random.Generator(np.random.PCG64(derive(seed, *use))).permutation(rows)
