"""Expressions of a block at one moment: states and their derivatives, inputs and time are what the moment says they are.

Of plates around the block one member is meant at a time; plates inside it are axes, as everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ppl.arrays.plated import Plated
from ppl.graph.evaluate import Evaluator, index_value
from ppl.semantics import typed
from ppl.semantics.walking import inside


@dataclass
class MotionEvaluator(Evaluator):
    """`values` hold what is outside of the block whole, and the moment: `x'` is a derivative of one member of the block, `u@0` the input
    `u` without its axis 0, which is the block's own."""

    motion: typed.TypedMotion = field(kw_only=True)
    definitions: Mapping[str, typed.MotionStatement] = field(kw_only=True)

    def reference(self, name: str, indices: tuple[Plated, ...], span: Any) -> Any:
        outer = len(self.motion.plates)
        if name in self.definitions:
            return self._defined(self.definitions[name], indices)
        if name.rstrip("'") in self.motion.defined:
            return index_value(Plated((), self.values[name]), indices[outer:])
        return index_value(Plated((), self.values[name]), indices)

    def _defined(self, statement: typed.MotionStatement, indices: tuple[Plated, ...]) -> Any:
        """A definition of the block, at the members of plates that the indices name; those that they leave out are axes."""
        outer = len(self.motion.plates)
        loops = dict(zip((i.name for i in statement.indices if isinstance(i, typed.IndexReference)), indices, strict=False))
        left = [loop for loop in statement.loops if loop.name not in loops]
        for loop in left:
            loops[loop.name] = self.loop_index(loop, loops)
        value = self.evaluate(statement.value, {**self.moment_loops, **loops})  # type: ignore[arg-type]
        for place, loop in enumerate(left):
            value = value.dim_to_axis(loops[loop.name].dims[0], place)
        return index_value(value, indices[max(len(statement.indices), outer) :])

    @property
    def moment_loops(self) -> dict[str, Plated]:
        """The time, and the member of each plate around the block."""
        names = (self.motion.loop.name, *(loop.name for loop in self.motion.plates))
        return {name: Plated((), self.values[f"{name}@"]) for name in names}

    def indexed(self, e: typed.Indexed, loops: Mapping[str, Plated]) -> Any:
        place = at_time(e, self.motion)
        if place is None:
            return super().indexed(e, loops)
        assert isinstance(e.base, typed.VariableReference)
        axes = e.base.type.axes
        rest = tuple(self.index(i, axes[k], loops) for k, i in enumerate(e.indices) if k != place)
        return index_value(Plated((), self.values[f"{e.base.name}@{place}"]), rest)


def at_time(e: typed.Indexed, motion: typed.TypedMotion) -> int | None:
    """Which index of an input is the block's own time."""
    for place, index in enumerate(e.indices):
        if isinstance(index, typed.IndexReference) and index.name == motion.loop.name:
            return place
    return None


def inputs_of(motion: typed.TypedMotion) -> Iterator[tuple[str, int]]:
    """The known causes of a block, with the axis that is its time."""
    seen = set()
    for e in inside(motion.part.statements, typed.Indexed):
        place = at_time(e, motion)
        if place is not None and isinstance(e.base, typed.VariableReference) and (e.base.name, place) not in seen:
            seen.add((e.base.name, place))
            yield e.base.name, place
