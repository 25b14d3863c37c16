"""Kinds of discrete blocks that have a structure: chains, and networks that are summed out entry by entry."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.plated import Plated
from ppl.compiler import discrete_chain_kind as chains
from ppl.compiler.blocks import Block
from ppl.compiler.discrete_chains import DiscreteChain
from ppl.compiler.discrete_networks import DiscreteNetwork
from ppl.compiler.kinds import Arrays, Kind, Latents, in_plate_order
from ppl.factors.factor import IMPOSSIBLE
from ppl.families import elimination
from ppl.graph.evaluate import index_value

NEARLY_IMPOSSIBLE = 0.1 * IMPOSSIBLE


def chosen_cells(block: Block, name: str) -> tuple[int, ...]:
    """The cells of a variable, in their order."""
    assert block.structure is not None
    return tuple(k for k, (variable, _) in enumerate(block.structure.cells) if variable == name)


def as_reported(p: np.ndarray, name: str, latents: Latents) -> dict[str, np.ndarray]:
    return {"p": p[..., 1] if latents[name].family == "Bernoulli" else p}


def own_shape(block: Block, name: str, latents: Latents) -> tuple[int, ...]:
    """The lengths of the axes that the batch axes leave of a variable."""
    return tuple(n for k, n in enumerate(latents[name].plates) if k not in block.batch_axes[name])


def labelled(block: Block, latents: Latents, labels: Any, dtype: Any) -> Arrays:
    """Moments where every member's state is given: `labels` are those of the variables one after the other, flat."""
    assert block.structure is not None
    states, at = {}, 0
    for name in block.variables:
        plates = latents[name].plates
        states[name] = labels[at : at + math.prod(plates)].reshape(plates)
        at += math.prod(plates)
    moments = {}
    for k, pattern in enumerate(block.structure.patterns):
        names = tuple(str(d) for d in range(len(pattern.sizes)))
        plates, kept = "abcdefghijklm"[: len(names)], ""
        kept = "".join(letter for letter, keep in zip(plates, pattern.kept, strict=True) if keep)
        tables, terms = [], []
        for place, (name, index) in enumerate(zip(pattern.variables, pattern.index, strict=True)):
            at_members = index_value(Plated((), states[name]), index).arranged(names, dict(zip(names, pattern.sizes, strict=True)))
            tables.append(jax.nn.one_hot(at_members, pattern.cardinalities[place], dtype=dtype))
            terms.append(plates + "nopqrstuvwxyz"[place])
        spec = ",".join(terms) + "->" + kept + "nopqrstuvwxyz"[: len(terms)]
        moments[str(k)] = jnp.einsum(spec, *tables) / pattern.average_of
    return moments


def by_step(block: Block, latents: Latents, labels: Any) -> Any:
    """Labels of a chain of one variable in the order of its batch and steps."""
    (name,) = block.variables
    assert isinstance(block.structure, DiscreteChain)
    axes = (*block.batch_axes[name], block.structure.times[name])
    return jnp.transpose(labels.reshape(latents[name].plates), axes).ravel()


class DiscreteChainKind(Kind):
    """A chain: the forward recursion is its log-partition."""

    def chain(self, block: Block) -> DiscreteChain:
        assert isinstance(block.structure, DiscreteChain)
        return block.structure

    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        return chains.blank(self.chain(block), dtype)

    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: Any) -> Arrays:
        return chains.optimum(self.chain(block), gradient, natural, damping)

    def movement(self, new: tuple[Arrays, Arrays], old: tuple[Arrays, Arrays]) -> Any:
        """Local probabilities are not waited for: the bound stands still when they do."""
        return jnp.zeros((), new[0]["0"].dtype)

    def marginal(self, block: Block, name: str, latents: Latents, moments: Arrays, natural: Arrays) -> dict[str, np.ndarray]:
        chain = self.chain(block)
        p = chains.marginal(chain, name, chosen_cells(block, name), natural)  # batch, steps, cells, states
        return as_reported(self._in_order(p, block, name, latents, before=0), name, latents)

    def draws(
        self, block: Block, latents: Latents, moments: Arrays, natural: Arrays, rng: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        drawn = chains.paths(self.chain(block), natural, rng, count)
        return self._by_variable(drawn, block, latents, before=1)

    def drawn(self, block: Block, latents: Latents, natural: Arrays, key: Any) -> Arrays:
        """One draw of each variable, over its plates."""
        return self._by_variable(chains.path(self.chain(block), natural, key), block, latents, before=0)

    def _by_variable(self, cells: Any, block: Block, latents: Latents, *, before: int) -> Arrays:
        return {
            name: self._in_order(cells[..., chosen_cells(block, name), None], block, name, latents, before=before)[..., 0]
            for name in block.variables
        }

    def _in_order(self, value: Any, block: Block, name: str, latents: Latents, *, before: int) -> Any:
        """From batch, steps, cells, and a last axis, to the variable's own axes and that."""
        chain, shape = self.chain(block), own_shape(block, name, latents)
        place = chain.times[name] - sum(k < chain.times[name] for k in block.batch_axes[name])
        others = shape[:place] + shape[place + 1 :]
        value = value.reshape(*value.shape[: before + len(block.batch) + 1], *others, value.shape[-1])
        value = np.moveaxis(value, before + len(block.batch), before + len(block.batch) + place)
        return in_plate_order(value, latents[name], block, before=before)

    def described(self, block: Block) -> str:
        return self.chain(block).described


class DiscreteNetworkKind(Kind):
    """A network: its variables are summed out one after the other."""

    def network(self, block: Block) -> DiscreteNetwork:
        assert isinstance(block.structure, DiscreteNetwork)
        return block.structure

    def blank(self, block: Block, latents: Latents, dtype: Any) -> tuple[Arrays, Arrays]:
        network = self.network(block)
        moments = {str(k): np.full(p.shape, 1.0 / math.prod(p.cardinalities), dtype) for k, p in enumerate(network.patterns)}
        unary = {str(k): np.full((*network.batch, n), 1.0 / n, dtype) for k, n in enumerate(network.cardinalities)}
        tables = {str(k): np.zeros(p.shape, dtype) for k, p in enumerate(network.patterns)}
        return moments, {"tables": tables, "unary": unary}

    def optimum(self, block: Block, gradient: Arrays, moments: Arrays, natural: Arrays | None, damping: Any) -> Arrays:
        network = self.network(block)
        if natural is not None and not (isinstance(damping, float) and not damping):
            gradient = {k: (1 - damping) * g + damping * natural["tables"][k] for k, g in gradient.items()}
        factors = self._factors(network, gradient)
        log_partition, found = elimination.marginals(factors, network.order)
        cells = len(network.cells)
        unary = {str(k): found[k] for k in range(cells)}
        moments, inner = self._patterns(network, gradient, found[cells:])
        natural = {"tables": gradient, "unary": unary}
        return {"moments": moments, "natural": natural, "entropy": log_partition.sum() - inner}

    def _factors(self, network: DiscreteNetwork, gradient: Arrays) -> list[tuple[tuple[int, ...], Any]]:
        """A table for each cell, so that its marginal is told, then those of the patterns, member by member."""
        dtype = gradient["0"].dtype
        found: list[tuple[tuple[int, ...], Any]] = [
            ((k,), jnp.zeros((*network.batch, n), dtype)) for k, n in enumerate(network.cardinalities)
        ]
        for k, (pattern, batched, scopes) in enumerate(zip(network.patterns, network.batched, network.scopes, strict=True)):
            rest = [d for d in range(len(pattern.sizes)) if d not in batched]
            kept = [n if keep else 1 for n, keep in zip(pattern.sizes, pattern.kept, strict=True)]
            table = (gradient[str(k)] / pattern.average_of).reshape(*kept, *pattern.cardinalities)
            table = jnp.transpose(table, (*rest, *batched, *range(len(kept), table.ndim)))
            table = jnp.broadcast_to(table, (*(pattern.sizes[d] for d in rest), *table.shape[len(rest) :]))
            table = table.reshape(-1, *table.shape[len(rest) :])
            found += [(scope, table[m]) for m, scope in enumerate(scopes)]
        return found

    def _patterns(self, network: DiscreteNetwork, gradient: Arrays, found: list[Any]) -> tuple[Arrays, Any]:
        """The patterns' probabilities from those of the tables, and the expected potentials."""
        moments, inner, at = {}, jnp.zeros((), found[0].dtype), 0
        for k, (pattern, batched, scopes) in enumerate(zip(network.patterns, network.batched, network.scopes, strict=True)):
            rest = [d for d in range(len(pattern.sizes)) if d not in batched]
            table = jnp.stack(found[at : at + len(scopes)])
            at += len(scopes)
            table = table.reshape(*(pattern.sizes[d] for d in rest), *table.shape[1:])
            order = [*rest, *batched]
            table = jnp.transpose(table, (*(order.index(d) for d in range(len(order))), *range(len(order), table.ndim)))
            tied = tuple(d for d, kept in enumerate(pattern.kept) if not kept)
            table = table.sum(axis=tied) / pattern.average_of
            potential = gradient[str(k)]
            possible = potential > NEARLY_IMPOSSIBLE
            moments[str(k)] = jnp.where(possible, table, 0.0)
            inner = inner + (jnp.where(possible, potential, 0.0) * moments[str(k)]).sum()
        return moments, inner

    def movement(self, new: tuple[Arrays, Arrays], old: tuple[Arrays, Arrays]) -> Any:
        """Local probabilities are not waited for: the bound stands still when they do."""
        return jnp.zeros((), new[0]["0"].dtype)

    def marginal(self, block: Block, name: str, latents: Latents, moments: Arrays, natural: Arrays) -> dict[str, np.ndarray]:
        cells = [np.asarray(natural["unary"][str(k)]) for k in chosen_cells(block, name)]
        return as_reported(self._in_order(np.stack(cells, axis=-2), block, name, latents, before=0), name, latents)

    def draws(
        self, block: Block, latents: Latents, moments: Arrays, natural: Arrays, rng: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        natural = {"tables": {k: jnp.asarray(v) for k, v in natural["tables"].items()}}
        keys = jax.random.split(jax.random.PRNGKey(int(rng.integers(2**31))), count)
        found = jax.jit(jax.vmap(lambda key: self.drawn(block, latents, natural, key)))(keys)
        return {name: np.asarray(value) for name, value in found.items()}

    def drawn(self, block: Block, latents: Latents, natural: Arrays, key: Any) -> Arrays:
        """One draw of each variable, over its plates."""
        network = self.network(block)
        states = elimination.sample(key, self._factors(network, natural["tables"]), network.order)
        found = {}
        for name in block.variables:
            cells = jnp.stack([states[k] for k in chosen_cells(block, name)], axis=-1)[..., None]
            found[name] = self._in_order(cells, block, name, latents, before=0)[..., 0]
        return found

    def _in_order(self, value: Any, block: Block, name: str, latents: Latents, *, before: int) -> Any:
        """From batch, cells and a last axis to the variable's own axes and that."""
        value = value.reshape(*value.shape[: before + len(block.batch)], *own_shape(block, name, latents), value.shape[-1])
        return in_plate_order(value, latents[name], block, before=before)

    def described(self, block: Block) -> str:
        return self.network(block).described


def structured_kind(structure: DiscreteChain | DiscreteNetwork) -> Kind:
    return DiscreteChainKind() if isinstance(structure, DiscreteChain) else DiscreteNetworkKind()
