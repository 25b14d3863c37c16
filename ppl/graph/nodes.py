"""What a factor graph is made of: variables, and the statements that relate them, each once for its whole plate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ppl.source.text import Span

Role = Literal["parameter", "input", "random", "deterministic", "state", "action", "outcome"]
Kind = Literal["random", "deterministic", "potential", "initial", "next", "observe", "prefer", "habit", "plan"]
Observed = bool | Literal["partly"]
STAYS = "stays"  # the distribution of a transition that changes nothing


@dataclass(frozen=True)
class VariableNode:
    """`plates` are the keys of the sets that it is repeated over; an input is in those plates in which it is always indexed.

    A state of an agent at the next step is a node of its own, `next place`.
    """

    name: str
    role: Role
    type: str  # as it is written: "real[N, D]"
    plates: tuple[str, ...] = ()
    observed: Observed = False
    distribution: str = ""  # of a random variable

    @property
    def given(self) -> bool:
        """It has no distribution: a parameter or an input."""
        return self.role in ("parameter", "input")

    @property
    def latent(self) -> bool:
        """Something of it is to be inferred."""
        return self.role in ("random", "state") and self.observed is not True

    @property
    def ahead(self) -> bool:
        """It is a state at the next step."""
        return self.role == "state" and self.name.startswith("next ")


@dataclass(frozen=True)
class FactorNode:
    """One statement for its whole plate: a factor of the joint density, or a definition where it is deterministic.

    `parents` are the variables that it mentions, in the order of the text, with the child itself where it refers to an
    earlier index. A potential has no child, nor has what an agent prefers, is used to, or plans: it stands among the parents.
    """

    name: str  # unique: "x ~ Normal", "z ~ Normal (2)", "m =", "factor", "next place =", "plan"
    kind: Kind
    distribution: str  # "" of an agent's statement that is certain
    child: str
    parents: tuple[str, ...]
    plates: tuple[str, ...]
    span: Span | None = field(default=None, compare=False, repr=False)

    @property
    def touches(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.child, *self.parents) if self.child else self.parents))

    @property
    def stays(self) -> bool:
        """It says that a state remains as it is."""
        return self.kind == "next" and self.distribution == STAYS

    @property
    def label(self) -> str:
        """What stands beside it in a picture."""
        return self.kind if self.kind in ("prefer", "habit", "plan") else self.distribution or "="

    @property
    def written(self) -> str:
        """The statement in one line, with what it mentions."""
        inside = f"({', '.join(self.parents)})"
        match self.kind:
            case "potential":
                return f"factor {inside}"
            case "plan":
                return f"plan by efe{inside}"
            case "prefer" | "habit":
                return f"{self.kind} ~ {self.distribution}{inside}"
        left = f"{self.child} at 0" if self.kind == "initial" else self.child
        return f"{left} = {inside}" if self.distribution in ("", STAYS) else f"{left} ~ {self.distribution}{inside}"


def numbered(name: str, taken: dict[str, int]) -> str:
    """The name, with a number from the second time on."""
    taken[name] = taken.get(name, 0) + 1
    return name if taken[name] == 1 else f"{name} ({taken[name]})"
