"""The statements of a submodel enter the model that uses it, each checked again with what was given for the parameters."""

from __future__ import annotations

from dataclasses import replace

from ppl.catalogue.distributions import DISTRIBUTIONS
from ppl.semantics.arguments import check_support
from ppl.semantics.constants import fold
from ppl.semantics.definitions import Leaf, find_gap
from ppl.semantics.distributions import is_random, linked
from ppl.semantics.indexing import index_fits
from ppl.semantics.inlining import Instance, rewritten, whole_type
from ppl.semantics.scope import ActiveLoop, ModelNames, Scope
from ppl.semantics.submodels import own_sizes
from ppl.semantics.typed import (
    DeterministicStatement,
    DistributionCall,
    Indexed,
    IndexSet,
    Loop,
    Potential,
    RandomStatement,
    Slice,
    Variable,
)
from ppl.semantics.walking import inside
from ppl.semantics.written import Definition, Written, add_variable
from ppl.source.diagnostics import Findings, Related


def enter(instance: Instance, leaf: Leaf, scope: Scope, written: Written) -> None:
    """Enter all that the submodel is made of: sizes and sets, variables, networks, statements, potentials."""
    model, known = scope.model, instance.known
    _sizes(instance, scope, written)
    for variable in known.variables.values():
        if variable.name not in instance.arguments:
            _variable(variable, instance, leaf, model)
    for name, network in known.networks.items():
        whole = f"{instance.target}.{name}"
        model.networks[whole] = replace(rewritten(network, instance), name=whole)
    for statement in known.statements:
        _statement(statement, instance, leaf, scope, written)
    for potential in known.potentials:
        loops, value = _loops(potential.loops, instance, leaf), rewritten(potential.value, instance)
        written.potentials.append(Potential(loops, value, span=rewritten(potential.span, instance)))
        _check_again(value, loops, instance, scope)
    if known.motion is not None:
        text = f"`{known.name}` has a generalized block, so that it is no distribution"
        scope.findings.error("AIM0226", text, instance.span, "write the block in this model")


def check_gaps(model: ModelNames) -> None:
    """`x[0] ~ Normal(0, 1)` beside `x[t] ~ sub(…)`: the other variables of `sub` lack the index that another statement defines."""
    for name, pieces in model.parts.items():
        find_gap(name, pieces, model.plates.get(pieces[0].name, ()), model, f"define `{pieces[0].name}` there by the same model")


def _sizes(instance: Instance, scope: Scope, written: Written) -> None:
    for index_set in {s.key: s for axis in instance.axes.values() for s in inside(axis, IndexSet)}.values():
        scope.model.sets.setdefault(index_set.key, index_set)
    for key, size in own_sizes(instance).items():
        if key in written.sizes and written.sizes[key] != size:
            message = f"`{key}` has another size here than above"
            scope.findings.error("AIM0215", message, instance.span, "give both the same size")
        written.sizes[key] = size


# ------------------------------------------------------------------ variables
def _variable(variable: Variable, instance: Instance, leaf: Leaf, model: ModelNames) -> None:
    assert leaf.piece is not None
    name, shared = instance.name(variable.name), variable.name in instance.shared
    place = leaf.piece.span if name == instance.target else rewritten(variable.span, instance)
    if variable.role in ("parameter", "input"):
        default = rewritten(variable.default, instance) if shared else None
        whole = whole_type(variable.type, variable.name, instance)
        model.variables.setdefault(name, Variable(name, "input", whole, 0, default, span=place))
        return
    own = rewritten(variable.type, instance)
    add_variable(Definition(name, variable.role, own, instance.plates, place, variable.plates), model)
    if name != instance.target:
        model.parts.setdefault(name, []).append(leaf.piece)


# ------------------------------------------------------------------ statements
def _statement(statement: RandomStatement | DeterministicStatement, instance: Instance, leaf: Leaf, scope: Scope, written: Written) -> None:
    model, name = scope.model, instance.name(statement.variable)
    loops = _loops(statement.loops, instance, leaf)
    indices = (*instance.indices, *rewritten(statement.indices, instance))
    span = rewritten(statement.span, instance)
    if isinstance(statement, RandomStatement):
        call = linked(rewritten(statement.distribution, instance), scope)
        written.statements.append(RandomStatement(name, indices, loops, distribution=call, span=span))
        model.random.add(name)
        _check_again(call, loops, instance, scope)
        return
    value = rewritten(statement.value, instance)
    written.statements.append(DeterministicStatement(name, indices, loops, value=value, span=span))
    if is_random(value, scope):
        model.random.add(name)
    folded = fold(value, model.constants) if not indices else None
    if folded is not None:
        model.constants[name] = folded
    _check_again(value, loops, instance, scope)


def _loops(inner: tuple[Loop, ...], instance: Instance, leaf: Leaf) -> tuple[Loop, ...]:
    return (*leaf.typed_loops, *rewritten(inner, instance))


def _check_again(value: object, loops: tuple[Loop, ...], instance: Instance, scope: Scope) -> None:
    """What the submodel's own check could not know: indices and supports with the arguments in their places."""
    found = Findings()
    inner = replace(scope, model=replace(scope.model, findings=found), loops=tuple(ActiveLoop(loop.name, loop) for loop in loops))
    for indexed in inside(value, Indexed):
        for index, axis in zip(indexed.indices, indexed.base.type.axes, strict=False):
            if not isinstance(index, Slice):
                index_fits(index, axis, indexed.base.span, inner)
    for call in inside(value, DistributionCall):
        known = DISTRIBUTIONS[call.name]
        for name, argument in call.arguments.items():
            check_support(known.parameters[name], argument, known, inner)
    for diagnostic in found.errors:
        beside = () if diagnostic.span is None or diagnostic.span.within else (Related(instance.known.span, "the model is here"),)
        scope.findings.add(replace(diagnostic, related=(*diagnostic.related, *beside)))
