"""Pictures of a trace with Matplotlib: beliefs, policies and expected free energy over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.agents.policy_plan import policy_text
from ppl.agents.rows import by_variable
from ppl.results.extras import needs
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean

if TYPE_CHECKING:
    from ppl.agents.trace import Trace

MOST_LINES = 12  # policies in one picture


def plot(trace: Trace, kind: str, *, episode: int = 0, ax: Any = None) -> Any:
    """The picture of this kind: Matplotlib's axes (of `beliefs` an array of them, one a state). Raises `AimError` where there is none,
    ValueError for an episode that there is not."""
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or "plots: " + ", ".join(KINDS)
        raise AimError([Diagnostic("AIM0810", f"there is no plot `{kind}`", None, hint)])
    if not 0 <= episode < trace.episodes:
        raise ValueError(f"there is no episode {episode}: the trace has {trace.episodes}, counted from 0")
    return KINDS[kind](trace, episode, ax)


def _beliefs(trace: Trace, episode: int, ax: Any) -> Any:
    """The probability of each member of each state, darker where it is larger, with the true state as a dot where it is known."""
    columns = trace.program.network.truth
    states = [one for f in columns.factors for one in f.singles]
    believed = by_variable(columns.factors, trace.told.beliefs, 2)
    if ax is None:
        _, grid = needs("matplotlib.pyplot", "plots").subplots(
            len(states), 1, squeeze=False, sharex=True, layout="constrained", figsize=(7, 1 + 1.6 * len(states))
        )
        axes = grid[:, 0]
    else:
        axes = np.atleast_1d(ax)
    for place, f in zip(axes, states, strict=True):
        if f.real:
            _band(trace, episode, place, f)
            continue
        k = columns.singles.index(f)
        place.imshow(believed[f.name][episode].T, aspect="auto", cmap="Greys", vmin=0, vmax=1)
        if trace.told.states.shape[-1]:
            place.plot(np.arange(trace.steps), trace.told.states[episode, :, k], ".", color="tab:red", label="true")
        place.set(ylabel=f.name, yticks=range(f.size), yticklabels=f.members)
    axes[-1].set(xlabel="step")
    return axes


def _band(trace: Trace, episode: int, ax: Any, f: Any) -> None:
    """The mean of a real state with two standard deviations on both sides, and the true state as dots."""
    both, steps = trace.told.beliefs[f.name][episode], np.arange(trace.steps)
    columns = trace.program.network.truth
    for k in range(f.size):
        mean, deviation = both[:, k, 0], np.sqrt(np.maximum(both[:, k, 1 + k], 0.0))
        (line,) = ax.plot(steps, mean, label=f.name if f.scalar else f"{f.name}[{k}]")
        ax.fill_between(steps, mean - 2 * deviation, mean + 2 * deviation, alpha=0.2, color=line.get_color())
        if trace.told.states.shape[-1]:
            ax.plot(steps, columns.numbers(trace.told.states[episode])[:, columns.numbered[f.name].start + k], ".", color=line.get_color())
    ax.set(ylabel=f.name)


def _over_policies(trace: Trace, episode: int, ax: Any, *, what: str, label: str) -> Any:
    ax = ax if ax is not None else needs("matplotlib.pyplot", "plots").subplots(layout="constrained")[1]
    plans = [trace.plan(t, episode) for t in range(trace.steps)]
    values = np.stack([getattr(plan, what) for plan in plans])
    best = np.argsort(-np.stack([plan.probabilities for plan in plans]).max(axis=0), kind="stable")[:MOST_LINES]
    for k in best:
        ax.plot(np.where(np.isfinite(values[:, k]), values[:, k], np.nan), marker=".", label=policy_text(plans[0].policies[k]))
    ax.set(xlabel="step", ylabel=label)
    ax.legend(fontsize="small", title="policy" if len(best) == values.shape[1] else f"the {len(best)} most probable policies")
    return ax


def _policies(trace: Trace, episode: int, ax: Any) -> Any:
    return _over_policies(trace, episode, ax, what="probabilities", label="probability")


def _energies(trace: Trace, episode: int, ax: Any) -> Any:
    return _over_policies(trace, episode, ax, what="G", label="expected free energy (nats)")


KINDS: dict[str, Callable[[Any, int, Any], Any]] = {"beliefs": _beliefs, "policies": _policies, "G": _energies}
