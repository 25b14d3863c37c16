"""Pictures of a posterior with Matplotlib: densities, intervals, the bound, a forecast with bands, a predictive check."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.results.belief import Belief
from ppl.results.extras import needs
from ppl.source.diagnostics import AimError, Diagnostic, did_you_mean

if TYPE_CHECKING:
    from ppl.results.posterior import Posterior
    from ppl.results.questions import Questions

MOST_ENTRIES = 12  # densities in one picture
BANDS = (0.025, 0.25, 0.5, 0.75, 0.975)
DISCRETE = ("Bernoulli", "Categorical", "Poisson", "Binomial", "Multinomial", "BetaBinomial", "NegativeBinomial")


def plot(posterior: Posterior, kind: str, name: str | None, **options: Any) -> Any:
    """The picture of this kind: Matplotlib's axes. Raises AimError where there is no such kind or nothing to show."""
    if kind not in KINDS:
        raise AimError(
            [Diagnostic("AIM0810", f"there is no plot `{kind}`", None, did_you_mean(kind, KINDS) or "plots: " + ", ".join(KINDS))]
        )
    if name is not None and name not in posterior and name not in posterior.asked("plot").observed():
        raise AimError([Diagnostic("AIM0810", f"there is no belief in `{name}` to plot", None, did_you_mean(name, posterior.names))])
    return KINDS[kind](posterior, name, **options)


def _canvas(ax: Any, **options: Any) -> Any:
    return ax if ax is not None else needs("matplotlib.pyplot", "plots").subplots(layout="constrained", **options)[1]


# ------------------------------------------------------------------ beliefs
def _densities(posterior: Posterior, name: str | None, *, ax: Any = None) -> Any:
    """The density of each entry of one belief; without a name an array of axes, one for each belief."""
    if name is None:
        names = posterior.names
        grid = needs("matplotlib.pyplot", "plots").subplots(
            len(names), 1, squeeze=False, layout="constrained", figsize=(6, 2.2 * len(names))
        )
        for one, place in zip(names, grid[1][:, 0], strict=True):
            _densities(posterior, one, ax=place)
        return grid[1][:, 0]
    ax, belief = _canvas(ax), posterior[name]
    if belief.family == "Categorical" and not belief.plates:
        _bars(ax, belief)
    else:
        draws = np.asarray(belief.sample(4000, seed=0), float)
        for place in list(np.ndindex(draws.shape[1:]))[:MOST_ENTRIES]:
            _density(ax, draws[(slice(None), *place)], discrete=belief.family in DISCRETE, label=_label(posterior, name, place))
        if draws.ndim > 1:
            ax.legend(fontsize="small")
    ax.set(xlabel=name, yticks=[] if belief.family not in DISCRETE else ax.get_yticks())
    return ax


def _bars(ax: Any, belief: Belief) -> None:
    p = np.asarray(belief.params["p"])
    ax.bar(belief.members or list(map(str, range(len(p)))), p)


def _density(ax: Any, draws: np.ndarray, *, discrete: bool, label: str, **style: Any) -> None:
    """A smooth density of continuous draws; shares of discrete ones; a line where all are the same."""
    if np.ptp(draws) == 0:
        ax.axvline(draws[0], label=label, **style)
        return
    if discrete:
        values, counts = np.unique(draws, return_counts=True)
        ax.plot(values, counts / len(draws), marker="o", label=label, **style)
        return
    from scipy.stats import gaussian_kde

    low, high = np.quantile(draws, [0.001, 0.999])
    grid = np.linspace(low, high, 200)
    ax.plot(grid, gaussian_kde(draws)(grid), label=label, **style)


def _label(posterior: Posterior, name: str, place: tuple[Any, ...]) -> str:
    """An ellipsis stands for all members of an axis."""
    axes = () if posterior.questions is None else posterior.questions.axes(name)
    words = [":" if i is ... else str(axes[k].label(i) if k < len(axes) else i) for k, i in enumerate(place)]
    return f"{name}[{', '.join(words)}]" if words else name


def _intervals(posterior: Posterior, name: str | None, *, ax: Any = None, rows: int | None = 40) -> Any:
    """Means with 50 % and 95 % intervals, one line an entry."""
    names = [name] if name is not None else [n for n in posterior.names if posterior[n].family != "Categorical"]
    lines = []
    for one in names:
        belief = posterior[one]
        mean = np.asarray(belief.mean, float)
        bounds = [np.broadcast_to(np.asarray(b, float), mean.shape) for b in (*belief.interval(0.95), *belief.interval(0.5))]
        lines += [(_label(posterior, one, p), mean[p], *(b[p] for b in bounds)) for p in list(np.ndindex(mean.shape))[:rows]]
    ax = _canvas(ax, figsize=(6, 1 + 0.25 * len(lines)))
    for height, (_, mean, low, high, inner_low, inner_high) in enumerate(lines):
        ax.plot([low, high], [height, height], color="C0", linewidth=1)
        ax.plot([inner_low, inner_high], [height, height], color="C0", linewidth=3)
        ax.plot(mean, height, "o", color="C0", markerfacecolor="white")
    ax.set_yticks(range(len(lines)), [line[0] for line in lines])
    ax.invert_yaxis()
    return ax


def _elbo(posterior: Posterior, name: str | None, *, ax: Any = None) -> Any:
    """The bound after each sweep."""
    if not len(posterior.elbo_trace):
        raise AimError(
            [Diagnostic("AIM0810", f"the engine `{posterior.engine}` has no bound to plot", None, "try another kind: posterior")]
        )
    ax = _canvas(ax)
    ax.plot(np.arange(1, len(posterior.elbo_trace) + 1), posterior.elbo_trace, marker="." if len(posterior.elbo_trace) < 50 else None)
    ax.set(xlabel="sweep", ylabel="log evidence (nats)" if posterior.exact else "bound on the log evidence (nats)")
    return ax


# ------------------------------------------------------------------ predictions
def _forecast(
    posterior: Posterior,
    name: str | None,
    *,
    ax: Any = None,
    steps: int = 0,
    observed: str | None = None,
    along: str | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Any:
    """A variable along its time with bands of 50 % and 95 %, `steps` beyond the data, and what was observed as points.

    Each entry of a vector, and each member of other plates, has axes of its own, which come back as an array; in a given `ax` it is a line.
    `along` names the axis where it is not time."""
    questions = posterior.asked("plot")
    name = (
        name
        if name is not None
        else next((n for n in posterior.names if questions.time(n) is not None), next(iter(questions.observed()), ""))
    )
    place = _time_of(questions, name, along)
    axis = questions.axes(name)[place]
    bands = np.moveaxis(_bands(posterior, name, place, steps, draws, seed), place + 1, 1)
    points = _points(questions, name, place, observed, bands.shape[2:])
    entries = list(np.ndindex(bands.shape[2:]))[:MOST_ENTRIES]
    together = ax is not None and len(entries) > 1
    panels = [ax] * len(entries) if ax is not None else _panels(len(entries))
    for count, (entry, panel) in enumerate(zip(entries, panels, strict=True)):
        color = f"C{count % 10}" if together else "C0"
        label = _label(posterior, name, (*entry[:place], ..., *entry[place:])) if entry else name
        _banded(panel, bands[:, :, *entry], axis.low, color, label, first=not (together and count))
        for told, values in points.items():
            shown = values[:, *entry] if values.ndim > 1 else values
            style = {"color": color if together else "black", "label": "_" if together and count else told}
            panel.plot(np.arange(len(shown)) + axis.low, shown, ".", **style)
        panel.legend(fontsize="small")
    panels[-1].set_xlabel(axis.name)
    return panels[0] if len(entries) == 1 or together else np.array(panels)


def _panels(count: int) -> list[Any]:
    """One above the other, with one time."""
    size = (8, 3.5) if count == 1 else (8, 2 * count)
    found = needs("matplotlib.pyplot", "plots").subplots(count, 1, squeeze=False, sharex=True, layout="constrained", figsize=size)
    return list(found[1][:, 0])


def _time_of(questions: Questions, name: str, along: str | None) -> int:
    """The axis that a forecast is drawn along. Raises AimError where there is none, or nothing says which."""
    axes = questions.axes(name)
    named = [k for k, axis in enumerate(axes) if along in (axis.name, axis.set)]
    place = named[0] if named else None if along is not None else questions.time(name)
    if place is None:
        names = [axis.name for axis in axes]
        text = f"a forecast is drawn along one axis, and `{name}` has {', '.join(names) if names else 'none'}"
        hint = f"name it: along = {names[0]!r}" if names else "name a variable with an axis"
        raise AimError([Diagnostic("AIM0810", text, None, hint)])
    return place


def _bands(posterior: Posterior, name: str, place: int, steps: int, draws: int, seed: int) -> np.ndarray:
    """The quantiles first, then the axes of the variable."""
    if not steps and name in posterior:
        return np.asarray(posterior[name].quantile(np.array(BANDS)))
    questions = posterior.asked("plot")
    axis = questions.axes(name)[place]
    length = np.shape(questions.observed()[name] if name not in posterior else posterior[name].mean)[place]
    longer: dict[str, Any] = {axis.set: length - axis.extra + steps} if steps else {}
    return np.quantile(np.asarray(posterior.predict(name, draws=draws, seed=seed, **longer), float), BANDS, axis=0)


def _points(questions: Questions, name: str, place: int, observed: str | None, entries: tuple[int, ...]) -> dict[str, np.ndarray]:
    """What was observed along the same axis, by its label, time first: of one name, or the variable itself or the first that is like it."""
    seen, axis = questions.observed(), questions.axes(name)[place]
    found = {}
    for other, values in seen.items():
        at = next((k for k, one in enumerate(questions.axes(other)) if one == axis), None)
        if at is not None:
            found[other] = np.moveaxis(values, at, 0)
    alike = [n for n, values in found.items() if values.shape[1:] == entries]
    if observed is not None and observed not in found:
        text = f"`{observed}` was not observed along {axis.name}, so that it has no points there"
        raise AimError([Diagnostic("AIM0810", text, None, did_you_mean(observed, found))])
    chosen = observed if observed is not None else name if name in alike else next(iter(alike), None)
    if chosen is None or found[chosen].shape[1:] not in ((), entries):
        return {}
    return {f"{chosen}, observed": found[chosen]}


def _banded(ax: Any, bands: np.ndarray, low: int, color: str, label: str, *, first: bool) -> None:
    """One entry: (quantiles, time). The legend tells of bands once."""
    along = np.arange(bands.shape[1]) + low
    for outer, alpha, told in ((0, 0.2, "95 %"), (1, 0.35, "50 %")):
        ax.fill_between(along, bands[outer], bands[-1 - outer], alpha=alpha, color=color, linewidth=0, label=told if first else "_")
    ax.plot(along, bands[2], color=color, label=label)


def _predictive(posterior: Posterior, name: str | None, *, ax: Any = None, draws: int = 50, seed: int = 0) -> Any:
    """The observed values of a variable against replications of them, each as a density."""
    seen = posterior.asked("plot").observed()
    if not seen:
        raise AimError(
            [Diagnostic("AIM0808", "nothing was observed that predictions could be checked against", None, "fit the model to data")]
        )
    name = name if name in seen else next(iter(seen))
    values = np.asarray(seen[name], float)
    present = ~np.isnan(values)
    replicated = np.asarray(posterior.predict(name, draws=draws, seed=seed), float)[:, present]
    ax, discrete = _canvas(ax), bool(np.all(values[present] == np.floor(values[present])))
    for k, drawn in enumerate(replicated):
        _density(ax, drawn, discrete=discrete, label="replicated" if k == 0 else "_", color="C0", alpha=0.25)
    _density(ax, values[present], discrete=discrete, label="observed", color="black")
    ax.set(xlabel=name, yticks=ax.get_yticks() if discrete else [])
    ax.legend(fontsize="small")
    return ax


KINDS: dict[str, Callable[..., Any]] = {
    "posterior": _densities,
    "intervals": _intervals,
    "elbo": _elbo,
    "forecast": _forecast,
    "predictive": _predictive,
}
