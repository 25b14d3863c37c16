"""What `efe(…)` says of planning, with its defaults; a latent precision becomes the nodes of a quadrature over its Gamma prior.

A weight of a term may be a number for each member of the plate of a planned action: each part of the plan has its own weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.agents.clusters import Part
from ppl.agents.network import AgentNetwork
from ppl.agents.parameters import integrated_precision
from ppl.agents.planning import Weights
from ppl.arrays.plated import namespace
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic

DEFAULTS = {"discount": 1.0, "precision": 16.0, "epistemic": 1.0, "pragmatic": 1.0, "novelty": 1.0}
WEIGHTS = ("pragmatic", "epistemic", "novelty")
SPAN = 37.0  # nodes of a latent precision whose weight is so many nats below the largest are left out


@dataclass(frozen=True)
class Options:
    horizon: int
    sophisticated: bool
    weights: Weights


def options_of(network: AgentNetwork) -> Options | None:
    """The options of an agent's plan; None where it has none."""
    planning = network.agent.planning
    if planning is None:
        return None
    written = planning.options
    horizon = _horizon(network)
    sophisticated = bool(network.number(written["sophisticated"])) if "sophisticated" in written else False
    values = {name: _option(network, name) for name in DEFAULTS if name != "precision"}
    nodes, weights = _precision(network)
    return Options(horizon, sophisticated, Weights(**values, precision=nodes, precision_weights=weights))


def _horizon(network: AgentNetwork) -> int:
    assert network.agent.planning is not None
    written = network.agent.planning.options.get("horizon")
    value = 1 if written is None else network.number(written)
    if np.ndim(value) or float(value) != int(value) or value < 1:
        span = written.span if written is not None else None
        raise AimError([Diagnostic("AIM0405", f"`horizon` must be a whole number, 1 or more, and is {value}", span)])
    return int(value)


def _option(network: AgentNetwork, name: str) -> Any:
    assert network.agent.planning is not None
    written = network.agent.planning.options.get(name)
    value = DEFAULTS[name] if written is None else network.number(written)
    if written is not None and np.ndim(value):
        _refuse_apart(network, name, written)
    if isinstance(value, np.ndarray | float) and not (np.all(np.asarray(value) >= 0) and np.all(np.isfinite(value))):
        span, wrong = written.span if written is not None else None, ~((np.asarray(value) >= 0) & np.isfinite(value))
        place = [int(k) for k in np.argwhere(wrong)[0]]
        at, told = (f" of member {', '.join(map(str, place))}", np.asarray(value)[tuple(place)]) if place else ("", value)
        raise AimError([Diagnostic("AIM0405", f"`{name}`{at} must be 0 or positive, and is {told}", span)])
    return value


# ------------------------------------------------------------------ weights by member
def _refuse_apart(network: AgentNetwork, name: str, written: typed.TypedExpression) -> None:
    """Raises `AimError` where an option has several numbers, and is no weight over the plate of a planned action."""
    sets = _sets(written.type.axes)
    actions = [network.model.variables[a] for a in network.agent.planning.actions] if network.agent.planning is not None else []
    if name in WEIGHTS and any(_sets(a.type.axes[: a.plates])[: len(sets)] == sets for a in actions):
        return
    text = f"`{name}` is one number, and here it has several"
    if name in WEIGHTS:
        text = f"`{name}` has a number for each member of {', '.join(sets)}, over which no action is planned"
    raise AimError([Diagnostic("AIM0421", text, written.span, "write one number, or one for each member of the plate of a planned action")])


def _sets(axes: tuple[typed.Axis, ...]) -> tuple[str, ...]:
    return tuple(axis.set.key if axis.set is not None else "?" for axis in axes)


def weights_of(options: Options, network: AgentNetwork, part: Part) -> Weights:
    """The weights of a part: where they differ by member those of its own, of all members where the part is that of a kind. A part
    that belongs to no member has weight 1."""
    own = {name: getattr(options.weights, name) for name in WEIGHTS}
    return options.weights._replace(**{n: _own(network, part, n, w) for n, w in own.items() if np.ndim(w)})


def _own(network: AgentNetwork, part: Part, name: str, value: Any) -> Any:
    assert network.agent.planning is not None
    written = network.agent.planning.options[name]
    sets = _sets(written.type.axes)
    factors = [network.factor[a] for a in (*part.actions, *part.real_actions)]
    met = [f for f in factors if _sets(f.variable.type.axes[: f.variable.plates])[: len(sets)] == sets]
    if part.shape:
        wide = value.reshape(*value.shape, *[1] * (len(part.shape) - value.ndim)) if met else np.ones(1)
        return namespace(wide).broadcast_to(wide, part.shape).reshape(-1)
    places = {f.place[: len(sets)] for f in met}
    if len(places) > 1 or (places and len(met) < len(factors)):
        names = ", ".join(f.name for f in factors)
        text = f"`{name}` differs by member, and {names} are planned together"
        raise AimError([Diagnostic("AIM0421", text, written.span, "give them one weight")])
    return value[places.pop()] if places else 1.0


def _precision(network: AgentNetwork) -> tuple[Any, Any]:
    """The values of the precision and their weights: one, or those of a rule for a latent precision."""
    assert network.agent.planning is not None
    latent = integrated_precision(network.model)
    if latent is None or latent in network.evaluator.values:
        value = _option(network, "precision")
        return (np.full(1, float(value)) if isinstance(value, np.ndarray | float) else value[None]), np.ones(1)
    prior = [s.distribution for s in network.model.statements if s.variable == latent and isinstance(s, typed.RandomStatement)]
    if len(prior) != 1 or not isinstance(prior[0], typed.DistributionCall) or prior[0].name != "Gamma":
        text = f"a latent precision has a Gamma prior, and `{latent}` has none"
        span = network.agent.planning.options["precision"].span
        raise AimError([Diagnostic("AIM0405", text, span, f"write {latent} ~ Gamma(shape, rate)")])
    given = {name: float(network.number(value)) for name, value in prior[0].arguments.items()}
    rate = given["rate"] if "rate" in given else 1 / given["scale"]
    nodes, weights = _gamma_rule(given["shape"])
    return nodes / rate, weights


def _gamma_rule(shape: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of expectations under Gamma(shape, 1): the trapezoid rule in x = log γ.

    A choice as a function of x has its poles at a distance of π/2 from the real line however much G differs, so that a step h leaves an
    error of about exp(-π²/h) (Trefethen & Weideman 2014); a rule of Gauss and Laguerre misses by 1e-3 where G differs much.
    """
    step = min(0.3, 0.7 / np.sqrt(shape))  # of the density itself: exp(-2π² (sd/h)²), where its sd is 1/√shape or more
    x = np.arange(np.log(shape) - 1 - SPAN / shape, np.log(shape + SPAN + SPAN * np.sqrt(shape)), step)
    log_weights = shape * x - np.exp(x)
    kept = log_weights > log_weights.max() - SPAN
    weights = np.exp(log_weights[kept] - log_weights.max())
    return np.exp(x[kept]), weights / weights.sum()


def rates(learning_rate: float, forgetting: float) -> tuple[float, float]:
    """How much a step adds to what is learnt, and the factor by which what was learnt before fades. Raises `AimError` beyond them."""
    if not (learning_rate >= 0 and np.isfinite(learning_rate)):
        raise AimError([Diagnostic("AIM0122", f"`learning_rate` must be 0 or positive, and is {learning_rate}", None)])
    if not 0 <= forgetting <= 1:
        raise AimError([Diagnostic("AIM0122", f"`forgetting` must be from 0 to 1, and is {forgetting}", None)])
    return float(learning_rate), float(forgetting)
