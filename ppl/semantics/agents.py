"""Agents: states, actions and outcomes with their transitions and tables, preferences, habits and plans."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ppl.semantics.constants import fold, numbers, shown, sums_to_one
from ppl.semantics.definitions import Leaf
from ppl.semantics.distributions import catalogue_distribution
from ppl.semantics.expressions import as_member, elaborate
from ppl.semantics.scope import ActiveLoop, ModelNames, Scope, backticked, plates_differ
from ppl.semantics.sets import type_of
from ppl.semantics.tables import place_of_key
from ppl.semantics.typed import (
    AgentStatement,
    Apply,
    DistributionCall,
    DistributionChoice,
    IndexSet,
    Loop,
    Planning,
    PolicyEntry,
    TypedAgent,
    TypedExpression,
    ValueType,
    Variable,
)
from ppl.semantics.types import anonymous_set, compatible_sets, joined, name_type
from ppl.semantics.written import Written
from ppl.source.diagnostics import Related, did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree

EFE_OPTIONS = ("horizon", "discount", "precision", "epistemic", "pragmatic", "novelty", "sophisticated", "policies")
Role = Literal["state", "action", "outcome"]
_ACTS = tree.StateDeclaration | tree.ActionDeclaration | tree.Observe
_ROLES: dict[type, Role] = {
    tree.StateDeclaration: "state",
    tree.ActionDeclaration: "action",
    tree.Observe: "outcome",
}
_SAID_ONCE = {tree.Next: "transitions", tree.Prefer: "preferences", tree.Habit: "habits"}
_TIME = anonymous_set(None)
Said = tuple[TypedExpression | None, DistributionCall | DistributionChoice | None]


# ------------------------------------------------------------------ declarations
def declare(leaves: list[Leaf], scope: Scope) -> None:
    """States, actions and outcomes enter with the types they are declared with: their statements may stand in any order."""
    model = scope.model
    for leaf in leaves:
        statement = leaf.statement
        if not isinstance(statement, _ACTS) or leaf.piece is None or leaf.piece.name in model.broken:
            continue
        name = leaf.piece.name
        model.roles[name] = type(statement)
        declared = type_of(statement.type, replace(scope, loops=leaf.loops), elaborate)
        if declared is None:
            model.broken.add(name)
            continue
        plates = model.plates[name]
        value = ValueType(declared.kind, (*plates, *declared.axes), declared.member_of)
        model.variables[name] = Variable(name, "random", value, len(plates), span=leaf.piece.span)
        model.random.add(name)
        del model.pieces[name]


def check_statement(leaf: Leaf, scope: Scope, written: Written) -> None:
    """A statement that only an agent has: what it says enters the agent."""
    statement, found = leaf.statement, None
    match statement:
        case tree.StateDeclaration():
            found = _state(statement, leaf, scope)
        case tree.Next():
            inner = _hiding(scope, tree.Observe, "is an outcome: the next state depends on present states and actions")
            found = _about("next", statement.target, (tree.StateDeclaration,), "AIM0407", "state", statement, inner)
        case tree.Observe():
            found = _observe(statement, leaf, scope)
        case tree.Prefer():
            found = _prefer(statement, scope)
        case tree.Habit():
            found = _habit(statement, scope, written)
        case tree.PlanStatement():
            _plan(statement, scope, written)
        case tree.SubjectTo():
            _subject_to(statement, scope, written)
        case tree.ActionDeclaration():
            pass
        case _:
            word = leaf.statement.span.text.split()[0].rstrip(":")
            scope.findings.error("AIM0117", f"`{word}` cannot stand here", leaf.statement.span, "`world` stands in a `generalized` block")
    if found is not None:
        written.agent.append(replace(found, loops=leaf.typed_loops))


def _hiding(scope: Scope, kind: type, reason: str) -> Scope:
    """The scope without the names that statements of one kind declare."""
    hidden = {name: reason for name, what in scope.model.roles.items() if what is kind}
    return replace(scope, model=replace(scope.model, hidden={**scope.model.hidden, **hidden}))


def own_type(name: str, model: ModelNames) -> ValueType | None:
    """The type of one member of a plated state, action or outcome."""
    variable = model.variables.get(name)
    return variable and replace(variable.type, axes=variable.type.axes[variable.plates :])


def _state(statement: tree.StateDeclaration, leaf: Leaf, scope: Scope) -> AgentStatement | None:
    name = statement.target.name
    declared = own_type(name, scope.model)
    if statement.initial is None or statement.relation is None:
        hint = f"write `state {name}: … = VALUE` or `~ DISTRIBUTION`"
        scope.findings.error("AIM0408", f"the state `{name}` has no value or belief at time 0", statement.span, hint)
        return None
    return _said("initial", leaf, statement.relation, statement.initial, declared, scope)


def _said(
    role: Literal["initial", "observe"],
    leaf: Leaf,
    relation: str,
    value: tree.Expression,
    declared: ValueType | None,
    scope: Scope,
) -> AgentStatement | None:
    """What a declaration says of the state or outcome that it declares."""
    said = related_value(relation, value, declared, leaf.piece.name if leaf.piece is not None else "", scope)
    if said is None or leaf.piece is None:
        return None
    return AgentStatement(role, leaf.piece.name, leaf.piece.indices, (), *said, span=leaf.statement.span)


def related_value(relation: str, written: tree.Expression, declared: ValueType | None, name: str, scope: Scope) -> Said | None:
    """`= VALUE` or `~ DISTRIBUTION` for something of a declared type: the value or the distribution."""
    expected = declared.member_of if declared is not None else None
    if relation == "=":
        value = elaborate(written, scope, expected)
        if value is not None and declared is not None:
            _value_fits(value, declared, name, scope)
        return None if value is None else (value, None)
    found = catalogue_distribution(written, scope, expected)
    if found is not None and declared is not None:
        _type_fits(found[1], declared, name, written.span, scope)
    return None if found is None else (None, found[0])


def _value_fits(value: TypedExpression, declared: ValueType, name: str, scope: Scope) -> None:
    if declared.kind == "member" and declared.member_of is not None and not value.type.axes:
        as_member(value, declared.member_of, scope)
    else:
        _type_fits(value.type, declared, name, value.span, scope)


def _type_fits(value: ValueType, declared: ValueType, name: str, span: Span, scope: Scope) -> None:
    both = value.member_of, declared.member_of
    fits = joined(value, declared) is not None
    if declared.kind == "member" and both[0] is not None and both[1] is not None:
        fits = compatible_sets(both[0], both[1])
    elif declared.kind == "member":
        fits = value.kind == "bool" and declared.member_of is not None and declared.member_of.size == 2
    elif value.kind == "member":
        fits = False
    if not fits:
        scope.findings.error("AIM0203", f"`{name}` is {name_type(declared)}, this gives {name_type(value)}", span)


# ------------------------------------------------------------------ transitions, outcomes, preferences, habits
def _about(
    role: Literal["next", "prefer", "habit"],
    target: tree.Target,
    kinds: tuple[type, ...],
    code: str,
    what: str,
    statement: tree.Next | tree.Prefer | tree.Habit,
    scope: Scope,
) -> AgentStatement | None:
    """What a statement says of something that is declared elsewhere."""
    if isinstance(statement, tree.Next):
        relation, value, name = statement.relation, statement.value, f"next {target.name}"
    else:
        relation, value, name = "~", statement.distribution, target.name
    addressed = _target(target, kinds, code, what, scope)
    said = related_value(relation, value, addressed and addressed[0], name, scope)
    if addressed is None or said is None:
        return None
    return AgentStatement(role, target.name, addressed[1], (), *said, span=statement.span)


def _target(
    target: tree.Target, kinds: tuple[type, ...], code: str, what: str, scope: Scope
) -> tuple[ValueType | None, tuple[TypedExpression, ...]] | None:
    """The type and the indices of what a statement is about, or an error where the name is none of these kinds."""
    model = scope.model
    if target.name in model.broken:
        return None
    if model.roles.get(target.name) not in kinds:
        fitting = [name for name, kind in model.roles.items() if kind in kinds]
        hint = did_you_mean(target.name, fitting) or (f"there is {backticked(fitting)}" if fitting else "")
        scope.findings.error(code, f"`{target.name}` is no {what} of this agent", target.span, hint)
        return None
    variable = model.variables[target.name]
    indices = tuple(index for index in (elaborate(index, scope) for index in target.indices) if index is not None)
    if len(target.indices) != variable.plates:
        scope.findings.error("AIM0206", plates_differ(target, variable), target.span)
        return None
    return (own_type(target.name, model), indices) if len(indices) == len(target.indices) else None


def _observe(statement: tree.Observe, leaf: Leaf, scope: Scope) -> AgentStatement | None:
    reason = "is an action: an outcome depends on the present states only"
    inner = _hiding(scope, tree.ActionDeclaration, reason)
    inner = _hiding(inner, tree.Observe, "is an outcome: an outcome depends on the present states only")
    return _said("observe", leaf, statement.relation, statement.value, own_type(statement.target.name, scope.model), inner)


def _prefer(statement: tree.Prefer, scope: Scope) -> AgentStatement | None:
    """The preference may use the time step `t`, and nothing that changes with the states."""
    time = scope.fresh_index("t")
    timed = scope.inside((ActiveLoop("t", Loop(time, _TIME)),))
    for kind, what in _ROLES.items():
        timed = _hiding(timed, kind, f"is {'an' if what[0] in 'ao' else 'a'} {what}: a preference may use the time step `t` only")
    found = _about("prefer", statement.target, (tree.Observe, tree.StateDeclaration), "AIM0403", "outcome or state", statement, timed)
    return found and replace(found, time=time)


def _habit(statement: tree.Habit, scope: Scope, written: Written) -> AgentStatement | None:
    if statement.target.name == "policy" and "policy" not in scope.model.roles:
        written.habit = _habit_over_policies(statement, scope)
        return None
    inner = scope
    for kind, what in _ROLES.items():
        inner = _hiding(inner, kind, f"is {'an' if what[0] in 'ao' else 'a'} {what}: a habit is the same in every state")
    return _about("habit", statement.target, (tree.ActionDeclaration,), "AIM0404", "action", statement, inner)


def _habit_over_policies(statement: tree.Habit, scope: Scope) -> tuple[PolicyEntry, ...] | None:
    """`{[cue, left]: 0.5, …}`: each key a list of actions."""
    written = statement.distribution
    if not isinstance(written, tree.TableLiteral):
        hint = "write {[cue, left]: 0.5, …}"
        scope.findings.error("AIM0404", "a habit over policies is a table of lists of actions", written.span, hint)
        return None
    entries = []
    for entry in written.entries:
        actions, weight = _policy(entry.key, _planned_set(scope), scope), elaborate(entry.value, scope)
        if actions is not None and weight is not None:
            entries.append(PolicyEntry(actions, weight, span=entry.key.span))
    folded = [fold(entry.weight, scope.model.constants) for entry in entries if entry.weight is not None]
    total = [number for value in folded if value is not None for number in numbers(value)]
    if len(total) == len(written.entries) and not sums_to_one(tuple(total)):
        message = f"these probabilities sum to {shown(sum(total))}, not to 1"
        scope.findings.error("AIM0307", message, written.span, "write normalize({…}) for weights")
    return tuple(entries)


def _planned_set(scope: Scope) -> IndexSet | None:
    """The set of the only action, of which policies are lists."""
    sets = [own.member_of for name in _of_role(scope, tree.ActionDeclaration) if (own := own_type(name, scope.model)) and own.member_of]
    return sets[0] if len(sets) == 1 else None


def _policy(key: tree.Expression, members: IndexSet | None, scope: Scope) -> tuple[int, ...] | None:
    """The ordinals of the actions of a policy as it is written."""
    if not isinstance(key, tree.ListLiteral):
        scope.findings.error("AIM0404", "a policy is a list of actions", key.span, f"write [{key.span.text}]")
        return None
    if members is None:
        scope.findings.error("AIM0404", "policies are written out for one action; this agent has several", key.span)
        return None
    places = [place_of_key(item, members, scope) for item in key.items]
    return tuple(place for place in places if place is not None) if None not in places else None


def _of_role(scope: Scope, kind: type) -> list[str]:
    return [name for name, what in scope.model.roles.items() if what is kind]


def _plan(statement: tree.PlanStatement, scope: Scope, written: Written) -> None:
    if written.planning is not None:
        related = (Related(written.planning.span, "the first"),)
        scope.findings.error(
            "AIM0402", "an agent has one plan", statement.span, "plan several actions together: plan a, b by …", related=related
        )
        return
    for target in statement.targets:
        if target.indices:
            scope.findings.error(
                "AIM0402", f"`{target.name}` is planned as a whole", target.span, f"write `{target.name}` without an index"
            )
        elif target.name not in scope.model.broken and scope.model.roles.get(target.name) is not tree.ActionDeclaration:
            actions = _of_role(scope, tree.ActionDeclaration)
            hint = did_you_mean(target.name, actions) or (f"there is {backticked(actions)}" if actions else "declare `action NAME: SET`")
            scope.findings.error("AIM0402", f"`{target.name}` is no action of this agent", target.span, hint)
    named = [target.name for target in statement.targets]
    left = [name for name in _of_role(scope, tree.ActionDeclaration) if name not in named]
    if left and all(scope.model.roles.get(name) is tree.ActionDeclaration for name in named):
        hint = f"write plan {', '.join((*named, *left))} by …"
        scope.findings.error("AIM0402", f"the plan leaves out the action `{left[0]}`", statement.targets[0].span, hint)
    method = statement.method
    if method.function.name != "efe":
        hint = did_you_mean(method.function.name, ["efe"]) or "plans are made by efe(…)"
        scope.findings.error("AIM0405", f"unknown way to plan `{method.function.name}`", method.function.span, hint)
        return
    seen: dict[str, tree.Argument] = {}
    options: dict[str, TypedExpression] = {}
    for argument in method.arguments:
        value = _plan_option(argument, seen, scope)
        if value is not None and argument.name is not None:
            options[argument.name] = value
    policies = _policies(seen["policies"].value, scope) if "policies" in seen else None
    written.planning = Planning(tuple(named), options, policies, span=statement.span)


def _policies(value: tree.Expression, scope: Scope) -> tuple[PolicyEntry, ...] | None:
    """`policies = [[cue, left], [left, left]]`; `all` are all."""
    if isinstance(value, tree.Name) and value.name == "all":
        return None
    if not isinstance(value, tree.ListLiteral) or not value.items:
        scope.findings.error("AIM0405", "`policies` is a list of lists of actions", value.span, "write [[cue, left], [left, left]], or all")
        return None
    written = [(_policy(item, _planned_set(scope), scope), item.span) for item in value.items]
    return tuple(PolicyEntry(actions, span=span) for actions, span in written if actions is not None)


def _plan_option(argument: tree.Argument, seen: dict[str, tree.Argument], scope: Scope) -> TypedExpression | None:
    place = argument.name_span or argument.span
    if argument.name is None or argument.name not in EFE_OPTIONS:
        shown_name = argument.name or argument.span.text
        hint = did_you_mean(shown_name, EFE_OPTIONS) or f"its options are {', '.join(EFE_OPTIONS)}"
        scope.findings.error("AIM0405", f"`efe` has no option `{shown_name}`", place, hint)
        return None
    if argument.name in seen:
        related = (Related(seen[argument.name].span, "the first"),)
        scope.findings.error("AIM0405", f"the option `{argument.name}` is given twice", place, related=related)
        return None
    seen[argument.name] = argument
    if argument.name == "policies":
        return None
    value = elaborate(argument.value, scope)
    folded = fold(value, scope.model.constants) if value is not None else None
    rule = _broken_option(argument.name, folded) if folded is not None else None
    if rule is not None:
        scope.findings.error("AIM0405", f"`{argument.name}` must be {rule}", argument.value.span)
    return value


def _broken_option(name: str, value: object) -> str | None:
    if name == "sophisticated":
        return None if isinstance(value, bool) else "true or false"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a number"
    if name == "horizon":
        return None if isinstance(value, int) and value >= 1 else "a whole number, 1 or more"
    return None if value >= 0 else "0 or positive"


def _subject_to(statement: tree.SubjectTo, scope: Scope, written: Written) -> None:
    condition = elaborate(statement.condition, scope)
    if written.planning is not None and condition is not None:
        written.planning = replace(written.planning, budget=condition)
    if condition is not None and not (
        isinstance(condition, Apply) and condition.function in ("less", "less_equal", "greater", "greater_equal")
    ):
        scope.findings.error("AIM0406", "a budget is a comparison", statement.condition.span, "write sum(a) <= B")


# ------------------------------------------------------------------ the whole agent
def _said_once(leaves: list[Leaf], scope: Scope) -> dict[tuple[type, str], Span]:
    """Where each transition, preference and habit is said first: without an index it is said once."""
    seen: dict[tuple[type, str], Span] = {}
    for leaf in leaves:
        statement = leaf.statement
        if not isinstance(statement, tree.Next | tree.Prefer | tree.Habit):
            continue
        target, key = statement.target, (type(statement), statement.target.name)
        if key in seen and not target.indices:
            related = (Related(seen[key], "the first"),)
            scope.findings.error(
                "AIM0410", f"`{target.name}` has two {_SAID_ONCE[type(statement)]}", target.span, "write one, with match", related=related
            )
        seen.setdefault(key, target.span)
    return seen


def agent_of(scope: Scope, written: Written) -> TypedAgent:
    """The agent that the statements make."""
    roles: dict[str, Role] = {name: _ROLES[kind] for name, kind in scope.model.roles.items() if kind in _ROLES}
    return TypedAgent(roles, tuple(written.agent), written.habit, written.planning)


def check_whole(declaration: tree.ModelDeclaration, leaves: list[Leaf], scope: Scope) -> None:
    """What no single statement shows: states without a transition, two of them, a budget without a plan."""
    seen = _said_once(leaves, scope)
    for leaf in leaves:
        if (
            isinstance(leaf.statement, tree.StateDeclaration)
            and (tree.Next, leaf.statement.target.name) not in seen
            and leaf.piece is not None
        ):
            target = leaf.statement.target
            message = f"nothing says what the state `{target.name}` is at the next step"
            scope.findings.error(
                "AIM0401", message, target.span, f"write `next {target.span.text} = {target.span.text}` if it stays as it is"
            )
    planned = False
    for leaf in leaves:
        planned |= isinstance(leaf.statement, tree.PlanStatement)
        if isinstance(leaf.statement, tree.SubjectTo) and not planned:
            scope.findings.error("AIM0406", "`subject to` stands on a line after `plan`", leaf.statement.span)
