"""Blocks in generalized coordinates: states with derivatives, equations of motion, sensors, and the world they stand in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ppl.semantics.agents import related_value
from ppl.semantics.definitions import scope_of_plate
from ppl.semantics.distributions import catalogue_distribution
from ppl.semantics.expressions import elaborate
from ppl.semantics.motion_options import DEFAULTS, options_of
from ppl.semantics.scope import ActiveLoop, ModelNames, Scope, StatementNotes, walk
from ppl.semantics.sets import loop_of, type_of
from ppl.semantics.typed import (
    Axis,
    DistributionCall,
    DistributionChoice,
    Indexed,
    IndexReference,
    Loop,
    MotionPart,
    MotionStatement,
    NetworkCall,
    TypedExpression,
    TypedMotion,
    TypedWorld,
    ValueType,
    Variable,
)
from ppl.semantics.types import joined, name_type
from ppl.semantics.walking import inside, variables_in
from ppl.semantics.written import Written
from ppl.source.diagnostics import Related, did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree

_ANY_ORDER = 99  # where the order is not a constant of the file


@dataclass
class _Block:
    """What a block has defined so far."""

    loop: Loop
    plates: tuple[Loop, ...]
    order: int
    equations: dict[tuple[str, int], Span] = field(default_factory=dict)
    states: dict[str, Span] = field(default_factory=dict)
    sensors: set[str] = field(default_factory=set)
    actions: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)  # their declarations have errors
    starts: list[MotionStatement] = field(default_factory=list)
    statements: list[MotionStatement] = field(default_factory=list)
    world: TypedWorld | None = None
    is_world: bool = False
    may_be_certain: bool = False  # whether what a state does may be said with `=`

    @property
    def part(self) -> MotionPart:
        return MotionPart(tuple(self.states), tuple(self.starts), tuple(self.statements))


def check(statement: tree.Generalized, kind: str, scope: Scope, written: Written) -> None:
    """The block's statements; afterwards its variables have the block's axis and no derivatives."""
    if not _may_stand(statement, kind, scope, written):
        return
    options = options_of(statement.arguments, scope)
    loop = loop_of(statement.binder, scope, elaborate)
    if loop is None:
        return
    if loop.low is not None or loop.high is not None:
        hint = f"write {statement.binder.name} in {loop.set.key}, and NaN for what is not known"
        scope.findings.error("AIM0226", "a block goes over all members of its set", statement.binder.set.span, hint)
    plates = tuple(active.loop for active in scope.loops)
    block = _Block(loop, plates, int(options.folded.get("order", _ANY_ORDER if "order" in options.values else DEFAULTS["order"])))
    block.may_be_certain = options.scheme == "smooth"
    _statements(statement.body, block, scope.inside((ActiveLoop(statement.binder.name, loop),)))
    _complete(block, scope, _first_line(statement.span))
    _acts(block, scope)
    _put_axis(block, scope.model)
    found = TypedMotion(
        loop,
        plates,
        options.values,
        options.scheme,
        block.part,
        tuple(sorted(block.actions)),
        block.world,
        span=_first_line(statement.span),
    )
    written.motion = written.motion or found


def _may_stand(statement: tree.Generalized, kind: str, scope: Scope, written: Written) -> bool:
    place = _first_line(statement.span)
    if kind == "agent":
        scope.findings.error("AIM0226", "a `generalized` block stands in a model, and this is an agent", place, "write `model` for `agent`")
    elif written.motion is not None:
        related = (Related(written.motion.span, "the first"),)
        scope.findings.error("AIM0226", "a model has one `generalized` block", place, "one block may hold all states", related=related)
    return kind != "agent"


def _put_axis(block: _Block, model: ModelNames) -> None:
    """After the plates around the block comes its own axis."""
    outer = len(block.plates)
    for name in (*block.states, *block.sensors, *block.actions):
        variable = model.variables.get(name)
        model.primes.pop(name, None)
        if variable is not None:
            axes = variable.type.axes
            whole = replace(variable.type, axes=(*axes[:outer], Axis(block.loop.set), *axes[outer:]))
            model.variables[name] = replace(variable, type=whole, plates=variable.plates + 1)


def _complete(block: _Block, scope: Scope, place: Span) -> None:
    """There are states, each with an equation of motion or, as a hidden cause, a prior."""
    if not block.states and not block.failed and not block.is_world:
        scope.findings.error("AIM0223", "the block has no state: nothing in it moves", place, "declare one: state x: real")
    equations = {name for name, _ in block.equations}
    for name, span in block.states.items():
        if name not in equations and name not in scope.model.broken | block.failed:
            hint = f"write {name}' ~ Normal(…), or {name} ~ Normal(…) if it is a cause"
            scope.findings.error("AIM0223", f"`{name}` has neither an equation of motion nor a prior", span, hint)


def _acts(block: _Block, scope: Scope) -> None:
    """Actions are read by the world alone, and the world says of every sensor what it gets, and of every state how it begins."""
    for s in (*block.starts, *block.statements):
        for name in sorted(variables_in(s) & block.actions):
            hint = "the model feels an action by its sensors: read it in `world:`, or sense it there"
            scope.findings.error("AIM0240", f"`{s.span.text}` reads the action `{name}`, which moves the world alone", s.span, hint)
    world = block.world
    if world is None:
        return
    sensed = {s.variable for s in world.part.statements}
    for s in block.statements:
        if s.distribution is not None and s.variable in block.sensors and s.variable not in sensed:
            hint = f"write {s.variable} ~ Normal(…) in it"
            scope.findings.error("AIM0241", f"`world` does not say what the sensor `{s.variable}` gets", world.span, hint)
    begun, moved = {s.variable for s in world.part.starts}, {s.variable for s in world.part.statements if s.order}
    for name in world.part.states:
        if name in moved and name not in begun:
            hint = f"write state {name}: {name_type(world.variables[name].type)} = 0"
            scope.findings.error("AIM0242", f"nothing says where `{name}` of the world begins", world.variables[name].span, hint)
        if name in block.states:
            hint = "give the world's own another name: what happens and what is believed are told beside each other"
            scope.findings.error("AIM0243", f"`{name}` is also a state of the block", world.variables[name].span, hint)


def _first_line(span: Span) -> Span:
    text = span.text.split("\n", 1)[0]
    return Span(span.source, span.start, span.start + len(text.rstrip()))


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
                own = _own(statement.target.name, inner.model)
                said = related_value(relation, initial, own, statement.target.name, inner)
                if said is not None:
                    _enter(statement.target, 0, said, block, inner, block.starts)
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


def _plates(target: tree.Target, block: _Block, scope: Scope) -> tuple[Axis, ...] | None:
    """The axes of the plates that the target is indexed by: all that are around it but the block's own, the outer ones first."""
    around = [active for active in scope.loops if active.loop is not block.loop]
    written = [i.name if isinstance(i, tree.Name) else "" for i in target.indices]
    outer = {active.written for active in around if any(active.loop is loop for loop in block.plates)}
    in_order = [name in outer for name in written] == sorted((name in outer for name in written), reverse=True)
    if sorted(written) != sorted(active.written for active in around) or not in_order:
        every = f"[{', '.join(active.written for active in around)}]" if around else ""
        message = f"`{target.span.text}` stands in a block whose plates are {', '.join(a.written for a in around) or 'none'}"
        scope.findings.error("AIM0211", message, target.span, f"write {target.name}{chr(39) * target.primes}{every}")
        return None
    named = {active.written: active for active in around}
    return tuple(Axis(named[name].loop.set) for name in written)


def _enter(
    target: tree.Target,
    order: int,
    said: tuple[TypedExpression | None, DistributionCall | DistributionChoice | None],
    block: _Block,
    scope: Scope,
    into: list[MotionStatement],
) -> None:
    """Keep what a statement says, where the block can hold it."""
    value, distribution = said
    if not _can_hold(target, value, distribution, into, block, scope):
        return
    indices = tuple(i for i in (elaborate(index, scope) for index in target.indices) if i is not None)
    loops = tuple(active.loop for active in scope.loops if active.loop is not block.loop)
    into.append(MotionStatement(target.name, order, indices, loops, value, distribution, span=target.span))


def _can_hold(
    target: tree.Target,
    value: TypedExpression | None,
    distribution: DistributionCall | DistributionChoice | None,
    into: list[MotionStatement],
    block: _Block,
    scope: Scope,
) -> bool:
    """A block is Gaussian with known structure: noise that no state changes, inputs at their own bin, no networks."""
    found: list[tuple[str, Span, str]] = []
    said = value if value is not None else distribution
    for call in inside(said, NetworkCall):
        found.append(("a network cannot stand in a `generalized` block", call.span, ""))
    for use in inside(said, Indexed):
        for index in use.indices:
            if not isinstance(index, IndexReference) and any(r.name == block.loop.name for r in inside(index, IndexReference)):
                hint = f"write [{block.loop.name}]: derivatives say what is before and after"
                found.append(("an input is read at its own bin", use.span, hint))
    if value is not None and target.name in block.states and into is block.statements and not block.may_be_certain:
        hint = "write scheme = smooth, which follows equations without noise, or ~ Normal(…, precision = 1e6)"
        found.append((f"`{target.span.text}` is of a state, which has noise in this scheme", target.span, hint))
    if distribution is not None:
        if not isinstance(distribution, DistributionCall) or distribution.name not in ("Normal", "MvNormal"):
            found.append(
                ("statements of a `generalized` block are Normal or MvNormal", distribution.span, "write Normal(mean, precision = …)")
            )
        else:
            changing = set(block.states) | block.sensors | block.actions
            for name, argument in distribution.arguments.items():
                read = {reference.rstrip("'") for reference in variables_in(argument)} & changing
                if name != "mean" and (read or any(r.name == block.loop.name for r in inside(argument, IndexReference))):
                    what = f"`{sorted(read)[0]}`" if read else f"`{block.loop.name}`"
                    found.append((f"`{name}` changes with {what}: the noise of a block is the same at each bin", argument.span, ""))
    for message, span, hint in found:
        scope.findings.error("AIM0225", message, span, hint)
    return not found


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
    if plates is None or declared.kind != "real":
        if plates is not None:
            scope.findings.error("AIM0225", "states and actions of a block are real numbers or vectors of them", statement.type.span)
        block.failed.add(target.name)
        model.broken.add(target.name)
        return
    value = ValueType(declared.kind, (*plates, *declared.axes), declared.member_of)
    model.variables[target.name] = Variable(target.name, "random", value, len(plates), span=target.span)
    model.random.add(target.name)
    if isinstance(statement, tree.StateDeclaration):
        model.primes[target.name] = block.order
        block.states[target.name] = target.span
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
        block.failed.add(target.name)
        message = f"`{target.name}` has {block.order} derivatives here"
        scope.findings.error("AIM0113", message, target.span, "raise `order` of the block")
        return False
    before = block.equations.get((target.name, target.primes))
    if before is not None:
        message = f"`{target.span.text}` already has an equation"
        scope.findings.error("AIM0101", message, target.span, related=(Related(before, "the first"),))
        return False
    other = next((p for (n, p) in block.equations if n == target.name and target.name in block.states), None)
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
    plates = _plates(target, block, scope)
    if plates is None:
        if new and target.name not in model.variables:
            model.broken.add(target.name)
        return
    if not new:
        _fits_state(target, found[1], model, scope)
    elif block.is_world and target.name in model.variables:
        block.sensors.add(target.name)
    elif _is_new(target.name, target.span, scope):
        value = replace(found[1], axes=(*plates, *found[1].axes))
        model.variables[target.name] = Variable(target.name, "random", value, len(plates), span=target.span)
        model.random.add(target.name)
        block.sensors.add(target.name)
    if target.name in block.states or target.name in block.sensors:
        _enter(target, target.primes, (None, found[0]), block, scope, block.statements)


def _fits_state(target: tree.Target, value: ValueType, model: ModelNames, scope: Scope) -> None:
    declared = _own(target.name, model)
    if declared is not None and joined(declared, value) is None:
        message = f"`{target.name}` is {name_type(declared)}, this gives {name_type(value)}"
        scope.findings.error("AIM0215", message, target.span)


def _deterministic(statement: tree.Deterministic, block: _Block, scope: Scope) -> None:
    target, model = statement.target, scope.model
    value = elaborate(statement.value, scope)
    if target.name in block.states:
        if _equation(target, block, scope) and value is not None and _plates(target, block, scope) is not None:
            _fits_state(target, value.type, model, scope)
            _enter(target, target.primes, (value, None), block, scope, block.statements)
        return
    if target.primes:
        hint = did_you_mean(target.name, block.states) or f"declare it: state {target.name}: real"
        scope.findings.error("AIM0104", f"unknown state `{target.name}`", target.span, hint)
        return
    if value is None:
        model.broken.add(target.name)
    elif _is_new(target.name, target.span, scope):
        plates = _plates(target, block, scope)
        if plates is None:
            model.broken.add(target.name)
            return
        own = replace(value.type, axes=(*plates, *value.type.axes))
        model.variables[target.name] = Variable(target.name, "deterministic", own, len(plates), span=target.span)
        block.sensors.add(target.name)
        _enter(target, 0, (value, None), block, scope, block.statements)


def _world(statement: tree.World, block: _Block, scope: Scope) -> None:
    """The process outside: states of its own, the block's actions, and the block's sensors defined again."""
    model = scope.model
    own = {node.target.name for node in walk(statement) if isinstance(node, tree.StateDeclaration)}
    hidden = {name: "is what the model believes: the world has states of its own" for name in block.states.keys() - own}
    variables = {name: variable for name, variable in model.variables.items() if name not in block.states.keys() & own}
    outside = replace(model, variables=variables, primes=dict(model.primes), hidden=hidden, broken=set(model.broken))
    world = _Block(block.loop, block.plates, block.order, is_world=True, may_be_certain=True)
    _statements(statement.body, world, replace(scope, model=outside))
    _complete(world, scope, _first_line(statement.span))
    defined = {n: v for n, v in outside.variables.items() if n in world.states or n in world.sensors}
    block.world = TypedWorld(world.part, defined, span=_first_line(statement.span))
