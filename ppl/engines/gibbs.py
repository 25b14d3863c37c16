"""Gibbs sampling: sweeps of the program with a draw after each update, from which the next block is updated (Geman & Geman 1984).

Logistic statements get Pólya–Gamma weights. Chains run side by side under `vmap` in one compiled loop. Discrete variables are told by
the average of their conditional tables, which varies less than the frequencies of their draws (Gelfand & Smith 1990).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.streams import stream
from ppl.catalogue.engines import ENGINES
from ppl.compiler.augmentation import update_weighted
from ppl.compiler.blocks import Block
from ppl.compiler.kinds import kind_of
from ppl.compiler.latents import DISCRETE, PREDICTED
from ppl.compiler.lowering import LatentEvaluator
from ppl.compiler.plan import Plan
from ppl.compiler.program import Data, Program, State, make_program, parts_of, put
from ppl.compiler.rewrites import HIDDEN
from ppl.compiler.sampled import drawn, shares
from ppl.engines.draws import drawn_variable, evaluator_at
from ppl.engines.numpyro_bridge.options import Options, options_of
from ppl.engines.reports import Reporter
from ppl.engines.starts import starting_points
from ppl.engines.vmp import REMEMBERED, Run, compiler_options
from ppl.results.belief import Belief
from ppl.results.diagnostics import rhat

SETTINGS = ENGINES["gibbs"].defaults
MOST_KEPT = 125_000_000  # numbers: a gigabyte
FEWEST = 100  # draws of a chain that are worth to be kept
LARGEST_RHAT = 1.01


@dataclass(frozen=True)
class Length:
    """How long the chains are: `draws` are kept of each, and so many sweeps are made for each of them."""

    chains: int
    warmup: int
    draws: int
    thin: int


@dataclass(frozen=True)
class Chains:
    """Draws of every latent variable, (chains × draws) first; average tables of the discrete blocks."""

    program: Program
    length: Length
    draws: dict[str, np.ndarray] = field(repr=False)
    tables: dict[str, Any] = field(repr=False)
    compile_seconds: float
    run_seconds: float
    told: str = ""  # of what was kept less than asked


def run_gibbs(plan: Plan, options: Options, *, seed: int, dtype: Any) -> Chains:
    """Samples the plan. Raises AimError where an option makes no sense, or the draws would not fit."""
    blocks = tuple(replace(b, turns=None, members=None) for b in plan.blocks)
    program = make_program(plan.latents, blocks, plan.factors, dtype=dtype, in_rows=False)
    turns = {b.name: b.turns for b in plan.blocks if b.turns is not None}
    length, told = _length(plan, options)
    rng = stream(seed, "starts")
    starts = [starting_points(plan, rng) for _ in range(length.chains)]
    labels = jax.tree.map(lambda *a: jnp.stack([jnp.asarray(x) for x in a]), *starts)
    keys = jax.random.split(jax.random.key(seed), length.chains)
    clock = time.perf_counter()
    ready = _compiled_once(program, turns, labels, keys, length)
    compile_seconds = time.perf_counter() - clock
    clock = time.perf_counter()
    kept, tables = jax.tree.map(np.asarray, ready(program.data, labels, keys))
    flat = {name: values.reshape(-1, *values.shape[2:]) for name, values in kept.items()}
    average = jax.tree.map(lambda table: table.mean(axis=0), tables)
    return Chains(program, length, flat, average, compile_seconds, time.perf_counter() - clock, told)


_COMPILED: dict[Any, Any] = {}


def _compiled_once(program: Program, turns: Mapping[str, np.ndarray], labels: dict[str, Any], keys: Any, length: Length) -> Any:
    """The compiled chains side by side, remembered: another fit of the same shapes does not compile again."""
    order = tuple((name, turn.tobytes()) for name, turn in turns.items())
    key = (program.signature, order, tuple((k, v.shape) for k, v in labels.items()), length)
    if key not in _COMPILED:
        if len(_COMPILED) >= REMEMBERED:
            del _COMPILED[next(iter(_COMPILED))]
        skeleton = program.skeleton

        def one(data: Data, start: dict[str, Any], key: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            return sampled_chain(skeleton, turns, data, start, key, length)

        whole = jax.jit(jax.vmap(one, in_axes=(None, 0, 0))).lower(program.data, labels, keys)
        _COMPILED[key] = whole.compile(compiler_options=compiler_options(program.data))
    return _COMPILED[key]


def settings(plan: Plan, iterations: int | None) -> Options:
    """The options of the file, or the defaults; `iterations` asks for so many draws of a chain. Raises AimError."""
    return options_of("gibbs", SETTINGS, plan.options | ({} if iterations is None else {"draws": iterations}), None)


def _length(plan: Plan, options: Options) -> tuple[Length, str]:
    """As long as asked; where that would not fit into memory with fewer draws of more sweeps each."""
    length = Length(*(options.whole(name) for name in ("chains", "warmup", "draws", "thin")))
    numbers = sum(int(np.prod(v.plates + v.event, dtype=int)) for v in plan.latents.values())
    most = max(MOST_KEPT // max(length.chains * numbers, 1), 1)
    if most >= length.draws:
        return length, ""
    if most < FEWEST:
        options.refuse("chains", f"so many that {FEWEST} draws of {numbers} latent numbers fit into memory")
    fewer = -(-length.draws // most)
    shorter = replace(length, draws=length.draws // fewer, thin=length.thin * fewer)
    return shorter, f"{shorter.draws} draws of each chain are kept, one of {shorter.thin} sweeps: more would not fit into memory"


# ------------------------------------------------------------------ the loop
def sampled_chain(
    program: Program, turns: Mapping[str, np.ndarray], data: Data, start: dict[str, Any], key: Any, length: Length
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Draws of one chain, those first, and the average tables of the discrete blocks."""
    messages = program.prepare(data)
    moments = jax.tree.map(jnp.asarray, program.start(data, start)["moments"])
    shapes = jax.eval_shape(lambda m, k: gibbs_sweep(program, turns, data, messages, m, k), moments, key)
    blank = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes[1:])
    before = -(-length.warmup // length.thin)
    share = 1.0 / (length.draws * length.thin)

    def some(carry: Any, i: Any) -> Any:
        """The sweeps of one kept draw, which is the last of them."""

        def once(k: Any, inner: Any) -> Any:
            moments, _, tables = inner
            moments, values, found = gibbs_sweep(program, turns, data, messages, moments, jax.random.fold_in(key, i * length.thin + k))
            return moments, values, jax.tree.map(lambda total, one: total + share * one * (i >= before), tables, found)

        moments, values, tables = jax.lax.fori_loop(0, length.thin, once, (carry[0], blank[0], carry[1]))
        return (moments, tables), values

    (_, tables), kept = jax.lax.scan(some, (moments, blank[1]), jnp.arange(before + length.draws))
    return jax.tree.map(lambda values: values[before:], kept), tables


def gibbs_sweep(
    program: Program, turns: Mapping[str, np.ndarray], data: Data, messages: Mapping[int, Any], moments: dict[str, Any], key: Any
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Each block drawn given the others: the moments of the point, its values, and the conditional tables of discrete blocks."""
    state: State = {"moments": moments, "natural": {}, "entropy": {}, "sums": {}}
    values, tables = {}, {}
    for name, own in zip(program.order, jax.random.split(key, len(program.order)), strict=True):
        block = program.layout.blocks[name]
        if name in turns:
            state, tables[name] = _in_turns(program, block, turns[name], state, data, messages, own)
            values[block.variables[0]] = jnp.argmax(state["moments"][name]["table"], axis=-1)
            continue
        if name in program.stepped:
            own, weights = jax.random.split(own)
            state = update_weighted(program, name, state, data, messages, weights)
        else:
            state = program.update(name, state, data, messages)
        parts = parts_of(state, name)
        found, point = drawn(kind_of(block), block, program.layout.latents, parts, own)
        state = put(state, name, moments=point)
        values |= found
        table = shares(block, parts)
        tables |= {} if table is None else {name: table}
    return state["moments"], values, tables


def _in_turns(
    program: Program, block: Block, turns: np.ndarray, state: State, data: Data, messages: Mapping[int, Any], key: Any
) -> tuple[State, Any]:
    """A table whose members meet: never two that meet are drawn together."""
    count = int(turns.max(initial=-1)) + 1
    conditional = state["moments"][block.name]["table"]
    for turn, own in enumerate(jax.random.split(key, max(count, 1))):
        before = state["moments"][block.name]["table"]
        state = program.update(block.name, state, data, messages)
        parts = parts_of(state, block.name)
        point = drawn(kind_of(block), block, program.layout.latents, parts, own)[1]["table"]
        mine = (turns == turn)[..., None]
        state = put(state, block.name, moments={"table": jnp.where(mine, point, before)})
        conditional = jnp.where(mine, parts["moments"]["table"], conditional)
    return state, conditional


# ------------------------------------------------------------------ what the chains tell
@dataclass(frozen=True)
class ChainsReporter:
    """Answers for beliefs by name: draws of real variables, average probabilities of discrete ones."""

    plan: Plan
    chains: Chains
    seed: int = 0

    @cached_property
    def told(self) -> Reporter:
        """What knows how beliefs are laid out; of the state it sees the tables alone."""
        tables = self.chains.tables
        state = {"moments": {n: {"table": t} for n, t in tables.items()}, "natural": {n: {"unary": t} for n, t in tables.items()}}
        return Reporter(self.plan, Run(self.chains.program, state, {}, np.zeros(0), True, 1, 0.0, 0.0), self.seed)

    @property
    def names(self) -> tuple[str, ...]:
        return self.told.names

    @property
    def count(self) -> int:
        return self.chains.length.chains * self.chains.length.draws

    @cached_property
    def evaluator(self) -> LatentEvaluator:
        return evaluator_at(self.plan, self.chains.draws, stream(self.seed, "unneeded"), self.count)

    def values(self, name: str) -> np.ndarray:
        return drawn_variable(name, self.evaluator, self.count)

    def believe(self, name: str) -> Belief:
        variable = self.plan.latents.get(name)
        if variable is not None and variable.family in DISCRETE:
            open_entries = variable.lookup is not None and bool(np.any(variable.lookup == PREDICTED))
            if not open_entries:
                return self.told.latent(name)
        draws = self.values(name)
        of = self.plan.bound.model.variables[name].type.member_of
        if of is None:
            belief = self.told.with_observed(Belief(name, "Draws", {}, draws=draws))
            return replace(belief, chains=self.chains.length.chains)
        p = (draws[..., None] == np.arange(self.plan.bound.sizes[of.key])).mean(axis=0)
        return self.told.with_observed(Belief(name, "Categorical", {"p": p}, members=self.plan.bound.member_names(name)))

    def joint_draws(self, n: int, seed: int) -> dict[str, np.ndarray]:
        """Draws of everything together, those first: the chains' own in their order, spread over the chains."""
        length = self.chains.length
        each = max(1, min(n, self.count) // length.chains)
        places = np.linspace(0, length.draws - 1, each).astype(int)
        chosen = (np.arange(length.chains)[:, None] * length.draws + places).ravel()
        return {name: self.values(name)[chosen] for name in self.names}

    # ------------------------------------------------------------ how good they are
    def disagreements(self) -> list[str]:
        """The variables whose chains do not agree, also by what is hidden behind them; discrete ones count where there are no others."""
        latents = self.plan.latents
        real = [name for name, variable in latents.items() if variable.family not in DISCRETE]
        worst: dict[str, float] = {}
        for name in real or latents:
            told = name.partition(HIDDEN)[0]
            worst[told] = max(worst.get(told, 1.0), self._rhat(name))
        text = "the chains do not agree yet, give more `draws`"
        return [f"R-hat of `{name}` is {far:.3f}: {text}" for name, far in worst.items() if far > LARGEST_RHAT]

    def _rhat(self, name: str) -> float:
        """The largest of all entries; infinite where chains stand still at different values."""
        draws = self.chains.draws[name]
        found = rhat(draws, self.chains.length.chains)
        stuck = np.isnan(found) & (draws != draws[:1]).any(axis=0)
        return float(np.max(np.where(stuck, np.inf, np.nan_to_num(found, nan=1.0)), initial=1.0))
