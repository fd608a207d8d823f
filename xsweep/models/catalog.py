"""The models known by name. Any other of a known family is declared in the sweep file in the same words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xsweep.models.families import family
from xsweep.models.model import Model, Pretrain, Shape
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
        model_type="xlm-roberta",
        shape=Shape(layers=2, width=width, ffn=4 * width, vocabulary=embedding // width),
    )


def _published(
    name: str, id_: str, model_type: str, params: tuple[int, int, int], shape: tuple[int, ...], **more: Any
) -> Model:
    """``params``: published, used, of the word table; ``shape``: layers, width, ffn, vocabulary, and attention if
    it is not twice the width."""
    total, used, table = params
    return Model(
        name=name,
        id=id_,
        model_type=model_type,
        pooling=family(model_type).pooling,
        total_params=total,
        params=used,
        embedding_params=table,
        shape=Shape(**dict(zip(Shape.model_fields, shape, strict=False))),
        **more,
    )


_XLMR = {"ladder": "xlmr", "tokens": 6 * 10**12, "languages": 100, "licence": "MIT"}
_XLMR_XL = {**_XLMR, "tokens": 5 * 10**11}
"""The larger XLM-R put the norm first and read a twelfth of the tokens: ``confounds`` tells it wherever both appear."""
_MT5 = {"ladder": "mt5", "tokens": 10**12, "languages": 101, "licence": "Apache-2.0"}
_EUROBERT = {"ladder": "eurobert", "tokens": 5 * 10**12, "languages": 15, "licence": "Apache-2.0"}
_MMBERT = {"ladder": "mmbert", "tokens": 3 * 10**12, "languages": 1833, "licence": "MIT"}
_QWEN3 = {"ladder": "qwen3", "tokens": 36 * 10**12, "languages": 119, "licence": "Apache-2.0"}

MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        _published(
            "xlmr-base",
            "FacebookAI/xlm-roberta-base",
            "xlm-roberta",
            (278_295_186, 277_453_056, 192_001_536),
            (12, 768, 3072, 250_002),
            **_XLMR,
        ),
        _published(
            "xlmr-large",
            "FacebookAI/xlm-roberta-large",
            "xlm-roberta",
            (560_142_482, 558_840_832, 256_002_048),
            (24, 1024, 4096, 250_002),
            **_XLMR,
        ),
        _published(
            "xlmr-xl",
            "facebook/xlm-roberta-xl",
            "xlm-roberta-xl",
            (3_482_741_760, 3_475_929_600, 642_252_800),
            (36, 2560, 10_240, 250_880),
            **_XLMR_XL,
        ),
        _published(
            "xlmr-xxl",
            "facebook/xlm-roberta-xxl",
            "xlm-roberta-xl",
            (10_712_994_816, 10_695_954_432, 1_027_604_480),
            (48, 4096, 16_384, 250_880),
            **_XLMR_XL,
        ),
        _published(
            "mt5-small",
            "google/mt5-small",
            "mt5",
            (300_176_768, 146_940_608, 128_057_344),
            (8, 512, 1024, 250_112),
            **_MT5,
        ),
        _published(
            "mt5-base",
            "google/mt5-base",
            "mt5",
            (582_401_280, 277_040_256, 192_086_016),
            (12, 768, 2048, 250_112),
            **_MT5,
        ),
        _published(
            "mt5-large",
            "google/mt5-large",
            "mt5",
            (1_229_581_312, 564_446_720, 256_114_688),
            (24, 1024, 2816, 250_112),
            **_MT5,
        ),
        _published(
            "mt5-xl",
            "google/mt5-xl",
            "mt5",
            (3_742_619_648, 1_669_958_656, 512_229_376),
            (24, 2048, 5120, 250_112),
            **_MT5,
        ),
        _published(
            "mt5-xxl",
            "google/mt5-xxl",
            "mt5",
            (12_921_057_280, 5_655_173_120, 1_024_458_752),
            (24, 4096, 10_240, 250_112),
            **_MT5,
        ),
        _published(
            "mbert",
            "google-bert/bert-base-multilingual-cased",
            "bert",
            (177_974_523, 177_262_848, 91_812_096),
            (12, 768, 3072, 119_547),
            languages=104,
            licence="Apache-2.0",
        ),
        _published(
            "mdeberta-v3",
            "microsoft/mdeberta-v3-base",
            "deberta-v2",
            (279_061_880, 278_218_752, 192_768_000),
            (12, 768, 3072, 251_000),
            languages=100,
            licence="MIT",
        ),
        _published(
            "rembert",
            "google/rembert",
            "rembert",
            (993_263_548, 574_592_128, 64_076_800),
            (32, 1152, 4608, 250_300),
            languages=110,
            licence="Apache-2.0",
        ),
        _published(
            "xlmv-base",
            "facebook/xlm-v-base",
            "xlm-roberta",
            (779_396_349, 777_902_592, 692_451_072),
            (12, 768, 3072, 901_629),
            tokens=6 * 10**12,
            languages=100,
            licence="MIT",
        ),
        _published(
            "eurobert-210m",
            "EuroBERT/EuroBERT-210m",
            "eurobert",
            (211_766_016, 211_766_016, 98_500_608),
            (12, 768, 3072, 128_256),
            **_EUROBERT,
        ),
        _published(
            "eurobert-610m",
            "EuroBERT/EuroBERT-610m",
            "eurobert",
            (607_874_688, 607_874_688, 147_750_912),
            (26, 1152, 4096, 128_256, 1536),
            **_EUROBERT,
        ),
        _published(
            "eurobert-2.1b",
            "EuroBERT/EuroBERT-2.1B",
            "eurobert",
            (2_107_590_912, 2_107_590_912, 295_501_824),
            (32, 2304, 6144, 128_256, 3072),
            **_EUROBERT,
        ),
        _published(
            "mmbert-small",
            "jhu-clsp/mmBERT-small",
            "modernbert",
            (140_897_536, 140_493_696, 98_304_000),
            (22, 384, 1152, 256_000),
            **_MMBERT,
        ),
        _published(
            "mmbert-base",
            "jhu-clsp/mmBERT-base",
            "modernbert",
            (307_786_240, 306_939_648, 196_608_000),
            (22, 768, 1152, 256_000),
            **_MMBERT,
        ),
        _published(
            "qwen3-0.6b",
            "Qwen/Qwen3-0.6B-Base",
            "qwen3",
            (596_049_920, 596_049_920, 155_582_464),
            (28, 1024, 3072, 151_936, 3072),
            **_QWEN3,
        ),
        _published(
            "qwen3-1.7b",
            "Qwen/Qwen3-1.7B-Base",
            "qwen3",
            (1_720_574_976, 1_720_574_976, 311_164_928),
            (28, 2048, 6144, 151_936, 3072),
            **_QWEN3,
        ),
        _published(
            "qwen3-4b",
            "Qwen/Qwen3-4B-Base",
            "qwen3",
            (4_022_468_096, 4_022_468_096, 388_956_160),
            (36, 2560, 9728, 151_936, 5120),
            **_QWEN3,
        ),
        _published(
            "qwen3-8b",
            "Qwen/Qwen3-8B-Base",
            "qwen3",
            (8_190_735_360, 7_568_405_504, 622_329_856),
            (36, 4096, 12_288, 151_936, 5120),
            **_QWEN3,
        ),
        _world(24, 4e-3, 25_440, 9_336),
        _world(48, 3e-3, 78_528, 18_672),
        _world(96, 2e-3, 267_648, 37_344),
    )
}
"""Name -> model. Used parameters are those of the encoder (or decoder) without pooler and pretraining head; the
embedding is the word table. Numbers of tokens are from the models' papers and cards."""


def described(model: Model) -> dict[str, Any]:
    """An entry's own fields, and beside them what its family says: ``kind``, ``norm``, ``positions``, ``cut`` (where
    sharding cuts it), and ``trunk_params``, the used parameters outside the word table."""
    known = family(model.model_type)
    trunk = None if model.params is None else model.params - (model.embedding_params or 0)
    return {
        **model.model_dump(mode="json"),
        "kind": known.kind,
        "norm": known.norm,
        "positions": known.positions,
        "cut": f"each of {known.stack}, the rest with the root",
        "trunk_params": trunk,
    }


def confounds(models: Sequence[Model]) -> list[str]:
    """Of each ladder among ``models``, in words, what else differs between its sizes, as far as the catalogue knows."""
    said = []
    for ladder in dict.fromkeys(model.ladder for model in models if model.ladder):
        rungs = [model for model in models if model.ladder == ladder]
        read = {model.tokens for model in rungs if model.tokens}
        norms = {family(model.model_type).norm for model in rungs if model.model_type}
        differ = [f"pretraining tokens ({', '.join(f'{n / 1e12:g}T' for n in sorted(read))})"] if len(read) > 1 else []
        differ += [f"placement of the norm ({' and '.join(sorted(norms))})"] if len(norms) > 1 else []
        if differ:
            said.append(f"sizes of the ladder {ladder} differ in more than size: {', '.join(differ)}")
    return said
