"""Samples that are missing: what is believed of them given those that there are, and draws of them.

`mode` and `flow` look at the samples of a bin's window, `smooth` at all of the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ppl.motion.block import Line, Moment, MotionBlock, Outside
from ppl.motion.learnt import root_of, spread
from ppl.motion.linearised import Function, Linearised
from ppl.motion.residuals import Residuals
from ppl.motion.sensing import given_all, given_window, mean_of
from ppl.motion.smooth import Smooth


@dataclass(frozen=True)
class Missing:
    """`smooth` says which samples are looked at."""

    linearised: Linearised
    smooth: bool

    @cached_property
    def lines(self) -> Mapping[str, Line]:
        """The sensors that lack samples."""
        lines = (line for line in self.block.lines if line.role == "sensor")
        return {line.name: line for line in lines if not np.isfinite(self.block.by_series(line.name)).all()}

    @property
    def block(self) -> MotionBlock:
        return self.linearised.block

    def moments(self, line: Line) -> tuple[np.ndarray, np.ndarray]:
        """The mean and the covariance at each bin, (series, T, …); samples that there are have none."""
        return self._in_record(line) if self.smooth else self._in_windows(line)

    def _in_windows(self, line: Line) -> tuple[np.ndarray, np.ndarray]:
        function, beside, noise = self._given_window(line)
        mean, covariance = self.linearised.through(function, *beside)
        return mean, covariance + noise

    def _given_window(self, line: Line) -> tuple[Function, tuple[np.ndarray, ...], np.ndarray]:
        """What a sample is given those of its window that there are, what that reads beside the moment, and its covariance for known
        unknowns, bin by bin."""
        expansions = self.block.embedding.expansions
        beside = Residuals(self.block).masks[line.name], np.broadcast_to(expansions, (len(self.block.members), *expansions.shape))

        def given(u: Any, moment: Moment, outside: Outside, mask: Any, expansion: Any) -> tuple[Any, Any]:
            return given_window(self.block, line, u, moment, mask, expansion, outside)

        noise = self.linearised.each(lambda u, moment, *beside: given(u, moment, self.linearised.outside, *beside)[1], *beside)
        return lambda *all: given(*all)[0], beside, noise

    def _in_record(self, line: Line) -> tuple[np.ndarray, np.ndarray]:
        path, learnt, found = self.linearised.learnt.path, self.linearised.learnt, []
        assert path is not None
        _, slopes, direct = self.linearised.sloped(self._mean_of(line))
        moved = self.linearised.moved(slopes, direct)
        for s, (mean, weights, left) in enumerate(self._given_record(line)):
            own = np.stack([left[t, :, t, :] for t in range(len(mean))])
            by_path = np.einsum("tiw,twp->tip", slopes[s], path.slopes[s])
            for way, covariance in ((by_path, path.covariance[s]), (moved[s], learnt.covariance)):
                own = own + spread(np.tensordot(weights, way, axes=2), covariance)
            found.append((mean, own))
        return np.stack([m for m, _ in found]), np.stack([c for _, c in found])

    def _mean_of(self, line: Line) -> Function:
        return lambda u, moment, outside: mean_of(self.block, line, u, moment, outside)

    def _given_record(self, line: Line) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """By series: samples given all that there are, how they move with the means of all, and their covariance for known means."""
        block, correlation = self.block, Smooth(self.block, False).correlation
        means = self.linearised.each(lambda u, moment: mean_of(block, line, u, moment, self.linearised.outside))
        for s, member in enumerate(block.members):
            noise = np.linalg.inv(np.asarray(block.precision(line, self.linearised.outside, member)))
            yield given_all(block.by_series(line.name)[s], means[s], correlation, noise)

    def drawn(self, line: Line, u: np.ndarray, change: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(count, series, T, size): samples that are missing, at draws of the unknowns and the coordinates; the others as they are."""
        record, smooth = self.block.by_series(line.name), self.smooth
        white = rng.standard_normal((len(u), *record.shape))
        function, beside, noise = (self._mean_of(line), (), None) if smooth else self._given_window(line)
        mean, slopes, direct = self.linearised.sloped(function, *beside)
        means = mean + np.einsum("stiw,nstw->nsti", slopes, u - self.linearised.mean) + np.einsum("stip,np->nsti", direct, change)
        if noise is not None:
            drawn = means + np.einsum("stij,nstj->nsti", root_of(noise), white)
        else:
            found = []
            for s, (value, weights, left) in enumerate(self._given_record(line)):
                root = root_of(left.reshape(value.size, value.size)).reshape(left.shape)
                along = np.tensordot(means[:, s] - mean[s], weights, axes=((1, 2), (2, 3)))
                found.append(value + along + np.tensordot(white[:, s], root, axes=((1, 2), (2, 3))))
            drawn = np.stack(found, axis=1)
        return np.where(np.isfinite(record), record, drawn)
