"""Blocks in generalized coordinates: states with derivatives, equations of motion, sensors, and the world they stand in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ppl.semantics.agents import related_value
from ppl.semantics.constants import fold
from ppl.semantics.definitions import scope_of_plate
from ppl.semantics.distributions import catalogue_distribution
from ppl.semantics.expressions import elaborate
from ppl.semantics.scope import ActiveLoop, ModelNames, Scope, StatementNotes, walk
from ppl.semantics.sets import loop_of, type_of
from ppl.semantics.typed import Axis, Loop, ValueType, Variable
from ppl.semantics.types import joined, name_type
from ppl.source.diagnostics import Related, did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree

OPTIONS = ("dt", "order", "order_causes", "order_observed", "smoothness", "scheme")
SCHEMES = ("mode", "flow", "smooth")
_ANY_ORDER = 99  # where the order is not a constant of the file


@dataclass
class _Block:
    """What a block has defined so far."""

    loop: Loop
    order: int
    equations: dict[tuple[str, int], Span] = field(default_factory=dict)
    states: set[str] = field(default_factory=set)
    sensors: set[str] = field(default_factory=set)
    actions: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)  # their declarations have errors
    is_world: bool = False


def check(statement: tree.Generalized, scope: Scope) -> None:
    """The block's statements; afterwards its variables have the block's axis and no derivatives."""
    order = _options(statement.arguments, scope)
    loop = loop_of(statement.binder, scope, elaborate)
    if loop is None:
        return
    block = _Block(loop, order)
    inner = scope.inside((ActiveLoop(statement.binder.name, loop),))
    _statements(statement.body, block, inner)
    model = scope.model
    for name in (*block.states, *block.sensors, *block.actions):
        variable = model.variables.get(name)
        model.primes.pop(name, None)
        if variable is not None:
            whole = replace(variable.type, axes=(Axis(loop.set), *variable.type.axes))
            model.variables[name] = replace(variable, type=whole, plates=variable.plates + 1)


def _options(arguments: tuple[tree.Argument, ...], scope: Scope) -> int:
    """Check the options; what comes back is how many derivatives a state has."""
    order = _ANY_ORDER
    seen: set[str] = set()
    for argument in arguments:
        place = argument.name_span or argument.span
        if argument.name is None or argument.name not in OPTIONS or argument.name in seen:
            twice = argument.name in seen
            shown = argument.name or argument.span.text
            message = f"the option `{shown}` is given twice" if twice else f"`generalized` has no option `{shown}`"
            hint = "" if twice else did_you_mean(shown, OPTIONS) or f"its options are {', '.join(OPTIONS)}"
            scope.findings.error("AIM0221", message, place, hint)
            continue
        seen.add(argument.name)
        if argument.name == "scheme":
            _scheme(argument.value, scope)
            continue
        value = elaborate(argument.value, scope)
        folded = fold(value, scope.model.constants) if value is not None else None
        whole = argument.name.startswith("order")
        if folded is not None and (not isinstance(folded, int if whole else int | float) or folded < (0 if whole else 1e-300)):
            rule = "a whole number, 0 or more" if whole else "positive"
            scope.findings.error("AIM0221", f"`{argument.name}` must be {rule}", argument.value.span)
        elif argument.name == "order" and isinstance(folded, int):
            order = folded
    return order


def _scheme(written: tree.Expression, scope: Scope) -> None:
    name = written.name if isinstance(written, tree.Name) else written.span.text
    if name not in SCHEMES:
        hint = did_you_mean(name, SCHEMES) or f"schemes are {', '.join(SCHEMES)}"
        scope.findings.error("AIM0221", f"unknown scheme `{name}`", written.span, hint)


# ------------------------------------------------------------------ statements
def _statements(body: tuple[tree.Statement, ...], block: _Block, scope: Scope) -> None:
    """States and actions first, whichever line they stand on; then the others in order."""
    flat = _flat(body, scope)
    for statement, inner in flat:
        if isinstance(statement, tree.StateDeclaration | tree.ActionDeclaration):
            _declare(statement, block, inner)
    for statement, outer in flat:
        if isinstance(statement, tree.StateDeclaration | tree.Random | tree.Deterministic) and statement.target.name in block.failed:
            continue
        inner = replace(outer, notes=StatementNotes({active.loop.name for active in outer.loops}))
        match statement:
            case tree.StateDeclaration(relation=relation, initial=initial) if relation is not None and initial is not None:
                related_value(relation, initial, _own(statement.target.name, inner.model), statement.target.name, inner)
            case tree.StateDeclaration() | tree.ActionDeclaration():
                pass
            case tree.Random():
                _random(statement, block, inner)
            case tree.Deterministic():
                _deterministic(statement, block, inner)
            case tree.World() if not block.is_world:
                _world(statement, block, inner)
            case _:
                word = statement.span.text.split()[0].rstrip(":")
                scope.findings.error("AIM0117", f"`{word}` cannot stand in a `generalized` block", statement.span)


def _flat(body: tuple[tree.Statement, ...], scope: Scope) -> list[tuple[tree.Statement, Scope]]:
    flat: list[tuple[tree.Statement, Scope]] = []
    for statement in body:
        if not isinstance(statement, tree.Plate):
            flat.append((statement, scope))
            continue
        inner = scope_of_plate(statement, scope)
        flat += _flat(statement.body, inner) if inner is not None else []
    return flat


def _own(name: str, model: ModelNames) -> ValueType | None:
    variable = model.variables.get(name)
    return variable and replace(variable.type, axes=variable.type.axes[variable.plates :])


def _plates(target: tree.Target, block: _Block, scope: Scope) -> tuple[Axis, ...]:
    """The axes of the plates inside the block that the target is indexed by."""
    for index in target.indices:
        elaborate(index, scope)
    inner = [active for active in scope.loops if active.loop is not block.loop]
    return tuple(
        Axis(active.loop.set) for active in inner if any(isinstance(i, tree.Name) and i.name == active.written for i in target.indices)
    )


def _declare(statement: tree.StateDeclaration | tree.ActionDeclaration, block: _Block, scope: Scope) -> None:
    target, model = statement.target, scope.model
    if not _is_new(target.name, target.span, scope):
        block.failed.add(target.name)
        return
    declared = type_of(statement.type, scope, elaborate)
    if declared is None:
        model.broken.add(target.name)
        return
    plates = _plates(target, block, scope)
    value = ValueType(declared.kind, (*plates, *declared.axes), declared.member_of)
    model.variables[target.name] = Variable(target.name, "random", value, len(plates), span=target.span)
    model.random.add(target.name)
    if isinstance(statement, tree.StateDeclaration):
        model.primes[target.name] = block.order
        block.states.add(target.name)
    else:
        block.actions.add(target.name)


def _is_new(name: str, span: Span, scope: Scope) -> bool:
    model = scope.model
    before = model.variables.get(name)
    first = before.span if before is not None else model.pieces[name][0].span if name in model.pieces else None
    if first is None:
        return True
    scope.findings.error("AIM0101", f"`{name}` is already defined", span, related=(Related(first, f"`{name}` is defined here first"),))
    return False


def _equation(target: tree.Target, block: _Block, scope: Scope) -> bool:
    """Whether the statement gives one derivative of a state, for the first time and within the order of the block."""
    if target.primes > block.order:
        message = f"`{target.name}` has {block.order} derivatives here"
        scope.findings.error("AIM0113", message, target.span, "raise `order` of the block")
        return False
    before = block.equations.get((target.name, target.primes))
    if before is not None:
        message = f"`{target.span.text}` already has an equation"
        scope.findings.error("AIM0101", message, target.span, related=(Related(before, "the first"),))
        return False
    other = next((p for (n, p) in block.equations if n == target.name and p and target.primes), None)
    if other is not None:
        hint = "only its highest derivative has one; lower ones are tied by definition"
        related = (Related(block.equations[target.name, other], "the other"),)
        scope.findings.error("AIM0222", f"`{target.name}` has two equations of motion", target.span, hint, related=related)
        return False
    block.equations[target.name, target.primes] = target.span
    return True


def _random(statement: tree.Random, block: _Block, scope: Scope) -> None:
    target, model = statement.target, scope.model
    if target.primes and target.name not in block.states and target.name not in model.broken:
        hint = did_you_mean(target.name, block.states) or f"declare it: state {target.name}: real"
        scope.findings.error("AIM0104", f"unknown state `{target.name}`", target.span, hint)
    new = target.name not in block.states and not target.primes
    found = catalogue_distribution(statement.distribution, scope)
    if not _equation(target, block, scope) or found is None:
        if new and target.name not in model.variables:
            model.broken.add(target.name)
        return
    if not new:
        _fits_state(target, found[1], model, scope)
    elif block.is_world and target.name in model.variables:
        block.sensors.add(target.name)
    elif _is_new(target.name, target.span, scope):
        plates = _plates(target, block, scope)
        value = replace(found[1], axes=(*plates, *found[1].axes))
        model.variables[target.name] = Variable(target.name, "random", value, len(plates), span=target.span)
        model.random.add(target.name)
        block.sensors.add(target.name)


def _fits_state(target: tree.Target, value: ValueType, model: ModelNames, scope: Scope) -> None:
    declared = _own(target.name, model)
    if declared is not None and joined(declared, value) is None:
        message = f"`{target.name}` is {name_type(declared)}, this gives {name_type(value)}"
        scope.findings.error("AIM0215", message, target.span)


def _deterministic(statement: tree.Deterministic, block: _Block, scope: Scope) -> None:
    target, model = statement.target, scope.model
    value = elaborate(statement.value, scope)
    if target.name in block.states:
        if _equation(target, block, scope) and value is not None:
            _fits_state(target, value.type, model, scope)
        return
    if target.primes:
        hint = did_you_mean(target.name, block.states) or f"declare it: state {target.name}: real"
        scope.findings.error("AIM0104", f"unknown state `{target.name}`", target.span, hint)
        return
    if value is None:
        model.broken.add(target.name)
    elif _is_new(target.name, target.span, scope):
        plates = _plates(target, block, scope)
        own = replace(value.type, axes=(*plates, *value.type.axes))
        model.variables[target.name] = Variable(target.name, "deterministic", own, len(plates), span=target.span)
        block.sensors.add(target.name)


def _world(statement: tree.World, block: _Block, scope: Scope) -> None:
    """The process outside: states of its own, the block's actions, and the block's sensors defined again."""
    model = scope.model
    own = {node.target.name for node in walk(statement) if isinstance(node, tree.StateDeclaration)}
    hidden = {name: "is what the model believes: the world has states of its own" for name in block.states - own}
    variables = {name: variable for name, variable in model.variables.items() if name not in block.states & own}
    outside = replace(model, variables=variables, primes=dict(model.primes), hidden=hidden, broken=set(model.broken))
    world = _Block(block.loop, block.order, is_world=True)
    _statements(statement.body, world, replace(scope, model=outside))
