"""The program: pure functions `start`, `sweep` and `bound` over a state, and the data that they take as arguments.

Block by block, η ← ∇_μ Σ E_f over the factors that touch the block. Gaussian blocks take the same step in mean and covariance,
where it is a Newton step; discrete blocks of a long plate are taken in rows. A factor of one conjugate block is its own
message, so it is computed once, before the first sweep. A block that is not conjugate takes a step that is known to serve.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.compiler.blocks import Block
from ppl.compiler.discrete_chains import DiscreteChain
from ppl.compiler.discrete_kinds import by_step, labelled
from ppl.compiler.emissions import log_potentials, make_emissions, no_sums, sums_of, without
from ppl.compiler.energies import ReadyFactor, energy_value, ready_factor
from ppl.compiler.expansion import Expansion
from ppl.compiler.hoisting import hoist
from ppl.compiler.kinds import Conjugate, kind_of
from ppl.compiler.latents import LatentVariable
from ppl.compiler.lowering import LoweredFactor
from ppl.compiler.ready import Layout
from ppl.compiler.rotations import ReadyExpansion, expanded, ready_expansion
from ppl.compiler.rows import Rows, collapsed_energy, labelled_pass, local_pass, make_rows, weights
from ppl.compiler.steps import settled, smooth_variables, uphill, where_finite

LONG = 64  # members from which a factor of one block is turned into its message


@dataclass(frozen=True)
class Data:
    """Everything that comes from the user's data, as one tree of arrays."""

    factors: tuple[ReadyFactor, ...]
    rows: dict[str, Rows]
    emissions: dict[str, Rows]  # of chains
    expansions: tuple[ReadyExpansion, ...] = ()


jax.tree_util.register_dataclass(Data, data_fields=["factors", "rows", "emissions", "expansions"], meta_fields=[])

#: moments, natural parameters and entropy of each block; `sums` of those taken in rows and of chains with emissions
State = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Program:
    """The skeleton; every function takes the data and is pure."""

    layout: Layout
    order: tuple[str, ...]  # names of the blocks, in the order of their updates
    data: Data
    dtype: Any = np.float64
    damping: float = 0.0
    stepped: frozenset[str] = frozenset()  # blocks that are not conjugate

    # ------------------------------------------------------------ what makes two programs the same
    @cached_property
    def skeleton(self) -> Program:
        """The program without its numbers: their shapes stand for them."""
        return replace(self, data=jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), self.data))

    @cached_property
    def signature(self) -> tuple[Hashable, ...]:
        """Equal for programs that compile to the same code, whatever their numbers."""
        return (_shapes(self.data), self.layout.signature, self.order, str(self.dtype), self.damping)

    def with_factors(self, changed: Mapping[int, LoweredFactor]) -> Program:
        """The program with these in place of plain factors; where their shapes are the same it compiles to the same code."""
        factors = list(self.data.factors)
        for place, one in changed.items():
            factors[place] = jax.tree.map(partial(_in_precision, dtype=self.dtype), ready_factor(hoist(one), self.layout))
        found = replace(self, data=replace(self.data, factors=tuple(factors)))
        if all(_shapes(factors[k]) == _shapes(self.data.factors[k]) for k in changed):
            vars(found)["signature"] = self.signature
        return found

    # ------------------------------------------------------------ which way its long chains go
    @cached_property
    def routes(self) -> int:
        """How many routes the kernels of its discrete chains have at most."""
        return max((len(b.structure.routes) for b in self.layout.blocks.values() if isinstance(b.structure, DiscreteChain)), default=1)

    def routed(self, place: int) -> Program:
        """The program in which each discrete chain takes this one of its routes alone, the last where there are fewer."""
        blocks = {name: _routed(block, place) for name, block in self.layout.blocks.items()}
        return replace(self, layout=replace(self.layout, blocks=blocks))

    # ------------------------------------------------------------ which factors a block needs
    @cached_property
    def touching(self) -> dict[str, tuple[int, ...]]:
        """For each block the plain factors that touch it."""
        return {
            name: tuple(k for k, f in enumerate(self.data.factors) if set(f.variables) & set(self.layout.blocks[name].variables))
            for name in self.order
        }

    @cached_property
    def rows_touching(self) -> dict[str, tuple[str, ...]]:
        """For each block the other blocks, taken in rows, whose factors touch it."""
        result: dict[str, tuple[str, ...]] = {}
        for name in self.order:
            mine = set(self.layout.blocks[name].variables)
            result[name] = tuple(
                r for r, rows in self.data.rows.items() if r != name and any(mine & set(f.factor.variables) for f in rows.factors)
            )
        return result

    @cached_property
    def emissions_touching(self) -> dict[str, tuple[str, ...]]:
        """For each block the chains whose emissions touch it."""
        return {
            name: tuple(
                c
                for c, rows in self.data.emissions.items()
                if c != name and any(set(self.layout.blocks[name].variables) & set(f.factor.variables) for f in rows.factors)
            )
            for name in self.order
        }

    @cached_property
    def linear(self) -> dict[int, str]:
        """Plain factors of one conjugate block over a long plate, with that block: they are their own message."""
        found = {}
        for k, f in enumerate(self.data.factors):
            blocks = {self.layout.block_of(v).name for v in f.variables}
            if len(blocks) == 1 and not f.enumerations and np.prod([n for _, n in f.sizes], initial=1) > LONG:
                (name,) = blocks
                if isinstance(kind_of(self.layout.blocks[name]), Conjugate):
                    found[k] = name
        return found

    @cached_property
    def read_before_updated(self) -> frozenset[str]:
        """Blocks whose moments are read before their first update: they must start at their priors, the others may start anywhere."""
        neighbours: dict[str, set[str]] = {name: set() for name in self.order}
        in_rows = [*self.data.rows.values(), *self.data.emissions.values()]
        everything = [*self.data.factors, *(f.factor for rows in in_rows for f in rows.factors)]
        for f in everything:
            names = {self.layout.block_of(v).name for v in f.variables}
            for name in names:
                neighbours[name] |= names - {name}
        needed: set[str] = set()
        updated: set[str] = set(self.data.rows)
        queue = [n for name in self.data.rows for n in neighbours[name]]
        for name in self.order:
            if name not in self.data.rows:
                queue += [n for n in neighbours[name] if n not in updated]
                updated.add(name)
        while queue:
            name = queue.pop()
            if name not in needed and name not in self.data.rows:
                needed.add(name)
                queue += [self.layout.block_of(v).name for f in self.prior_factors(name) for v in f.variables]
        return frozenset(needed)

    def prior_factors(self, name: str) -> list[ReadyFactor]:
        """The plain factors that define the block's own variables."""
        own = self.layout.blocks[name].variables
        return [f for k in self.touching[name] for f in [self.data.factors[k]] if f.defines in own]

    # ------------------------------------------------------------ before the first sweep
    def prepare(self, data: Data) -> dict[int, tuple[Any, Any]]:
        """Value at zero statistics and gradient of each factor that is its own message."""
        made = {}
        for k, name in self.linear.items():
            zeros = {k: np.zeros_like(v) for k, v in self.blank(name)[0].items()}
            made[k] = jax.value_and_grad(lambda m, f=data.factors[k], n=name: energy_value(f, {n: m}, self.layout))(zeros)
        return made

    def blank(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Moments and natural parameters of a block before its first update."""
        block = self.layout.blocks[name]
        return kind_of(block).blank(block, self.layout.latents, self.dtype)

    # ------------------------------------------------------------ energies
    def plain_energy(self, k: int, data: Data, moments: Mapping[str, Any], messages: Mapping[int, Any]) -> Any:
        """E_q[log f] of a plain factor."""
        return linear_value(messages[k], moments[self.linear[k]]) if k in messages else energy_value(data.factors[k], moments, self.layout)

    def block_energy(
        self, name: str, own: Mapping[str, Any], state: State, data: Data, messages: Mapping[int, Any], prior_only: bool = False
    ) -> Any:
        """The energy of the factors that touch the block, as a function of its own moments."""
        moments = {**state["moments"], name: own}
        variables = set(self.layout.blocks[name].variables)
        total = jnp.zeros((), self.dtype)
        for k in self.touching[name]:
            if prior_only and data.factors[k].defines not in variables:
                continue
            total = total + self.plain_energy(k, data, moments, messages)
        if not prior_only:
            for other in self.rows_touching[name]:
                total = total + collapsed_energy(data.rows[other], state["sums"][other], moments, self.layout)
            for chain in self.emissions_touching[name]:
                total = total + collapsed_energy(data.emissions[chain], state["sums"][chain], moments, self.layout)
        return total

    # ------------------------------------------------------------ updates
    def update(self, name: str, state: State, data: Data, messages: Mapping[int, Any], prior_only: bool = False) -> State:
        """The block at its optimum, the others held."""
        if name in data.rows:
            return put(state, name, sums=local_pass(data.rows[name], state["moments"], self.layout))
        own, block = state["moments"][name], self.layout.blocks[name]
        if block.turns is not None:
            return self.in_turns(name, block.turns, state, data, messages, prior_only)
        former = None if prior_only else state["natural"].get(name)

        def energy(moments: Mapping[str, Any]) -> Any:
            return self.block_energy(name, moments, state, data, messages, prior_only)

        if name not in data.emissions and (name not in self.stepped or prior_only):
            return put(state, name, **at_optimum(block, energy, own, former, self.damping))
        gradient = jax.grad(energy)(own)
        if name in data.emissions:
            return self.update_chain(name, gradient, state, data, former)
        parts = uphill(
            lambda rho: kind_of(block).optimum(block, gradient, own, former, 1.0 - rho),
            lambda p: energy(p["moments"]) + p["entropy"],
            parts_of(state, name),
            1.0 - self.damping,
        )
        return put(state, name, **parts)

    def update_chain(self, name: str, gradient: Mapping[str, Any], state: State, data: Data, former: Any) -> State:
        """A chain with its emissions, where there is a former state of it; before that at its prior."""
        block, rows = self.layout.blocks[name], data.emissions[name]
        given = {}
        if former is not None:
            shape = (*block.batch, -1, rows.states)
            given["emission"] = log_potentials(rows, *weights(rows, state["moments"], self.layout)).reshape(shape)
        parts = kind_of(block).optimum(block, {**gradient, **given}, state["moments"][name], former, self.damping)
        return put(state, name, **parts, sums=sums_of(rows, parts["natural"]["unary"].reshape(-1, rows.states)))

    def in_turns(self, name: str, turns: np.ndarray, state: State, data: Data, messages: Mapping[int, Any], prior_only: bool) -> State:
        """A table whose members meet, each of them at its optimum given the others: never two that meet together."""
        for turn in range(int(turns.max(initial=-1)) + 1):
            own = state["moments"][name]
            gradient = jax.grad(lambda m, s=state: self.block_energy(name, m, s, data, messages, prior_only))(own)
            new = kind_of(self.layout.blocks[name]).optimum(self.layout.blocks[name], gradient, own, None, 0.0)["moments"]["table"]
            table = jnp.where((turns == turn)[..., None], new, own["table"])
            state = put(state, name, moments={"table": table}, natural={}, entropy=jax.scipy.special.entr(table).sum())
        return state

    def at_prior(self, name: str, state: State, data: Data) -> State:
        """The block at its prior; one that is not conjugate at its prior's mean, but narrow."""
        block = self.layout.blocks[name]
        state = self.update(name, state, data, {}, prior_only=True)
        blank = dict(zip(("moments", "natural"), self.blank(name), strict=True))
        proper = where_finite(kind_of(block).begun(parts_of(state, name)), {**blank, "entropy": np.zeros((), self.dtype)})
        state = put(state, name, **proper)  # a flat prior is none
        if name not in self.stepped:
            return state
        parts = settled(
            lambda gradient, point: kind_of(block).optimum(block, gradient, point, None, 0.0),
            lambda m: self.block_energy(name, m, state, data, {}),
            parts_of(state, name),
        )
        return put(state, name, **parts)

    # ------------------------------------------------------------ start, sweep, bound
    @property
    def starts_blank(self) -> bool:
        """Whether nothing has to be computed before the first sweep."""
        return not self.data.rows and not self.read_before_updated and not self.stepped

    def start(self, data: Data, labels: Mapping[str, Any]) -> State:
        """The state before the first sweep: blocks that are read before they are updated stand at their priors.

        `labels` starts discrete blocks from states of their members instead, and moves Gaussian ones by so many prior sds.
        """
        plain = [n for n in self.order if n not in data.rows]
        sums = {n: no_sums(rows, self.dtype) for n, rows in data.emissions.items()}
        state: State = {"moments": {n: self.blank(n)[0] for n in plain}, "natural": {}, "entropy": {}, "sums": sums}
        for name in self.order:
            if name in data.rows:
                rows = data.rows[name]
                given = labels.get(name)
                sums = local_pass(rows, state["moments"], self.layout) if given is None else labelled_pass(rows, given)
                state = put(state, name, sums=sums)
            elif name in labels and self.layout.blocks[name].kind == "table":
                state = put(state, name, **self.labelled_table(name, labels[name]))
            elif name in labels and self.layout.blocks[name].structure is not None:
                moments = labelled(self.layout.blocks[name], self.layout.latents, labels[name], self.dtype)
                state = put(state, name, moments=moments, natural=self.blank(name)[1], entropy=np.zeros((), self.dtype))
                if name in data.emissions:
                    at_steps = by_step(self.layout.blocks[name], self.layout.latents, labels[name])
                    state = put(state, name, sums=labelled_pass(data.emissions[name], at_steps))
            elif name in labels:
                state = self.moved(self.at_prior(name, state, data), name, labels[name])
            elif name in self.read_before_updated | self.stepped:
                state = self.at_prior(name, state, data)
            else:
                state = put(state, name, natural=self.blank(name)[1], entropy=np.zeros((), self.dtype))
        return state

    def labelled_table(self, name: str, labels: Any) -> dict[str, Any]:
        block = self.layout.blocks[name]
        table = jax.nn.one_hot(labels, int(np.prod(block.cardinalities)), dtype=self.dtype)
        return {"moments": {"table": table.reshape(*block.batch, *block.cardinalities)}, "natural": {}, "entropy": np.zeros((), self.dtype)}

    def moved(self, state: State, name: str, by: Any) -> State:
        moments = state["moments"][name]
        sd = jnp.sqrt(jnp.diagonal(moments["cov"], axis1=-2, axis2=-1))
        sd = sd.reshape(by.shape) if self.layout.blocks[name].chain is not None else sd
        return put(state, name, moments={**moments, "mean": moments["mean"] + by * sd})

    def sweep(self, state: State, data: Data, messages: Mapping[int, Any]) -> State:
        for name in self.order:
            state = self.update(name, state, data, messages)
        return state

    def expanded(self, state: State, data: Data) -> State:
        """The state turned where no likelihood sees it, so that the bound rises."""
        for expansion in data.expansions:
            state = expanded(expansion, state, self.layout, self.dtype)
        return state

    def factor_energies(self, state: State, data: Data, messages: Mapping[int, Any]) -> list[Any]:
        """E_q[log f] of each plain factor, in their order."""
        return [self.plain_energy(k, data, state["moments"], messages) for k in range(len(data.factors))]

    def bound(self, state: State, data: Data, messages: Mapping[int, Any]) -> Any:
        """The evidence lower bound in nats."""
        return self.bound_and_accuracy(state, data, messages)[0]

    def bound_and_accuracy(self, state: State, data: Data, messages: Mapping[int, Any]) -> tuple[Any, Any]:
        """The bound, and the expected log density of what is observed that is in it; NaN where states are summed over row by row, whose
        prior is in that sum."""
        energies = self.factor_energies(state, data, messages)
        seen = (e for f, e in zip(data.factors, energies, strict=True) if f.defines and f.defines not in f.variables)
        apart = not data.rows and not data.emissions
        accuracy = sum(seen, jnp.zeros((), self.dtype)) if apart else jnp.full((), jnp.nan, self.dtype)
        total = sum(energies, jnp.zeros((), self.dtype))
        for entropy in state["entropy"].values():
            total = total + entropy
        for name, rows in data.rows.items():
            total = total + state["sums"][name]["normaliser"] + sum(f.factor.constant for f in rows.factors)
        return total + sum(self.emission_energies(state, data).values(), jnp.zeros((), self.dtype)), accuracy

    def emission_energies(self, state: State, data: Data) -> dict[str, Any]:
        """E_q[log f] of the factors that the emissions of each chain hold."""
        return {
            name: collapsed_energy(rows, state["sums"][name], state["moments"], self.layout) + sum(f.factor.constant for f in rows.factors)
            for name, rows in data.emissions.items()
        }

    def movement(self, new: State, old: State) -> Any:
        """The largest movement of a block, in units of its sd."""
        far = jnp.zeros((), self.dtype)
        for name, moments in new["moments"].items():
            if name not in self.data.rows:
                kind = kind_of(self.layout.blocks[name])
                far = jnp.maximum(far, kind.movement((moments, new["natural"][name]), (old["moments"][name], old["natural"][name])))
        return far


def at_optimum(block: Block, energy: Callable[[dict[str, Any]], Any], own: dict[str, Any], former: Any, damping: float) -> dict[str, Any]:
    """What `put` puts of a block whose energy is linear in its statistics, at its optimum."""
    kind = kind_of(block)
    found = kind.optimum(block, jax.grad(energy)(own), own, former, damping)
    if kind.cancels and not damping:  # seen from the optimum, what is left of the data is small
        own = found["moments"]
        found = kind.optimum(block, jax.grad(energy)(own), own, former, damping)
    return found


def _routed(block: Block, place: int) -> Block:
    chain = block.structure
    if not isinstance(chain, DiscreteChain):
        return block
    return replace(block, structure=replace(chain, route=chain.routes[min(place, len(chain.routes) - 1)]))


def linear_value(message: tuple[Any, Any], own: Mapping[str, Any]) -> Any:
    """The energy of a factor that is its own message."""
    value, slope = message
    return value + sum((slope[k] * own[k]).sum() for k in slope)


def parts_of(state: State, name: str) -> dict[str, Any]:
    """What `put` puts of a block that is not taken in rows."""
    return {key: state[key][name] for key in ("moments", "natural", "entropy")}


def put(state: State, name: str, **parts: Any) -> State:
    """The state with the parts of one block replaced."""
    return {key: {**entries, name: parts[key]} if key in parts else entries for key, entries in state.items()}


def make_program(
    latents: Mapping[str, LatentVariable],
    blocks: Sequence[Block],
    factors: Sequence[LoweredFactor],
    *,
    damping: float = 0.0,
    dtype: Any = np.float64,
    in_rows: bool = True,
    expansions: Sequence[Expansion] = (),
) -> Program:
    """The program of these blocks and factors; numbers of the data become `dtype`. `in_rows` allows blocks whose tables are not kept."""
    layout = Layout(latents, {b.name: b for b in blocks})
    rows: dict[str, Rows] = {}
    taken: set[int] = set()
    for block in blocks:
        mine = [k for k, f in enumerate(factors) if set(f.variables) & set(block.variables)]
        made = make_rows(block, [factors[k] for k in mine], layout) if in_rows and block.kind == "table" else None
        if made is not None:
            rows[block.name] = made
            taken.update(mine)
    emissions: dict[str, Rows] = {}
    for block in blocks:
        made = make_emissions(block, factors, layout) if in_rows else None
        if made is not None:
            emissions[block.name], held = made
            taken.update(held)
    left = [f for k, f in enumerate(factors) if k not in taken]
    layout = Layout(latents, {b.name: without(b, left) if b.name in emissions else b for b in blocks})
    plain = tuple(ready_factor(hoist(f), layout) for f in left)
    data = Data(plain, rows, emissions, tuple(ready_expansion(e, factors, layout) for e in expansions))
    data = jax.tree.map(lambda a: jnp.asarray(_in_precision(a, dtype)), data)
    smooth = smooth_variables(factors)
    stepped = frozenset(b.name for b in blocks if smooth & set(b.variables))
    return Program(layout, tuple(b.name for b in blocks), data, np.dtype(dtype), damping, stepped)


def _in_precision(a: Any, dtype: Any) -> np.ndarray:
    a = np.asarray(a)
    return a.astype(dtype if a.dtype.kind == "f" else jax.dtypes.canonicalize_dtype(a.dtype), copy=False)


def _shapes(data: Any) -> Hashable:
    leaves, tree = jax.tree.flatten(data)
    return tree, tuple((a.shape, a.dtype) for a in leaves)
