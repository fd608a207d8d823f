"""What a model is: plain data, written once in the catalogue or declared in a sweep file in the same words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xsweep.tasks.task import Declared, Task

Pooling = Literal["first", "mean", "last"]


class Pretrain(Declared):
    """How an encoder is pretrained as a masked language model: a stage like any other, cached by its content."""

    task: Task
    """Raw text."""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)] = 64
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """One pretraining serves all reporting seeds, as a published checkpoint does."""


class Shape(Declared):
    """The size of a model, as plans need it before anything is downloaded."""

    layers: int
    """Of the stack that is used: of an encoder-decoder, the encoder's."""
    width: int
    ffn: int
    """Width inside the feed-forward blocks."""
    vocabulary: int
    attention: int | None = None
    """Width of all queries and all keys, together; twice ``width`` when left out."""


class Model(Declared):
    """A pretrained model and how a text's vector is taken from it."""

    name: str
    id: str = ""
    """Hub id, such as ``FacebookAI/xlm-roberta-base``; looked up in the mirrors when any are given."""
    path: str = ""
    """A local ``transformers`` folder instead of ``id``; relative to the sweep file."""
    revision: str | None = None
    """Commit, branch or tag of the hub repository."""
    ladder: str = ""
    """Models of one ladder differ in size alone; slopes are never pooled over ladders."""
    pooling: Pooling = "first"
    """The first token's vector, the mean, or (decoders, which read one way) the last token's."""
    params: int | None = None
    """Parameters that a fine-tune's forward pass uses; counted from the weights when left out."""
    embedding_params: int | None = None
    total_params: int | None = None
    """Parameters of the published checkpoint, with those that a fine-tune never uses."""
    model_type: str = ""
    """Type in the words of ``transformers``; it says which family's rules hold. Read from the folder when left out."""
    shape: Shape | None = None
    tokens: int | None = None
    """Tokens read in pretraining, where published."""
    languages: int | None = None
    """Languages read in pretraining, where published."""
    licence: str = ""
    pretrain: Pretrain | None = None
    """For a model that starts from random weights; published checkpoints have theirs behind them."""
