"""The plated factor graph: what is random, what touches what, and over which sets it is repeated.

Variables and the statements that relate them stand side by side, each statement once for its whole plate. The text form,
the queries of the compiler and the picture are all read from this one value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ppl.graph.agent_graph import agent_statements, agent_variables
from ppl.graph.motion_graph import motion_statements
from ppl.graph.nodes import FactorNode, Observed, VariableNode, numbered
from ppl.graph.references import Use, agent_uses, distribution_name, potential_uses, statement_uses
from ppl.semantics import typed
from ppl.semantics.types import name_type

if TYPE_CHECKING:
    import networkx

    from ppl.graph.bound import BoundModel


@dataclass(frozen=True)
class FactorGraph:
    """All variables and statements of a model, in the order of the file. Equal where they say the same."""

    model: str
    variables: tuple[VariableNode, ...]
    statements: tuple[FactorNode, ...]
    index_names: dict[str, str] = field(default_factory=dict, hash=False)  # by the key of a set: the name of its index
    sizes: dict[str, int] = field(default_factory=dict, hash=False)  # by the key of a set, where known

    # ------------------------------------------------------------ queries
    @property
    def factors(self) -> tuple[FactorNode, ...]:
        """The factors of the joint density."""
        return tuple(s for s in self.statements if s.kind != "deterministic")

    @property
    def latents(self) -> tuple[VariableNode, ...]:
        """The variables that are to be inferred."""
        return tuple(v for v in self.variables if v.latent)

    def variable(self, name: str) -> VariableNode:
        """The node of this name."""
        return self._by_name[name]

    def sources(self, name: str) -> tuple[str, ...]:
        """What a variable stands for in a factor: itself, or for a deterministic one the variables that it is computed from."""
        return self._sources[name]

    def scope(self, factor: FactorNode) -> tuple[str, ...]:
        """The variables that a factor touches, deterministic ones replaced by what they are computed from; the child first."""
        return tuple(dict.fromkeys(source for name in factor.touches for source in self.sources(name)))

    def neighbours(self, variable: str) -> tuple[FactorNode, ...]:
        """The factors that touch a variable, directly or through deterministic variables."""
        return tuple(factor for factor in self.factors if variable in self.scope(factor))

    def markov_blanket(self, variable: str) -> tuple[str, ...]:
        """The other random variables that share a factor with this one."""
        near = {name for factor in self.neighbours(variable) for name in self.scope(factor)} - {variable}
        return tuple(v.name for v in self.variables if v.name in near and v.role == "random")

    def latent_components(self) -> tuple[tuple[str, ...], ...]:
        """The groups of latent variables that no factor connects: what may be inferred apart, given the data."""
        latent = {v.name for v in self.latents}
        group = {name: {name} for name in latent}
        for factor in self.factors:
            met = [group[name] for name in self.scope(factor) if name in latent]
            merged = set().union(*met)
            group.update(dict.fromkeys(merged, merged))
        order = [v.name for v in self.latents]
        return tuple(dict.fromkeys(tuple(name for name in order if name in group[first]) for first in order))

    def to_networkx(self) -> networkx.Graph:
        """Bipartite: variables by their name and statements by theirs, with what is known of each as attributes."""
        import networkx

        graph = networkx.Graph(model=self.model)
        for v in self.variables:
            graph.add_node(v.name, bipartite=0, kind="variable", role=v.role, type=v.type)
            graph.add_node(v.name, plates=v.plates, observed=v.observed, distribution=v.distribution)
        for s in self.statements:
            kind = "definition" if s.kind == "deterministic" else "factor"
            graph.add_node(s.name, bipartite=1, kind=kind, plates=s.plates, observed=False, distribution=s.distribution)
            graph.add_edges_from((s.name, name) for name in s.touches)
        return graph

    @cached_property
    def _by_name(self) -> dict[str, VariableNode]:
        return {v.name: v for v in self.variables}

    @cached_property
    def _sources(self) -> dict[str, tuple[str, ...]]:
        """Repeated until nothing is added: in a recursion a definition may use one that stands below it."""
        found = {v.name: () if v.role == "deterministic" else (v.name,) for v in self.variables}
        definitions = [s for s in self.statements if s.kind == "deterministic"]
        for _ in definitions:
            for s in definitions:
                inner = (*found[s.child], *(source for parent in s.parents for source in found[parent]))
                found[s.child] = tuple(dict.fromkeys(inner))
        return found

    # ------------------------------------------------------------ texts and pictures
    def __str__(self) -> str:
        blocks = [f"factor graph of {self.model}", _plate_lines(self), _variable_lines(self), _statement_lines(self)]
        return "\n".join(block for block in blocks if block)

    def __repr__(self) -> str:
        return str(self)

    def to_dot(self) -> str:
        """The picture in Graphviz' language."""
        from ppl.graph.drawing import to_dot

        return to_dot(self)

    def to_svg(self) -> str:
        """The picture as SVG, laid out by Graphviz where there is one and by ourselves where there is none."""
        from ppl.graph.drawing import to_svg

        return to_svg(self)

    def render(self, path: str | Path) -> Path:
        """Writes the picture in the format that the file's suffix names: svg, png, pdf, dot or html."""
        from ppl.graph.drawing import render

        return render(self, Path(path))

    def _repr_svg_(self) -> str:
        return self.to_svg()


# ------------------------------------------------------------------ building
def build(model: typed.TypedModel, observed: Mapping[str, bool | str] | None = None, sizes: Mapping[str, int] | None = None) -> FactorGraph:
    """The factor graph of a model. `observed` says of random variables True, False or "partly"; `sizes` go by the key of a set."""
    statements = (*_name_statements(model), *motion_statements(model), *_name_potentials(model), *agent_statements(model))
    distributions = {s.child: s.distribution for s in reversed(statements) if s.kind == "random"}
    variables = tuple(
        VariableNode(
            name=v.name,
            role=v.role,
            type=name_type(v.type),
            plates=_given_plates(v, model) if v.role in ("parameter", "input") else _plates(v.type.axes[: v.plates]),
            observed=_observed((observed or {}).get(v.name, False)),
            distribution=distributions.get(v.name, ""),
        )
        for v in model.variables.values()
    )
    variables = agent_variables(model, variables, statements)
    known = {key: index_set.size for key, index_set in model.sets.items() if index_set.size is not None}
    known |= {key: int(default.value) for key, default in model.sizes.items() if isinstance(default, typed.Constant)}
    return FactorGraph(model.name, variables, statements, _index_names(model), {**known, **(sizes or {})})


def build_bound(bound: BoundModel) -> FactorGraph:
    """The factor graph of a model with its data: sizes known, what was given shaded."""
    states = {name: True if entries.all() else "partly" for name, entries in bound.observed.items() if entries.any()}
    return build(bound.model, states, bound.sizes)


def _name_statements(model: typed.TypedModel) -> tuple[FactorNode, ...]:
    """The statements as nodes; those of one variable that read alike are numbered."""
    taken: dict[str, int] = {}
    nodes = []
    for statement in model.statements:
        random = isinstance(statement, typed.RandomStatement)
        distribution = distribution_name(statement.distribution) if isinstance(statement, typed.RandomStatement) else ""
        name = f"{statement.variable} ~ {distribution}" if random else f"{statement.variable} ="
        parents = dict.fromkeys(used for used, _ in statement_uses(statement) if used in model.variables)
        nodes.append(
            FactorNode(
                name=numbered(name, taken),
                kind="random" if random else "deterministic",
                distribution=distribution,
                child=statement.variable,
                parents=tuple(parents),
                plates=tuple(loop.set.key for loop in statement.loops),
                span=statement.span,
            )
        )
    return tuple(nodes)


def _name_potentials(model: typed.TypedModel) -> tuple[FactorNode, ...]:
    """The potentials as nodes without a child."""
    return tuple(
        FactorNode(
            name="factor" if number == 1 else f"factor ({number})",
            kind="potential",
            distribution="factor",
            child="",
            parents=tuple(dict.fromkeys(used for used, _ in potential_uses(potential) if used in model.variables)),
            plates=tuple(loop.set.key for loop in potential.loops),
            span=potential.span,
        )
        for number, potential in enumerate(model.potentials, 1)
    )


def _given_plates(variable: typed.Variable, model: typed.TypedModel) -> tuple[str, ...]:
    """The leading axes along which every mention of a parameter or an input follows the enclosing plate."""
    followed = len(variable.type.axes)
    mentioned = False
    for loops, mentions in _mentions(model):
        for name, indices in mentions:
            if name == variable.name:
                mentioned = True
                followed = min(followed, _followed_axes(variable, indices, loops))
    return _plates(variable.type.axes[:followed]) if mentioned else ()


def _mentions(model: typed.TypedModel) -> Iterator[tuple[dict[str, str], tuple[Use, ...]]]:
    """The loops of each statement and potential, by the names of their indices, and what it mentions."""
    for statement in model.statements:
        yield {loop.name: loop.set.key for loop in statement.loops}, statement_uses(statement)
    for potential in model.potentials:
        yield {loop.name: loop.set.key for loop in potential.loops}, potential_uses(potential)
    for statement in model.agent.statements if model.agent is not None else ():
        yield {loop.name: loop.set.key for loop in statement.loops}, agent_uses(statement)


def _followed_axes(variable: typed.Variable, indices: tuple[typed.TypedExpression, ...], loops: Mapping[str, str]) -> int:
    count = 0
    for axis, index in zip(variable.type.axes, indices, strict=False):
        if not (isinstance(index, typed.IndexReference) and axis.set is not None and loops.get(index.name) == axis.set.key):
            break
        count += 1
    return count


def _plates(axes: Iterable[typed.Axis]) -> tuple[str, ...]:
    return tuple(axis.set.key for axis in axes if axis.set is not None)


def _index_names(model: typed.TypedModel) -> dict[str, str]:
    """The name that the file first gives to the index of each set."""
    names: dict[str, str] = {}
    said = model.agent.statements if model.agent is not None else ()
    for statement in (*model.statements, *model.potentials, *said):
        for loop in statement.loops:
            written = loop.span.text if loop.span is not None else loop.name
            names.setdefault(loop.set.key, written.split(" in ")[0].strip())
    return names


def _observed(state: bool | str) -> Observed:
    return "partly" if state == "partly" else bool(state)


# ------------------------------------------------------------------ the stable text
def _plate_lines(graph: FactorGraph) -> str:
    used = dict.fromkeys(key for node in (*graph.variables, *graph.statements) for key in node.plates)
    rows = [(key, f"= {graph.sizes[key]}" if key in graph.sizes else "") for key in used]
    return _table("plates", rows)


def _variable_lines(graph: FactorGraph) -> str:
    return _table("variables", [(v.name, v.role, v.type, _plates_text(v.plates), _state(v)) for v in graph.variables])


def _statement_lines(graph: FactorGraph) -> str:
    return _table("factors", [(s.written, _plates_text(s.plates)) for s in graph.statements])


def _state(variable: VariableNode) -> str:
    if variable.role != "random":
        return ""
    return {True: "observed", "partly": "partly observed", False: "latent"}[variable.observed]


def _plates_text(plates: tuple[str, ...]) -> str:
    return "for " + ", ".join(plates) if plates else ""


def _table(title: str, rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([title, *lines])
