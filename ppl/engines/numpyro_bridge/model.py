"""The model as a NumPyro callable, for whoever goes on with NumPyro itself.

A variable has a sample site of its own name, with its whole array, where one statement that is no recursion defines it. Otherwise its
unknown entries are an improper site (`x`, or `x_missing` where some are given, or `x_coordinates` where its bounds change), and its
statements are factors: recursions, several statements for one variable, what is given in part, and increasing vectors. Discrete
variables have no sites: one factor, `states`, is the log of the sum over them. What is computed has deterministic sites. What the
density holds beside the statements is the factor `beside`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints

from ppl.compiler.equalities import solved
from ppl.engines.numpyro_bridge import custom
from ppl.engines.numpyro_bridge.counts import counted
from ppl.engines.numpyro_bridge.discrete import log_partition
from ppl.engines.numpyro_bridge.distributions import build
from ppl.engines.numpyro_bridge.joint import Beside, LogJoint, log_joint_of
from ppl.engines.numpyro_bridge.networks import bayesian_weights, prior_of
from ppl.engines.numpyro_bridge.sites import SHAPES, Site
from ppl.engines.numpyro_bridge.structure import Structure, calls
from ppl.engines.numpyro_bridge.terms import on_states, potential_term, statement_term
from ppl.engines.numpyro_bridge.tracing import TracingEvaluator
from ppl.graph.bound import BoundModel
from ppl.graph.networks import first_weights
from ppl.graph.references import statement_uses
from ppl.semantics import typed

STATIC = {(-np.inf, np.inf): constraints.real, (0.0, np.inf): constraints.positive, (0.0, 1.0): constraints.unit_interval}


def numpyro_model(bound: BoundModel, beside: Beside | None = None) -> Callable[[], None]:
    """The callable, without arguments: the data are in it."""
    bound, _ = solved(bound)
    joint = counted(bound, standardise=False) if beside is None else log_joint_of(bound, standardise=False, beside=beside)
    bound = joint.bound
    sites = {site.name: site for site in joint.sites}
    plain = {s.variable for s in joint.structure.statements if has_site(s, joint)}

    def model() -> None:
        values: dict[str, Any] = dict(joint.base)
        networks = _networks(joint)
        for name in bound.model.variables:
            if name in plain:
                values[name] = _sampled(name, joint, values, networks)
            elif name in sites:
                values[name] = _improper(sites[name], joint, joint.evaluator(values, networks))
        _factors(joint, values, networks, plain)
        if beside is not None:
            numpyro.factor("beside", beside(values))
        for name in joint.structure.definitions:
            if name not in joint.structure.on_states and not _skipped(name, joint, plain):
                numpyro.deterministic(name, jnp.asarray(joint.evaluator(values, networks).whole(name).data))

    return model


def has_site(statement: typed.RandomStatement, joint: LogJoint) -> bool:
    """Whether the statement alone is the distribution of a whole variable, given variables that stand before it."""
    structure, name = joint.structure, statement.variable
    bound = structure.bound
    variable = bound.model.variables[name]
    needed, given = structure.needed[name], name in bound.values
    if len(structure.of(name)) > 1 or name in structure.enumerated or name in structure.definitions or _is_ordered(statement):
        return False
    if (given and (name in structure.latent or not needed.all())) or (not given and needed.any() and not needed.all()):
        return False
    order = list(bound.model.variables)
    used = {n for n, _ in statement_uses(statement)}
    used |= {inner for n in used for inner in structure.reached(n)}
    random = {n for n in used if bound.model.variables[n].role == "random"}
    if any(order.index(n) >= order.index(name) for n in random) or on_states(statement, joint.evaluator({}, {})):
        return False
    if not needed.any() and not given and ((_discrete(statement) and bound.observed) or _reads_skipped(random, joint)):
        return False
    loops = joint.evaluator(joint.base, {}).loops_of(statement)
    lengths = tuple(i.data.shape[0] for i in loops.values())
    in_order = [getattr(i, "name", None) for i in statement.indices] == list(loops)
    return in_order and lengths == bound.shape(variable)[: variable.plates]


def _reads_skipped(names: set[str], joint: LogJoint) -> bool:
    """Whether some of these have no values in the callable: they are discrete and nothing needs them, or are summed over."""
    structure = joint.structure
    return any(n in structure.enumerated or (structure.bound.observed and not structure.needed[n].all()) for n in names)


def _is_ordered(statement: typed.RandomStatement) -> bool:
    return isinstance(statement.distribution, typed.DistributionCall) and statement.distribution.name == "Ordered"


def _discrete(statement: typed.RandomStatement) -> bool:
    return any(c.name in ("Bernoulli", "Categorical", "OrderedLogistic") or c.name in COUNTS for c in calls(statement.distribution))


COUNTS = (
    "Binomial", "Multinomial", "Poisson", "Geometric", "NegativeBinomial", "BetaBinomial", "DirichletMultinomial", "ZeroInflatedPoisson"
)  # fmt: skip


def _skipped(name: str, joint: LogJoint, plain: set[str]) -> bool:
    """Whether a computed variable needs entries that have no site."""
    structure: Structure = joint.structure
    return any(n in structure.needed and n not in plain and not structure.needed[n].all() for n in structure.reached(name))


# ------------------------------------------------------------------ sites
def _sampled(name: str, joint: LogJoint, values: dict[str, Any], networks: dict[str, Any]) -> Any:
    (statement,) = joint.structure.of(name)
    evaluator = joint.evaluator(values, networks)
    loops = evaluator.loops_of(statement)
    sizes = tuple(i.data.shape[0] for i in loops.values())
    child = evaluator.reference(name, tuple(loops.values()), statement.span) if name in joint.bound.values else None
    valued = evaluator.distribution(statement.distribution, loops, child)
    distribution = build(valued, tuple(i.dims[0] for i in loops.values()))
    if isinstance(distribution, custom.Improper):
        distribution = dist.ImproperUniform(distribution.support, (), ())
    distribution = distribution.expand(sizes)
    if name not in joint.bound.values:
        return numpyro.sample(name, distribution)
    observed = jnp.asarray(values[name])
    return numpyro.sample(name, distribution, obs=observed.astype(int) if distribution.support.is_discrete else observed)


def _improper(site: Site, joint: LogJoint, evaluator: TracingEvaluator) -> Any:
    """The unknown entries as a site without a density, and the whole variable."""
    support = SHAPES.get(site.kind) if site.kind != "numbers" else _static(site)
    if support is None:
        u = numpyro.sample(f"{site.name}_coordinates", dist.ImproperUniform(constraints.real, (), site.coordinates))
        entries, change = joint.entries(site, u, evaluator)
        numpyro.factor(f"{site.name}_volume", jnp.sum(change))
        whole = site.put(joint.base[site.name], entries)
        numpyro.deterministic(site.name, whole)
        return whole
    name = site.name if site.mask is None else f"{site.name}_missing"
    entries = numpyro.sample(name, dist.ImproperUniform(support, (), site.entries))
    whole = site.put(joint.base[site.name], entries)
    if site.mask is not None:
        numpyro.deterministic(site.name, whole)
    return whole


def _static(site: Site) -> Any:
    """The support where it is one and the same for all entries and never changes."""
    found = {(b.low, b.high) for b in site.bounds if isinstance(b.low, float) and isinstance(b.high, float)}
    alike = len(found) == 1 and all(isinstance(b.low, float) and isinstance(b.high, float) for b in site.bounds)
    return STATIC.get(next(iter(found))) if alike else None  # type: ignore[arg-type]


# ------------------------------------------------------------------ the rest of the density
def _factors(joint: LogJoint, values: dict[str, Any], networks: dict[str, Any], plain: set[str]) -> None:
    structure, evaluator = joint.structure, joint.evaluator(values, networks)
    joined = []
    for k, statement in enumerate(structure.statements):
        term = None if statement.variable in plain else statement_term(statement, evaluator)
        if term is not None and term.states:
            joined.append(term)
        elif term is not None:
            numpyro.factor(f"{statement.variable}_statement_{k}", jnp.sum(term.expanded().data))
    for k, potential in enumerate(joint.bound.model.potentials):
        term = potential_term(potential, evaluator)
        if term.states:
            joined.append(term)
        else:
            numpyro.factor(f"factor_{k}", jnp.sum(term.expanded().data))
    if structure.enumerated:
        numpyro.factor("states", log_partition(joined, structure, {}))


def _networks(joint: LogJoint) -> dict[str, Any]:
    """Weights: parameters to be learnt, or sites where the network has a prior."""
    bound = joint.bound
    found = {}
    for name, network in bound.model.networks.items():
        if network.prior is None:
            found[name] = numpyro.param(f"{name}_weights", jnp.asarray(first_weights(network, bound.sizes, np.random.default_rng(0))))
        else:
            found[name] = numpyro.sample(f"{name}_weights", prior_of(name, bound).expand((bayesian_weights(bound)[name],)))
    return found
