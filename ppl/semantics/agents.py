"""Agents: states, actions and outcomes with their transitions and tables, preferences, habits and plans."""

from __future__ import annotations

from dataclasses import replace

from ppl.semantics.constants import fold, numbers, shown, sums_to_one
from ppl.semantics.definitions import Leaf
from ppl.semantics.distributions import catalogue_distribution
from ppl.semantics.expressions import as_member, elaborate
from ppl.semantics.scope import ActiveLoop, ModelNames, Scope, backticked, plates_differ
from ppl.semantics.sets import type_of
from ppl.semantics.tables import unknown_member
from ppl.semantics.typed import Apply, IndexSet, Loop, TypedExpression, ValueType, Variable
from ppl.semantics.types import compatible_sets, joined, name_type
from ppl.source.diagnostics import Related, did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree

EFE_OPTIONS = ("horizon", "discount", "precision", "epistemic", "pragmatic", "novelty", "sophisticated", "policies")
_ACTS = tree.StateDeclaration | tree.ActionDeclaration | tree.Observe
_TIME = IndexSet("time")


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


def check_statement(leaf: Leaf, scope: Scope) -> None:
    """A statement that only an agent has."""
    match leaf.statement:
        case tree.StateDeclaration() as statement:
            _state(statement, scope)
        case tree.Next() as statement:
            _next(statement, _hiding(scope, tree.Observe, "is an outcome: the next state depends on present states and actions"))
        case tree.Observe() as statement:
            _observe(statement, scope)
        case tree.Prefer() as statement:
            _prefer(statement, scope)
        case tree.Habit() as statement:
            _habit(statement, scope)
        case tree.PlanStatement() as statement:
            _plan(statement, scope)
        case tree.SubjectTo() as statement:
            _subject_to(statement, scope)
        case tree.ActionDeclaration():
            pass
        case _:
            word = leaf.statement.span.text.split()[0].rstrip(":")
            scope.findings.error("AIM0117", f"`{word}` cannot stand here", leaf.statement.span, "`world` stands in a `generalized` block")


def _hiding(scope: Scope, kind: type, reason: str) -> Scope:
    """The scope without the names that statements of one kind declare."""
    hidden = {name: reason for name, what in scope.model.roles.items() if what is kind}
    return replace(scope, model=replace(scope.model, hidden={**scope.model.hidden, **hidden}))


def own_type(name: str, model: ModelNames) -> ValueType | None:
    """The type of one member of a plated state, action or outcome."""
    variable = model.variables.get(name)
    return variable and replace(variable.type, axes=variable.type.axes[variable.plates :])


def _state(statement: tree.StateDeclaration, scope: Scope) -> None:
    name = statement.target.name
    declared = own_type(name, scope.model)
    if statement.initial is None or statement.relation is None:
        hint = f"write `state {name}: … = VALUE` or `~ DISTRIBUTION`"
        scope.findings.error("AIM0408", f"the state `{name}` has no value or belief at time 0", statement.span, hint)
        return
    related_value(statement.relation, statement.initial, declared, name, scope)


def related_value(relation: str, written: tree.Expression, declared: ValueType | None, name: str, scope: Scope) -> None:
    """`= VALUE` or `~ DISTRIBUTION` for something of a declared type."""
    expected = declared.member_of if declared is not None else None
    if relation == "=":
        value = elaborate(written, scope, expected)
        if value is not None and declared is not None:
            _value_fits(value, declared, name, scope)
        return
    found = catalogue_distribution(written, scope, expected)
    if found is not None and declared is not None:
        _type_fits(found[1], declared, name, written.span, scope)


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


# ------------------------------------------------------------------ transitions and outcomes
def _target(target: tree.Target, kinds: tuple[type, ...], code: str, what: str, scope: Scope) -> ValueType | None:
    """The type of what a statement is about, or an error where the name is none of these kinds."""
    model = scope.model
    if target.name in model.broken:
        return None
    if model.roles.get(target.name) not in kinds:
        fitting = [name for name, kind in model.roles.items() if kind in kinds]
        hint = did_you_mean(target.name, fitting) or (f"there is {backticked(fitting)}" if fitting else "")
        scope.findings.error(code, f"`{target.name}` is no {what} of this agent", target.span, hint)
        return None
    variable = model.variables[target.name]
    for index in target.indices:
        elaborate(index, scope)
    if len(target.indices) != variable.plates:
        scope.findings.error("AIM0206", plates_differ(target, variable), target.span)
        return None
    return own_type(target.name, model)


def _next(statement: tree.Next, scope: Scope) -> None:
    declared = _target(statement.target, (tree.StateDeclaration,), "AIM0407", "state", scope)
    related_value(statement.relation, statement.value, declared, f"next {statement.target.name}", scope)


def _observe(statement: tree.Observe, scope: Scope) -> None:
    reason = "is an action: an outcome depends on the present states only"
    inner = _hiding(scope, tree.ActionDeclaration, reason)
    inner = _hiding(inner, tree.Observe, "is an outcome: an outcome depends on the present states only")
    related_value(statement.relation, statement.value, own_type(statement.target.name, scope.model), statement.target.name, inner)


# ------------------------------------------------------------------ preferences, habits, plans
def _prefer(statement: tree.Prefer, scope: Scope) -> None:
    """The preference may use the time step `t`."""
    declared = _target(statement.target, (tree.Observe, tree.StateDeclaration), "AIM0403", "outcome or state", scope)
    timed = scope.inside((ActiveLoop("t", Loop(scope.fresh_index("t"), _TIME)),))
    related_value("~", statement.distribution, declared, statement.target.name, timed)


def _habit(statement: tree.Habit, scope: Scope) -> None:
    if statement.target.name == "policy" and "policy" not in scope.model.roles:
        _habit_over_policies(statement, scope)
        return
    declared = _target(statement.target, (tree.ActionDeclaration,), "AIM0404", "action", scope)
    related_value("~", statement.distribution, declared, statement.target.name, scope)


def _habit_over_policies(statement: tree.Habit, scope: Scope) -> None:
    """`{[cue, left]: 0.5, …}`: each key a list of actions."""
    written = statement.distribution
    if not isinstance(written, tree.TableLiteral):
        hint = "write {[cue, left]: 0.5, …}"
        scope.findings.error("AIM0404", "a habit over policies is a table of lists of actions", written.span, hint)
        return
    sets = [own.member_of for name in _of_role(scope, tree.ActionDeclaration) if (own := own_type(name, scope.model)) and own.member_of]
    members = sets[0] if len(sets) == 1 else None
    total: list[float] = []
    for entry in written.entries:
        _policy_key(entry.key, members, scope)
        value = elaborate(entry.value, scope)
        folded = fold(value, scope.model.constants) if value is not None else None
        total += numbers(folded) if folded is not None else []
    if len(total) == len(written.entries) and not sums_to_one(tuple(total)):
        message = f"these probabilities sum to {shown(sum(total))}, not to 1"
        scope.findings.error("AIM0307", message, written.span, "write normalize({…}) for weights")


def _policy_key(key: tree.Expression, members: IndexSet | None, scope: Scope) -> None:
    if not isinstance(key, tree.ListLiteral):
        scope.findings.error("AIM0404", "a policy is a list of actions", key.span, f"write [{key.span.text}]")
        return
    for item in key.items:
        if members is not None and (not isinstance(item, tree.Name) or item.name not in (members.members or ())):
            unknown_member(item, members, scope)


def _of_role(scope: Scope, kind: type) -> list[str]:
    return [name for name, what in scope.model.roles.items() if what is kind]


def _plan(statement: tree.PlanStatement, scope: Scope) -> None:
    for target in statement.targets:
        if target.indices:
            scope.findings.error(
                "AIM0402", f"`{target.name}` is planned as a whole", target.span, f"write `{target.name}` without an index"
            )
        elif target.name not in scope.model.broken and scope.model.roles.get(target.name) is not tree.ActionDeclaration:
            actions = _of_role(scope, tree.ActionDeclaration)
            hint = did_you_mean(target.name, actions) or (f"there is {backticked(actions)}" if actions else "declare `action NAME: SET`")
            scope.findings.error("AIM0402", f"`{target.name}` is no action of this agent", target.span, hint)
    method = statement.method
    if method.function.name != "efe":
        hint = did_you_mean(method.function.name, ["efe"]) or "plans are made by efe(…)"
        scope.findings.error("AIM0405", f"unknown way to plan `{method.function.name}`", method.function.span, hint)
        return
    seen: dict[str, tree.Argument] = {}
    for argument in method.arguments:
        _plan_option(argument, seen, scope)


def _plan_option(argument: tree.Argument, seen: dict[str, tree.Argument], scope: Scope) -> None:
    place = argument.name_span or argument.span
    if argument.name is None or argument.name not in EFE_OPTIONS:
        shown_name = argument.name or argument.span.text
        hint = did_you_mean(shown_name, EFE_OPTIONS) or f"its options are {', '.join(EFE_OPTIONS)}"
        scope.findings.error("AIM0405", f"`efe` has no option `{shown_name}`", place, hint)
        return
    if argument.name in seen:
        related = (Related(seen[argument.name].span, "the first"),)
        scope.findings.error("AIM0405", f"the option `{argument.name}` is given twice", place, related=related)
        return
    seen[argument.name] = argument
    if argument.name == "policies":
        return
    value = elaborate(argument.value, scope)
    folded = fold(value, scope.model.constants) if value is not None else None
    rule = _broken_option(argument.name, folded) if folded is not None else None
    if rule is not None:
        scope.findings.error("AIM0405", f"`{argument.name}` must be {rule}", argument.value.span)


def _broken_option(name: str, value: object) -> str | None:
    if name == "sophisticated":
        return None if isinstance(value, bool) else "true or false"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a number"
    if name == "horizon":
        return None if isinstance(value, int) and value >= 1 else "a whole number, 1 or more"
    return None if value >= 0 else "0 or positive"


def _subject_to(statement: tree.SubjectTo, scope: Scope) -> None:
    condition = elaborate(statement.condition, scope)
    if condition is not None and not (
        isinstance(condition, Apply) and condition.function in ("less", "less_equal", "greater", "greater_equal")
    ):
        scope.findings.error("AIM0406", "a budget is a comparison", statement.condition.span, "write sum(a) <= B")


# ------------------------------------------------------------------ the whole agent
def check_whole(declaration: tree.ModelDeclaration, leaves: list[Leaf], scope: Scope) -> None:
    """What no single statement shows: states without a transition, two of them, a budget without a plan."""
    seen: dict[str, Span] = {}
    for leaf in leaves:
        if not isinstance(leaf.statement, tree.Next):
            continue
        target = leaf.statement.target
        if target.name in seen and not target.indices:
            related = (Related(seen[target.name], "the first"),)
            scope.findings.error("AIM0410", f"`{target.name}` has two transitions", target.span, "write one, with match", related=related)
        seen.setdefault(target.name, target.span)
    for leaf in leaves:
        if isinstance(leaf.statement, tree.StateDeclaration) and leaf.statement.target.name not in seen and leaf.piece is not None:
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
