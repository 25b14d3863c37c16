"""A model: its parameters, then its statements in order, each checked with what is defined by then."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ppl.semantics import agents, generalized, instances, networks
from ppl.semantics.calls import is_number
from ppl.semantics.constants import SUPPORT_OF_KIND, broken_rule, fold
from ppl.semantics.definitions import Leaf, define, leaves_of
from ppl.semantics.distributions import distribution, is_random, types_before_arguments
from ppl.semantics.expressions import as_member, elaborate
from ppl.semantics.inlining import Instance
from ppl.semantics.scope import FileNames, ModelNames, Scope, StatementNotes, backticked
from ppl.semantics.sets import declare_sets, is_size, type_of
from ppl.semantics.typed import DeterministicStatement, Potential, RandomStatement, TypedExpression, TypedModel, ValueType, Variable
from ppl.semantics.types import name_type, same_axes
from ppl.semantics.written import Definition, Written, add_variable, sets_used
from ppl.source.diagnostics import Findings, Related, did_you_mean
from ppl.source.text import Span
from ppl.syntax import tree


def check_model(declaration: tree.ModelDeclaration, file: FileNames, findings: Findings) -> TypedModel | None:
    """The typed model, or None where it has errors, which are then among the findings."""
    before = len(findings.errors)
    model = ModelNames(file, findings)
    declare_sets(model, declaration)
    scope = Scope(model)
    written = Written()
    _parameters(declaration, scope, written)
    leaves = _declared_first(leaves_of(declaration.body, scope), scope)
    leaves = define(leaves, scope)
    if declaration.kind == "agent":
        agents.declare(leaves, scope)
    for leaf in leaves:
        _statement(leaf, declaration, scope, written)
    if declaration.kind == "agent":
        agents.check_whole(declaration, leaves, scope)
    instances.check_gaps(model)
    exported = _exported(written.exports, model)
    if len(findings.errors) > before:
        return None
    return TypedModel(
        declaration.name,
        declaration.kind,
        declaration.doc,
        sets_used(model, written),
        written.sizes,
        model.variables,
        tuple(written.statements),
        potentials=tuple(written.potentials),
        networks=model.networks,
        agent=agents.agent_of(scope, written) if declaration.kind == "agent" else None,
        motion=written.motion,
        exported=exported,
        span=declaration.span,
    )


# ------------------------------------------------------------------ parameters and inputs
def _parameters(declaration: tree.ModelDeclaration, scope: Scope, written: Written) -> None:
    seen: dict[str, tree.Parameter] = {}
    for parameter in declaration.parameters:
        if parameter.name in seen:
            related = (Related(seen[parameter.name].span, "the first"),)
            scope.findings.error("AIM0101", f"the parameter `{parameter.name}` is already defined", parameter.span, related=related)
            continue
        seen[parameter.name] = parameter
        if is_size(parameter):
            written.sizes[parameter.name] = _size_default(parameter, scope)
        else:
            _parameter(parameter, scope)


def _size_default(parameter: tree.Parameter, scope: Scope) -> TypedExpression | None:
    if parameter.default is None:
        return None
    default = elaborate(parameter.default, scope)
    if default is None:
        return None
    value = fold(default, scope.model.constants)
    whole = default.type.kind == "int" or (isinstance(value, int | float) and float(value).is_integer())
    if (
        default.type.axes
        or (value is not None and (not whole or not isinstance(value, int | float) or value < 1))
        or default.type.kind == "member"
    ):
        message = f"the size `{parameter.name}` is a whole number, 1 or more"
        scope.findings.error("AIM0220", message, parameter.default.span)
    return default


def _parameter(parameter: tree.Parameter, scope: Scope) -> None:
    declared = type_of(parameter.type, scope, elaborate) if parameter.type is not None else None
    default = elaborate(parameter.default, scope, declared.member_of if declared else None) if parameter.default is not None else None
    if (parameter.type is not None and declared is None) or (parameter.default is not None and default is None):
        scope.model.broken.add(parameter.name)
        return
    if declared is None:
        declared = ValueType("real") if default is None else _open_type(default.type)
    elif default is not None:
        default = default_fits(default, declared, parameter.name, scope)
    scope.model.variables[parameter.name] = Variable(parameter.name, "parameter", declared, 0, default, span=parameter.span)


def _open_type(default: ValueType) -> ValueType:
    """A parameter without a type holds numbers of its default's shape, or members of its set."""
    return default if default.kind == "member" else ValueType("real", default.axes)


def default_fits(default: TypedExpression, declared: ValueType, name: str, scope: Scope) -> TypedExpression | None:
    """The default as a value of the declared type, or None and an error."""
    if getattr(default, "function", "") == "csv":
        return default
    if not same_axes(default.type.axes, declared.axes) and default.type.axes:
        message = f"`{name}` is declared {name_type(declared)}, its default is {name_type(default.type)}"
        scope.findings.error("AIM0220", message, default.span)
        return None
    if not default.type.axes and declared.axes and declared.kind != "member":
        scope.findings.error("AIM0220", f"`{name}` is declared {name_type(declared)}, its default is a number", default.span)
        return None
    if declared.kind == "member" and declared.member_of is not None:
        return as_member(default, declared.member_of, scope)
    if not is_number(default, scope):
        return None
    value = fold(default, scope.model.constants)
    support = SUPPORT_OF_KIND.get(declared.kind)
    rule = broken_rule(support, value) if support and value is not None else None
    if rule is not None:
        scope.findings.error("AIM0220", f"`{name}` is declared {name_type(declared)}: its default must be {rule}", default.span)
        return None
    return default


def _declared_first(leaves: list[Leaf], scope: Scope) -> list[Leaf]:
    """Inputs and networks enter the model before other statements define anything: they depend on no statement."""
    for leaf in leaves:
        if isinstance(leaf.statement, tree.Input):
            _input(leaf.statement, scope)
        elif isinstance(leaf.statement, tree.Network):
            networks.declare(leaf.statement, scope)
    return leaves


def _input(statement: tree.Input, scope: Scope) -> None:
    model = scope.model
    if statement.name in model.variables:
        related = (Related(model.variables[statement.name].span, f"`{statement.name}` is defined here first"),)
        scope.findings.error("AIM0101", f"`{statement.name}` is already defined", statement.span, related=related)
        return
    declared = type_of(statement.type, scope, elaborate)
    if declared is None:
        model.broken.add(statement.name)
        return
    default = elaborate(statement.default, scope, declared.member_of) if statement.default is not None else None
    checked = default_fits(default, declared, statement.name, scope) if default is not None else None
    model.variables[statement.name] = Variable(statement.name, "input", declared, 0, checked, span=statement.span)


# ------------------------------------------------------------------ statements
def _statement(leaf: Leaf, declaration: tree.ModelDeclaration, scope: Scope, written: Written) -> None:
    notes = StatementNotes({active.loop.name for active in leaf.loops})
    inner = replace(scope, loops=leaf.loops, piece=leaf.piece, order=leaf.order, notes=notes)
    statement = leaf.statement
    match statement:
        case tree.Random():
            _random(statement, leaf, inner, written)
        case tree.Deterministic():
            _deterministic(statement, leaf, inner, written)
        case tree.FactorStatement():
            _factor(statement, leaf, inner, written)
        case tree.Export():
            written.exports.append(statement)
        case tree.Generalized():
            generalized.check(statement, declaration.kind, inner, written)
        case tree.Network() | tree.Input():
            pass
        case _ if declaration.kind == "agent":
            agents.check_statement(leaf, inner, written)
        case _:
            word = statement.span.text.split()[0]
            scope.findings.error(
                "AIM0117", f"`{word}` stands in an agent, and this is a model", statement.span, "write `agent` for `model`"
            )


def _random(statement: tree.Random, leaf: Leaf, scope: Scope, written: Written) -> None:
    if statement.target.primes:
        scope.findings.error(
            "AIM0113",
            f"`{statement.target.name}` has no derivatives here",
            statement.target.span,
            "equations of motion stand in a `generalized` block",
        )
        return
    if leaf.piece is not None:
        plates = scope.model.plates.get(leaf.piece.name, ())
        scope.notes.expected.update(types_before_arguments(statement.distribution, leaf.piece.name, plates, scope))
    found = distribution(statement.distribution, scope)
    if leaf.piece is None:
        return
    if found is None:
        scope.model.broken.add(leaf.piece.name)
        return
    call, value = found
    if isinstance(call, Instance):
        instances.enter(call, leaf, scope, written)
        return
    _define("random", value, leaf, scope)
    scope.model.random.add(leaf.piece.name)
    written.statements.append(
        RandomStatement(leaf.piece.name, leaf.piece.indices, leaf.typed_loops, distribution=call, span=statement.span)
    )


def _deterministic(statement: tree.Deterministic, leaf: Leaf, scope: Scope, written: Written) -> None:
    value = elaborate(statement.value, scope)
    if leaf.piece is None:
        return
    if value is None:
        scope.model.broken.add(leaf.piece.name)
        return
    name = leaf.piece.name
    _define("deterministic", value.type, leaf, scope)
    if is_random(value, scope):
        scope.model.random.add(name)
    folded = fold(value, scope.model.constants) if not leaf.piece.places else None
    if folded is not None:
        scope.model.constants[name] = folded
    written.statements.append(DeterministicStatement(name, leaf.piece.indices, leaf.typed_loops, value=value, span=statement.span))


def _define(role: Literal["random", "deterministic"], value: ValueType, leaf: Leaf, scope: Scope) -> None:
    assert leaf.piece is not None
    name = leaf.piece.name
    if name not in scope.model.broken:
        add_variable(Definition(name, role, value, scope.model.plates[name], leaf.piece.span), scope.model)


def _factor(statement: tree.FactorStatement, leaf: Leaf, scope: Scope, written: Written) -> None:
    value = elaborate(statement.value, scope)
    if value is None or not is_number(value, scope):
        return
    if value.type.axes:
        message = f"a factor is a number, this is {name_type(value.type)}"
        scope.findings.error("AIM0219", message, statement.value.span, "write sum(…)")
    written.potentials.append(Potential(leaf.typed_loops, value, span=statement.span))


def _exported(exports: list[tree.Export], model: ModelNames) -> str | None:
    """The variable that the model is as a distribution: the one it exports, or the last one defined."""
    defined = [name for name, variable in model.variables.items() if variable.role in ("random", "deterministic") and "." not in name]
    for export in exports:
        place = Span(export.span.source, export.span.end - len(export.name), export.span.end)
        if export is not exports[0]:
            related = (Related(exports[0].span, "the first"),)
            model.findings.error("AIM0119", "a model exports one variable", export.span, related=related)
        elif export.name in model.variables and export.name not in defined:
            model.findings.error("AIM0119", f"`{export.name}` is given, not defined: it cannot be exported", place)
        elif export.name not in model.variables and export.name not in model.broken:
            hint = did_you_mean(export.name, defined) or f"it has {backticked(defined)}"
            model.findings.error("AIM0119", f"nothing here is called `{export.name}`", place, hint)
    return exports[0].name if exports else (defined[-1] if defined else None)
