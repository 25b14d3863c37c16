"""The log joint of a bound model as one function of one vector of real coordinates.

Every engine of this package works on it: `constrain` gives the values of all variables, `log_density` their joint density with
what is discrete summed out, and the sum of both, the density of the coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.engines.numpyro_bridge import sites as maps
from ppl.engines.numpyro_bridge.discrete import log_partition, marginals, sample_states
from ppl.engines.numpyro_bridge.networks import bayesian_weights, weights_prior
from ppl.engines.numpyro_bridge.sites import Site, site_of
from ppl.engines.numpyro_bridge.standardised import location_and_scale, may_be_standardised
from ppl.engines.numpyro_bridge.structure import Drawn, Structure, structure_of
from ppl.engines.numpyro_bridge.terms import Term, potential_term, statement_term
from ppl.engines.numpyro_bridge.tracing import TracingEvaluator
from ppl.graph.bound import BoundModel
from ppl.graph.evaluate import sizes_of
from ppl.graph.networks import weight_count
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic

Beside = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class LogJoint:
    """`base` holds what is known, with any value of its support where an entry is not. `weights` are the sizes of networks' weights:
    those of Bayesian networks are coordinates, the others parameters that are learnt. `beside` is the log of what else the density
    holds, a function of the values of all variables: how an agent with these parameters behaves. What runs along the set `along` counts
    `times` times: its members stand for so many."""

    structure: Structure
    sites: tuple[Site, ...]
    base: Mapping[str, Any] = field(repr=False)
    beside: Beside | None = field(default=None, repr=False)
    along: str = ""
    times: float = 1.0

    @property
    def bound(self) -> BoundModel:
        return self.structure.bound

    @cached_property
    def weights(self) -> dict[str, int]:
        """The number of learnt weights of each network that has no prior."""
        networks = self.bound.model.networks
        return {n: weight_count(f, self.bound.sizes) for n, f in networks.items() if f.prior is None}

    @property
    def size(self) -> int:
        return sum(site.size for site in self.sites) + sum(bayesian_weights(self.bound).values())

    @cached_property
    def starts(self) -> dict[str, int]:
        """Where the coordinates of each site begin."""
        ends = np.cumsum([0, *(site.size for site in self.sites)])
        return {site.name: int(start) for site, start in zip(self.sites, ends, strict=False)}

    # ------------------------------------------------------------ coordinates
    def parts(self, u: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The coordinates of each site, and of the weights of each Bayesian network."""
        found, at = {}, 0
        for site in self.sites:
            found[site.name] = u[at : at + site.size].reshape(site.coordinates)
            at += site.size
        networks = {}
        for name, count in bayesian_weights(self.bound).items():
            networks[name] = u[at : at + count]
            at += count
        return found, networks

    def constrain(
        self, u: Any, weights: Mapping[str, Any] | None = None, points: frozenset[str] = frozenset()
    ) -> tuple[dict[str, Any], dict[str, Any], Any]:
        """The values of all variables and weights of all networks at these coordinates, and the log of the volume's change.

        `points` are variables whose density is wanted in their own values, not in the coordinates.
        """
        coordinates, bayesian = self.parts(u)
        networks = {**(weights or {}), **bayesian}
        values: dict[str, Any] = dict(self.base)
        change = jnp.zeros(())
        for site in self.sites:
            evaluator = self.evaluator(values, networks)
            entries, log_derivative = self.entries(site, coordinates[site.name], evaluator)
            values[site.name] = site.put(self.base[site.name], entries)
            change = change + (0.0 if site.name in points else self._count(self.structure.of(site.name)[0]) * jnp.sum(log_derivative))
        return values, networks, change

    def entries(self, site: Site, u: Any, evaluator: TracingEvaluator) -> tuple[Any, Any]:
        """The latent entries of a site from its coordinates."""
        if site.standardised:
            mean, scale, positive = location_and_scale(site, evaluator)
            z = mean + scale * u
            return (jnp.exp(z), jnp.log(scale) + z) if positive else (z, jnp.broadcast_to(jnp.log(scale), z.shape))
        if site.kind == "states":
            member = self.bound.model.variables[site.name].type.kind == "member"
            return jnp.asarray(u, int) if member else u, jnp.zeros(())
        if site.kind in maps.SHAPES:
            return maps.shaped(u, site.kind)
        low, high = self.bounds(site, evaluator)
        if site.kind == "increasing":
            return maps.increasing(u, low, high, axis=site.plates - 1)
        return maps.between(u, low, high)

    def bounds(self, site: Site, evaluator: TracingEvaluator) -> tuple[Any, Any]:
        """The bounds of the latent entries of a site."""
        constants = {(b.low, b.high) for b in site.bounds if isinstance(b.low, float) and isinstance(b.high, float)}
        if len(constants) == 1 and all(isinstance(b.low, float) and isinstance(b.high, float) for b in site.bounds):
            return constants.pop()
        sides = []
        for side in ("low", "high"):
            array: Any = None
            for bound in site.bounds:
                loops = evaluator.loops_of(bound.statement)
                limit = getattr(bound, side)
                value = Plated((), np.asarray(limit)) if isinstance(limit, float) else evaluator.number(limit, loops)
                array = evaluator.placed(array, site.shape, bound.statement.indices, loops, value.map(lambda a: a * 1.0))
            sides.append(site.take(array))
        return sides[0], sides[1]

    def evaluator(self, values: Mapping[str, Any], networks: Mapping[str, Any]) -> TracingEvaluator:
        return TracingEvaluator(self.bound.sizes, values, structure=self.structure, networks=networks)

    # ------------------------------------------------------------ density
    def terms(self, values: Mapping[str, Any], networks: Mapping[str, Any]) -> list[Term]:
        """What each statement and potential adds, as tables."""
        evaluator = self.evaluator(values, networks)
        found = [statement_term(s, evaluator) for s in self.structure.statements if s.variable in self.structure.needed]
        return [*(t for t in found if t is not None), *(potential_term(p, evaluator) for p in self.bound.model.potentials)]

    def log_density(self, values: Mapping[str, Any], networks: Mapping[str, Any]) -> Any:
        """log p of all that is given and latent, discrete variables summed out."""
        terms = self.terms(values, networks)
        plain = sum((self._count(t.statement) * jnp.sum(t.expanded().data) for t in terms if not t.states), jnp.zeros(()))
        summed = log_partition([t for t in terms if t.states], self.structure, {})
        other = self.beside(values) if self.beside is not None else 0.0
        return plain + weights_prior(self.bound, networks) + other + self.times * summed

    def equalities(self, u: Any) -> Any:
        """What is 0 where the equalities beside the statements hold."""
        values, networks, _ = self.constrain(u)
        found = []
        for one in self.bound.equalities:
            evaluator = self.evaluator(values, networks)
            loops = evaluator.loops_of(one)
            sizes = sizes_of(loops)
            found.append(jnp.ravel(jnp.asarray(evaluator.number(one.value, loops).arranged(tuple(sizes), sizes))))
        return jnp.concatenate(found)

    def _count(self, statement: typed.TypedStatement | typed.Potential) -> float:
        """How often a statement counts."""
        return self.times if any(loop.set.key == self.along for loop in statement.loops) else 1.0

    def probabilities(self, values: Mapping[str, Any], networks: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the states of all discrete variables."""
        return marginals([t for t in self.terms(values, networks) if t.states], self.structure)

    def states_given(self, values: Mapping[str, Any], networks: Mapping[str, Any], key: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The probabilities of the states of all discrete variables, and a joint draw of them."""
        terms = [t for t in self.terms(values, networks) if t.states]
        return marginals(terms, self.structure), sample_states(terms, self.structure, key)

    def __call__(self, u: Any, weights: Mapping[str, Any] | None = None, points: frozenset[str] = frozenset()) -> Any:
        """The log density of the coordinates."""
        values, networks, change = self.constrain(u, weights, points)
        return self.log_density(values, networks) + change


def log_joint_of(
    bound: BoundModel,
    *,
    standardise: bool = True,
    counts: Mapping[str, int] | None = None,
    beside: Beside | None = None,
    drawn: Drawn = "nothing",
) -> LogJoint:
    """The log joint; `counts` says how many values of a count without an end are looked at. States that are `drawn` are coordinates."""
    structure = structure_of(bound, counts, whole=beside is not None, drawn=drawn)
    bound = structure.bound  # which may have been taken apart
    if beside is not None and structure.enumerated:
        name = next(iter(structure.enumerated))
        text = f"`{name}` is discrete, and what it may be cannot be summed over here"
        hint = f"give {name} = …, for each of its values in turn, and compare what comes out"
        raise AimError([Diagnostic("AIM0743", text, bound.model.variables[name].span, hint)])
    found: list[Site] = []
    for name in bound.model.variables:
        if name in structure.latent and name not in structure.enumerated:
            site = site_of(name, structure)
            found.append(may_be_standardised(site, structure, found) if standardise and site.kind != "states" else site)
    base = {n: v for n, v in bound.values.items() if n not in structure.needed}
    for name in structure.needed:
        base[name] = _filled(name, structure)
    return LogJoint(structure, tuple(found), base, beside)


FILL = {"positive": 1.0, "unit": 0.5}


def _filled(name: str, structure: Structure) -> np.ndarray:
    """What is known of a variable, and some value of its support elsewhere."""
    bound = structure.bound
    variable = bound.model.variables[name]
    shape = bound.shape(variable)
    if variable.type.kind == "member":
        array = np.zeros(shape, np.int64)
    elif variable.type.kind == "posdef":
        array = np.broadcast_to(np.eye(shape[-1]), shape) * 1.0
    elif variable.type.kind == "simplex":
        array = np.full(shape, 1.0 / shape[-1])
    else:
        array = np.full(shape, FILL.get(variable.type.kind, 0.0))
    if name not in bound.values:
        return array
    value = bound.values[name]
    return np.where(np.isnan(value) if value.dtype.kind == "f" else value < 0, array, value)
