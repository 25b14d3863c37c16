"""What `efe(…)` says of planning, with its defaults; a latent precision becomes the nodes of a quadrature over its Gamma prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.agents.network import AgentNetwork
from ppl.agents.parameters import integrated_precision
from ppl.agents.planning import Weights
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic

DEFAULTS = {"discount": 1.0, "precision": 16.0, "epistemic": 1.0, "pragmatic": 1.0, "novelty": 1.0}
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
    if isinstance(value, np.ndarray | float) and not (np.ndim(value) == 0 and value >= 0 and np.isfinite(value)):
        span = written.span if written is not None else None
        raise AimError([Diagnostic("AIM0405", f"`{name}` must be 0 or positive, and is {value}", span)])
    return value


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
