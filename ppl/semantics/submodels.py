"""Models used as distributions: which arguments they take, and which index sets of the model around stand for theirs."""

from __future__ import annotations

from dataclasses import replace

from ppl.semantics.calls import is_number
from ppl.semantics.constants import SUPPORT_OF_KIND, broken_rule, fold
from ppl.semantics.expressions import as_member, elaborate
from ppl.semantics.inlining import Instance, own_set, rewritten
from ppl.semantics.scope import Scope, backticked
from ppl.semantics.sets import axis_of_size
from ppl.semantics.typed import Axis, IndexReference, IndexSet, Loop, Text, TypedExpression, TypedModel, ValueType, Variable
from ppl.semantics.types import anonymous_set, is_anonymous, joined, name_type
from ppl.semantics.walking import inside, variables_in
from ppl.source.diagnostics import Related, did_you_mean
from ppl.syntax import tree

Given = dict[str, TypedExpression]


def submodel_call(written: tree.Call, scope: Scope) -> tuple[Instance, ValueType] | None:
    """`first ~ noisy_reading(temperature)`: the type is that of the exported variable."""
    known = model_named(written.function.name, scope)
    if known is None:
        for argument in written.arguments:
            elaborate(argument.value, scope)
        return None
    if known.kind == "agent":
        scope.findings.error("AIM0311", f"`{known.name}` is an agent, only a model stands after `~`", written.function.span)
        return None
    if known.exported is None:
        message = f"`{known.name}` defines no variable: it is no distribution"
        scope.findings.error("AIM0119", message, written.function.span, related=(Related(known.span, "it is defined here"),))
        return None
    given = _given(written, known, scope)
    if given is None:
        return None
    piece = scope.piece
    place = Instance(known, known.name, (), (), written.span)
    if piece is not None:
        place = replace(place, target=piece.name, indices=piece.indices, plates=scope.model.plates.get(piece.name, ()))
    place = replace(place, given=given, axes=_axes(place, given, scope), indices_renamed=_renamed(known, scope))
    instance = _with_arguments(place, scope)
    return instance and (instance, rewritten(known.variables[known.exported].type, instance))


def model_named(name: str, scope: Scope) -> TypedModel | None:
    return scope.file.imported.get(name) or scope.file.typed_model(name)


def parameter_order(known: TypedModel) -> list[str]:
    """The parameters in the order in which they were written, sizes among them."""
    spans = {name: known.sets[name].span for name in known.sizes if name in known.sets and "." not in name}
    places = {name: span.start for name, span in spans.items() if span is not None}
    places |= {name: variable.span.start for name, variable in known.parameters.items()}
    return sorted(places, key=lambda name: places[name])


def has_default(known: TypedModel, name: str) -> bool:
    return known.sizes[name] is not None if name in known.sizes else known.variables[name].default is not None


def types_before_arguments(known: TypedModel, target: str, plates: tuple[Axis, ...]) -> dict[str, ValueType]:
    """The types of its variables that no argument changes: a recursion may read them before the arguments are known."""
    place = Instance(known, target, (), plates, known.span)
    random = {v.name: v.type for v in known.variables.values() if v.role in ("random", "deterministic")}
    fixed = {name: t for name, t in random.items() if not any(is_open(index_set) for index_set in inside(t, IndexSet))}
    return {place.name(name): replace(t, axes=(*plates, *t.axes)) for name, t in fixed.items()}


# ------------------------------------------------------------------ arguments
def _given(written: tree.Call, known: TypedModel, scope: Scope) -> Given | None:
    """The values by the name of the parameter or input that they are for."""
    order = parameter_order(known)
    inputs = [v.name for v in known.variables.values() if v.role == "input" and "." not in v.name]
    given: Given = {}
    failed = False
    for place, argument in enumerate(written.arguments):
        name = argument.name or (order[place] if place < len(order) else None)
        problem = _problem(name, argument, order, inputs, given, known, len(written.arguments))
        if problem is not None:
            code, message, hint = problem
            scope.findings.error(code, message, argument.name_span or argument.span, hint)
        value = elaborate(argument.value, scope, _expected(known.variables.get(name or "")))
        failed |= value is None or problem is not None
        if value is not None and name is not None:
            given[name] = value
    missing = [name for name in order if name not in given and not has_default(known, name) and name not in known.sizes]
    if missing and not failed:
        related = (Related(known.variables[missing[0]].span, "a parameter without a default"),)
        scope.findings.error("AIM0305", f"`{known.name}` needs {backticked(missing)}", written.span, related=related)
    return None if failed or missing else given


def _problem(
    name: str | None, argument: tree.Argument, order: list[str], inputs: list[str], given: Given, known: TypedModel, count: int
) -> tuple[str, str, str] | None:
    """What is wrong with the place or the name of an argument: code, message, hint."""
    takes = f"it takes {', '.join([*order, *inputs])}" if order or inputs else "it takes none"
    if name is None:
        plural = "" if len(order) == 1 else "s"
        return "AIM0303", f"`{known.name}` takes {len(order)} argument{plural}, here are {count}", takes if order else ""
    if name not in (*order, *inputs):
        return "AIM0302", f"`{known.name}` has no parameter `{name}`", did_you_mean(name, [*order, *inputs]) or takes
    if name in given:
        return "AIM0304", f"`{name}` of `{known.name}` is given twice", ""
    return None


def _expected(variable: Variable | None) -> IndexSet | None:
    """The set whose members may stand in an argument by their bare names."""
    if variable is None:
        return None
    if variable.type.kind == "member":
        members = variable.type.member_of
    else:
        members = variable.type.axes[-1].set if variable.type.axes else None
    return members if members is not None and members.members is not None else None


def _with_arguments(instance: Instance, scope: Scope) -> Instance | None:
    """The instance with a value for each parameter and input that needs none from the data."""
    known, arguments, shared = instance.known, {}, set()
    answers = [_fits(instance, name, value, arguments, scope) for name, value in instance.given.items()]
    instance = replace(instance, arguments=arguments)
    for variable in known.variables.values():
        if variable.role not in ("parameter", "input") or variable.name in arguments:
            continue
        default = rewritten(variable.default, instance)
        if default is None:
            continue
        if _is_data(default) or (variable.role == "input" and _is_fixed(default, scope)):
            shared.add(variable.name)
        else:
            arguments[variable.name] = default
    return replace(instance, shared=frozenset(shared)) if all(answers) else None


def _is_data(default: TypedExpression) -> bool:
    """Whether a value is read from a file."""
    return any(True for _ in inside(default, Text))


def _is_fixed(value: TypedExpression, scope: Scope) -> bool:
    """Whether a value is the same for all members of the plates around, and known when data are bound."""
    read = [scope.model.variables[name] for name in variables_in(value) if name in scope.model.variables]
    return all(v.role in ("parameter", "input") for v in read) and not any(True for _ in inside(value, IndexReference))


def _fits(instance: Instance, name: str, value: TypedExpression, arguments: Given, scope: Scope) -> bool:
    """Whether the value may stand for the parameter; it is then among the arguments."""
    known, variable = instance.known, instance.known.variables.get(name)
    if variable is None:
        return _is_size(value, name, known, scope)
    expected: ValueType = rewritten(variable.type, instance)
    together = joined(expected, value.type)
    if together is None and (value.type.axes or expected.axes or expected.kind == "member" or value.type.kind == "member"):
        message = f"`{name}` of `{known.name}` is {name_type(expected)}, this is {name_type(value.type)}"
        related = (Related(variable.span, f"`{name}` is declared here"),)
        hint = f"declare it with its axes in `{known.name}`" if value.type.axes and not expected.axes else ""
        scope.findings.error("AIM0219", message, value.span, hint, related=related)
        return False
    found = as_member(value, expected.member_of, scope) if expected.member_of is not None and not expected.axes else value
    if found is None or (expected.kind != "member" and not is_number(found, scope)):
        return False
    arguments[name] = found
    return _in_support(found, expected, variable, scope)


def _in_support(value: TypedExpression, expected: ValueType, variable: Variable, scope: Scope) -> bool:
    folded, support = fold(value, scope.model.constants), SUPPORT_OF_KIND.get(expected.kind)
    rule = broken_rule(support, folded) if support is not None and folded is not None else None
    if rule is not None:
        message = f"`{variable.name}` is declared {name_type(expected)}: it must be {rule}"
        scope.findings.error("AIM0306", message, value.span, related=(Related(variable.span, "it is declared here"),))
    return rule is None


def _is_size(value: TypedExpression, name: str, known: TypedModel, scope: Scope) -> bool:
    """Whether the value is a number of members that is known once data are bound."""
    if axis_of_size(value) is not None and _is_fixed(value, scope):
        return True
    span = known.sets[name].span
    related = (Related(span, "it is declared here"),) if span is not None else ()
    hint = "write an index set, or a whole number that is known before the data"
    scope.findings.error("AIM0219", f"`{name}` of `{known.name}` is a size", value.span, hint, related=related)
    return False


# ------------------------------------------------------------------ index sets
def is_open(index_set: IndexSet) -> bool:
    """Whether the size of a set is that of the data, or given by name."""
    return index_set.size is None and not is_anonymous(index_set)


def _axes(place: Instance, given: Given, scope: Scope) -> dict[str, Axis]:
    """What stands for the sets of a submodel: sizes that are given, then sets that the shapes of arguments show, then sets of its own."""
    known = place.known
    axes: dict[str, Axis] = {}
    for name in (name for name in given if name in known.sizes):
        _stand_for(name, axis_of_size(given[name]), 0, axes)
    for name in (name for name in given if name in known.variables):
        _show(known.variables[name].type, given[name].type, axes)
    reaching = {s.size_name for s in known.sets.values() if s.size_name is not None}
    for key in reaching & axes.keys():
        if axes[key].extra:
            del axes[key]  # a set reaches to the size of a set, and to no more
    for key, index_set in known.sets.items():
        if key not in axes and not is_anonymous(index_set) and index_set.size_name is None:
            outer = scope.model.sets.get(key)
            if is_open(index_set) or (outer is not None and outer != index_set):
                axes[key] = Axis(own_set(index_set, place))
    for key, index_set in known.sets.items():
        if index_set.size_name is not None:
            axes[key] = Axis(_reaching(index_set, axes[index_set.size_name].set, place))
    return axes


def _stand_for(key: str, axis: Axis | None, extra: int, axes: dict[str, Axis]) -> None:
    """Enter the axis for a set whose own axis has `extra` more members, unless another stands for it already."""
    if axis is None or key in axes:
        return
    if axis.set is not None and axis.extra >= extra:
        axes[key] = Axis(axis.set, extra=axis.extra - extra)
    elif axis.set is None and axis.size is not None and axis.size > extra:
        axes[key] = Axis(anonymous_set(axis.size - extra))


def _show(declared: ValueType, value: ValueType, axes: dict[str, Axis]) -> None:
    """The sets that an argument's axes and members show."""
    if declared.member_of is not None and is_open(declared.member_of) and value.member_of is not None:
        _stand_for(declared.member_of.key, Axis(value.member_of), 0, axes)
    if len(declared.axes) == len(value.axes):
        for inner, outer in zip(declared.axes, value.axes, strict=True):
            if inner.set is not None and is_open(inner.set):
                _stand_for(inner.set.key, outer, inner.extra, axes)


def _reaching(index_set: IndexSet, size: IndexSet | None, place: Instance) -> IndexSet:
    """`type Cell = 0..M` where another set stands for `M`."""
    assert size is not None
    if size.key == index_set.size_name:
        return index_set
    own = own_set(index_set, place)
    if size.size is not None:
        return replace(own, size=size.size - index_set.low, size_name=None)
    return replace(own, size_name=size.key)


def own_sizes(instance: Instance) -> dict[str, TypedExpression | None]:
    """The sizes that are parameters and have a set of their own here: what was given, else the default."""
    found: dict[str, TypedExpression | None] = {}
    for name, default in instance.known.sizes.items():
        own = instance.axes[name].set
        if own is not None and own.key == f"{instance.target}.{name}":
            found[own.key] = instance.given[name] if name in instance.given else rewritten(default, instance)
    return found


def _renamed(known: TypedModel, scope: Scope) -> dict[str, str]:
    """New names for indices of the submodel that are indices of the statement too."""
    names = {loop.name for loop in (*inside(known.statements, Loop), *inside(known.potentials, Loop))}
    found: dict[str, str] = {}
    for name in sorted(names & scope.notes.index_names):
        unique = scope.fresh_index(name)
        while unique in names:
            unique = scope.fresh_index(name)
        found[name] = unique
    return found
