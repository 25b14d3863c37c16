"""An agent in the factor graph: two time steps, the present one and the next.

Beginnings, outcomes, preferences and habits touch the present step; a transition leads from it to the state at the next one, which is a
node of its own. A plan touches the actions that it chooses.
"""

from __future__ import annotations

from dataclasses import replace

from ppl.graph.nodes import STAYS, FactorNode, VariableNode, numbered
from ppl.graph.references import agent_uses, distribution_name, uses
from ppl.semantics import typed

LAST = {"outcome": 1}  # outcomes follow what they depend on, wherever they are declared


def agent_statements(model: typed.TypedModel) -> tuple[FactorNode, ...]:
    """What an agent's statements say of its states, actions and outcomes; none of a model that does not act."""
    agent = model.agent
    if agent is None:
        return ()
    taken: dict[str, int] = {}
    nodes = [_statement(one, model, taken) for one in agent.statements]
    actions = tuple(name for name, role in agent.roles.items() if role == "action")
    if agent.habit is not None:
        weights = [entry.weight for entry in agent.habit if entry.weight is not None]
        nodes.append(FactorNode("habit policy", "habit", "Categorical", "", (*actions, *_mentioned(weights, model)), ()))
    if agent.planning is not None:
        planning = agent.planning
        options = [*planning.options.values(), *([planning.budget] if planning.budget is not None else [])]
        parents = tuple(dict.fromkeys((*planning.actions, *_mentioned(options, model))))
        nodes.append(FactorNode("plan", "plan", "efe", "", parents, (), planning.span))
    return tuple(nodes)


def _statement(one: typed.AgentStatement, model: typed.TypedModel, taken: dict[str, int]) -> FactorNode:
    distribution = distribution_name(one.distribution) if one.distribution is not None else ""
    distribution = STAYS if one.role == "next" and _stays(one) else distribution
    used = tuple(dict.fromkeys(name for name, _ in agent_uses(one) if name in model.variables))
    subject = {"initial": f"{one.variable} at 0", "observe": one.variable}.get(one.role, f"{one.role} {one.variable}")
    child = {"prefer": "", "habit": "", "next": f"next {one.variable}"}.get(one.role, one.variable)
    return FactorNode(
        name=numbered(f"{subject} ~ {distribution}" if one.distribution is not None else f"{subject} =", taken),
        kind=one.role,
        distribution=distribution,
        child=child,
        parents=used if child else tuple(dict.fromkeys((one.variable, *used))),
        plates=tuple(loop.set.key for loop in one.loops),
        span=one.span,
    )


def _stays(one: typed.AgentStatement) -> bool:
    """Whether a transition says that the state remains as it is: `next side = side`."""
    match one.value:
        case typed.VariableReference(name=name):
            return name == one.variable and not one.indices
        case typed.Indexed(base=typed.VariableReference(name=name), indices=indices):
            return name == one.variable and indices == one.indices
    return False


def _mentioned(expressions: list[typed.TypedExpression], model: typed.TypedModel) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for e in expressions for name, _ in uses(e) if name in model.variables))


def agent_variables(
    model: typed.TypedModel, variables: tuple[VariableNode, ...], statements: tuple[FactorNode, ...]
) -> tuple[VariableNode, ...]:
    """The variables with the roles that the agent gives them, and its states at the next step."""
    if model.agent is None:
        return variables
    roles, laws = model.agent.roles, {s.child: s.distribution for s in statements if s.kind in ("initial", "observe")}
    own = [
        replace(v, role=roles[v.name], observed=roles[v.name] == "outcome", distribution=laws.get(v.name, "")) if v.name in roles else v
        for v in variables
    ]
    ahead = [replace(v, name=f"next {v.name}", distribution="") for v in own if v.role == "state"]
    return (*sorted(own, key=lambda v: LAST.get(v.role, 0)), *ahead)
