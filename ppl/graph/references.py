"""Which variables an expression or a distribution mentions, and by which indices: what every edge of the graph comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ppl.semantics import typed

Distribution = typed.DistributionCall | typed.DistributionChoice
Statement = typed.RandomStatement | typed.DeterministicStatement


def subexpressions(expression: typed.TypedExpression) -> tuple[typed.TypedExpression, ...]:
    """The expressions directly inside this one."""
    match expression:
        case typed.Slice(low=low, high=high):
            return (low, high)
        case typed.Indexed(base=base, indices=indices):
            return (base, *indices)
        case typed.Apply(arguments=arguments):
            return arguments
        case typed.Stack(items=items):
            return items
        case typed.Comprehension(loops=loops, body=body):
            return (*loop_bounds(loops), body)
        case typed.Select(subjects=subjects, arms=arms):
            return (*subjects, *(arm.value for arm in arms))
        case typed.NetworkCall(argument=argument):
            return (argument,)
        case _:
            return ()


def loop_bounds(loops: tuple[typed.Loop, ...]) -> tuple[typed.TypedExpression, ...]:
    """The written bounds of loops, `1..T`: they may mention parameters."""
    return tuple(bound for loop in loops for bound in (loop.low, loop.high) if bound is not None)


def mentions_index(expression: typed.TypedExpression) -> bool:
    """Whether the index of a loop stands anywhere in it."""
    return isinstance(expression, typed.IndexReference) or any(mentions_index(inner) for inner in subexpressions(expression))


def parts(distribution: Distribution) -> tuple[typed.TypedExpression, ...]:
    """The expressions directly inside a distribution, those of its components and arms among them."""
    match distribution:
        case typed.DistributionCall(arguments=arguments, components=components):
            return (*arguments.values(), *(e for component in components for e in parts(component)))
        case typed.DistributionChoice(subjects=subjects, arms=arms):
            return (*subjects, *(e for _, call in arms for e in parts(call)))


def statement_expressions(statement: Statement) -> tuple[typed.TypedExpression, ...]:
    """Everything that a statement is made of but the variable that it defines."""
    right = parts(statement.distribution) if isinstance(statement, typed.RandomStatement) else (statement.value,)
    return (*right, *statement.indices, *loop_bounds(statement.loops))


Use = tuple[str, tuple[typed.TypedExpression, ...]]
"""The name of a variable, and the indices beside it."""


def uses(expression: typed.TypedExpression) -> Iterator[Use]:
    """Each mention of a variable with its indices, in the order of the text; `mu[z[n]]` mentions `mu` and `z`."""
    match expression:
        case typed.VariableReference(name=name):
            yield name, ()
        case typed.Indexed(base=typed.VariableReference(name=name), indices=indices):
            yield name, indices
            for index in indices:
                yield from uses(index)
        case _:
            for inner in subexpressions(expression):
                yield from uses(inner)


def statement_uses(statement: Statement) -> tuple[Use, ...]:
    return tuple(use for expression in statement_expressions(statement) for use in uses(expression))


def reached(statement: Statement, definitions: Mapping[str, Sequence[typed.DeterministicStatement]]) -> set[str]:
    """The variables that a statement mentions, also through definitions."""
    found: set[str] = set()
    queue: list[Statement] = [statement]
    while queue:
        for name, _ in statement_uses(queue.pop()):
            if name not in found:
                found.add(name)
                queue += definitions.get(name, [])
    return found


def potential_uses(potential: typed.Potential) -> tuple[Use, ...]:
    return tuple(use for expression in (potential.value, *loop_bounds(potential.loops)) for use in uses(expression))


def agent_uses(statement: typed.AgentStatement) -> tuple[Use, ...]:
    """Of what an agent's statement says, and of where it says it."""
    right = parts(statement.distribution) if statement.distribution is not None else ()
    certain = (statement.value,) if statement.value is not None else ()
    every = (*certain, *right, *statement.indices, *loop_bounds(statement.loops))
    return tuple(use for expression in every for use in uses(expression))


def motion_uses(statement: typed.MotionStatement) -> tuple[Use, ...]:
    """Of a statement of a generalized block; derivatives are mentions of their variable."""
    right = parts(statement.distribution) if statement.distribution is not None else ()
    certain = (statement.value,) if statement.value is not None else ()
    every = (*certain, *right, *statement.indices, *loop_bounds(statement.loops))
    return tuple((name.rstrip("'"), indices) for expression in every for name, indices in uses(expression))


def distribution_name(distribution: Distribution) -> str:
    """`Normal`, `Truncated(Normal)`, `Normal or StudentT` for the arms of a `match`."""
    match distribution:
        case typed.DistributionCall(name=name, components=components):
            inner = _distinct(distribution_name(component) for component in components)
            return f"{name}({', '.join(inner)})" if inner else name
        case typed.DistributionChoice(arms=arms):
            return " or ".join(_distinct(distribution_name(call) for _, call in arms))


def _distinct(names: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
