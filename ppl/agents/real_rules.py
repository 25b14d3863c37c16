"""How the rules of real factors are found: what each reads, whether it is affine, and what is refused.

An affine rule is known by its values at a few points, so that it runs as matrices; another is kept as its expression, whose slopes at
random points tell what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ppl.agents.evaluation import AgentEvaluator, Factor, refuse_twice
from ppl.agents.gaussian import Form, Moments, Reals, Rule, Settled
from ppl.agents.parameters import read_by
from ppl.source.diagnostics import AimError, Diagnostic

SAME = 1e-9  # to which values and slopes count as one


class Apart(Exception):
    """A stacked factor cannot be: its rule is not affine."""

    def __init__(self, name: str):
        super().__init__(name)
        self.name = name


def reals_of(
    evaluator: AgentEvaluator, real: Mapping[str, list[Factor]], choosing: tuple[Factor, ...], settled: Mapping[str, Settled]
) -> Reals | None:
    """The real factors of an agent with their rules; None where it has none. Raises `AimError` where one is not Gaussian, `Apart` where a
    stacked one is not affine."""
    if not any(real.values()):
        return None
    for f in (f for found in real.values() for f in found):
        _refuse_kind(f)
    bare = Reals(evaluator, tuple(real["state"]), tuple(real["action"]), tuple(real["outcome"]), choosing, settled)
    rules: dict[str, dict[str, Rule]] = {"initial": {}, "next": {}, "observe": {}}
    for role, found in rules.items():
        for statement, f, loops in bare.said(role):
            refuse_twice(f, found, statement)
            found[f.name] = _probed(Rule(f, statement, loops), bare)
    return replace(bare, rules=rules)


def _refuse_kind(f: Factor) -> None:
    own = f.variable.type
    if own.kind != "real" or len(own.axes) - f.variable.plates > 1:
        what = own.kind if own.kind != "real" else "a matrix"
        text = f"`{f.name}` is {what}: states, actions and outcomes are members of a set, real numbers or vectors of them"
        raise AimError([Diagnostic("AIM0419", text, f.variable.span, "write real, real[D], or a set: 0..3, {off, on}")])


def _probed(rule: Rule, reals: Reals) -> Rule:
    """The rule with what it reads and how: an affine one is known by its values at a few points."""
    named = read_by(rule.statement, reals.evaluator.model)
    factors = [f for f in (*reals.states, *reals.actions) if f.variable.name in named]
    choosing = {f.name: f.size for f in reals.choosing}
    if rule.statement.role == "observe":
        choosing = {name: one.size for name, one in reals.settled.items()}
    with np.errstate(all="ignore"):
        changes = reals.named(rule)
    sizes = {name: size for name, size in choosing.items() if name in changes}
    rule = replace(rule, chooses=tuple(sizes))
    if any(isinstance(v, Tracer) for v in reals.evaluator.values.values()):
        if rule.factor.shape:
            raise Apart(rule.factor.variable.name)
        return replace(rule, reads=tuple(f.name for f in factors))

    def at(point: Mapping[str, Any]) -> Moments:
        wide = {f.name: np.broadcast_to(point[f.name], (f.count, f.size)) for f in factors if f.shape and f.name in point}
        return reals.moments(rule, {**point, **wide}, sizes)

    form = _affine(at, factors, rule)
    if form is not None:
        slopes = {name: slope for name, slope in form.slopes.items() if (np.abs(slope) > SAME).any()}
        return replace(rule, form=form._replace(slopes=slopes), reads=tuple(slopes))
    if rule.factor.shape:
        raise Apart(rule.factor.variable.name)
    with jax.enable_x64(True):
        return _sloped(rule, at, factors, {f.name for f in reals.states})


def _affine(at: Callable[[Mapping[str, Any]], Moments], factors: list[Factor], rule: Rule) -> Form | None:
    """The form of a rule, from its values at 0 and at unit vectors; None where other points do not agree with it."""
    random = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        origin = at({})
        points = [{f.name: random.standard_normal(f.size) * scale for f in factors} for scale in (1.0, 3.0)]
        units = {f.name: [at({f.name: row}).mean - origin.mean for row in np.eye(f.size)] for f in factors}
        slopes = {name: np.stack(columns, axis=-1) for name, columns in units.items()}
        refuse_spread(at(points[0]), rule)
        for point in points:
            found = at(point)
            expected = origin.mean + sum(slopes[name] @ value for name, value in point.items())
            if not (np.allclose(found.mean, expected, rtol=SAME, atol=SAME) and np.allclose(found.cov, origin.cov, rtol=SAME, atol=SAME)):
                return None
    return Form(slopes, origin.mean, origin.cov)


def _sloped(rule: Rule, at: Callable[[Mapping[str, Any]], Moments], factors: list[Factor], states: set[str]) -> Rule:
    """What a rule that is not affine reads, and whether it is so in the states while the actions are held: by slopes at random points."""
    random = np.random.default_rng(1)
    point, other = ({f.name: jnp.asarray(random.standard_normal(f.size)) for f in factors} for _ in range(2))
    held = {name: other[name] if name in states else value for name, value in point.items()}
    slopes = [jax.jacfwd(lambda p: tuple(map(jnp.asarray, at(p))))(p) for p in (point, held)]
    if any(_some(spread[name]) for _, spread in slopes for name in states & set(point)):
        text = f"the noise of `{rule.factor.name}` changes with the states"
        raise AimError([Diagnostic("AIM0418", text, rule.statement.span, "let it change with actions or parameters alone")])
    reads = tuple(name for name in point if any(_some(part[name]) for slope in slopes for part in slope))
    affine = all(np.allclose(slopes[0][0][name], slopes[1][0][name], rtol=SAME, atol=SAME) for name in states & set(point))
    return replace(rule, reads=reads, affine=affine)


def _some(slope: Any) -> bool:
    """Whether a slope is not 0: where it is no number it counts."""
    return not bool((jnp.abs(slope) <= SAME).all())


def refuse_spread(found: Moments, rule: Rule) -> None:
    """A covariance that is none is refused."""
    if rule.certain or not isinstance(found.cov, np.ndarray):
        return
    covs = np.asarray(found.cov).reshape(-1, *found.cov.shape[-2:])
    sound = np.isfinite(covs).all() and np.allclose(covs, covs.swapaxes(-1, -2)) and (np.linalg.eigvalsh(covs) > 0).all()
    if not sound:
        text = (
            f"the covariance of `{rule.factor.name}` is not positive definite"
            if rule.factor.size > 1
            else "a standard deviation is positive"
        )
        hint = f"write = … where `{rule.factor.name}` has no noise"
        raise AimError([Diagnostic("AIM0419", text, rule.statement.span, hint)])
