"""Functions of quantities: what the functions of the language make of latent values, or what they cannot.

Sums and products of Normals stay forms; powers and products of positive values stay products of features; smooth functions of one
Normal number have expectations of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ppl.arrays.plated import Plated, known
from ppl.compiler.forms import Atom, Form, constant, select_form, smooth, stack_forms
from ppl.compiler.quantities import POWERS, Featured, Gaussian, NotConjugate, Quantity, known_feature
from ppl.graph.functions import apply_known


def apply_quantity(function: str, arguments: list[Any]) -> Quantity:
    """A function of the catalogue where an argument is a quantity."""
    rule = _RULES.get(function)
    if rule is None:
        raise NotConjugate(f"`{function}` of a latent value")
    return rule(*arguments)


def _as_form(value: Any) -> Form:
    if isinstance(value, Plated):
        return constant(value.map(lambda a: np.asarray(a, float)))
    if isinstance(value, Gaussian):
        return value.affine
    raise NotConjugate(f"a sum with {value.kind}")


def _add(a: Any, b: Any) -> Quantity:
    return Gaussian(_as_form(a) + _as_form(b))


def _subtract(a: Any, b: Any) -> Quantity:
    if isinstance(a, Plated) and isinstance(b, Featured) and a.rank == 0 and not a.dims and float(a.data) == 1.0 and "log1m" in b.features:
        swapped = {"log": b.form("log1m"), "log1m": b.form("log")}
        mean = {"mean": b.form("mean").negated() + known(1.0)} if "mean" in b.features else {}
        return Featured({**swapped, **mean}, f"1 - {b.kind}")
    return Gaussian(_as_form(a) + _as_form(b).negated())


def _scaled(q: Quantity, c: Plated) -> Quantity:
    if isinstance(q, Gaussian):
        return Gaussian(q.affine.scale(c))
    assert isinstance(q, Featured)
    if q.rank == 0 and c.rank == 2:
        return _times_matrix(q, c)
    if np.any(c.data < 0):
        raise NotConjugate(f"a negative multiple of {q.kind}")
    if q.exponential:
        return _exponential(q.features["log"] + known_feature(c, "log"))
    changes: dict[str, Callable[[Form], Form]] = {
        "mean": lambda f: f.scale(c),
        "log": lambda f: f + known_feature(c, "log"),
        "reciprocal": lambda f: f.scale(1.0 / c),
        "squared": lambda f: f.scale(c * c),
        "inverse_squared": lambda f: f.scale(1.0 / (c * c)),
    }
    if q.rank == 2 and c.rank == 0:
        size = next(iter(q.features.values())).shape[-1]
        changes["inverse"] = changes["reciprocal"]
        changes["logdet"] = lambda f: f + apply_known("log", [c]) * float(size)
    base, exponent, factor = _as_power(q)
    return Featured({k: changes[k](f) for k, f in q.features.items() if k in changes}, q.kind, power=(base, exponent, factor * c))


def _times_matrix(q: Featured, c: Plated) -> Quantity:
    """A positive number times a known matrix, which has a log-determinant and an inverse where it is positive definite."""
    features = {"mean": q.features["mean"].scale(c)} if "mean" in q.features else {}
    size = c.shape[-1]
    if c.shape[0] == size and _is_positive_definite(c.data):
        if "log" in q.features:
            features["logdet"] = q.features["log"].scale(float(size)) + apply_known("logdet", [c])
        if "reciprocal" in q.features:
            features["inverse"] = q.features["reciprocal"].scale(apply_known("inverse", [c]))
    if not features:
        raise NotConjugate(f"a matrix times {q.kind}")
    return Featured(features, f"a matrix times {q.kind}")


def _is_positive_definite(matrices: np.ndarray) -> bool:
    symmetric = np.allclose(matrices, np.swapaxes(matrices, -1, -2))
    return bool(symmetric and (np.linalg.eigvalsh(matrices) > 0.0).all())


def _as_power(q: Featured) -> tuple[Featured, float, Plated]:
    """The quantity as `factor · base ^ exponent`."""
    return q.power or (q, 1.0, known(1.0))


def _multiply(a: Any, b: Any) -> Quantity:
    if isinstance(a, Plated):
        return _scaled(b, a)
    if isinstance(b, Plated):
        return _scaled(a, b)
    if isinstance(a, Gaussian) and isinstance(b, Gaussian):
        _refuse_shared(a.affine, b.affine)
        return Gaussian(a.affine.times(b.affine))
    if isinstance(a, Featured) and isinstance(b, Featured):
        both = a.exponential and b.exponential
        return _exponential(a.features["log"] + b.features["log"]) if both else _product(a, b)
    raise NotConjugate("a product of a Normal variable and another latent value")


def _refuse_shared(a: Form, b: Form) -> None:
    shared = sorted(a.variables & b.variables)
    if shared:
        raise NotConjugate(f"a product of `{shared[0]}` with itself")


def _product(a: Featured, b: Featured) -> Featured:
    """Independent factors: expected values multiply, logarithms add."""
    for f in a.features.values():
        for g in b.features.values():
            _refuse_shared(f, g)
    rules: dict[str, Callable[[Form, Form], Form]] = dict.fromkeys(POWERS, Form.times)
    rules["log"] = Form.__add__
    features = {n: rule(a.features[n], b.features[n]) for n, rule in rules.items() if n in a.features and n in b.features}
    if a.rank or b.rank or not features:
        raise NotConjugate(f"a product of {a.kind} and {b.kind}")
    return Featured(features, f"a product of {a.kind} and {b.kind}")


def _reciprocal(q: Quantity) -> Quantity:
    if not isinstance(q, Featured):
        raise NotConjugate("division by a Normal variable")
    if q.exponential:
        return _exponential(q.features["log"].negated())
    swapped = {POWERS[k]: f for k, f in q.features.items() if k in POWERS}
    if "log" in q.features:
        swapped["log"] = q.features["log"].negated()
    base, exponent, factor = _as_power(q)
    return Featured(swapped, f"the reciprocal of {q.kind}", power=(base, -exponent, 1.0 / factor))


def _divide(a: Any, b: Any) -> Quantity:
    if isinstance(b, Plated):
        return _scaled(a, 1.0 / b)
    return _multiply(a, _reciprocal(b))


def _power(a: Any, b: Any) -> Quantity:
    if not isinstance(a, Featured) or not isinstance(b, Plated) or b.rank or b.dims:
        raise NotConjugate("a power of a latent value")
    if a.exponential:
        return _exponential(a.features["log"].scale(float(b.data)))
    base, exponent, factor = _as_power(a)
    exponent, factor = exponent * float(b.data), apply_known("power", [factor, b])
    if exponent in (1.0, -1.0):
        return _scaled(base if exponent == 1.0 else _reciprocal(base), factor)
    if "log" not in base.features:
        raise NotConjugate(f"a power of {base.kind}")
    features = {"log": base.features["log"].scale(exponent) + apply_known("log", [factor])}
    squares = {2.0: ("squared", "inverse_squared"), -2.0: ("inverse_squared", "squared")}.get(exponent, ())
    for name, square, multiple in zip(("mean", "reciprocal"), squares, (factor, 1.0 / factor), strict=False):
        if square in base.features:
            features[name] = base.features[square].scale(multiple)
    return Featured(features, f"a power of {base.kind}", power=(base, exponent, factor))


def _inverse(q: Any) -> Quantity:
    if isinstance(q, Featured) and "logdet" in q.features:
        pairs = {"mean": "inverse", "inverse": "mean"}
        features = {pairs[k]: f for k, f in q.features.items() if k in pairs}
        return Featured({**features, "logdet": q.features["logdet"].negated()}, f"the inverse of {q.kind}")
    raise NotConjugate("the inverse of a latent value")


# ------------------------------------------------------------------ smooth functions of Normals
def _predictor(q: Any, function: str) -> Form:
    """The argument of a smooth function: for each entry it is one Normal number."""
    if isinstance(q, Gaussian) and all(len(t.atoms) == 1 and isinstance(t.atoms[0], Atom) for t in q.affine.terms):
        return q.affine
    raise NotConjugate(f"`{function}` of a product of Normal variables" if isinstance(q, Gaussian) else f"`{function}` of {q.kind}")


def _exponential(log: Form) -> Featured:
    features = {"mean": smooth("exp", log), "log": log, "reciprocal": smooth("exp", log.negated())}
    return Featured(features, "the exponential of a Normal variable", exponential=True)


def _exp(q: Any) -> Quantity:
    return _exponential(_predictor(q, "exp"))


def _log(q: Any) -> Quantity:
    if isinstance(q, Featured) and q.exponential:
        return Gaussian(q.features["log"])
    raise NotConjugate("`log` of a latent value")


def _sigmoid(q: Any) -> Quantity:
    form = _predictor(q, "sigmoid")
    log, log1m = smooth("softplus", form.negated()).negated(), smooth("softplus", form).negated()
    return Featured({"mean": smooth("sigmoid", form), "log": log, "log1m": log1m}, "the sigmoid of a Normal variable")


def _normal_cdf(q: Any) -> Quantity:
    form = _predictor(q, "normal_cdf")
    log, log1m = smooth("log_normal_cdf", form), smooth("log_normal_cdf", form.negated())
    return Featured({"mean": smooth("normal_cdf", form), "log": log, "log1m": log1m}, "the `normal_cdf` of a Normal variable")


def _sum(q: Any) -> Quantity:
    if isinstance(q, Gaussian):
        form = q.affine
        while form.rank:
            form = form.sum_axis()
        return Gaussian(form)
    raise NotConjugate(f"the sum of {q.kind}")


def _mean(q: Any) -> Quantity:
    count = float(np.prod(q.affine.shape)) if isinstance(q, Gaussian) else 1.0
    return _scaled(_sum(q), known(1.0 / count))


def _negate(q: Any) -> Quantity:
    if isinstance(q, Gaussian):
        return Gaussian(q.affine.negated())
    raise NotConjugate(f"minus {q.kind}")


def _dot(a: Any, b: Any) -> Quantity:
    product = _multiply(a, b)
    return _sum(product)


def _matmul(a: Any, b: Any) -> Quantity:
    """Rows of `a` times columns of `b`, summed; a vector is a row on the left and a column on the right."""
    left, right = _as_form(a), _as_form(b)
    _refuse_shared(left, right)
    if left.rank == 2 and right.rank == 2:
        product = left.repeated(1, right.shape[1]).times(right.transposed().repeated(0, left.shape[0]))
    elif left.rank == 2:
        product = left.times(right.repeated(0, left.shape[0]))
    elif right.rank == 2:
        product = left.repeated(0, right.shape[1]).times(right.transposed())
    else:
        product = left.times(right)
    return Gaussian(product.sum_axis())


def _outer(a: Any, b: Any) -> Quantity:
    left, right = _as_form(a), _as_form(b)
    _refuse_shared(left, right)
    return Gaussian(left.repeated(1, right.shape[0]).times(right.repeated(0, left.shape[0])))


def _transpose(q: Any) -> Quantity:
    if isinstance(q, Gaussian):
        return Gaussian(q.affine.transposed())
    raise NotConjugate(f"the transpose of {q.kind}")


def _diagonal(q: Any) -> Quantity:
    """The matrix with these entries on its diagonal: for independent positive ones its log-determinant is their logarithms' sum."""
    size = q.form("mean").shape[0]
    eye = Plated((), np.eye(size))

    def spread(form: Form) -> Form:
        return form.repeated(0, size).scale(eye)

    if isinstance(q, Gaussian):
        return Gaussian(spread(q.affine))
    features = {"mean": spread(q.features["mean"])}
    if "log" in q.features:
        features["logdet"] = q.features["log"].sum_axis()
    if "reciprocal" in q.features:
        features["inverse"] = spread(q.features["reciprocal"])
    return Featured(features, f"a diagonal matrix of {q.kind}")


def _trace(q: Any) -> Quantity:
    if isinstance(q, Gaussian):
        return _sum(Gaussian(q.affine.scale(Plated((), np.eye(q.affine.shape[0])))))
    raise NotConjugate(f"the trace of {q.kind}")


def _cumsum(q: Any) -> Quantity:
    if isinstance(q, Gaussian) and q.rank == 1:
        size = q.affine.shape[0]
        return Gaussian(q.affine.repeated(0, size).scale(Plated((), np.tril(np.ones((size, size))))).sum_axis())
    raise NotConjugate("a cumulated sum of such latent values")


def _stack(*items: Any) -> Quantity:
    if any(isinstance(i, Gaussian) for i in items):
        return Gaussian(stack_forms([_as_form(i) for i in items]))
    names = set.intersection(*(set(i.features) for i in items if isinstance(i, Featured))) & {"log", "log1m", "mean", "reciprocal"}
    forms = {
        n: stack_forms([i.form(n) if isinstance(i, Featured) else constant(known_feature(i, n)) for i in items]) for n in sorted(names)
    }
    if not forms:
        raise NotConjugate("a written-out vector of such latent values")
    return Featured(forms, "a written-out vector")


def _if(condition: Any, then: Any, otherwise: Any) -> Quantity:
    if not isinstance(condition, Plated):
        raise NotConjugate("a condition on a latent real value")
    if any(isinstance(v, Gaussian) for v in (then, otherwise)):
        return Gaussian(select_form(condition, _as_form(then), _as_form(otherwise)))
    names = [set(v.features) for v in (then, otherwise) if isinstance(v, Featured)]
    shared = set.intersection(*names) - ({"inverse", "logdet"} if condition.rank else set())

    def side(v: Any, name: str) -> Form:
        return v.form(name) if isinstance(v, Featured) else constant(known_feature(v, name))

    features = {n: select_form(condition, side(then, n), side(otherwise, n)) for n in sorted(shared)}
    if not features:
        raise NotConjugate("a choice between such latent values")
    return Featured(features, "a choice between latent values")


def _sum_over_plates(body: Any, sizes: dict[str, int], repeated: float) -> Quantity:
    if not isinstance(body, Gaussian):
        raise NotConjugate(f"the sum of {body.kind}")
    form = body.affine
    for name, size in sizes.items():
        if name in form.dims:
            form = form.dim_to_axis(name, size).sum_axis()
    return _scaled(Gaussian(form), known(repeated))


def _concat(*items: Any) -> Quantity:
    """`concat` of vectors, of which some are Normal."""
    forms = [_as_form(i) for i in items]
    entries = [f.take(0, known(k)) for f in forms for k in range(f.shape[0])]
    return Gaussian(stack_forms(entries))


_RULES: dict[str, Callable[..., Quantity]] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "negate": _negate,
    "power": _power,
    "sqrt": lambda q: _power(q, known(0.5)),
    "inverse": _inverse,
    "exp": _exp,
    "log": _log,
    "sigmoid": _sigmoid,
    "normal_cdf": _normal_cdf,
    "sum": _sum,
    "mean": _mean,
    "dot": _dot,
    "matmul": _matmul,
    "outer": _outer,
    "transpose": _transpose,
    "diag": _diagonal,
    "trace": _trace,
    "cumsum": _cumsum,
    "stack": _stack,
    "concat": _concat,
    "if": _if,
    "reverse": lambda q: q.take(0, known(np.arange(q.form("mean").shape[0])[::-1])),
    "sum over plates": _sum_over_plates,
}
