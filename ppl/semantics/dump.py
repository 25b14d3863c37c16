"""The stable text form of a typed model: what `ppl explain --stage typed` prints and golden files hold."""

from __future__ import annotations

from ppl.catalogue.functions import FUNCTIONS
from ppl.semantics.typed import (
    AgentStatement,
    Amortisation,
    Apply,
    Approximation,
    Comprehension,
    Constant,
    DeterministicStatement,
    DistributionCall,
    DistributionChoice,
    Indexed,
    IndexReference,
    IndexSet,
    Loop,
    Member,
    MotionPart,
    MotionStatement,
    Network,
    NetworkCall,
    Planning,
    PolicyEntry,
    Potential,
    RandomStatement,
    Select,
    SizeOf,
    Slice,
    Stack,
    Text,
    TypedAgent,
    TypedExpression,
    TypedModel,
    TypedMotion,
    Variable,
    VariableReference,
)
from ppl.semantics.types import anonymous_set, name_type

_NAMED_OPERATORS = ("not", "and", "or")


def dump_model(model: TypedModel) -> str:
    """The model, a line for each set, variable, statement and approximation."""
    lines = [f"{model.kind} {model.name}"]
    lines += [f"  set {set_text(index_set, model)}" for index_set in model.sets.values() if index_set != anonymous_set(None)]
    roles = model.agent.roles if model.agent is not None else {}
    lines += [f"  {_variable(variable, roles.get(name, variable.role))}" for name, variable in model.variables.items()]
    for statement in model.statements:
        lines += [f"  {line}" for line in _statement(statement)]
    lines += [f"  {_potential(potential)}" for potential in model.potentials]
    lines += [f"  {line}" for line in _agent(model.agent, model)] if model.agent is not None else []
    lines += [f"  {line}" for line in _motion(model.motion)] if model.motion is not None else []
    lines += [f"  network {_network(network)}" for network in model.networks.values()]
    lines += [f"  {_approximation(approximation)}" for approximation in model.approximations]
    return "\n".join(lines) + "\n"


def set_text(index_set: IndexSet, model: TypedModel) -> str:
    """A set with its members or its size, as far as they are known."""
    if index_set.members is not None:
        return index_set.key if index_set.key.startswith("{") else f"{index_set.key} = {{{', '.join(index_set.members)}}}"
    if index_set.key in model.sizes:
        default = model.sizes[index_set.key]
        return f"{index_set.key}: size" + (f" = {text(default)}" if default is not None else "")
    if index_set.size is not None:
        bounds = f"{index_set.low}..{index_set.low + index_set.size}"
        return bounds if bounds == index_set.key else f"{index_set.key} = {bounds}"
    bound = index_set.size_name
    return f"{index_set.key} = {index_set.low}..{bound}" if bound else f"{index_set.key} (size from the data)"


def _variable(variable: Variable, role: str) -> str:
    plates = f" ({variable.plates} plate{'s' if variable.plates != 1 else ''})" if variable.plates else ""
    default = f" = {text(variable.default)}" if variable.default is not None else ""
    return f"{role} {variable.name}: {name_type(variable.type)}{plates}{default}"


def _statement(statement: RandomStatement | DeterministicStatement) -> list[str]:
    head = f"{_loops(statement.loops)}{statement.variable}{_indices(statement.indices)}"
    if isinstance(statement, RandomStatement):
        return [f"{head} ~ {distribution_text(statement.distribution)}"]
    return [f"{head} = {text(statement.value)}"]


def _indices(indices: tuple[TypedExpression, ...]) -> str:
    return f"[{', '.join(map(text, indices))}]" if indices else ""


def _loops(loops: tuple[Loop, ...]) -> str:
    """`for k in K for n in N: ` before a statement."""
    return " ".join(f"for {_loop(loop)}" for loop in loops) + ": " if loops else ""


def _potential(potential: Potential) -> str:
    return f"{_loops(potential.loops)}factor {text(potential.value)}"


def _agent(agent: TypedAgent, model: TypedModel) -> list[str]:
    """What makes a model an agent, a line for each statement."""
    lines = [_said(statement) for statement in agent.statements]
    actions = [model.variables[name].type.member_of for name, role in agent.roles.items() if role == "action"]
    if agent.habit is not None:
        weights = (f"{_policy(e, actions)}: {text(e.weight)}" for e in agent.habit if e.weight is not None)
        lines.append(f"habit policy ~ {{{', '.join(weights)}}}")
    if agent.planning is not None:
        lines.append(_planning(agent.planning, actions))
    return lines


def _motion(motion: TypedMotion) -> list[str]:
    """A generalized block, a line for each value at the start and each statement."""
    options = [f"{name} = {text(value)}" for name, value in motion.options.items()]
    lines = [f"{_loops(motion.plates)}generalized {_loop(motion.loop)} ({', '.join([*options, f'scheme = {motion.scheme}'])})"]
    lines += [f"  {line}" for line in _motion_part(motion.part)]
    if motion.world is not None:
        lines += ["  world", *(f"    {line}" for line in _motion_part(motion.world.part))]
    return lines


def _motion_part(part: MotionPart) -> list[str]:
    return [f"start {_moved(s)}" for s in part.starts] + [_moved(s) for s in part.statements]


def _moved(statement: MotionStatement) -> str:
    head = f"{statement.variable}{chr(39) * statement.order}{_indices(statement.indices)}"
    if statement.value is not None:
        return f"{head} = {text(statement.value)}"
    assert statement.distribution is not None
    return f"{head} ~ {distribution_text(statement.distribution)}"


def _said(statement: AgentStatement) -> str:
    time = f" at {statement.time}" if statement.time is not None else ""
    head = f"{_loops(statement.loops)}{statement.role} {statement.variable}{_indices(statement.indices)}{time}"
    if statement.value is not None:
        return f"{head} = {text(statement.value)}"
    assert statement.distribution is not None
    return f"{head} ~ {distribution_text(statement.distribution)}"


def _planning(planning: Planning, actions: list[IndexSet | None]) -> str:
    options = [f"{name} = {text(value)}" for name, value in planning.options.items()]
    if planning.policies is not None:
        options.append(f"policies = [{', '.join(_policy(entry, actions) for entry in planning.policies)}]")
    budget = f" subject to {text(planning.budget)}" if planning.budget is not None else ""
    return f"plan {', '.join(planning.actions)} by efe({', '.join(options)}){budget}"


def _policy(entry: PolicyEntry, actions: list[IndexSet | None]) -> str:
    """`[cue, left]`: policies are written out where there is one action."""
    own = actions[0]
    return f"[{', '.join(_member(own, ordinal) for ordinal in entry.actions)}]" if own is not None else str(list(entry.actions))


def _member(index_set: IndexSet, ordinal: int) -> str:
    return index_set.members[ordinal] if index_set.members else str(index_set.low + ordinal)


def _network(network: Network) -> str:
    prior = f", prior = {distribution_text(network.prior)}" if network.prior is not None else ""
    return f"{network.name} = mlp({', '.join(map(text, network.widths))}, activation = {network.activation}{prior})"


def _amortised(one: Amortisation) -> str:
    indices = f"[{', '.join(loop.name for loop in one.loops)}]" if one.loops else ""
    loops = "".join(f" for {_loop(loop)}" for loop in one.loops)
    return f" q({one.variable}{indices}{loops}) by {one.network.name}({text(one.argument)}) = {_network(one.network).partition(' = ')[2]}"


def _loop(loop: Loop) -> str:
    if loop.low is None and loop.high is None:
        return f"{loop.name} in {loop.set.key}"
    low = text(loop.low) if loop.low is not None else str(loop.set.low)
    return f"{loop.name} in {low}..{text(loop.high) if loop.high is not None else loop.set.key}"


def _approximation(approximation: Approximation) -> str:
    label = f" as {approximation.label}" if approximation.label else ""
    blocks = "".join(f" q({', '.join(block)})" for block in approximation.blocks)
    separate = f" separate({', '.join(approximation.separate)})" if approximation.separate else ""
    forms = "".join(f" q({name}): {form}" for name, form in approximation.forms.items())
    amortised = "".join(map(_amortised, approximation.amortised))
    options = ", ".join(f"{name} = {value}" for name, value in approximation.options.items())
    engine = f" use {approximation.engine}({options})" if approximation.engine else ""
    return f"approximate{label}{blocks}{separate}{forms}{amortised}{engine}"


def distribution_text(distribution: DistributionCall | DistributionChoice) -> str:
    match distribution:
        case DistributionCall(name=name, arguments=arguments, components=components):
            given = [f"{key} = {text(value)}" for key, value in arguments.items()]
            return f"{name}({', '.join([*map(distribution_text, components), *given])})"
        case DistributionChoice(subjects=subjects, arms=arms):
            shown = "; ".join(f"{_patterns(patterns)} -> {distribution_text(call)}" for patterns, call in arms)
            return f"match {', '.join(map(text, subjects))} {{{shown}}}"


def text(expression: TypedExpression) -> str:
    """An expression in the form of the language, operators in full brackets."""
    match expression:
        case Constant(value=value):
            return str(value).lower() if isinstance(value, bool) else repr(value)
        case Text(value=value):
            return f'"{value}"'
        case Member(set=index_set, ordinal=ordinal):
            return index_set.members[ordinal] if index_set.members else f"{index_set.key}#{ordinal}"
        case SizeOf(set=index_set):
            return f"size({index_set.key})"
        case IndexReference(name=name) | VariableReference(name=name):
            return name
        case Slice(low=low, high=high):
            return f"{text(low)}..{text(high)}"
        case Indexed(base=base, indices=indices):
            return f"{text(base)}[{', '.join(map(text, indices))}]"
        case NetworkCall(network=network, argument=argument):
            return f"{network}({text(argument)})"
        case Apply(function=function, arguments=arguments):
            return _application(function, tuple(map(text, arguments)))
        case Stack(items=items):
            return f"[{', '.join(map(text, items))}]"
        case Comprehension(function=function, loops=loops, body=body):
            return f"{function}({text(body)} for {', '.join(map(_loop, loops))})"
        case Select(subjects=subjects, arms=arms):
            shown = "; ".join(f"{_patterns(arm.patterns)} -> {text(arm.value)}" for arm in arms)
            return f"match {', '.join(map(text, subjects))} {{{shown}}}"
    raise TypeError(f"no text form for {type(expression).__name__}")


def _application(function: str, arguments: tuple[str, ...]) -> str:
    known = FUNCTIONS.get(function)
    if function == "if":
        return f"(if {arguments[0]} then {arguments[1]} else {arguments[2]})"
    if known is None or not known.operator:
        return f"{function}({', '.join(arguments)})"
    if len(arguments) == 1:
        return f"({known.operator} {arguments[0]})" if function in _NAMED_OPERATORS else f"({known.operator}{arguments[0]})"
    return f"({arguments[0]} {known.operator} {arguments[1]})"


def _patterns(patterns: tuple[tuple[int | float, ...] | None, ...]) -> str:
    return ", ".join("_" if pattern is None else " | ".join(map(str, pattern)) for pattern in patterns)
