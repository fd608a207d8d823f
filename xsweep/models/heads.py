"""Own heads on any encoder, the same for every family, so that a curve over families compares like with like."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Partial
from torch.nn import functional

from xsweep.models.model import Pooling
from xsweep.tasks.features import NO_LABEL


class PairHead(nn.Module):
    """Sentence vector -> dropout, dense, tanh, dropout, linear: logits (rows, outputs)."""

    def __init__(self, width: int, outputs: int, dropout: float, pooling: Pooling) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        # What is added to the one logit of every choice alike changes nothing but gathers rounding.
        self.out = nn.Linear(width, outputs, bias=outputs > 1)
        self.dropout = nn.Dropout(dropout)
        self.pooling = pooling

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits from hidden states (rows, width in tokens, width) and the mask of real tokens."""
        vector = self.dropout(pool(hidden, mask, self.pooling))
        logits: Tensor = self.out(self.dropout(torch.tanh(self.dense(vector))))
        return logits


class SpanHead(nn.Module):
    """One linear map per token: logits (rows, tokens, 2) of being the answer's start and its end."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, 2)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits from hidden states; ``mask`` is not needed, since the loss masks for itself."""
        # A linear map of three dimensions returns a view, which the hooks of a sharded module warn of.
        logits: Tensor = self.out(hidden).clone()
        return logits


class TagHead(nn.Module):
    """Dropout and one linear map: logits (labelled tokens, outputs)."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.out = nn.Linear(width, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits from the hidden states (labelled tokens, width)."""
        logits: Tensor = self.out(self.dropout(hidden))
        return logits


class VectorHead(nn.Module):
    """A text's vector of length 1, pooled from its tokens; nothing in it is trained.

    Published dual encoders use the pretrained pooler, which is untrained in, or absent from, most families.
    """

    def __init__(self, pooling: Pooling) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Vectors (rows, width) from hidden states (rows, width in tokens, width) and the mask of real tokens."""
        return functional.normalize(pool(hidden, mask, self.pooling).float(), dim=-1)


class TextHead(nn.Module):
    """Dense, GELU, norm, and the encoder's own word table: logits (hidden tokens, vocabulary) of what stood there.

    The table is the encoder's parameter, not this module's: it is trained and saved once.
    """

    def __init__(self, width: int, table: nn.Parameter) -> None:
        super().__init__()
        words, inner = table.shape
        self.dense = nn.Linear(width, inner)
        self.norm = nn.LayerNorm(inner, elementwise_affine=False)
        self.bias = nn.Parameter(torch.empty(words))
        self._table = [table]  # in a list, so that it is no parameter of this module

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Logits from the hidden states (hidden tokens, width) of the tokens asked about."""
        table: Tensor = self._table[0]
        if isinstance(table, DTensor):
            table = table.full_tensor(grad_placements=[Partial("avg")])
        vector = self.norm(functional.gelu(self.dense(hidden)))
        return functional.linear(vector, table.to(vector.dtype), self.bias)


class Network(nn.Module):
    """An encoder with a head."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    @property
    def parts(self) -> list[Network]:
        """Itself: it has one head."""
        return [self]

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor | None, labels: Tensor | None = None) -> Tensor:
        """Logits in fp32: (rows, outputs) for pairs, (sequences, 1) for choices, (rows, tokens, 2) for spans.

        For retrieval vectors, (rows, width).

        With ``labels``, (labelled tokens, outputs): of the tokens that have one alone, row by row.
        """
        extra = {} if types is None else {"token_type_ids": types}
        hidden = self.encoder(input_ids=ids, attention_mask=mask, **extra).last_hidden_state
        if labels is not None:
            hidden = hidden[labels != NO_LABEL]
        logits: Tensor = self.head(hidden, mask)
        return logits.float()


class Joint(nn.Module):
    """An encoder with several heads."""

    def __init__(self, encoder: nn.Module, heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleList(heads)

    @property
    def parts(self) -> list[Network]:
        """The encoder with each head; their parameters are this module's."""
        return [Network(self.encoder, head) for head in self.heads]


def pool(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Sentence vectors (rows, width): the first token's, the last real one's, or the mean over real tokens."""
    if pooling == "first":
        return hidden[:, 0]
    if pooling == "last":
        last = (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).argmax(1)
        return hidden[torch.arange(len(hidden), device=hidden.device), last]
    weights = mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(1) / weights.sum(1)


def make_head(
    format_: str,
    table: nn.Parameter,
    outputs: int,
    *,
    width: int | None = None,
    dropout: float,
    pooling: Pooling,
    std: float,
    seed: int,
) -> nn.Module:
    """A fresh head on the CPU: weights normal with deviation ``std``, biases zero, a function of ``seed`` alone.

    ``width`` is that of the hidden states, where ``table``, the encoder's word table, has another (RemBERT).
    """
    width = width or table.shape[1]
    with torch.random.fork_rng([]):
        head: nn.Module
        match format_:
            case "text":
                head = TextHead(width, table)
            case "tag":
                head = TagHead(width, outputs, dropout)
            case "span":
                head = SpanHead(width)
            case "retrieval":
                head = VectorHead(pooling)
            case _:
                head = PairHead(width, outputs, dropout, pooling)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, std, generator=generator)
            else:
                parameter.zero_()
    return head


def losses(
    logits: Tensor,
    targets: Tensor,
    allowed: Tensor | None,
    labels: Tensor | None = None,
    choices: Tensor | None = None,
) -> Tensor:
    """The loss of each row, (rows,): cross-entropy of pairs, or of spans where ``allowed`` is given.

    With ``labels`` (rows, tokens), the sum over a row's labelled tokens, to be divided by their number. With
    ``choices`` (rows, most choices), which say whose logits (sequences, 1) are a row's, that of its choices.
    """
    if labels is not None:
        asked = labels != NO_LABEL
        each = functional.cross_entropy(logits, labels[asked], reduction="none")
        return each.new_zeros(len(labels)).index_add(0, asked.nonzero()[:, 0], each)
    if choices is not None:
        # -1 stands for no choice, and takes what is last.
        logits = functional.pad(logits[:, 0], (0, 1), value=float("-inf"))[choices]
    if allowed is None:
        return functional.cross_entropy(logits, targets, reduction="none")
    return span_losses(logits, targets, allowed)


def span_losses(logits: Tensor, targets: Tensor, allowed: Tensor) -> Tensor:
    """Mean of the start's and the end's cross-entropy over the tokens that may hold the answer.

    These are the context's, ``allowed[:, 0]`` to ``allowed[:, 1] - 1``, and the first token, which stands
    for "not in this window"; so neither padding nor the question can change the loss.
    """
    position = torch.arange(logits.shape[1], device=logits.device).unsqueeze(0)
    inside = (position >= allowed[:, :1]) & (position < allowed[:, 1:])
    open_ = (inside | (position == 0)).unsqueeze(-1)
    masked = logits.masked_fill(~open_, float("-inf"))
    both = functional.cross_entropy(masked, targets, reduction="none")
    return both.mean(1)
