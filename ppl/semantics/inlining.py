"""A submodel in the place where it is used: what is written of it, rewritten with the names of the model around.

`x[r] ~ sub(a)` has the statements of `sub` behind the loops around `x`: its exported variable is `x[r]`, any other `v` is `x.v[r]`, its
parameters are what was given for them, and the index sets that nothing given shows are its own, `x.N`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from ppl.semantics.typed import (
    Apply,
    Axis,
    Constant,
    Indexed,
    IndexReference,
    IndexSet,
    Loop,
    NetworkCall,
    SizeOf,
    Slice,
    TypedExpression,
    TypedModel,
    ValueType,
    VariableReference,
)
from ppl.source.text import Span


@dataclass(frozen=True)
class Instance:
    """One use of a submodel. `arguments` stand for its parameters and inputs, `axes` for its index sets, by key."""

    known: TypedModel
    target: str
    indices: tuple[TypedExpression, ...]  # of the target
    plates: tuple[Axis, ...]  # of the target
    span: Span
    arguments: dict[str, TypedExpression] = field(default_factory=dict, hash=False)
    axes: dict[str, Axis] = field(default_factory=dict, hash=False)
    given: dict[str, TypedExpression] = field(default_factory=dict, hash=False)  # arguments and sizes, as they were given
    indices_renamed: dict[str, str] = field(default_factory=dict, hash=False)  # of loops whose index is taken outside
    shared: frozenset[str] = frozenset()  # variables that are the same for all members of the plates around

    def name(self, inner: str) -> str:
        """How a variable of the submodel is called outside."""
        return self.target if inner == self.known.exported else f"{self.target}.{inner}"


def own_set(index_set: IndexSet, instance: Instance) -> IndexSet:
    """A set of the submodel that is another for each of its uses."""
    size_name = index_set.size_name and f"{instance.target}.{index_set.size_name}"
    return replace(index_set, key=f"{instance.target}.{index_set.key}", size_name=size_name)


def rewritten(value: Any, instance: Instance) -> Any:
    """Any part of the submodel as it reads outside."""
    match value:
        case Span():
            return replace(value, within=rewritten(value.within, instance) if value.within else instance.span)
        case tuple():
            return tuple(rewritten(item, instance) for item in value)
        case dict():
            return {key: rewritten(item, instance) for key, item in value.items()}
        case IndexSet():
            found = instance.axes.get(value.key)
            return value if found is None else found.set
        case Axis():
            return _axis(value, instance)
        case Loop():
            return _loop(value, instance)
        case SizeOf(set=index_set) if index_set.key in instance.axes:
            return _size(instance.axes[index_set.key], value, instance)
        case VariableReference():
            return _reference(value, instance)
        case Indexed():
            return _indexed(value, instance)
        case IndexReference(name=name):
            return replace(_parts(value, instance), name=instance.indices_renamed.get(name, name))
        case NetworkCall(network=network):
            return replace(_parts(value, instance), network=f"{instance.target}.{network}")
        case _ if is_dataclass(value):
            return _parts(value, instance)
    return value


def _parts(value: Any, instance: Instance) -> Any:
    return replace(value, **{f.name: rewritten(getattr(value, f.name), instance) for f in fields(value)})


# ------------------------------------------------------------------ index sets
def _axis(axis: Axis, instance: Instance) -> Axis:
    found = instance.axes.get(axis.set.key) if axis.set is not None else None
    if found is None:
        return axis
    return replace(found, extra=found.extra + axis.extra)


def _loop(loop: Loop, instance: Instance) -> Loop:
    found = instance.axes.get(loop.set.key)
    moved = replace(_parts(loop, instance), name=instance.indices_renamed.get(loop.name, loop.name))
    if found is None or not found.extra or loop.high is not None:
        return moved
    size = SizeOf(loop.set, span=instance.span, type=ValueType("int"))
    return replace(moved, high=_size(found, size, instance))


def _size(axis: Axis, written: SizeOf, instance: Instance) -> TypedExpression:
    """The number of members of the axis that stands for a set."""
    assert axis.set is not None
    span = rewritten(written.span, instance)
    size = SizeOf(axis.set, span=span, type=written.type)
    if axis.set.size is not None:
        return Constant(axis.set.size + axis.extra, span=span, type=written.type)
    return Apply("add", (size, Constant(axis.extra, span=span, type=written.type)), span=span, type=written.type) if axis.extra else size


# ------------------------------------------------------------------ variables
def whole_type(inner: ValueType, name: str, instance: Instance) -> ValueType:
    """The type outside of a variable of the submodel: with the axes of the plates around it in front."""
    own = rewritten(inner, instance)
    return own if name in instance.shared else replace(own, axes=(*instance.plates, *own.axes))


def _reference(written: VariableReference, instance: Instance) -> TypedExpression:
    name = written.name
    if name in instance.arguments:
        return instance.arguments[name]
    span = rewritten(written.span, instance)
    whole = VariableReference(instance.name(name), span=span, type=whole_type(written.type, name, instance))
    if not instance.indices or name in instance.shared:
        return whole
    return Indexed(whole, instance.indices, span=span, type=rewritten(written.type, instance))


def _indexed(written: Indexed, instance: Instance) -> TypedExpression:
    """The indices follow those that the base has by now, so that an entry is one step from its variable."""
    base = rewritten(written.base, instance)
    indices = rewritten(written.indices, instance)
    if isinstance(base, Indexed) and not any(isinstance(index, Slice) for index in base.indices):
        base, indices = base.base, (*base.indices, *indices)
    return Indexed(base, indices, span=rewritten(written.span, instance), type=rewritten(written.type, instance))
