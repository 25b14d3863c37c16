"""The scheme `smooth`: the path over the whole record as one block, a generative model of every sample once.

The noise of each statement is a series over the bins with the autocorrelation of its roughness. From the states at the start the equations
of motion are followed bin by bin, by a Taylor step of the block's `order`; between bins noise, causes and inputs run in straight lines,
or stay as they are where the noise is white. So with `smoothness = 0` and `order = 1` this is `x[t + 1] = x[t] + dt (f + w[t])`: a Kalman
smoother where all is linear. The starts and the noise are the unknowns, and least squares finds them (dense: the cost grows with the cube
of their number). Where all is linear the belief is exact, and the bound is the log evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import factorial
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np

from ppl.motion import roughness
from ppl.motion.block import Line, MotionBlock, Outside
from ppl.motion.evaluation import inputs_of
from ppl.motion.jets import derivatives
from ppl.motion.least_squares import solve, solve_linear
from ppl.motion.residuals import LOG_2PI
from ppl.motion.series import over_series
from ppl.motion.starts import start_of
from ppl.motion.states import States
from ppl.numerics.compilation import lightly

NUGGET = 1e-9  # a white part of this share, where smooth noise is the same at neighbouring bins up to rounding


@dataclass(frozen=True, eq=False)
class Smooth:
    """The whole record of a series stands where `mode` has a bin: unknowns are (series, 1, width)."""

    block: MotionBlock
    linear: bool

    # ------------------------------------------------------------ the unknowns
    @cached_property
    def driven(self) -> tuple[Line, ...]:
        """Equations of motion and priors of causes."""
        return tuple(line for line in self.block.lines if line.role != "sensor")

    @cached_property
    def moved(self) -> tuple[Line, ...]:
        """Those of them that have noise."""
        return tuple(line for line in self.driven if not line.certain)

    @cached_property
    def sensors(self) -> tuple[Line, ...]:
        return tuple(line for line in self.block.lines if line.role == "sensor")

    @cached_property
    def orders(self) -> dict[str, int]:
        """How many derivatives of each state are followed: those below its equation of motion."""
        return {line.statement.variable: line.order for line in self.block.lines if line.role == "equation"}

    @cached_property
    def starts(self) -> int:
        """How many numbers the states have at the start."""
        return sum(self.orders[x.name] * x.size for x in self.block.unknowns if x.name in self.orders)

    @cached_property
    def width(self) -> int:
        return self.starts + sum(line.size for line in self.moved) * self.block.bins

    def parts(self, u: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The states at the start, (order, size), and the noise of each line, (T, size)."""
        states, at = {}, 0
        noises = {line.statement.variable: jnp.zeros((self.block.bins, line.size)) for line in self.driven}
        for x in self.block.unknowns:
            if x.name in self.orders:
                count = self.orders[x.name] * x.size
                states[x.name] = u[at : at + count].reshape(self.orders[x.name], x.size)
                at += count
        for line in self.moved:
            count = self.block.bins * line.size
            noises[line.statement.variable] = u[at : at + count].reshape(self.block.bins, line.size)
            at += count
        return states, noises

    # ------------------------------------------------------------ the path
    @cached_property
    def inputs(self) -> dict[str, np.ndarray]:
        """(T, …) records of the known causes."""
        return {f"{n}@{k}": np.moveaxis(np.asarray(self.block.known[n], float), k, 0) for n, k in inputs_of(self.block.motion)}

    def means(self, states: Any, noises: Any, inputs: Any, time: Any, member: Any, outside: Outside) -> Iterator[tuple[Line, Any]]:
        """What is added to the noise of each line, at one moment; causes and highest derivatives are known to the lines below."""
        values: dict[str, Any] = {**outside, **inputs, f"{self.block.motion.loop.name}@": time}
        values |= {f"{loop.name}@": member[k] for k, loop in enumerate(self.block.motion.plates)}
        shapes = {x.name: x.shape for x in self.block.unknowns}
        for name, rows in states.items():
            values |= {name + "'" * k: rows[k].reshape(shapes[name]) for k in range(self.orders[name])}
        for line in sorted(self.block.lines, key=lambda one: ("cause", "equation", "sensor").index(one.role)):
            mean = self.block.mean_at(line, values)
            if line.role != "sensor":
                values[line.name] = (mean + noises[line.statement.variable]).reshape(line.shape)
            yield line, mean

    def step(self, states: Any, now: Any, then: Any, member: Any, outside: Outside) -> Any:
        """The states one bin later; `now` and `then` hold noise, inputs and time at the two bins."""
        if not states:
            return states
        dt, order = self.block.options.dt, self.block.options.order
        bend = 1.0 if self.block.options.smoothness else 0.0
        rates = jax.tree.map(lambda a, b: bend * (b - a) / dt, now, then)
        rows = {name: list(values) for name, values in states.items()}
        flat, back = jax.flatten_util.ravel_pytree((states, now))
        equations = [line for line in self.block.lines if line.role == "equation"]

        def highest(point: Any) -> Any:
            there, (noises, inputs, time) = back(point)
            found = dict((line.name, mean) for line, mean in self.means(there, noises, inputs, time, member, outside))
            return jnp.concatenate([found[line.name] + noises[line.statement.variable] for line in equations])

        ends = np.cumsum([0, *(line.size for line in equations)])
        curve = [flat]
        for level in range(max(order - min(self.orders.values(), default=order), 0) + 1):
            top = derivatives(highest, jnp.stack(curve))[level]
            for line, (a, b) in zip(equations, pairwise(ends), strict=True):
                rows[line.statement.variable].append(top[a:b])
            ahead = {n: jnp.stack(r[level + 1 : level + 1 + self.orders[n]]) for n, r in rows.items()}
            beside = rates if level == 0 else jax.tree.map(jnp.zeros_like, rates)
            curve.append(jax.flatten_util.ravel_pytree((ahead, beside))[0])
        return {n: self._taylor(r, self.orders[n]) for n, r in rows.items()}

    def _taylor(self, rows: list[Any], count: int) -> Any:
        dt, last = self.block.options.dt, self.block.options.order
        return jnp.stack([sum(rows[k + j] * dt**j / factorial(j) for j in range(min(last, len(rows) - 1) - k + 1)) for k in range(count)])

    def path(self, u: Any, member: Any, outside: Outside) -> tuple[Any, Any]:
        """What each line's mean is at each bin, (T, size) by the line's name, and the unknowns that are told of, (T, …)."""
        states, noises = self.parts(u)
        times = jnp.arange(self.block.bins, dtype=float)
        driven = (noises, {k: jnp.asarray(v) for k, v in self.inputs.items()}, times)
        after = jax.tree.map(lambda a: jnp.concatenate([a[1:], a[-1:]]), driven)

        def one(states: Any, both: Any) -> tuple[Any, Any]:
            now, then = both
            noises, inputs, time = now
            means = {line.name: mean for line, mean in self.means(states, noises, inputs, time, member, outside)}
            return self.step(states, now, then, member, outside), (means, self._told(states, means, noises))

        return jax.lax.scan(one, states, (driven, after))[1]

    def _told(self, states: Any, means: Any, noises: Any) -> Any:
        """The unknowns of the block at a bin, in bins."""
        parts = []
        for x in self.block.unknowns:
            order = self.orders.get(x.name, 0)
            top = means[x.name + "'" * order] + noises[x.name]
            rows = [*(states[x.name] if order else ()), top]
            parts += [row * self.block.options.dt**k for k, row in enumerate(rows)]
        return jnp.concatenate(parts)

    # ------------------------------------------------------------ errors
    @cached_property
    def correlation(self) -> np.ndarray:
        """Of the noise at all bins."""
        bins = np.arange(self.block.bins, dtype=float)
        found, least = roughness.autocorrelation(bins[:, None] - bins, self.block.options.smoothness), NUGGET * np.eye(len(bins))
        try:
            np.linalg.cholesky(found - least)  # has one where the smallest eigenvalue is larger
        except np.linalg.LinAlgError:
            return found + least
        return found

    @cached_property
    def root(self) -> np.ndarray:
        """Of its inverse: lower, and times the noise at all bins it is white."""
        return np.linalg.inv(np.linalg.cholesky(self.correlation))

    @cached_property
    def records(self) -> dict[str, np.ndarray]:
        """(series, T, size); NaN where a sample is missing."""
        return {line.name: self.block.by_series(line.name) for line in self.sensors}

    @cached_property
    def _of_series(self) -> Any:
        """Compiled within what asks for it, so that it is traced once however often it is differentiated."""
        return jax.jit(self._whitened)

    def _whitened(self, u: Any, member: Any, records: Any, outside: Outside) -> Any:
        """The whitened errors of a series."""
        means, _ = self.path(u, member, outside)
        _, noises = self.parts(u)
        parts = []
        for line in (*self.moved, *self.sensors):
            upper = self._upper(line, member, outside)
            error = noises[line.statement.variable] if line.role != "sensor" else records[line.name] - means[line.name]
            if self._lacks(line):
                error = jnp.where(jnp.isfinite(records[line.name]), error, 0.0).reshape(-1)
                parts.append(jax.scipy.linalg.solve_triangular(self._lower(records[line.name], upper), error, lower=True))
            else:
                parts.append((self.root @ error @ upper.T).reshape(-1))
        return jnp.concatenate([*parts, start_of(self.block, outside, member).errors(self._first(u))])

    def _log_normaliser(self, member: Any, records: Any, outside: Outside) -> Any:
        """Of the density of the errors of a series."""
        total = start_of(self.block, outside, member).log_normaliser
        for line in (*self.moved, *self.sensors):
            upper, count = self._upper(line, member, outside), self.block.bins * line.size
            if self._lacks(line):
                log_root = -jnp.log(jnp.diagonal(self._lower(records[line.name], upper))).sum()
                count = jnp.isfinite(records[line.name]).sum()
            else:
                log_root = line.size * float(np.log(np.diag(self.root)).sum()) + self.block.bins * jnp.log(jnp.diagonal(upper)).sum()
            total = total + log_root - 0.5 * count * LOG_2PI
        return total

    def _upper(self, line: Line, member: Any, outside: Outside) -> Any:
        return jnp.linalg.cholesky(self.block.precision(line, outside, member)).T

    def _lacks(self, line: Line) -> bool:
        return line.role == "sensor" and not np.isfinite(self.records[line.name]).all()

    def _lower(self, record: Any, upper: Any) -> Any:
        """The root of the covariance of the samples that there are; 1 at the others."""
        there = jnp.isfinite(record).reshape(-1) * 1.0
        covariance = jnp.kron(self.correlation, jax.scipy.linalg.cho_solve((upper, False), jnp.eye(len(upper))))
        return jnp.linalg.cholesky(covariance * there[:, None] * there + jnp.diag(1.0 - there))

    def _first(self, u: Any) -> Any:
        """The unknowns of the block at the first bin as far as a start speaks of them: states themselves."""
        states, _ = self.parts(u)
        found = jnp.zeros(self.block.width)
        for x in self.block.unknowns:
            if x.name in states:
                found = found.at[x.start : x.start + x.size].set(states[x.name][0])
        return found

    def _begun(self, member: Any, outside: Outside) -> tuple[Any, Any]:
        """Where the search begins, and 0 at the states that are pinned."""
        start = start_of(self.block, outside, member)
        guess, free, at = jnp.zeros(self.width), jnp.ones(self.width), 0
        for x in self.block.unknowns:
            if x.name in self.orders:
                place = slice(at, at + x.size)
                guess = guess.at[place].set(start.guess[x.start : x.start + x.size])
                free = free.at[place].set(1.0 - start.pinned[x.start : x.start + x.size])
                at += self.orders[x.name] * x.size
        return guess, free

    # ------------------------------------------------------------ what learning asks for
    def __call__(self, outside: Outside) -> States:
        def of_series(member: Any, records: Any) -> States:
            guess, free = self._begun(member, outside)
            search = solve_linear if self.linear else solve
            found = search(lambda u: self._of_series(u, member, records, outside), guess, free)
            lower = jnp.linalg.cholesky(found.curvature)
            covariance = jax.scipy.linalg.cho_solve((lower, True), jnp.eye(self.width)) * free[:, None] * free
            constant = self._log_normaliser(member, records, outside)
            bound = constant - found.cost + 0.5 * free.sum() * LOG_2PI - jnp.log(jnp.diagonal(lower)).sum()
            return States(found.at[None], covariance[None], bound[None], (found.settled & jnp.isfinite(bound))[None])

        return over_series(of_series)(self.block.members, self.records)

    def errors(self, u: Any, outside: Outside) -> Any:
        return over_series(lambda v, member, records: self._of_series(v[0], member, records, outside)[None])(
            u, self.block.members, self.records
        )

    def free(self, outside: Outside) -> Any:
        """(series, 1, width): 0 where a state is pinned by a value at the start."""
        return over_series(lambda member: self._begun(member, outside)[1][None])(self.block.members)

    def log_normalisers(self, outside: Outside) -> Any:
        return over_series(lambda member, records: self._log_normaliser(member, records, outside))(self.block.members, self.records)

    def by_line(self, values: Any) -> Any:
        told = [*self.moved, *self.sensors]
        ends = dict(
            zip((line.name for line in told), pairwise(np.cumsum([0, *(line.size * self.block.bins for line in told)])), strict=True)
        )
        return jnp.stack([values[..., slice(*ends.get(line.name, (0, 0)))].sum() for line in self.block.lines])

    def numbers(self) -> np.ndarray:
        whole = len(self.block.members) * self.block.bins
        by_line = {x.name: whole * x.size for x in self.moved} | {n: np.isfinite(record).sum() for n, record in self.records.items()}
        return np.asarray([by_line.get(x.name, 0) for x in self.block.lines], float)

    def told(self, u: Any, outside: Outside) -> Any:
        """The unknowns of the block at each bin, (series, T, …)."""
        return over_series(lambda v, member: self.path(v[0], member, outside)[1])(u, self.block.members)

    def told_slopes(self, u: Any, outside: Outside) -> Any:
        """Of those in the unknowns of this scheme, (series, T, …, width)."""

        def of_series(v: Any, member: Any) -> Any:
            return jax.jacfwd(lambda w: self.path(w, member, outside)[1])(v[0])

        return over_series(of_series)(u, self.block.members)


def is_linear(block: MotionBlock, outside: Outside) -> bool:
    """Whether the slopes of the path are the same wherever they are taken: in directions drawn at random."""
    scheme = Smooth(block, False)
    rng = np.random.default_rng(0)
    direction = jnp.asarray(rng.standard_normal(scheme.width))
    member = block.members[0]

    def along(u: Any) -> Any:
        return jax.jvp(lambda v: jax.tree.leaves(scheme.path(v, member, outside)), (u,), (direction,))[1]

    slope = jax.jit(along, compiler_options=lightly())
    first, other = slope(jnp.zeros(scheme.width)), slope(jnp.asarray(rng.standard_normal(scheme.width)))
    scale = max(float(jnp.abs(f).max()) for f in first)
    return all(float(jnp.abs(f - o).max()) <= 1e-10 * scale for f, o in zip(first, other, strict=True))
