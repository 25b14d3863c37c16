"""From an image to an allocation: cues, the posterior of their common relevance, and an agent that plans under a budget of tokens.

The budget stands on what is done, never on what is perceived: a patch is not less relevant because tokens are short. So the two are two
models, and only the expected relevance goes from the one to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from ppl.agent import Agent
from ppl.api import Model, load
from ppl.arr_coc.allocation import Allocation
from ppl.images.cues import Features, features
from ppl.results.posterior import Posterior
from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.library import find_file

LEVELS = (0, 64, 128, 256, 400)  # tokens that may be given to a patch
NOISE = 64  # tokens that tell as much of a patch of median variance as there is in it
NEEDED = ("relevance", "variance", "tokens")  # inputs of an agent that allots


def allocate(
    image: Any,
    query: Any = None,
    budget: float | None = None,
    *,
    patch: int | Sequence[int] | None = None,
    levels: Sequence[float] = LEVELS,
    agent: Agent | None = None,
    model: Model | None = None,
    before: Allocation | None = None,
    sweeps: int | None = None,
    **parameters: Any,
) -> Allocation:
    """How many tokens each patch of an image is worth, when there are `budget` in all (100 a patch, where nothing is said).

    `image` and `query` are as for `features`, or `image` is what that gave. `levels` are what may be given to a patch. `agent` and
    `model` take the place of the library's `allocation` and `relevance`; `parameters` are the agent's (`precision`, `noise`). The
    beliefs of the allocation `before` are where those of this image begin; `sweeps` is how many there are at most. Raises `AimError`
    for what is no image, a query outside it, and a budget below what the lowest level costs.
    """
    told = image if isinstance(image, Features) else features(image, query, patch=patch)
    levels_array = checked_levels(levels)
    chosen = agent if agent is not None else allocation_agent()
    refuse_other_agents(chosen)
    posterior = _relevance(model if model is not None else relevance_model(), told, before, sweeps)
    relevance = np.full(told.grid.patches, 0.5) if posterior is None else np.asarray(posterior["r"].mean, float)
    spread = np.zeros(told.grid.patches) if posterior is None else np.asarray(posterior["r"].sd, float)
    known = chosen.typed.variables
    given: dict[str, Any] = {"tokens": levels_array, "relevance": relevance, "variance": told.variance}
    given |= {"noise": usual_noise(told.variance)} if "noise" in known else {}
    given |= {"budget": 100.0 * told.grid.patches if budget is None else checked_budget(budget)} if "budget" in known else {}
    given |= parameters
    plan = chosen.start(**given).perceive().plan()
    probabilities, whole = _by_patch(plan, told.grid.patches)
    messages = list(told.messages) + ([] if posterior is not None else ["no cue tells patches apart: all are as relevant"])
    price = float(plan.price[0]) if plan.price.size else 0.0
    if price == 0.0:
        most = told.grid.patches * levels_array.max()
        messages.append(f"the budget of {given.get('budget', np.inf):g} is not reached (the most would be {most:g}): the price is 0")
    return Allocation(
        told, relevance, spread, levels_array, probabilities, whole, price, float(given.get("budget", np.inf)), posterior, tuple(messages)
    )


def stream(frames: Iterable[Any], query: Any = None, budget: float | None = None, **options: Any) -> Iterator[Allocation]:
    """An allocation for each frame of a video, as it comes: the beliefs of a frame begin at those of the one before.

    `options` are those of `allocate`; `budget` is for each frame, and a query that is a box stays where it is. What is compiled for the
    first frame serves all of its size.
    """
    before = None
    for frame in frames:
        before = allocate(frame, query, budget, before=before, **options)
        yield before


def _relevance(model: Model, told: Features, before: Allocation | None, sweeps: int | None) -> Posterior | None:
    """The posterior of the relevance; None where no cue tells of it."""
    if not told.cue.shape[1]:
        return None
    alike = before is not None and before.posterior is not None and before.features.cue.shape == told.cue.shape
    return model.fit(cue=told.cue, start=before.posterior if before is not None and alike else None, iterations=sweeps)


@cache
def allocation_agent() -> Agent:
    """The library's `allocation`."""
    agent = load(find_file("models/arr_coc/allocation.aim"), "allocation")
    assert isinstance(agent, Agent)
    return agent


@cache
def relevance_model() -> Model:
    """The library's `relevance`."""
    return load(find_file("models/arr_coc/relevance.aim"), "relevance")


def usual_noise(variance: np.ndarray) -> float:
    """The noise of one token, so that 64 tell of a patch of median variance as much as half a nat times log 2."""
    middle = float(np.median(variance))
    return NOISE * (middle if middle > 0 else max(float(np.mean(variance)), 1e-12))


def checked_levels(levels: Sequence[float]) -> np.ndarray:
    """The levels as rising numbers of tokens. Raises `AimError`."""
    try:
        array = np.asarray(levels, float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.ndim != 1 or array.size < 2 or not np.isfinite(array).all() or array[0] < 0 or np.any(np.diff(array) <= 0):
        text = f"levels are two or more rising numbers of tokens, from 0 on; these are {levels!r}"
        raise AimError([Diagnostic("AIM0616", text, None, "write levels = [0, 64, 128, 256, 400]")])
    return array


def checked_budget(budget: Any) -> float:
    """The tokens that there are. Raises `AimError` for what is no number."""
    number = isinstance(budget, int | float | np.integer | np.floating) and not isinstance(budget, bool)
    if not number or np.isnan(budget):
        raise AimError([Diagnostic("AIM0616", f"a budget is a number of tokens for the whole image; this is {budget!r}", None)])
    return float(budget)


def refuse_other_agents(agent: Any) -> None:
    """Raises `AimError` for what does not allot tokens to patches."""
    if not isinstance(agent, Model):
        text = f"an agent allots tokens to patches, and this is {agent!r}"
        raise AimError([Diagnostic("AIM0416", text, None, 'agent = ppl.load("models/arr_coc/allocation.aim")')])
    lacking = [name for name in NEEDED if name not in agent.typed.variables]
    if not isinstance(agent, Agent) or lacking:
        text = f"`{agent.name}` does not allot tokens to patches: it lacks {', '.join(f'`{n}`' for n in lacking) or 'actions'}"
        hint = "an agent that does has the inputs relevance, variance and tokens: see models/arr_coc/allocation.aim"
        raise AimError([Diagnostic("AIM0416", text, agent.typed.span, hint)])


def _by_patch(plan: Any, patches: int) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities of the levels of each patch, and the level that the plan in whole tokens gives it."""
    probabilities = np.concatenate([np.atleast_2d(p) for p in plan.first.values()])
    chosen = np.concatenate([np.atleast_1d(level) for level in plan.action.values()]).astype(int)
    if len(chosen) != patches:
        text = f"the agent has {len(chosen)} actions, and the image {patches} patches: one action a patch is needed"
        raise AimError([Diagnostic("AIM0416", text)])
    return probabilities, chosen
