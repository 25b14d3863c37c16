"""Feed-forward networks over named plates: their weights as one vector, on known values or inside a program that is traced."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, namespace
from ppl.graph.evaluate import Evaluator
from ppl.graph.functions import ELEMENTWISE
from ppl.semantics import typed


def weights_name(network: str) -> str:
    """The name of a network's weights among the values of variables, which no variable has."""
    return f"network {network}"


def widths_of(network: typed.Network, sizes: Mapping[str, int]) -> tuple[int, ...]:
    evaluator = Evaluator(sizes, {})
    return tuple(int(evaluator.number(w, {}).data) for w in network.widths)


def weight_count(network: typed.Network, sizes: Mapping[str, int]) -> int:
    widths = widths_of(network, sizes)
    return sum((a + 1) * b for a, b in itertools.pairwise(widths))


def first_weights(network: typed.Network, sizes: Mapping[str, int], rng: np.random.Generator) -> np.ndarray:
    """Random weights of a size that keeps the variance of what goes through, and biases of 0 (He et al. 2015)."""
    parts = []
    widths = widths_of(network, sizes)
    for a, b in itertools.pairwise(widths):
        parts += [rng.normal(size=a * b) * np.sqrt((2.0 if network.activation == "relu" else 1.0) / a), np.zeros(b)]
    return np.concatenate(parts)


def feed_forward(network: typed.Network, weights: Plated, x: Plated, sizes: Mapping[str, int]) -> Plated:
    """The outputs for each member of the plates; the weights may have plates of their own (draws)."""
    widths = widths_of(network, sizes)
    dims = tuple(dict.fromkeys((*weights.dims, *x.dims)))
    xp = namespace(weights.data, x.data)
    value = xp.asarray(x.arranged(dims) if weights.dims else x.data, weights.data.dtype)
    value = value if x.rank else value[..., None]
    array, at = weights.arranged(dims) if weights.dims else weights.data, 0
    for layer, (a, b) in enumerate(itertools.pairwise(widths)):
        matrix, bias = array[..., at : at + a * b], array[..., at + a * b : at + (a + 1) * b]
        matrix = matrix.reshape((*matrix.shape[:-1], a, b))
        value = (xp.matmul(value[..., None, :], matrix)[..., 0, :] if weights.dims else xp.matmul(value, matrix)) + bias
        at += (a + 1) * b
        if layer < len(widths) - 2:
            value = activated(network.activation, value)
    return Plated(dims if weights.dims else x.dims, value)


def activated(name: str, value: Any) -> Any:
    xp = namespace(value)
    match name:
        case "relu":
            return xp.maximum(value, 0.0)
        case "softplus":
            return xp.logaddexp(value, 0.0)
        case "elu":
            return xp.where(value > 0, value, xp.expm1(xp.minimum(value, 0.0)))
        case "gelu":
            return value * ELEMENTWISE["normal_cdf"](value)
        case "identity":
            return value
    return ELEMENTWISE[name](value)
