"""Pretrained models kept alive in a process, and put back in place to where they started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch import nn
from torch.distributed.tensor import DTensor

from xsweep.models.adapters import add_adapters, fresh_adapter, is_adapter
from xsweep.models.load import empty_encoder, fitting_tokenizer, word_table
from xsweep.models.weights import Weights
from xsweep.spec.sweep import Training
from xsweep.store.files import sha256_once
from xsweep.store.keys import content_key
from xsweep.train.cache import Recent
from xsweep.train.masters import master, settle
from xsweep.train.seeds import derive
from xsweep.train.shard import first_row, local, place_encoder, trained
from xsweep.train.world import World


@dataclass(frozen=True, eq=False)
class Live:
    """A pretrained encoder on the device, cut over the workers, with its tokenizer."""

    encoder: nn.Module
    tokenizer: transformers.PreTrainedTokenizerFast
    tokenizer_print: str
    world: World
    weights: Weights

    def reset(self, seed: int) -> None:
        """Make the encoder as pretrained again, in place; adapters begin anew, as ``seed`` says."""
        generator = torch.Generator().manual_seed(derive(seed, "adapters"))
        with torch.no_grad():
            for name, parameter in trained(self.encoder).items():
                if is_adapter(name):
                    start, own = first_row(parameter, self.world), local(parameter)
                    own.copy_(fresh_adapter(name, parameter.shape, generator)[start : start + len(own)])
                else:
                    self._read(name, parameter)
        self.weights.close()
        settle(self.encoder)

    def _read(self, name: str, parameter: nn.Parameter) -> None:
        self.weights.read(name, first_row(parameter, self.world), local(parameter))

    def read_frozen(self) -> None:
        """Read what no reset has to put back."""
        for name, parameter in self.encoder.named_parameters():
            if not parameter.requires_grad:
                self._read(name, parameter)
        self.weights.close()

    @property
    def bytes(self) -> int:
        """Memory held, without gradients."""
        parameters = list(self.encoder.parameters())
        masters = sum(held.nbytes for held in map(master, parameters) if held is not None)
        return masters + sum(_own_bytes(parameter) for parameter in parameters)


def live(folder: Path, model_print: str, training: Training, world: World) -> Live:
    """The model in ``folder``, made when this process does not hold it yet; ``reset`` gives it its values."""
    key = (model_print, training.dropout, training.freeze, training.precision, training.lora, world)
    return _LIVE.get(key, lambda: _load(folder, training, world))


def _load(folder: Path, training: Training, world: World) -> Live:
    encoder, weights = empty_encoder(folder, training.dropout), Weights(folder)
    weights.check(encoder)
    tokenizer = fitting_tokenizer(folder, encoder)
    whole = set()
    if training.lora:
        add_adapters(encoder, training.lora.rank, training.lora.alpha, training.lora.dropout)
    elif training.freeze == "embeddings":
        word_table(encoder).requires_grad_(False)
        whole = {word_table(encoder)}
    place_encoder(encoder, world, training.precision, whole)
    held = Live(encoder, tokenizer, _tokenizer_print(folder), world, weights)
    held.read_frozen()
    return held


def _own_bytes(parameter: nn.Parameter) -> int:
    plain = parameter.detach()
    return plain.to_local().nbytes if isinstance(plain, DTensor) else plain.nbytes


def _tokenizer_print(folder: Path) -> str:
    """Equal for folders of one ladder that share a tokenizer, so that they share features too."""
    names = ("*token*", "*.model", "vocab*", "merges*")
    files = {path for name in names for path in folder.glob(name) if path.is_file()}
    return content_key({path.name: sha256_once(path) for path in files})


_LIVE: Recent[Live] = Recent(4 << 30, lambda held: held.bytes)
