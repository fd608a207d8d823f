"""What a model is: plain data, written once in the catalogue or declared in a sweep file in the same words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xsweep.tasks.task import Declared, Task


class Pretrain(Declared):
    """How an encoder is pretrained as a masked language model: a stage like any other, cached by its content."""

    task: Task
    """Raw text."""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)] = 64
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """One pretraining serves all reporting seeds, as a published checkpoint does."""


class Model(Declared):
    """A pretrained encoder and how its sentence vector is taken."""

    name: str
    id: str = ""
    """Hub id, such as ``FacebookAI/xlm-roberta-base``; looked up in the mirrors when any are given."""
    path: str = ""
    """A local ``transformers`` folder instead of ``id``; relative to the sweep file."""
    revision: str | None = None
    ladder: str = ""
    """Models of one ladder differ in size alone; slopes are never pooled over ladders."""
    pooling: Literal["first", "mean"] = "first"
    params: int | None = None
    """Parameters that a fine-tune's forward pass uses; counted from the weights when left out."""
    embedding_params: int | None = None
    pretrain: Pretrain | None = None
    """For a model that starts from random weights; published checkpoints have theirs behind them."""
