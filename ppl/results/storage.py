"""Posteriors in files: one safetensors file whose arrays stand by name and whose header holds the rest as JSON.

Nothing in it is code: the model comes back from its text. Arrays inside the JSON are written `{"array": name}`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.arrays.streams import stream
from ppl.results.belief import Belief
from ppl.results.joint import JointBlock
from ppl.results.mixture import MixtureBelief
from ppl.results.network import Network
from ppl.results.pareto import Tail
from ppl.source.diagnostics import AimError, Diagnostic
from ppl.source.writing import write_atomically

if TYPE_CHECKING:
    from ppl.results.posterior import Posterior

FORMAT = 2
KINDS: dict[str, type[Belief]] = {"Belief": Belief, "MixtureBelief": MixtureBelief}
PLAIN = (
    "model",
    "doc",
    "engine",
    "exact",
    "status",
    "iterations",
    "elbo_trace",
    "names",
    "seed",
    "restarts",
    "seconds",
    "warnings",
    "chains",
)


@dataclass(frozen=True)
class Stored:
    """What a file holds: the fields of a posterior, its beliefs, joint draws, and the record of the model with its data."""

    plain: dict[str, Any]
    plan: str
    energies: dict[str, float]
    beliefs: dict[str, Belief]
    blocks: tuple[JointBlock, ...] | None
    draws: dict[str, np.ndarray]
    record: dict[str, Any]
    tail: Tail | None = None
    networks: dict[str, Network] = field(default_factory=dict)

    def joint_draws(self, n: int, seed: int) -> dict[str, np.ndarray]:
        """As many of the stored draws; all of a sampler's, in their order."""
        count = len(next(iter(self.draws.values()), ()))
        if self.plain["chains"] or n == count or not self.draws:
            return self.draws
        rng = stream(seed, "chosen")
        chosen = rng.permutation(count)[:n] if n < count else rng.integers(count, size=n)
        return {name: value[chosen] for name, value in self.draws.items()}


# ------------------------------------------------------------------ writing
def save(posterior: Posterior, path: Path, *, draws: int) -> Path:
    """Writes the file and returns its path. Raises AimError where that cannot be."""
    return write_atomically(path, packed(posterior, draws=draws))


def packed(posterior: Posterior, *, draws: int) -> bytes:
    """What stands in the file. Raises AimError where that cannot be."""
    from safetensors.numpy import save as to_bytes

    questions = posterior.asked("save")
    assert posterior.joint_draws is not None
    content = {
        "format": FORMAT,
        "posterior": {name: getattr(posterior, name) for name in PLAIN},
        "plan": str(posterior.plan),
        "energies": {name: float(value) for name, value in posterior.factor_energies().items()},
        "beliefs": {name: _told(posterior.believe(name)) for name in (*posterior.names, *posterior.networks)},
        "networks": {name: asdict(one) for name, one in posterior.networks.items()},
        "blocks": None if posterior.joint_blocks is None else [asdict(block) for block in posterior.joint_blocks()],
        "draws": dict(posterior.joint_draws(draws, posterior.seed)),
        "tail": asdict(posterior.weights) if posterior.tail_is_cheap and posterior.weights is not None else None,
        "record": questions.record(),
    }
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_packed(content, "", arrays), ensure_ascii=False, allow_nan=False)
    return to_bytes(arrays, {"posterior": text})


def _told(belief: Belief) -> dict[str, Any]:
    """A belief as plain values and arrays."""
    told = {f.name: getattr(belief, f.name) for f in fields(belief)}
    if isinstance(belief, MixtureBelief):
        told["components"] = [_told(one) for one in belief.components]
    return {"kind": type(belief).__name__, **told}


def _packed(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """The value as JSON takes it; arrays, and numbers that JSON lacks, go to `arrays` under their path."""
    if isinstance(value, Mapping):
        return {str(k): _packed(v, f"{name}/{k}" if name else str(k), arrays) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(v, f"{name}/{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, np.ndarray) or (isinstance(value, float) and not math.isfinite(value)):
        arrays[name] = np.array(value, order="C")
        return {"array": name}
    return value.item() if isinstance(value, np.generic) else value


# ------------------------------------------------------------------ reading
def read(path: Path) -> Stored:
    """What the file holds. Raises AimError where it is no stored posterior."""
    try:
        return unpacked(path.read_bytes(), str(path))
    except OSError as error:
        raise _unreadable(path, (error.strerror or str(error)).lower()) from error


def unpacked(data: bytes, path: str = "what was pickled") -> Stored:
    """What the bytes of a file hold. Raises AimError where they are no stored posterior."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])  # the length of the header comes first
        content = _unpacked(json.loads(header["__metadata__"]["posterior"]), arrays)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _unreadable(path, "this is no posterior that `save` wrote") from error
    if content["format"] != FORMAT:
        raise _unreadable(path, f"its format is {content['format']}, and this version of ppl reads {FORMAT}")
    beliefs = {name: _belief(told) for name, told in content["beliefs"].items()}
    plain = content["posterior"]
    plain |= {"names": tuple(plain["names"]), "warnings": tuple(plain["warnings"])}
    blocks = None if content["blocks"] is None else tuple(map(_block, content["blocks"]))
    tail = None if content.get("tail") is None else Tail(**{k: float(v) for k, v in content["tail"].items()})
    networks = {name: Network(tuple(one["widths"]), one["activation"]) for name, one in content["networks"].items()}
    return Stored(plain, content["plan"], content["energies"], beliefs, blocks, content["draws"], content["record"], tail, networks)


def restored(stored: Stored) -> Posterior:
    """The posterior that was stored; it has yet no model to ask."""
    from ppl.results.posterior import Posterior

    return Posterior(
        **stored.plain,
        plan=stored.plan,
        believe=lambda name: stored.beliefs[name],
        factor_energies=lambda: stored.energies,
        joint_draws=stored.joint_draws,
        joint_blocks=None if stored.blocks is None else lambda: stored.blocks or (),
        tail=lambda: stored.tail,
        tail_is_cheap=True,
        networks=stored.networks,
    )


def _unreadable(path: Path | str, reason: str) -> AimError:
    return AimError([Diagnostic("AIM0886", f"cannot read `{path}`: {reason}", None, "open what `posterior.save(path)` wrote")])


def _unpacked(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        return arrays[value["array"]] if value.keys() == {"array"} else {k: _unpacked(v, arrays) for k, v in value.items()}
    return [_unpacked(v, arrays) for v in value] if isinstance(value, list) else value


def _block(told: dict[str, Any]) -> JointBlock:
    entries = tuple((name, tuple(place)) for name, place in told["entries"])
    parts = {"variables": tuple(told["variables"]), "entries": entries, "along": tuple(told["along"])}
    return JointBlock(**{**told, **parts, **{name: tuple(map(tuple, told[name])) for name in ("places", "apart")}})


def _belief(told: dict[str, Any]) -> Belief:
    parts = dict(told)
    kind = KINDS[parts.pop("kind")]
    for name in ("members", "moments"):
        parts[name] = None if parts[name] is None else tuple(parts[name])
    if "components" in parts:
        parts["components"] = tuple(_belief(one) for one in parts["components"])
    return kind(**parts)
