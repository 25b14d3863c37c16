"""A network that was learnt: how its weights, one vector in a posterior, are the layers that it is made of."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Network:
    """`widths` are the sizes of its layers, from the input to the output; `activation` stands between them."""

    widths: tuple[int, ...]
    activation: str

    def layers(self, weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Matrix and bias of each layer, `x @ matrix + bias`; axes in front of the weights (draws) stay in front."""
        found, at = [], 0
        for a, b in itertools.pairwise(self.widths):
            matrix = weights[..., at : at + a * b].reshape((*weights.shape[:-1], a, b))
            found.append((matrix, weights[..., at + a * b : at + (a + 1) * b]))
            at += (a + 1) * b
        return found
