"""Exact nearest neighbours by inner product, in blocks, so that memory stays bounded however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Vectors = NDArray[np.float32]

QUERIES, CANDIDATES = 1024, 16_384
"""Rows of a block of scores: 64 MiB of fp32."""


def nearest(queries: Vectors, candidates: Vectors, k: int) -> tuple[Vectors, NDArray[np.int64]]:
    """Scores and positions, (queries, k) each, of the ``k`` candidates with the largest inner products, best first.

    ``queries`` and ``candidates`` are (n, width) and (m, width); fewer than ``k`` candidates give as many columns as
    there are. Runs on a GPU where there is one. Beside its arguments it holds one block of scores and the answer;
    candidates may be mapped from a file.
    """
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    k = min(k, len(candidates))
    scores = np.empty((len(queries), k), dtype=np.float32)
    places = np.empty((len(queries), k), dtype=np.int64)
    for start in range(0, len(queries), QUERIES):
        part = slice(start, start + QUERIES)
        block = torch.from_numpy(np.array(queries[part])).to(device)
        best, where = _search(block, candidates, k)
        scores[part], places[part] = best.cpu().numpy(), where.cpu().numpy()
    return scores, places


def _search(block: torch.Tensor, candidates: Vectors, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``k`` best of all candidates for each row of ``block``: the best of those so far and of the next block."""
    import torch

    best = torch.full((len(block), 0), -torch.inf, device=block.device)
    where = torch.zeros((len(block), 0), dtype=torch.int64, device=block.device)
    for start in range(0, len(candidates), CANDIDATES):
        part = torch.from_numpy(np.array(candidates[start : start + CANDIDATES])).to(block.device)
        found, place = (block @ part.T).topk(min(k, len(part)), dim=1)
        best, where = torch.cat([best, found], 1), torch.cat([where, place + start], 1)
        best, order = best.topk(min(k, best.shape[1]), dim=1)
        where = where.gather(1, order)
    return best, where
