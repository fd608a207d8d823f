"""The models known by name. Any other encoder is declared in the sweep file in the same words."""

from __future__ import annotations

from collections.abc import Mapping

from xsweep.models.model import Model

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
    )
}
"""Name -> model. Parameters are those of the encoder without its pooler, which is not used; the embedding is the word
table."""
