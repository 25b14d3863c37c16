"""What `efe(…)` says of planning, with its defaults; a latent precision becomes the nodes of a quadrature over its Gamma prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ppl.agents.network import AgentNetwork
from ppl.agents.planning import Weights
from ppl.semantics import typed
from ppl.source.diagnostics import AimError, Diagnostic

DEFAULTS = {"discount": 1.0, "precision": 16.0, "epistemic": 1.0, "pragmatic": 1.0, "novelty": 1.0}
NODES = 32


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
    horizon = int(network.number(written["horizon"])) if "horizon" in written else 1
    sophisticated = bool(network.number(written["sophisticated"])) if "sophisticated" in written else False
    values = {name: _option(network, name) for name in DEFAULTS if name != "precision"}
    nodes, weights = _precision(network)
    return Options(horizon, sophisticated, Weights(**values, precision=nodes, precision_weights=weights))


def _option(network: AgentNetwork, name: str) -> Any:
    assert network.agent.planning is not None
    written = network.agent.planning.options.get(name)
    value = DEFAULTS[name] if written is None else network.number(written)
    if isinstance(value, np.ndarray | float) and not (np.ndim(value) == 0 and value >= 0 and np.isfinite(value)):
        span = written.span if written is not None else None
        raise AimError([Diagnostic("AIM0405", f"`{name}` must be 0 or positive, and is {value}", span)])
    return value


def _precision(network: AgentNetwork) -> tuple[Any, Any]:
    """The values of the precision and their weights: one, or those of a Gauss–Laguerre rule for a latent precision."""
    assert network.agent.planning is not None
    written = network.agent.planning.options.get("precision")
    if not isinstance(written, typed.VariableReference) or written.name in network.evaluator.values:
        value = _option(network, "precision")
        return (np.full(1, float(value)) if isinstance(value, np.ndarray | float) else value[None]), np.ones(1)
    prior = [s.distribution for s in network.model.statements if s.variable == written.name and isinstance(s, typed.RandomStatement)]
    if len(prior) != 1 or not isinstance(prior[0], typed.DistributionCall) or prior[0].name != "Gamma":
        text = f"a latent precision has a Gamma prior, and `{written.name}` has none"
        raise AimError([Diagnostic("AIM0405", text, written.span, f"write {written.name} ~ Gamma(shape, rate)")])
    given = {name: float(network.number(value)) for name, value in prior[0].arguments.items()}
    rate = given["rate"] if "rate" in given else 1 / given["scale"]
    from scipy.special import roots_genlaguerre

    nodes, weights = roots_genlaguerre(NODES, given["shape"] - 1)
    return nodes / rate, weights / weights.sum()
