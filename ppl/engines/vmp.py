"""Variational message passing: sweeps of a program until its bound and its beliefs stand still.

One compiled loop; restarts side by side under `vmap`, of which the best bound wins. An exact plan needs one sweep. The kernel of a long
discrete chain has several routes, and which is right depends on the numbers: the loop holds the fastest alone, and where its bound
is not finite the run begins again with the next, so that the program stays small.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.streams import stream
from ppl.catalogue.engines import ENGINES
from ppl.compiler.discrete_chains import DiscreteChain
from ppl.compiler.plan import Plan
from ppl.compiler.program import Data, Program, State, make_program
from ppl.engines.extrapolation import EVERY, extrapolated, natural_of
from ppl.engines.starts import checked_start, starting_points
from ppl.numerics.compilation import lightly
from ppl.source.diagnostics import AimError, Diagnostic

STANDING_STILL = 1e-6  # movement of a block, in units of its sd
BETWEEN_REPORTS = 25
SMALL, MEDIUM = 50_000, 500_000  # numbers
ONCE = 100  # times as many for what runs once

Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class Run:
    """What a fit left: the state of the best start, and how it went."""

    program: Program
    state: State
    messages: dict[int, Any]
    trace: np.ndarray
    converged: bool
    restarts: int
    compile_seconds: float
    run_seconds: float
    accuracy: np.ndarray | None = None  # sweep by sweep


@dataclass(frozen=True)
class Beginning:
    """Beliefs to begin at: the state of a program with this signature, or of this very `program`."""

    state: State
    signature: Any
    dtype: Any
    program: Callable[[], Program] | None = None

    def of(self, plan: Plan, dtype: Any, make: Callable[[], Program]) -> Program:
        """The program. Raises `AimError` where the beliefs are of another."""
        made = self.program() if self.program is not None and self.dtype == np.dtype(dtype) else make()
        if made.signature == self.signature:
            return made
        text = f"`start` is no posterior of `{plan.bound.model.name}` with the same sizes, entries observed, approximation and dtype"
        raise AimError([Diagnostic("AIM0505", text, None, "leave `start` out: such a fit begins anew")])


def run_vmp(
    plan: Plan,
    *,
    seed: int = 0,
    iterations: int | None = None,
    tolerance: float | None = None,
    restarts: int | None = None,
    dtype: Any = np.float64,
    start: dict[str, np.ndarray] | Beginning | None = None,
    progress: Progress | None = None,
) -> Run:
    """Fits the plan. `start` gives states of discrete blocks to begin from, by name, instead of drawn ones; or beliefs."""
    options = {**ENGINES["vmp"].defaults, **plan.options}
    limit = int(iterations or options["iterations"])
    if plan.exact:  # a chain's log-determinant is seen best from its own optimum
        limit = 2 if any(b.chain is not None for b in plan.blocks) else 1
    small = float(tolerance if tolerance is not None else options["tolerance"])
    if np.dtype(dtype) == np.float32:
        small = max(small, 1e-6)
    asked = int(restarts or options["restarts"])
    damping = float(options["damping"])
    begun = start if isinstance(start, Beginning) else None

    def make() -> Program:
        return make_program(plan.latents, plan.blocks, plan.factors, damping=damping, dtype=dtype, expansions=plan.expansions)

    program = begun.of(plan, dtype, make) if begun is not None else make()
    starts = 1 if plan.exact else asked
    if isinstance(start, Beginning):
        drawn: list[Any] = [{}]
    elif start:
        drawn = [checked_start(start, plan)]
    else:
        rng = stream(seed, "starts")
        drawn = [starting_points(plan, rng, several=starts > 1) for _ in range(starts)]
    count = len(drawn) if drawn[0] else 1  # without a drawn start all restarts would be the same
    labels = [{k: jnp.asarray(v) for k, v in one.items()} for one in drawn[:count]]
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *labels) if count > 1 else labels[0]
    still = STANDING_STILL if np.dtype(dtype) == np.float64 else 1e-3
    compile_seconds = run_seconds = 0.0
    for place in range(program.routes):
        clock = time.perf_counter()
        far = bool(options.get("extrapolation", False)) and not plan.exact
        loop = _compiled_once(program, place, stacked, limit, several=count > 1, far=far)
        carry = loop.begin(program.data, stacked) if begun is None else _carried(program, begun.state, limit, far)
        sweeps = loop.sweeps(carry, often=begun is not None)
        compiled = time.perf_counter()
        carry, messages = _looped(sweeps, program.data, carry, limit, (small, still), progress)
        compile_seconds, run_seconds = compile_seconds + compiled - clock, run_seconds + time.perf_counter() - compiled
        if np.all(np.isfinite(carry["bound"])):
            break
    best = int(np.argmax(np.nan_to_num(np.asarray(carry["bound"]), nan=-np.inf))) if count > 1 else 0
    chosen = jax.tree.map(lambda a: a[best], carry) if count > 1 else carry
    trace, accuracy = (np.asarray(chosen[name])[: int(chosen["iterations"])] for name in ("trace", "accuracies"))
    trace, accuracy = (trace[-1:], accuracy[-1:]) if plan.exact else (trace, accuracy)
    converged = bool(chosen["converged"]) or plan.exact
    return Run(program, chosen["state"], messages, trace, converged, count, compile_seconds, run_seconds, accuracy)


def _looped(
    sweeps: Callable[..., tuple[Any, Any]], data: Data, carry: Any, limit: int, enough: tuple[float, float], progress: Progress | None
) -> tuple[Any, Any]:
    """What is carried after the last sweep, and the messages; progress is told by blocks of sweeps."""
    messages, done = {}, 0
    while done < limit and not np.all(carry["converged"]) and (done == 0 or np.any(np.isfinite(carry["bound"]))):
        carry, messages = sweeps(data, carry, limit if progress is None else min(limit, done + BETWEEN_REPORTS), *enough)
        done = int(np.max(carry["iterations"]))
        if progress is not None:
            progress(done, float(np.max(carry["bound"])))
    return carry, messages


_COMPILED: dict[Any, Loop] = {}
REMEMBERED = 64  # programs that are kept compiled in this process


def _compiled_once(program: Program, place: int, labels: dict[str, Any], limit: int, *, several: bool, far: bool) -> Loop:
    """The compiled functions, remembered: another fit of the same shapes does not compile again."""
    key = (program.signature, place, tuple((k, v.shape) for k, v in labels.items()), limit, several, far)
    if key not in _COMPILED:
        if len(_COMPILED) >= REMEMBERED:
            del _COMPILED[next(iter(_COMPILED))]
        _COMPILED[key] = Loop(program.skeleton, place, labels, limit, several, far)
    return _COMPILED[key]


@dataclass(frozen=True, eq=False)
class Loop:
    """The start, right by itself, and the sweeps by one route, for one start or for several side by side; each is compiled when it is
    called for. `far` is for long steps between sweeps."""

    program: Program
    place: int
    labels: Mapping[str, Any]
    limit: int
    several: bool
    far: bool
    _sweeps: dict[Any, Any] = field(default_factory=dict, repr=False)  # as traced, and compiled for once or often

    @cached_property
    def begin(self) -> Callable[[Data, Any], Any]:
        def begin(data: Data, given: Any) -> dict[str, Any]:
            return _carried(self.program, self.program.start(data, given), self.limit, self.far)

        several = jax.vmap(begin, in_axes=(None, 0)) if self.several else begin
        if not (self.several or self.labels) and self.program.starts_blank:
            return several
        data = self.program.data
        return jax.jit(several).lower(data, self.labels).compile(compiler_options=compiler_options(data, once=True))

    def sweeps(self, carry: Any, often: bool) -> Callable[..., tuple[Any, Any]]:
        """What goes on from `carry`. What is used `often` is worth more passes of the compiler."""
        if often not in self._sweeps:
            blocks = self.program.layout.blocks.values()
            chains = any(b.chain is not None or isinstance(b.structure, DiscreteChain) for b in blocks)
            options = compiler_options(self.program.data, carry["state"]["moments"], loops=chains, often=often)
            if "lowered" not in self._sweeps:
                self._sweeps["lowered"] = self._lowered(carry)
            self._sweeps[often] = self._sweeps["lowered"].compile(compiler_options=options)
        return self._sweeps[often]

    def _lowered(self, carry: Any) -> Any:
        routed = self.program.routed(self.place)

        def sweeps(data: Data, carry: dict[str, Any], stop: Any, small: Any, still: Any) -> tuple[dict[str, Any], dict[int, Any]]:
            messages = routed.prepare(data)
            carry = jax.tree.map(jnp.asarray, carry)

            def going(c: dict[str, Any]) -> Any:
                return (c["iterations"] < stop) & ~c["converged"] & (jnp.isfinite(c["bound"]) | (c["iterations"] == 0))

            return jax.lax.while_loop(going, lambda c: _once(routed, data, messages, c, small, still), carry), messages

        several = jax.vmap(sweeps, in_axes=(None, 0, None, None, None), out_axes=(0, None)) if self.several else sweeps
        return jax.jit(several).lower(self.program.data, carry, self.limit, 0.0, 0.0)


def _once(program: Program, data: Data, messages: dict[int, Any], carry: dict[str, Any], small: Any, still: Any) -> dict[str, Any]:
    """What is carried after one sweep more: after a long step, where it is due and does raise the bound."""
    from_where, past, due = carry["state"], {}, np.asarray(False)
    far = "before" in carry
    if far:
        due = (carry["iterations"] % EVERY == 0) & (carry["iterations"] > EVERY)
        from_where = jax.lax.cond(
            due, lambda c: extrapolated(program, c["state"], c["before"], c["first"], data, messages), lambda c: c["state"], carry
        )
        past = {"before": natural_of(program, carry["state"]), "first": carry["before"]}
    state = program.sweep(from_where, data, messages)
    moved = program.movement(state, carry["state"])
    state = program.expanded(state, data)
    bound, accuracy = program.bound_and_accuracy(state, data, messages)
    if far:  # a long step that does not raise the bound is taken back
        lost, before = due & ~(bound >= carry["bound"]), carry["accuracies"][carry["iterations"] - 1]
        old, new = (carry["state"], carry["bound"], before), (state, bound, accuracy)
        state, bound, accuracy = jax.tree.map(lambda a, b: jnp.where(lost, a, b), old, new)
        moved = jnp.where(lost, jnp.inf, moved)
    flat = jnp.abs(bound - carry["bound"]) <= small * (1.0 + jnp.abs(bound))
    return {
        **past,
        "state": state,
        "bound": bound,
        "trace": carry["trace"].at[carry["iterations"]].set(bound),
        "accuracies": carry["accuracies"].at[carry["iterations"]].set(accuracy),
        "iterations": carry["iterations"] + 1,
        "converged": flat & (moved <= still),
    }


def _carried(program: Program, state: State, limit: int, far: bool) -> dict[str, Any]:
    """What the loop carries before the first sweep from a state."""
    past = {"before": natural_of(program, state), "first": natural_of(program, state)} if far else {}
    return {
        **past,
        "state": state,
        "bound": np.asarray(-np.inf, program.dtype),
        "trace": np.full((limit,), np.nan, program.dtype),
        "accuracies": np.full((limit,), np.nan, program.dtype),
        "iterations": np.asarray(0),
        "converged": np.asarray(False),
    }


def compiler_options(*arrays: Any, once: bool = False, loops: bool = False, often: bool = False) -> dict[str, Any]:
    """What the size of a program's arrays is worth: small ones are compiled without passes that would take longer than they save.

    What runs `once` has less to save, what runs `often` more. What `loops` over steps of small arrays gains nothing from XLA's emitters
    of fusions.
    """
    if jax.default_backend() != "cpu":
        return {}
    numbers = sum(np.size(leaf) for leaf in jax.tree.leaves(arrays)) / (ONCE if once else 1)
    if loops or numbers < MEDIUM:
        return lightly(0 if numbers < SMALL and not often else 1)
    return {"xla_cpu_parallel_codegen_split_count": 1}
