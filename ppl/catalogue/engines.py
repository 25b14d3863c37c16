"""What each engine of `use` is, before anything computes: its options, their defaults, and what they must be."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Rule = Literal["a whole number, 1 or more", "a whole number, 0 or more", "0 or more, and less than 1", "0 or positive", "true or false"]


@dataclass(frozen=True)
class EngineOption:
    """One option; a default of 0 that the meaning speaks of stands for a choice of the engine's own."""

    name: str
    default: float | bool
    rule: Rule
    meaning: str

    def broken(self, value: object) -> str | None:
        """What a value must be, where this one is not."""
        if self.rule == "true or false":
            return None if isinstance(value, bool) else self.rule
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "a number"
        whole = isinstance(value, int)
        fits = {
            "a whole number, 1 or more": whole and value >= 1,
            "a whole number, 0 or more": whole and value >= 0,
            "0 or more, and less than 1": 0 <= value < 1,
            "0 or positive": value >= 0,
        }
        return None if fits[self.rule] else self.rule


@dataclass(frozen=True)
class Engine:
    """`summary` says for which models it is and what comes out."""

    name: str
    summary: str
    options: tuple[EngineOption, ...] = ()

    @property
    def option(self) -> dict[str, EngineOption]:
        return {option.name: option for option in self.options}

    @property
    def defaults(self) -> MappingProxyType[str, float | bool]:
        return MappingProxyType({option.name: option.default for option in self.options})


_COUNT, _NONE_OR_MORE, _POSITIVE = "a whole number, 1 or more", "a whole number, 0 or more", "0 or positive"
_CHAINS = EngineOption("chains", 4, _COUNT, "chains that run side by side")

_TABLE = (
    Engine("exact", "closed forms and sums over discrete states; refuses a model where an approximation would be needed"),
    Engine(
        "vmp",
        "variational message passing: blocks that are independent in the posterior, each updated in closed form where it is conjugate",
        (
            EngineOption("iterations", 1000, _COUNT, "sweeps at most"),
            EngineOption("tolerance", 1e-10, _POSITIVE, "relative rise of the bound at which it has converged"),
            EngineOption("restarts", 1, _COUNT, "starts, of which the one with the best bound is kept"),
            EngineOption("damping", 0.0, "0 or more, and less than 1", "share of the old value that an update keeps"),
            EngineOption("expansion", True, "true or false", "changes of variables that no likelihood sees, by which it converges faster"),
            EngineOption("extrapolation", False, "true or false", "long steps where sweeps creep, kept where the bound rises"),
        ),
    ),
    Engine(
        "gibbs",
        "draws of each block in turn given the others, where each is conjugate; Pólya–Gamma weights for logistic statements",
        (
            EngineOption("warmup", 500, _NONE_OR_MORE, "sweeps before the first draw that is kept"),
            EngineOption("draws", 1000, _COUNT, "draws that are kept of each chain"),
            _CHAINS,
            EngineOption("thin", 1, _COUNT, "sweeps for each draw that is kept"),
        ),
    ),
    Engine(
        "nuts",
        "Hamiltonian sampling by NumPyro; few discrete states are summed over",
        (
            EngineOption("warmup", 1000, _NONE_OR_MORE, "steps in which step size and mass are found"),
            EngineOption("draws", 1000, _COUNT, "draws that are kept of each chain"),
            _CHAINS,
            EngineOption("target_accept", 0.8, _POSITIVE, "acceptance that the step size aims at; nearer to 1 for fewer divergences"),
            EngineOption("max_tree_depth", 10, _COUNT, "doublings of a trajectory at most"),
        ),
    ),
    Engine(
        "svi",
        "the gradient of a bound with a Gaussian guide, or the forms and networks of `approximate`; learns networks",
        (
            EngineOption("steps", 20_000, _COUNT, "gradient steps at most"),
            EngineOption("tolerance", 0.0, _POSITIVE, "relative rise of the bound at which it has converged; 0: by the kind of model"),
            EngineOption("learning_rate", 0.03, _POSITIVE, "first step size of Adam, which falls by itself"),
            EngineOption("batch", 0, _NONE_OR_MORE, "members of the plate in a step; 0: all"),
            EngineOption("particles", 0, _NONE_OR_MORE, "draws in a step; 0: by the size of the model"),
            EngineOption("draws", 2000, _COUNT, "draws from the guide, by which beliefs are told"),
        ),
    ),
    Engine(
        "laplace",
        "a Gaussian at the highest mode that is found, with its curvature",
        (
            EngineOption("restarts", 4, _COUNT, "starts, of which the highest mode is kept"),
            EngineOption("steps", 2000, _COUNT, "steps of an ascent at most"),
            EngineOption("draws", 2000, _COUNT, "draws from the Gaussian, by which beliefs are told"),
        ),
    ),
)

ENGINES: dict[str, Engine] = {engine.name: engine for engine in _TABLE}
