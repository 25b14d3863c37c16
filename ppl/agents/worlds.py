"""Where outcomes come from: the agent's own model as the world, or a record of what happened.

A world is pure functions of its state and of data: what it is given once, and what it is given for each step (random numbers, drawn
before anything is compiled, or entries of a record). All data have a leading axis of episodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ppl.agents.evaluation import Factor
from ppl.agents.network import AgentNetwork, Table
from ppl.agents.perception import Tables, known_tables
from ppl.agents.program import AgentProgram
from ppl.agents.real_worlds import begin_reals, move_reals, observe_reals
from ppl.agents.record import Record
from ppl.agents.rows import Columns
from ppl.arrays.streams import stream
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean


class World(Protocol):
    """`given` is for the whole episode, `now` for one step; `done` is what the world says was done, -1 where it does not."""

    def data(self, episodes: int, steps: int, seed: int) -> tuple[Any, Any]: ...

    def begin(self, given: Any) -> Any: ...

    def observe(self, state: Any, now: Any) -> Any: ...

    def done(self, now: Any) -> Any: ...

    def move(self, state: Any, action: Any, now: Any) -> Any: ...

    def states(self, state: Any) -> Any: ...


class Truth(NamedTuple):
    """What is really so: the place of each state, the tables, and each real state by name."""

    states: Any
    tables: Tables
    reals: Any


class Chances(NamedTuple):
    """Random numbers of one step: one for each outcome and each next state, uniform; standard normal ones for real ones, by name."""

    outcomes: Any
    states: Any
    reals: Any


@dataclass(frozen=True)
class ModelWorld:
    """The agent's own model, run as the world. `where` fixes states at the beginning (places by factor, -1 where they are drawn, or
    numbers of real ones, NaN where they are), `rows` the rows of learnt tables."""

    network: AgentNetwork
    where: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)

    def data(self, episodes: int, steps: int, seed: int) -> tuple[Any, Chances]:
        network, random = self.network, stream(seed, "world")
        tables = {}
        for name, table in network.learnt.items():
            drawn = random.standard_gamma(np.broadcast_to(table.concentration, (episodes, *np.shape(table.concentration))))
            drawn /= drawn.sum(axis=-1, keepdims=True)
            tables[name] = np.broadcast_to(self.rows[name], drawn.shape) if name in self.rows else drawn
        beginning = random.random((episodes, network.truth.counts[0]))
        outcomes, states = (random.random((episodes, steps, of.counts[0])) for of in (network.seen, network.truth))
        normal, real = stream(seed, "world", 1), (*network.truth.real, *network.seen.real)
        begun = {f.name: _normal(normal, f, (episodes,)) for f in network.truth.real}
        reals = {f.name: _normal(normal, f, (episodes, steps)) for f in real}
        return (tables, beginning, begun), Chances(outcomes, states, reals)

    def begin(self, given: Any) -> Truth:
        network, (rows, chances, normal) = self.network, given
        parts = ((getattr(network, part), getattr(known_tables(network), part)) for part in Tables._fields)
        tables = Tables(*({n: t.probabilities(array[n], rows) for n, t in own.items()} for own, array in parts))
        places: dict[str, Any] = {}
        waiting, start = list(network.states), 0
        while waiting:
            f = next(s for s in waiting if all(p in places for p in network.initial[s.name].parents))
            waiting.remove(f)
            drawn = _draw(chances[start : start + f.count], network.initial[f.name], tables.initial[f.name], places)
            where, start = self.where.get(f.name), start + f.count
            places[f.name] = drawn if where is None else jnp.where(where >= 0, where, drawn)
        reals = begin_reals(network.reals, self.where, normal) if network.reals is not None else {}
        return Truth(_flat([places[f.name] for f in network.states]), jax.tree.map(jnp.asarray, tables), reals)

    def observe(self, state: Truth, now: Chances) -> Any:
        network, places = self.network, self._places(state)
        tables, at = state.tables.observations, network.seen.placed
        seen = [_draw(now.outcomes[at[f.name]], network.observations[f.name], tables[f.name], places) for f in network.outcomes]
        return _row(network.seen, seen, observe_reals(network.reals, state.reals, places, now.reals) if network.reals is not None else {})

    def done(self, now: Chances) -> Any:
        return jnp.asarray(self.network.done.blank)

    def move(self, state: Truth, action: Any, now: Chances) -> Truth:
        network, done = self.network, self.network.done
        places = self._places(state) | _by_factor(done, done.places(action))
        tables, at = state.tables.transitions, network.truth.placed
        moved = [_draw(now.states[at[f.name]], network.transitions[f.name], tables[f.name], places) for f in network.states]
        numbers = {f.name: done.numbers(action)[done.numbered[f.name]] for f in done.real}
        reals = move_reals(network.reals, state.reals, numbers, places, now.reals) if network.reals is not None else {}
        return Truth(_flat(moved), state.tables, reals)

    def states(self, state: Truth) -> Any:
        return _row(self.network.truth, [state.states], state.reals)

    def _places(self, state: Truth) -> dict[str, Any]:
        return _by_factor(self.network.truth, state.states)


def _normal(random: np.random.Generator, f: Factor, front: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers of a factor after these axes, drawn member by member."""
    drawn = random.standard_normal((f.count, *front, f.size))
    return np.moveaxis(drawn, 0, -2) if f.shape else drawn[0]


def _by_factor(columns: Columns, places: Any) -> dict[str, Any]:
    """Places by factor: a column each, that of a stacked factor of its members."""
    return {f.name: places[columns.placed[f.name]].reshape((f.count,) if f.shape else ()) for f in columns.discrete}


def _row(columns: Columns, places: list[Any], reals: Mapping[str, Any]) -> Any:
    return columns.joined(_flat(places), jnp.concatenate([*(jnp.ravel(reals[f.name]) for f in columns.real), jnp.zeros(0)]))


def _flat(places: list[Any]) -> Any:
    return jnp.concatenate([jnp.zeros(0, int), *(jnp.ravel(p) for p in places)])


def _draw(chance: Any, table: Table, probabilities: Any, places: Mapping[str, Any]) -> Any:
    """The member whose share of [0, 1) holds the chance; one of probability 0 is never drawn. Of a stacked table one for each member."""

    summed = isinstance(probabilities, np.ndarray)
    whole = jnp.asarray(np.cumsum(probabilities, axis=-1) if summed else probabilities)

    def one(chance: Any, whole: Any, place: tuple[Any, ...]) -> Any:
        below = whole[place] if summed else jnp.cumsum(whole[place])
        return ((chance * below[-1] >= below[:-1]) & (below[:-1] < below[-1])).sum()

    place = tuple(places[p] for p in table.parents)
    return jax.vmap(one)(chance, whole, place) if table.shape else one(chance[0], whole, place)


@dataclass(frozen=True)
class RecordWorld:
    """What was seen and done, step by step."""

    record: Record

    def data(self, episodes: int, steps: int, seed: int) -> tuple[Any, Any]:
        return (), (self.record.seen, self.record.done)

    def begin(self, given: Any) -> Any:
        return ()

    def observe(self, state: Any, now: Any) -> Any:
        return now[0]

    def done(self, now: Any) -> Any:
        return now[1]

    def move(self, state: Any, action: Any, now: Any) -> Any:
        return state

    def states(self, state: Any) -> Any:
        return jnp.zeros(0, int)


def model_world(program: AgentProgram, where: Mapping[str, Any]) -> ModelWorld:
    """The agent's own model, with what `where` says of states and tables. Raises `AimError` for what is neither."""
    network = program.network
    columns = {one.name: (one, f, k) for f in network.truth.factors for k, one in enumerate(f.singles)}
    places, given = {}, {}
    for name, value in _entries([one for one, _, _ in columns.values()], where):
        if name in columns:
            one, f, k = columns[name]
            places.setdefault(f.name, _unsaid(f))[k if f.shape else ...] = _place(one, value)
        elif name in network.learnt:
            given[name] = _rows(network.learnt[name], np.asarray(value, float))
        else:
            known = [*dict.fromkeys(f.variable.name for f in network.truth.factors), *network.learnt]
            hint = did_you_mean(name, known) or "it has " + ", ".join(known)
            raise AimError([Diagnostic("AIM0605", f"`{network.model.name}` has no state or learnt table `{name}`", None, hint)])
    return ModelWorld(network, places, given)


def _unsaid(f: Factor) -> np.ndarray:
    """Places of the members of a factor that are not given, or their numbers."""
    return np.full((f.count, f.size) if f.shape else f.size, np.nan) if f.real else np.full(f.count if f.shape else (), -1)


def _entries(states: Sequence[Factor], where: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What `where` says, a plate of states that is given whole entry by entry."""
    for name, value in where.items():
        own = [f for f in states if f.variable.name == name and f.name != name]
        if not own:
            yield name, value
            continue
        values = np.asarray(value, dtype=object)
        plates = tuple(max(f.place[k] for f in own) + 1 for k in range(len(own[0].place)))
        if values.shape[: len(plates)] != plates:
            text = f"`{name}` was given with the shape {list(values.shape)}; its plate has the shape {list(plates)}"
            raise AimError([Diagnostic("AIM0611", text, None, "give a value for each member")])
        yield from ((f.name, values[f.place]) for f in own)


def _place(factor: Any, value: Any) -> Any:
    """The place of a member, or the numbers of a real state."""
    if factor.real:
        return _numbers(factor, value)
    word = str(value.item() if isinstance(value, np.ndarray) else value)
    word = word.removesuffix(".0")
    if word not in factor.members:
        hint = did_you_mean(word, factor.members) or "its members are " + ", ".join(factor.members)
        raise AimError([Diagnostic("AIM0614", f"`{word}` is no member of `{factor.name}`", None, hint)])
    return factor.members.index(word)


def _numbers(factor: Any, value: Any) -> np.ndarray:
    shape = () if factor.scalar else (factor.size,)
    try:
        found = np.asarray(value, float)
    except ValueError:
        found = np.full(1, np.nan)
    if found.shape != shape or not np.isfinite(found).all():
        wanted = "a number" if factor.scalar else f"{factor.size} numbers"
        raise AimError([Diagnostic("AIM0611", f"`{factor.name}` is {wanted}, and was given as {value}", None)])
    return found.reshape(factor.size)


def _rows(table: Any, value: np.ndarray) -> np.ndarray:
    rows = np.stack([1 - value, value], axis=-1) if table.pair else value
    size = np.shape(table.concentration)
    if rows.shape != (*table.shape, size[-1]) or (np.abs(rows.sum(axis=-1) - 1) > 1e-6).any() or (rows < 0).any():
        wanted = [*table.shape] if table.pair else [*table.shape, size[-1]]
        text = f"`{table.name}` was given with the shape {list(value.shape)}; it is probabilities of shape {wanted}, each row a sum of 1"
        raise AimError([Diagnostic("AIM0611", text, None)])
    return rows.reshape(size)
