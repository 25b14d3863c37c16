"""What each distribution is, before anything computes: parameters, their supports and shapes, and what implements it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Support = Literal[
    "real", "positive", "nonnegative", "unit", "simplex", "posdef", "lower_triangular", "count", "binary", "member", "any",
    "increasing", "bound", "distribution", "distributions",
]  # fmt: skip


@dataclass(frozen=True)
class ParameterSignature:
    """One parameter: its support and the axes of its value (`"D"` is shared by all that name it in the distribution)."""

    name: str
    support: Support
    axes: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Distribution:
    """`slots` are the positional places; the alternatives in a slot exclude each other, the first is what results report."""

    name: str
    slots: tuple[tuple[ParameterSignature, ...], ...]
    support: Support
    axes: tuple[str, ...] = ()  # of a value: ("D",) for a vector
    implementation: str | None = None  # dotted name of its factor; None: it parses and is checked, and cannot run yet
    remark: str = ""

    @property
    def parameters(self) -> dict[str, ParameterSignature]:
        """Every parameter by its name, alternatives included."""
        return {signature.name: signature for slot in self.slots for signature in slot}


def parameter(name: str, support: Support, *axes: str, optional: bool = False) -> ParameterSignature:
    return ParameterSignature(name, support, axes, optional)


Slot = ParameterSignature | tuple[ParameterSignature, ...]


def _distribution(
    name: str, support: Support, *slots: Slot, axes: tuple[str, ...] = (), factor: str = "", remark: str = ""
) -> Distribution:
    alternatives = tuple(slot if isinstance(slot, tuple) else (slot,) for slot in slots)
    return Distribution(name, alternatives, support, axes, f"ppl.factors.{factor}" if factor else None, remark)


_MEAN = parameter("mean", "real")
_SD = parameter("sd", "positive")
_SCALE = parameter("scale", "positive")
_RATE = parameter("rate", "positive")
_SHAPE = parameter("shape", "positive")
_DF = parameter("df", "positive")
_P = parameter("p", "unit")
_LOGIT = parameter("logit", "real")
_N = parameter("n", "count")
_LOW, _HIGH = parameter("low", "bound"), parameter("high", "bound")
_A, _B = parameter("a", "positive"), parameter("b", "positive")
_SCALE_MATRIX = parameter("scale", "posdef", "D", "D")
_CONCENTRATIONS = parameter("concentration", "positive", "K")
_PROBABILITIES = parameter("p", "simplex", "K")
_COUNTS_TOTAL = parameter("n", "count", optional=True)

_TABLE = (
    _distribution("Normal", "real", _MEAN, (_SD, parameter("var", "positive"), parameter("precision", "positive")), factor="normal"),
    _distribution(
        "MvNormal",
        "real",
        parameter("mean", "real", "D"),
        (
            parameter("cov", "posdef", "D", "D"),
            parameter("precision", "posdef", "D", "D"),
            parameter("scale_tril", "lower_triangular", "D", "D"),
        ),
        axes=("D",),
        factor="multivariate_normal",
    ),
    _distribution("Gamma", "positive", _SHAPE, (_RATE, _SCALE), factor="gamma"),
    _distribution("Exponential", "positive", _RATE, factor="exponential"),
    _distribution("InverseGamma", "positive", _SHAPE, _SCALE, factor="inverse_gamma"),
    _distribution("ChiSquared", "positive", _DF),
    _distribution("Beta", "unit", _A, _B, factor="beta"),
    _distribution("Dirichlet", "simplex", _CONCENTRATIONS, axes=("K",), factor="dirichlet"),
    _distribution("Wishart", "posdef", _DF, _SCALE_MATRIX, axes=("D", "D"), factor="wishart", remark="its mean is df * scale"),
    _distribution(
        "InverseWishart",
        "posdef",
        _DF,
        _SCALE_MATRIX,
        axes=("D", "D"),
        factor="inverse_wishart",
        remark="its mean is scale / (df - D - 1)",
    ),
    _distribution("LKJ", "posdef", parameter("dim", "count"), parameter("concentration", "positive"), axes=("D", "D")),
    _distribution("Bernoulli", "binary", (_P, _LOGIT, parameter("probit", "real")), factor="bernoulli"),
    _distribution("Categorical", "member", (_PROBABILITIES, parameter("logits", "real", "K")), factor="categorical"),
    _distribution("Binomial", "count", _N, (_P, _LOGIT), factor="binomial"),
    _distribution(
        "Multinomial",
        "count",
        _COUNTS_TOTAL,
        _PROBABILITIES,
        axes=("K",),
        factor="multinomial",
        remark="n may be left out where counts are observed",
    ),
    _distribution("Poisson", "count", (parameter("rate", "nonnegative"), parameter("log_rate", "real")), factor="poisson"),
    _distribution("Geometric", "count", _P, remark="from 0"),
    _distribution("NegativeBinomial", "count", parameter("mean", "positive"), parameter("concentration", "positive")),
    _distribution("BetaBinomial", "count", _N, _A, _B),
    _distribution("DirichletMultinomial", "count", _COUNTS_TOTAL, _CONCENTRATIONS, axes=("K",)),
    _distribution("StudentT", "real", _DF, _MEAN, _SD, remark="sd is the scale"),
    _distribution("Cauchy", "real", _MEAN, _SCALE),
    _distribution("Laplace", "real", _MEAN, _SCALE),
    _distribution("Logistic", "real", _MEAN, _SCALE),
    _distribution("HalfNormal", "positive", _SD, factor="half_normal"),
    _distribution("HalfCauchy", "positive", _SCALE),
    _distribution("HalfStudentT", "positive", _DF, _SCALE, factor="half_student_t"),
    _distribution("LogNormal", "positive", _MEAN, _SD, remark="mean and sd are those of the logarithm"),
    _distribution("Weibull", "positive", _SHAPE, _SCALE),
    _distribution("Pareto", "positive", _SCALE, _SHAPE),
    _distribution("Uniform", "real", parameter("low", "real"), parameter("high", "real")),
    _distribution("TruncatedNormal", "real", _MEAN, _SD, _LOW, _HIGH),
    _distribution("VonMises", "real", _MEAN, parameter("concentration", "nonnegative")),
    _distribution("Flat", "real", factor="flat", remark="improper"),
    _distribution("HalfFlat", "positive", factor="half_flat", remark="improper"),
    _distribution("OrderedLogistic", "member", parameter("predictor", "real"), parameter("cutpoints", "increasing", "C")),
    _distribution("ZeroInflatedPoisson", "count", parameter("zero", "unit"), parameter("rate", "nonnegative")),
    _distribution("Mixture", "any", parameter("weights", "simplex", "K"), parameter("components", "distributions")),
    _distribution("Truncated", "any", parameter("distribution", "distribution"), _LOW, _HIGH),
    _distribution("Ordered", "any", parameter("distribution", "distribution"), remark="increasing along the innermost plate"),
    _distribution("Delta", "any", parameter("value", "any"), factor="delta"),
)

ALIASES: dict[str, str] = {
    "Gaussian": "Normal",
    "MultivariateNormal": "MvNormal",
    "MVN": "MvNormal",
    "Student": "StudentT",
    "InvGamma": "InverseGamma",
    "InvWishart": "InverseWishart",
    "Chi2": "ChiSquared",
    "NegBinomial": "NegativeBinomial",
    "Discrete": "Categorical",
    "PointMass": "Delta",
}
"""What other languages call a distribution of the table: only for the hint beside an unknown name."""

DISTRIBUTIONS: dict[str, Distribution] = {distribution.name: distribution for distribution in _TABLE}
