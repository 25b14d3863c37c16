"""What a posterior of a generalized block answers: the future by Taylor's expansion, and replications of what was sensed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import factorial
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from ppl.arrays.streams import stream
from ppl.engines.precision import with_precision
from ppl.engines.questions import ModelQuestions
from ppl.engines.rebinding import arrays_of
from ppl.graph.bound import BoundModel
from ppl.motion import roughness
from ppl.motion.block import Moment
from ppl.motion.mode import shift
from ppl.motion.report import MotionReport
from ppl.motion.sensing import defined_at, first_left_out, mean_of
from ppl.numerics.compilation import lightly
from ppl.results.posterior import Posterior
from ppl.results.questions import Draws, NewData, Pointwise
from ppl.semantics.typed import Variable
from ppl.source.diagnostics import AimError, Diagnostic


@dataclass(frozen=True)
class MotionQuestions(ModelQuestions):
    """`report` is None where the posterior comes from a file."""

    report: MotionReport | None = field(default=None, repr=False)

    def variable(self, name: str) -> Variable:
        """Of a derivative, its state."""
        return super().variable(name.rstrip("'"))

    @property
    def onward(self) -> set[str]:
        motion = self.bound.model.motion
        assert motion is not None
        return {motion.loop.set.key}

    def log_likelihood(self, draws: Draws, new: NewData, seed: int) -> dict[str, Pointwise]:
        self._refuse("log_likelihood", "samples with smooth noise are not independent of each other given the states")

    def update(self, posterior: Posterior, new: NewData) -> Posterior:
        self._refuse("update", "each bin looks at samples after it; fit the longer record")

    def _refuse(self, what: str, why: str) -> NoReturn:
        raise AimError([Diagnostic("AIM0713", f"`{what}` of a generalized block is not supported: {why}", None)])

    @property
    def told(self) -> MotionReport:
        if self.report is None:
            self._refuse("predict", "the posterior was read from a file, which keeps no derivatives")
        return self.report

    # ------------------------------------------------------------ predictions
    def predict(self, draws: Draws, new: NewData, seed: int, name: str | None, count: int) -> dict[str, np.ndarray]:
        """Without `new`, replications of what was sensed; a longer time goes on from the last bin, and tells of all bins."""
        block = self.told.block
        key = block.motion.loop.set.key
        given = {n: v for n, v in arrays_of(new).items() if n != key}
        longer = arrays_of(new).get(key)
        bins = block.bins if longer is None else int(np.asarray(longer))
        if bins < block.bins:
            self._refuse("predict", f"a prediction goes on after the {block.bins} bins of the record")
        if self.told.plan.engine == "smooth" and bins > block.bins:
            found = self._smoothed(bins, given, seed, count)
        elif given:
            self._refuse("predict", f"by Taylor's expansion only the time goes on: give {key} alone, or fit by scheme = smooth")
        else:
            found = with_precision(np.float64, self._expanded)(bins, seed, count)
        if name is not None and name not in found:
            self._refuse("predict", f"`{self.variable(name).name}` has no value of the model at each bin")
        return {n: v for n, v in found.items() if n == name or (name is None and not n.endswith("'"))}

    def _expanded(self, bins: int, seed: int, count: int) -> dict[str, np.ndarray]:
        """States by their derivatives at the last bin, with the first one that is left out as the error; sensors with their noise."""
        report, block = self.told, self.told.block
        rng = stream(seed, "predictions")
        u = report.draws_of_unknowns(rng, count)
        for ahead in range(1, bins - block.bins + 1):
            moved = u[:, :, block.bins - 1] @ shift(block, float(ahead)).T
            u = np.concatenate([u, (moved + self._left_out(ahead, rng, count))[:, :, None]], axis=2)
        lead = (*block.series, bins)
        found = report.by_name(u)
        for name in block.definitions:
            value = self._along(lambda u, moment, n=name: defined_at(block, n, u, moment, report.outside), u)
            found[name] = value.reshape(count, *lead, *block.shape(name))
        for line in block.lines:
            if line.role == "sensor":
                found[line.name] = self._sensed(line, u, rng).reshape(count, *lead, *line.shape)
        return found

    def _left_out(self, ahead: int, rng: np.random.Generator, count: int) -> np.ndarray:
        """How far the expansion may be off: its next term, in all derivatives alike."""
        report, block = self.told, self.told.block
        found = np.zeros((count, len(block.members), block.width))
        for s, member in enumerate(block.members):
            for name, variance in first_left_out(block, report.outside, member).items():
                x = next(one for one in block.unknowns if one.name == name)
                size = np.sqrt(variance) * rng.standard_normal((count, x.size))
                for k in range(x.count):
                    place = slice(x.start + k * x.size, x.start + (k + 1) * x.size)
                    found[:, s, place] = size * ahead ** (x.count - k) / factorial(x.count - k)
        return found

    def _along(self, function: Callable[[Any, Moment], Any], u: np.ndarray) -> np.ndarray:
        """A function of the unknowns and what is known, at all draws, series and bins; beyond the record inputs stay as they are."""
        moments, bins = self.told.block.moments, u.shape[2]
        held = {k: np.concatenate([v, np.repeat(v[-1:], bins - len(v), axis=0)]) for k, v in moments.inputs.items()}

        def at(u: Any, inputs: Any, time: Any, member: Any) -> Any:
            return function(u, Moment({}, inputs, time, member))

        over_bins = jax.vmap(at, in_axes=(0, 0, 0, None))
        mapped = jax.jit(
            jax.vmap(jax.vmap(over_bins, in_axes=(0, None, None, 0)), in_axes=(0, None, None, None)), compiler_options=lightly(1)
        )
        return np.asarray(mapped(jnp.asarray(u), held, jnp.arange(float(bins)), moments.member))

    def _sensed(self, line: Any, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Means at the draws, with smooth noise along the bins."""
        report, block, bins = self.told, self.told.block, u.shape[2]
        mean = self._along(lambda u, moment: mean_of(block, line, u, moment, report.outside), u)
        times = np.arange(float(bins))
        correlation = roughness.autocorrelation(times[:, None] - times, block.options.smoothness)
        root = np.linalg.cholesky(correlation + 1e-9 * np.eye(bins))
        noise = [np.linalg.cholesky(np.linalg.inv(np.asarray(block.precision(line, report.outside, m)))) for m in block.members]
        return mean + np.einsum("tr,sij,nsrj->nsti", root, np.stack(noise), rng.standard_normal(mean.shape))

    def _smoothed(self, bins: int, given: dict[str, Any], seed: int, count: int) -> dict[str, np.ndarray]:
        """The longer record with its end missing, fitted again: the model itself goes on, from samples that are what they were."""
        bound, motion = self.bound, self.told.block.motion
        values = dict(bound.values)
        for name, value in bound.values.items():
            axes = bound.model.variables[name].type.axes
            at = [k for k, axis in enumerate(axes) if axis.set is not None and axis.set.key == motion.loop.set.key]
            if name in given:
                values[name] = np.asarray(given[name], float)
            elif at and name in bound.observed:
                pad = [(0, bins - n if k == at[0] else 0) for k, n in enumerate(value.shape)]
                values[name] = np.pad(value, pad, constant_values=np.nan)
            elif at:
                self._refuse("predict", f"`{name}` has a value at each bin: give it for all {bins}")
        observed: dict[str, np.ndarray] = {}
        for n in bound.observed:
            plates = values[n].shape[: bound.model.variables[n].plates]
            observed[n] = np.asarray(np.isfinite(values[n]).reshape(*plates, -1).all(axis=-1))
        longer = BoundModel(bound.model, {**bound.sizes, motion.loop.set.key: bins}, values, observed, bound.warnings)
        posterior = self.fit(longer)
        return dict(posterior.draws(count, seed=seed))


def motion_questions(posterior: Posterior, bound: BoundModel, fit: Any, texts: Any) -> MotionQuestions:
    """What answers for a posterior that a fit has made, or a file has kept."""
    report = posterior.questions.report if isinstance(posterior.questions, MotionQuestions) else None
    return MotionQuestions(bound if report is None else report.plan.bound, fit, texts, report=report)
