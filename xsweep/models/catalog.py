"""The models known by name. Any other encoder is declared in the sweep file in the same words."""

from __future__ import annotations

from collections.abc import Mapping

from xsweep.models.model import Model, Pretrain
from xsweep.tasks.world.catalog import TEXT


def _world(width: int, lr: float, params: int, embedding: int) -> Model:
    return Model(
        name=f"world-{width}",
        id=f"world/encoder-{width}",
        ladder="world",
        pooling="mean",
        params=params,
        embedding_params=embedding,
        pretrain=Pretrain(task=TEXT, lr=lr, epochs=5),
    )


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model(
            name="xlmr-base",
            id="FacebookAI/xlm-roberta-base",
            ladder="xlmr",
            params=277_453_056,
            embedding_params=192_001_536,
        ),
        Model(
            name="xlmr-large",
            id="FacebookAI/xlm-roberta-large",
            ladder="xlmr",
            params=558_840_832,
            embedding_params=256_002_048,
        ),
        _world(24, 4e-3, 25_440, 9_336),
        _world(48, 3e-3, 78_528, 18_672),
        _world(96, 2e-3, 267_648, 37_344),
    )
}
"""Name -> model. Parameters are those of the encoder without its pooler, which is not used; the embedding is the word
table."""
