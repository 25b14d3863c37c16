"""A trace as JSON for programs: one object a step, as the acceptance of an agent's run lays it out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppl.agents.rows import said
from ppl.agents.trace import Trace

MOST_LISTED = 100_000  # policies in all


def trace_json(trace: Trace) -> dict[str, Any]:
    """`steps`, the beliefs of the last one, and the actions that were done; of several episodes a list of such."""
    if trace.episodes == 1:
        return _episode_json(trace)
    told = {"model": trace.program.network.model.name, "kind": "agent", "seed": trace.seed}
    return {**told, "episodes": [_episode_json(trace.single(k)) for k in range(trace.episodes)]}


def _episode_json(trace: Trace, episode: int = 0) -> dict[str, Any]:
    network = trace.program.network
    listed = trace.program.options is not None and trace.whole_plans and trace.steps * trace.plan(0).count <= MOST_LISTED
    steps = [_step(trace, t, episode, listed) for t in range(trace.steps)]
    rows = [network.done.told(row) for row in trace.told.action[episode]]
    names = dict.fromkeys(f.variable.name for f in network.done.factors)
    actions = {name: [row[name] for row in rows if said(row[name])] for name in names}
    return {
        "model": network.model.name,
        "kind": "agent",
        "seed": trace.seed,
        "steps": steps,
        "beliefs": steps[-1]["beliefs"] if steps else {},
        "actions": actions,
        "warnings": cautions(trace, episode),
    }


def _step(trace: Trace, t: int, episode: int, listed: bool) -> dict[str, Any]:
    network, told = trace.program.network, trace.told
    seen = network.seen.told(told.seen[episode, t])
    found: dict[str, Any] = {"t": t, "observations": _numbers(seen), "free_energy": float(told.free_energy[episode, t])}
    found["beliefs"] = {name: _belief(b) for name, b in trace.beliefs_at(t, episode).items()}
    if told.states.shape[-1]:
        found["states"] = network.truth.told(told.states[episode, t])
    if trace.program.options is None:
        return found
    if listed:
        plan = trace.plan(t, episode)
        found["policies"] = [one if isinstance(one, list) else [one] for one in plan.policies]
        for name in ("G", "pragmatic", "epistemic", "novelty", "risk", "ambiguity", "probabilities"):
            found[name] = [float(x) if np.isfinite(x) else None for x in getattr(plan, name)]
    found["action"] = network.done.told(told.chosen[episode, t])
    if any(f.shape for f in network.actions):
        found["first"] = {name: p.tolist() for name, p in trace.plan_of(t, episode).first.items()}
    if told.planned.price.shape[-1]:
        found["price"] = told.planned.price[episode, t].tolist()
    if listed and plan.ties:
        found["ties"] = plan.ties
    return found


def _numbers(told: dict[str, Any]) -> dict[str, Any]:
    """Entries of a list that were not seen as null."""
    return {name: _seen(value) for name, value in told.items()}


def _seen(value: Any) -> Any:
    if isinstance(value, list):
        return [_seen(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _belief(belief: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"family": belief.family}
    if belief.members is not None:
        found["members"] = list(belief.members)
    found["params"] = {name: np.asarray(value).tolist() for name, value in belief.params.items()}
    if belief.family != "Categorical":
        found |= {"mean": np.asarray(belief.mean).tolist(), "sd": np.asarray(belief.sd).tolist()}
    return found


def cautions(trace: Trace, episode: int = 0) -> list[str]:
    """What to know before these numbers are trusted."""
    program, found = trace.program, []
    network = program.network
    bent = [f.name for c in network.reals.clusters if not c.affine for f in c.states] if network.reals is not None else []
    if bent:
        found.append(f"{', '.join(bent)}: not affine, so dynamics and outcomes are linearised where the belief stands")
    split = [states for kind in program.kinds for states in kind.perception.layout.split]
    if split:
        groups = "; ".join(", ".join(states) for states in split)
        found.append(f"{groups}: too many joint states, so they are believed as independent (mean field), and the free energy is a bound")
    if program.options is None:
        return found
    if any(one.apart for kind in program.kinds for one in kind.planner.sensed):
        found.append("there are too many joint outcomes: the information of groups of them is added up, which may count some twice")
    if program.budget is not None and not program.budget.binds:
        found.append(f"the budget of {program.budget.most:g} is more than can be spent, so its price is 0")
    loss = max((float(np.max(v.loss[episode])) for v in trace.told.planned.parts), default=0.0)
    if loss > 1e-6 and network.reals is not None:
        found.append(f"real actions did not settle: G may still go down by about {loss:.3g} nats")
    elif loss > 1e-6:
        found.append(f"improbable outcomes were passed over in planning: G may be off by up to {loss:.3g} nats")
    energies = [np.asarray(v.energy[episode]) for v in trace.told.planned.parts]
    hopeless = [t for t in range(trace.steps) if any(np.isinf(e[t]).all(axis=-1).any() for e in energies)]
    if hopeless:
        found.append(
            f"step {hopeless[0]}: every policy may lead to what is never preferred, so G is infinite for all and the habit decides"
        )
    return found
