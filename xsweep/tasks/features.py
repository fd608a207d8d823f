"""Tokenised examples as ragged arrays: one row a feature (a pair, or one window of a context), no padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray: TypeAlias = NDArray[np.int32]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
T = TypeVar("T")

NO_LABEL = -100
"""The label of tokens that are not asked about; the value that losses of torch leave out."""

BATCH = 1000
"""Examples tokenised at once: enough for the tokenizer's threads, little enough for memory."""


class Tokenizer(Protocol):
    """What is used of a fast ``transformers`` tokenizer."""

    model_input_names: list[str]

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of all special tokens."""
        ...

    @property
    def mask_token_id(self) -> Any:
        """The id that stands for a hidden token; None where there is none."""
        ...

    def __call__(self, text: list[str], text_pair: list[str] | None = None, **options: Any) -> Any:
        """Encode a batch of texts, or of pairs."""
        ...

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Tokens that the template adds."""
        ...


@dataclass(frozen=True)
class Noise:
    """Masked language modelling: which token stands for a hidden one, and which are never hidden."""

    mask: int
    special: tuple[int, ...]
    rate: float = 0.15


@dataclass(frozen=True, eq=False)
class Features:
    """``n`` features with ``tokens`` tokens in all; feature ``i`` owns tokens ``offsets[i]:offsets[i + 1]``."""

    ids: IntArray
    """(tokens,) token ids, special tokens included."""
    offsets: NDArray[np.int64]
    """(n + 1,) where each feature begins in the arrays over tokens."""
    example: IntArray
    """(n,) position of the feature's example in the list that was encoded; ascending."""
    targets: IntArray
    """(n,) label, or (n, 2) first and last answer token in the window; (0, 0) where the answer is not in it."""
    allowed: IntArray | None = None
    """(n, 2) first and one-past-last context token in the window; None for pairs."""
    chars: IntArray | None = None
    """(tokens, 2) code points of the context that each token covers; None for pairs."""
    type_ids: IntArray | None = None
    """(tokens,) segment ids, for models that take them."""
    labels: IntArray | None = None
    """(tokens,) the label of each token, ``NO_LABEL`` where none is asked for; None where rows are labelled."""
    words: IntArray | None = None
    """(tokens,) number, in its example, of the word that begins at each token, -1 elsewhere; None but for tagging."""
    sequences: NDArray[np.int64] | None = None
    """Where each sequence begins in the arrays over tokens, and where the last one ends; None where each feature
    is one sequence."""
    noise: Noise | None = None
    """How tokens are hidden from a masked language model; None for all else."""
    truncated: int = 0
    """Examples that were cut to the longest length, or questions whose answer no window holds whole."""
    unread: int = 0
    """Words that the tokenizer has no token for: not trained on, and wrong when scored (tagging)."""

    def __len__(self) -> int:
        return len(self.example)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) tokens of each feature."""
        return np.diff(self.offsets)

    @property
    def widths(self) -> NDArray[np.int64]:
        """(n,) tokens that each feature takes when its sequences are padded to the longest.

        Each feature counts as many sequences as the one with most, so that rows padded together never take more.
        """
        if self.sequences is None:
            return self.lengths
        first = np.searchsorted(self.sequences, self.offsets)
        longest: NDArray[np.int64] = np.maximum.reduceat(np.diff(self.sequences), first[:-1])
        return longest * int(np.diff(first).max())

    @property
    def weights(self) -> NDArray[np.int64]:
        """(n,) what each feature counts in a mean loss: its labelled tokens, or 1 where rows are labelled."""
        if self.labels is None:
            return np.ones(len(self), dtype=np.int64)
        before: NDArray[np.int64] = np.concatenate([[0], np.cumsum(self.labels != NO_LABEL)])
        return before[self.offsets[1:]] - before[self.offsets[:-1]]

    def span(self, index: int) -> slice:
        """Where feature ``index`` lies in the arrays over tokens."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))


def batches(items: Sequence[T], size: int = BATCH) -> Iterator[tuple[int, Sequence[T]]]:
    """``items`` in slices of ``size``, each with the position of its first."""
    for start in range(0, len(items), size):
        yield start, items[start : start + size]


def wants_type_ids(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer's model takes segment ids."""
    return "token_type_ids" in tokenizer.model_input_names


class Ragged:
    """Rows of different lengths, gathered into one int32 array."""

    def __init__(self, width: int | None = None) -> None:
        self.width = width
        self.rows: list[IntArray] = []

    def add(self, row: ArrayLike) -> None:
        """Append one row; its items are numbers, or ``width`` numbers each."""
        array = np.asarray(row, dtype=np.int32)
        self.rows.append(array if self.width is None else array.reshape(-1, self.width))

    def values(self) -> IntArray:
        """All rows, one after the other."""
        empty = np.zeros((0,) if self.width is None else (0, self.width), dtype=np.int32)
        return np.concatenate([empty, *self.rows])

    def offsets(self) -> NDArray[np.int64]:
        """Where each row begins, and where the last ends."""
        return np.cumsum([0, *(len(row) for row in self.rows)], dtype=np.int64)
