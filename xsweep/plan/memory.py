"""How much memory of a GPU one worker of a stage takes: a formula over declared shapes, before anything is loaded.

    f * (state + gathered + activations) + overhead

``state``: parameters, gradients and AdamW's two moments in fp32, cut over the workers: 16 bytes a parameter.
``gathered``: what is whole on each worker for a while. In bf16 one worker holds a bf16 copy of every parameter; of
several, each gathers two layers and the root's word table, and holds as much again in gradients of the layers.
``activations``: what a micro-batch keeps for its way back, measured per token, width and layer (``Family``); with
``recompute`` only the input of each layer, and one layer whole while it is worked out again.

After Rajbhandari et al. 2020 (ZeRO, sections 3 and 5) for the state and Korthikanti et al. 2022 for the activations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xsweep.models.families import family
from xsweep.models.model import Model, Shape
from xsweep.spec.sweep import Training

FRAGMENTED = 1.08
"""Assumed: what the allocator holds over what is asked of it."""
OVERHEAD = 1.2e9
"""Assumed: CUDA's context, cuBLAS workspaces and communication buffers, in bytes."""
SHARE = 0.94
"""Of a card, what a plan may fill."""
_MASTER = 16
"""fp32: parameter, gradient and AdamW's two moments."""
_BYTES = {"bf16": 2, "fp32": 4}


@dataclass(frozen=True)
class Memory:
    """Predicted bytes of one worker's GPU."""

    state: float
    gathered: float
    activations: float

    @property
    def total(self) -> float:
        """All of it, as the card has to have it."""
        return FRAGMENTED * (self.state + self.gathered + self.activations) + OVERHEAD


def predicted(model: Model, training: Training, *, workers: int, tokens: int, recompute: bool) -> Memory | None:
    """The memory of one of ``workers`` that trains micro-batches of ``tokens`` real tokens; None of an unknown shape.

    With the whole word table: how much of it a task's tokens leave out is not known before its data is read.
    """
    if model.shape is None or model.params is None or model.embedding_params is None or not model.model_type:
        return None
    size, of_ids = _BYTES[training.precision], float(model.embedding_params)
    layer = (model.params - of_ids) / model.shape.layers
    if training.lora:
        trained = float(training.lora.rank * _adapted(model.model_type, model.shape))
        frozen = float(size * model.params / workers)
    else:
        held = of_ids if training.freeze == "embeddings" else 0.0
        trained, frozen = model.params - held, size * held  # frozen words stay whole on each worker
    table = 0.0 if frozen and not training.lora else of_ids
    gathered = 4 * size * layer + 2 * size * table if workers > 1 else size * trained if size < 4 else 0.0
    state = _MASTER * trained / workers + frozen
    kept = kept_bytes(model.model_type, model.shape, training.precision, recompute=recompute)
    return Memory(state, gathered, kept * tokens)


def _adapted(model_type: str, shape: Shape) -> int:
    """Inputs and outputs of every linear map of the layers, which each rank of an adapter has a parameter for."""
    around = 4 * shape.width + 2 * (shape.attention or 2 * shape.width)
    return shape.layers * (around + (3 if family(model_type).gated else 2) * (shape.width + shape.ffn))


def kept_bytes(model_type: str, shape: Shape, precision: Literal["fp32", "bf16"], *, recompute: bool) -> float:
    """Bytes that one token keeps for the way back through the whole stack, heads apart."""
    known, number = family(model_type), list(_BYTES).index(precision)
    size, attention = _BYTES[precision], (shape.attention or 2 * shape.width) / shape.width
    blocks = (4 if known.gated else 2) * size * shape.ffn / shape.width
    whole = known.activation[number] + known.attended[number] * attention + blocks
    each = size * shape.layers + whole if recompute else whole * shape.layers
    return shape.width * (each + _EMBEDDED * size)


_EMBEDDED = 3
"""Values kept per token and width around the stack: the embeddings, their norm and the last one."""
