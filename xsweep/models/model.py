"""What a model is: plain data, written once in the catalogue or declared in a sweep file in the same words."""

from __future__ import annotations

from typing import Literal

from xsweep.tasks.task import Declared


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
