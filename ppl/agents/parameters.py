"""Which random variables of an agent are what: tables that it learns by itself, and parameters that it knows.

A Dirichlet row, or a Beta as the probability of the second of two members, that stands by itself in a table (`Categorical(A[s])`,
`Bernoulli(p)`, an arm of a `match`) is learnt by the agent from what it sees. Every other random variable is a parameter: the agent
knows its value, an experimenter who records the agent's behaviour does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ppl.semantics import typed
from ppl.semantics.walking import variables_in
from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.text import Span

LEARNT = ("Dirichlet", "Beta")
TABLES = ("initial", "next", "observe")


def random_names(model: typed.TypedModel) -> list[str]:
    """The random variables of an agent that are no states, actions or outcomes, in the order of the file."""
    return list(dict.fromkeys(s.variable for s in model.statements if isinstance(s, typed.RandomStatement)))


def may_be_learnt(model: typed.TypedModel, name: str) -> bool:
    """Whether every statement of a variable is a Dirichlet or a Beta."""
    own = [s.distribution for s in model.statements if s.variable == name and isinstance(s, typed.RandomStatement)]
    return all(isinstance(d, typed.DistributionCall) and d.name in LEARNT for d in own)


def readings(model: typed.TypedModel) -> Iterator[tuple[str, set[str], Span]]:
    """Who reads which variables: the statements of the agent by their roles, policies of a habit, the options of its plan."""
    assert model.agent is not None
    agent = model.agent
    for statement in agent.statements:
        yield statement.role, read_by(statement, model), statement.span
    for entry in agent.habit or ():
        yield "habit", behind(variables_in(entry.weight), model), entry.span
    for name, value in agent.planning.options.items() if agent.planning is not None else ():
        yield name, behind(variables_in(value), model), value.span


def read_by(statement: typed.AgentStatement, model: typed.TypedModel) -> set[str]:
    """The variables that a statement reads, itself or through what is computed from them."""
    return behind(variables_in(statement.value if statement.value is not None else statement.distribution), model)


def behind(names: set[str], model: typed.TypedModel) -> set[str]:
    """These variables with all from which they are computed."""
    seen, queue = set(names), list(names)
    while queue:
        name = queue.pop()
        for statement in model.statements:
            if statement.variable == name and isinstance(statement, typed.DeterministicStatement):
                new = variables_in(statement.value) - seen
                seen |= new
                queue += new
    return seen


def refuse_unknown(model: typed.TypedModel, known: Collection[str], learnt: Collection[str]) -> None:
    """Raises `AimError` where something reads a random variable that has no value: only tables may read what is learnt, and only a
    plan a latent precision."""
    random = set(random_names(model)) - set(known)
    integrated = integrated_precision(model)
    priors = [s for s in model.statements if isinstance(s, typed.RandomStatement) and s.variable in learnt]
    counts = [(s.variable, behind(variables_in(s.distribution), model), s.span) for s in priors]
    for role, names, span in (*readings(model), *counts):
        allowed = set(learnt) if role in TABLES else {integrated} if role == "precision" else set()
        for name in sorted((names & random) - allowed):
            text = f"`{name}` is random, and is no table that an agent learns: it has no value here"
            if name in learnt:
                text = f"`{name}` is a table that the agent may learn: nothing but the agent's tables may follow what it learns"
            raise AimError([Diagnostic("AIM0412", text, span, f"give {name} = …, or infer it from behaviour: fit {model.name} to …")])


def integrated_precision(model: typed.TypedModel) -> str | None:
    """The random variable that is the precision of the plan by itself, over which a run takes the expectation."""
    planning = model.agent.planning if model.agent is not None else None
    written = planning.options.get("precision") if planning is not None else None
    if isinstance(written, typed.VariableReference) and model.variables[written.name].role == "random":
        return written.name
    return None
