"""The functions of the language over named plates, on known values (NumPy) or inside a program that is traced (JAX).

Each is written once for both: the arrays say which of the two computes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, align, contract, elementwise, namespace


def _special(name: str) -> Callable[..., Any]:
    def call(*arrays: Any) -> Any:
        if namespace(*arrays) is np:
            import scipy.special as special
        else:
            import jax.scipy.special as special
        return getattr(special, name)(*arrays)

    return call


def _plain(name: str) -> Callable[..., Any]:
    """The function of this name, of NumPy or of JAX as the arrays are."""
    return lambda *arrays: getattr(namespace(*arrays), name)(*arrays)


def _softmax(a: Any) -> Any:
    e = namespace(a).exp(a - a.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _logsumexp(a: Any) -> Any:
    xp, top = namespace(a), a.max(axis=-1)
    return top + xp.log(xp.exp(a - top[..., None]).sum(axis=-1))


def _log(a: Any) -> Any:
    with np.errstate(divide="ignore"):
        return namespace(a).log(a)


def _power(a: Any, b: Any) -> Any:
    xp = namespace(a, b)
    with np.errstate(divide="ignore", over="ignore"):
        return xp.power(xp.asarray(a, float), b)


def _sigmoid(a: Any) -> Any:
    """NumPy's own words here: SciPy takes long to import."""
    return 1 / (1 + np.exp(-np.asarray(a, float))) if namespace(a) is np else _special("expit")(a)


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "add": _plain("add"),
    "subtract": _plain("subtract"),
    "multiply": _plain("multiply"),
    "divide": _plain("divide"),
    "remainder": _plain("mod"),
    "power": _power,
    "negate": _plain("negative"),
    "equal": lambda a, b: (a == b) * 1.0,
    "not_equal": lambda a, b: (a != b) * 1.0,
    "less": lambda a, b: (a < b) * 1.0,
    "less_equal": lambda a, b: (a <= b) * 1.0,
    "greater": lambda a, b: (a > b) * 1.0,
    "greater_equal": lambda a, b: (a >= b) * 1.0,
    "not": lambda a: (a == 0) * 1.0,
    "and": lambda a, b: ((a != 0) & (b != 0)) * 1.0,
    "or": lambda a, b: ((a != 0) | (b != 0)) * 1.0,
    "if": lambda c, a, b: namespace(c, a, b).where(c != 0, a, b),
    "exp": _plain("exp"),
    "log": _log,
    "log1p": _plain("log1p"),
    "sqrt": _plain("sqrt"),
    "abs": _plain("abs"),
    "floor": _plain("floor"),
    "round": _plain("round"),
    "sin": _plain("sin"),
    "cos": _plain("cos"),
    "tan": _plain("tan"),
    "tanh": _plain("tanh"),
    "sigmoid": _sigmoid,
    "logit": lambda p: _log(p) - namespace(p).log1p(-p),
    "probit": _special("ndtri"),
    "normal_cdf": _special("ndtr"),
    "lgamma": _special("gammaln"),
    "lbeta": _special("betaln"),
    "digamma": _special("digamma"),
}

REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": lambda a: a.sum(axis=-1),
    "prod": lambda a: a.prod(axis=-1),
    "mean": lambda a: a.mean(axis=-1),
    "min": lambda a: a.min(axis=-1),
    "max": lambda a: a.max(axis=-1),
    "logsumexp": _logsumexp,
}

ALONG_LAST: dict[str, Callable[..., Any]] = {
    "softmax": _softmax,
    "normalize": lambda a: a / a.sum(axis=-1, keepdims=True),
    "cumsum": lambda a: namespace(a).cumsum(a, axis=-1),
    "reverse": lambda a: a[..., ::-1],
}


def _gram(a: Any) -> Any:
    xp = namespace(a)
    return xp.matmul(a, xp.swapaxes(a, -1, -2))


MATRICES: dict[str, Callable[..., Any]] = {
    "transpose": lambda a: namespace(a).swapaxes(a, -1, -2),
    "gram": _gram,  # no word of the language: scale_tril to cov
    "inverse": lambda a: namespace(a).linalg.inv(a),
    "cholesky": lambda a: namespace(a).linalg.cholesky(a),
    "logdet": lambda a: namespace(a).linalg.slogdet(a)[1],
    "trace": lambda a: namespace(a).trace(a, axis1=-2, axis2=-1),
}


def reduce_all(name: str, value: Plated) -> Plated:
    """A reduction over all axes of the value."""
    places = len(value.dims)
    return Plated(value.dims, REDUCTIONS[name](value.data.reshape(value.data.shape[:places] + (-1,))))


def apply_known(name: str, arguments: list[Plated]) -> Plated:
    """A function of the catalogue, all of whose arguments are arrays."""
    if name in ("min", "max") and len(arguments) > 1:
        return elementwise(_plain("minimum" if name == "min" else "maximum"), *arguments)
    if name in ELEMENTWISE:
        return elementwise(ELEMENTWISE[name], *arguments)
    first = arguments[0]
    if name in REDUCTIONS:
        return reduce_all(name, first)
    if name in ALONG_LAST:
        return first.map(ALONG_LAST[name])
    if name in MATRICES:
        return first.map(MATRICES[name])
    if name == "len":
        return Plated((), np.asarray(first.shape[0]))
    return _construct(name, arguments)


def _construct(name: str, arguments: list[Plated]) -> Plated:
    first = arguments[0]
    if name in ("ones", "zeros"):
        shape = tuple(int(a.data) for a in arguments)
        return Plated((), np.ones(shape) if name == "ones" else np.zeros(shape))
    if name == "eye":
        return Plated((), np.eye(int(first.data)))
    if name == "onehot":
        size = int(arguments[1].data)
        return first.map(lambda k: (namespace(k).asarray(k)[..., None] == np.arange(size)) * 1.0)
    if name == "diag":
        return first.map(lambda a: a[..., None] * np.eye(a.shape[-1]))
    if name in ("dot", "outer", "matmul"):
        dims, (a, b) = _pair(first, arguments[1])
        return Plated(dims, _product(name, a, b, first.rank, arguments[1].rank))
    if name == "concat":
        dims, arrays = align(*arguments)
        shape = np.broadcast_shapes(*(a.shape[: len(dims)] for a in arrays))
        xp = namespace(*arrays)
        return Plated(dims, xp.concatenate([xp.broadcast_to(a, shape + a.shape[len(dims) :]) for a in arrays], axis=len(dims)))
    raise KeyError(name)


def _pair(a: Plated, b: Plated) -> tuple[tuple[str, ...], tuple[Any, Any]]:
    dims = tuple(dict.fromkeys((*a.dims, *b.dims)))
    return dims, (a.arranged(dims), b.arranged(dims))


def _product(name: str, a: Any, b: Any, rank_a: int, rank_b: int) -> Any:
    xp = namespace(a, b)
    if name == "dot":
        return (a * b).sum(axis=-1)
    if name == "outer":
        return a[..., :, None] * b[..., None, :]
    if rank_a == 1:
        return xp.matmul(a[..., None, :], b)[..., 0, :] if rank_b == 2 else (a * b).sum(axis=-1)
    return xp.matmul(a, b[..., None])[..., 0] if rank_b == 1 else xp.matmul(a, b)


def reduce_plates(name: str, value: Plated, plates: list[str]) -> Plated:
    """A reduction over plates: what `sum(… for k in K)` means."""
    value = Plated((), value.data) if not value.dims else value
    plates = [p for p in plates if p in value.dims]
    if name == "sum" and value.rank == 0:
        return contract(value, over=plates)
    for plate in plates:
        value = value.dim_to_axis(plate, value.rank)
        value = value.map(REDUCTIONS[name])
    return value
