"""Augmentation of logistic statements: given weights that are drawn, the predictor meets them as Normal data (Polson, Scott & Windle 2013).

A log-density is affine in log p and log (1 - p), with coefficients s and f that are known where all else is a point. Then

    s log p + f log (1 - p) = ½ (s - f) e - (s + f) log (2 cosh(e/2)),   cosh(e/2)⁻ᵇ = E exp(-½ ω e²), ω ~ PG(b, 0)

so that with b = s + f and ω ~ PG(b, e) the conditional of what is in e is that of ½ (s - f) e - ½ ω e². A weight is used for
one update, right after it is drawn, and no other block ever sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler.energies import ReadyFactor, energy_value
from ppl.compiler.expectations import form_value, variance_value
from ppl.compiler.forms import Form, SmoothAtom
from ppl.compiler.lowering import LoweredFactor, terms_of
from ppl.compiler.program import Data, Program, State, at_optimum, put
from ppl.compiler.ready import Layout, Moments, ReadyForm, ReadySecond, ReadySmooth
from ppl.numerics.polya_gamma import polya_gamma

LOGISTIC = ("Bernoulli", "Binomial")


def is_logistic(lowered: LoweredFactor) -> bool:
    """Whether all that is smooth in a factor is the sigmoid that is its probability."""
    bent = {slot for slot, fs in lowered.slots.items() for f in fs.values() for t in terms_of(f) if _is_smooth(t.atoms)}
    return lowered.factor.name in LOGISTIC and bent == {"p"} and all(_is_sigmoid(f) for f in lowered.slots["p"].values())


def _is_smooth(atoms: tuple[Any, ...]) -> bool:
    return any(isinstance(a, SmoothAtom) for a in atoms)


def _is_sigmoid(feature: Any) -> bool:
    """-softplus of a predictor."""
    if not isinstance(feature, Form) or len(feature.terms) != 1 or np.any(feature.offset.data):
        return False
    (term,) = feature.terms
    atom = term.atoms[0]
    plain = len(term.atoms) == 1 and isinstance(atom, SmoothAtom) and atom.function == "softplus"
    return plain and term.coefficient.shape[-1] == 1 and bool(np.all(term.coefficient.data == -1.0))


@dataclass(frozen=True)
class Weighted:
    """A factor given its weights: the sum of slope · E e - ½ weight · E e² over the plates."""

    predictor: ReadySecond
    slope: Plated
    weight: Plated

    def energy(self, moments: Moments, layout: Layout) -> Any:
        mean, square = _predicted(self.predictor, moments, layout)
        return (self.slope * mean - 0.5 * self.weight * square).data.sum()


def weighted(one: ReadyFactor, moments: Moments, layout: Layout, key: Any) -> Weighted:
    """A logistic factor with weights drawn given everything else."""
    predictor = _predictor(one)
    e, square = _predicted(predictor, moments, layout)
    dims = square.dims
    at = e.arranged(dims, square.sizes)

    def energy(log: Any, log1m: Any) -> Any:
        known = {"log": Plated(dims, log), "log1m": Plated(dims, log1m)}
        return energy_value(replace(one, slots={**one.slots, "p": known}), moments, layout)

    at = jnp.broadcast_to(at, square.data.shape)
    successes, failures = jax.grad(energy, argnums=(0, 1))(jnp.zeros_like(at), jnp.zeros_like(at))
    weight = polya_gamma(key, successes + failures, at)
    return Weighted(predictor, Plated(dims, 0.5 * (successes - failures)), Plated(dims, weight))


def _predictor(one: ReadyFactor) -> ReadySecond:
    feature = one.slots["p"]["log1m"]
    assert isinstance(feature, ReadyForm)
    atom = feature.terms[0].atoms[0]
    assert isinstance(atom, ReadySmooth)
    return atom.form


def _predicted(predictor: ReadySecond, moments: Moments, layout: Layout) -> tuple[Plated, Plated]:
    """E e and E e² over the plates; the axis of the sum that a term stands in has the length 1."""
    mean = form_value(predictor.form, moments, layout)
    square = mean * mean + variance_value(predictor, moments, layout)
    return tuple(x.sum_dim(*(d for d in x.dims if d.startswith("entry "))) for x in (mean, square))  # type: ignore[return-value]


def update_weighted(program: Program, name: str, state: State, data: Data, messages: Mapping[int, Any], key: Any) -> State:
    """A block of logistic predictors at its conditional given weights, which are drawn given all that is."""
    moments, block = state["moments"], program.layout.blocks[name]
    bent = [k for k in program.touching[name] if is_bent(data.factors[k])]
    given = [weighted(data.factors[k], moments, program.layout, own) for k, own in zip(bent, jax.random.split(key, len(bent)), strict=True)]

    def energy(own: Mapping[str, Any]) -> Any:
        now = {**moments, name: own}
        plain = sum(program.plain_energy(k, data, now, messages) for k in program.touching[name] if k not in bent)
        return plain + sum(one.energy(now, program.layout) for one in given)

    return put(state, name, **at_optimum(block, energy, moments[name], None, 0.0))


def is_bent(one: ReadyFactor) -> bool:
    """Whether something smooth is in a factor that was made ready."""
    forms = [f for fs in one.slots.values() for f in fs.values() if isinstance(f, ReadyForm)]
    return any(isinstance(a, ReadySmooth) for f in forms for t in f.terms for a in t.atoms)
