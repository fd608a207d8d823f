"""Hidden tokens: what a masked language model is shown and asked, drawn anew for each epoch.

Of the tokens of a text 15 % are asked about; of these, 80 % are shown as the mask, 10 % as another token, 10 % as they
are (Devlin et al. 2019, section 3.1). The other token is drawn from the corpus itself instead of evenly from the
vocabulary, so no vocabulary is needed and no special token can come up. A text is asked about one token at least.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xsweep.tasks.features import NO_LABEL, Features

_SHOWN_AS_MASK, _SHOWN_AS_OTHER = 0.8, 0.9


def hide(features: Features, seed: int) -> Features:
    """``features`` with some tokens hidden and the hidden ones as labels, a function of ``seed`` alone.

    Features without ``noise`` come back as they are.
    """
    noise = features.noise
    if noise is None:
        return features
    random = np.random.Generator(np.random.PCG64(seed))
    ids, shape = features.ids, len(features.ids)
    free = ~np.isin(ids, noise.special)
    draw = np.where(free, random.random(shape), 2.0)
    asked = (draw < noise.rate) | _lowest(draw, features)
    asked &= free
    shown = random.random(shape)
    others = random.permutation(ids[free])
    as_mask, as_other = asked & (shown < _SHOWN_AS_MASK), asked & (shown >= _SHOWN_AS_MASK) & (shown < _SHOWN_AS_OTHER)
    seen = ids.copy()
    seen[as_mask] = noise.mask
    seen[as_other] = others[: int(as_other.sum())]
    labels = np.where(asked, ids, NO_LABEL).astype(np.int32)
    return replace(features, ids=seen, labels=labels)


def _lowest(
    draw: np.ndarray[tuple[int, ...], np.dtype[np.float64]], features: Features
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Whether each token has the lowest draw of its text."""
    lowest = np.minimum.reduceat(draw, features.offsets[:-1])
    return np.asarray(draw == np.repeat(lowest, features.lengths))
