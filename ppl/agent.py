"""The façade's agents: models that also act. JAX is imported when one starts, never before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ppl.model import Asked, Model
from ppl.source.diagnostics import AimError, Diagnostic

if TYPE_CHECKING:
    import numpy as np

    from ppl.agents.account import AgentAccount
    from ppl.agents.mind import Mind
    from ppl.agents.program import AgentProgram
    from ppl.agents.trace import Trace
    from ppl.graph.bound import BoundModel
    from ppl.graph.dataset import Dataset
    from ppl.graph.factor_graph import FactorGraph
    from ppl.results.posterior import Posterior
    from ppl.results.questions import Questions


@dataclass(frozen=True)
class Agent(Model):
    """A model that also acts: it perceives outcomes, plans by expected free energy, and learns."""

    def __repr__(self) -> str:
        roles = self.typed.agent.roles if self.typed.agent is not None else {}
        return f"<agent {self.name} with {', '.join(f'{role} {name}' for name, role in roles.items())}>"

    def program(self, data: Any = None, *, datasets: Sequence[Dataset] = (), **values: Any) -> AgentProgram:
        """The agent with its parameters, inputs and sizes, as pure functions that JAX compiles."""
        from ppl.agents.network import build
        from ppl.agents.program import program_of
        from ppl.engines.cache import use_compilation_cache

        use_compilation_cache()
        return program_of(build(self.bind(data, datasets=datasets, **values)))

    def start(self, seed: int = 0, *, learning_rate: float = 1.0, forgetting: float = 1.0, dtype: Any = None, **parameters: Any) -> Mind:
        """A mind with the agent's beliefs at the beginning.

        Each step adds `learning_rate` counts to the tables that are learnt, and what was learnt before fades by the factor `forgetting`
        (1: nothing is forgotten). Raises `AimError` where parameters or tables are wrong, ValueError for a seed that is none.
        """
        import numpy as np

        from ppl.agents.mind import Mind
        from ppl.agents.options import rates

        return Mind(self.program(**parameters), seed, rates(learning_rate, forgetting), dtype or np.float64)

    def run(
        self,
        environment: Any = None,
        *,
        steps: int,
        episodes: int = 1,
        seed: int = 0,
        where: Mapping[str, Any] | None = None,
        learning_rate: float = 1.0,
        forgetting: float = 1.0,
        choose: Literal["best", "drawn"] = "best",
        dtype: Any = None,
        datasets: Sequence[Dataset] = (),
        **parameters: Any,
    ) -> Trace:
        """The agent acting for so many steps: in its own model, compiled as one program, or in a Gymnasium environment.

        `where` gives states of its own world at the beginning, the true tables of those that it learns, and random parameters.
        `choose = "drawn"` draws each action by its probability, as people and animals do; otherwise the most probable one is done.
        """
        import numpy as np

        from ppl.agents.options import rates
        from ppl.agents.runs import run

        if where is not None and not isinstance(where, Mapping):
            raise TypeError(f"`where` gives values by name, where={{'side': …}}, and is no {type(where).__name__}")
        told = {"rates": rates(learning_rate, forgetting), "dtype": dtype or np.float64}
        options: dict[str, Any] = {"steps": steps, "episodes": episodes, "seed": seed, "choose": choose, **told}
        world = dict(where or {})
        random = {v.name for v in self.typed.variables.values() if v.role == "random"}
        if set(world) & random - set(self.typed.agent.roles if self.typed.agent is not None else ()):
            known = [name for name in self.unknown(datasets=datasets, **parameters) if name in world]
            parameters |= {name: world.pop(name) for name in known}
        return run(self.program(datasets=datasets, **parameters), environment, where=world, **options)

    def replay(self, data: Any = None, *, datasets: Sequence[Dataset] = (), seed: int = 0, **values: Any) -> Trace:
        """The agent on a record of outcomes and actions: what it believed, planned and would have done at each step.

        Where the record holds no action, the agent's own choice happens.
        """
        from ppl.agents.runs import replay

        records, others = self._apart(data, datasets, values)
        return replay(self.program(datasets=others), records, seed=seed)

    def _apart(self, data: Any, datasets: Sequence[Dataset], values: Mapping[str, Any]) -> tuple[list[Dataset], list[Dataset]]:
        """What is given of the record, and what of parameters, inputs and sizes."""
        from ppl.agents.record import apart
        from ppl.graph.dataset import from_mapping
        from ppl.graph.readers import as_dataset

        return apart(self.typed, [*datasets, *([] if data is None else [as_dataset(data)]), from_mapping(values, "")])

    # ------------------------------------------------------------ behaviour
    def fit(  # type: ignore[override]
        self,
        data: Any = None,
        *,
        engine: str | None = None,
        seed: int = 0,
        dtype: Any = None,
        iterations: int | None = None,
        tolerance: float | None = None,
        restarts: int | None = None,
        approximation: str | None = None,
        learning_rate: float = 1.0,
        forgetting: float = 1.0,
        progress: Any = None,
        datasets: Sequence[Dataset] = (),
        **values: Any,
    ) -> Posterior:
        """The posterior of the agent's parameters given a record of what it saw and did, by `nuts` (unless said), `svi` or `laplace`.

        Parameters are the random variables that are no learnt tables. A record is a list of steps, or a list of episodes, each of which
        begins anew. The likelihood is the product of the probabilities of the recorded actions given all that was seen and done before;
        what was seen is given. Samplers tell no `progress`. Raises `AimError` where the agent, the record or the engine do not fit.
        """
        from ppl.agents.fitting import fit
        from ppl.agents.options import rates

        records, others = self._apart(data, datasets, values)
        options = {"seed": seed, "iterations": iterations, "tolerance": tolerance, "restarts": restarts, "dtype": dtype}
        chosen, bound = self.approximation(approximation), self.bind(datasets=others)
        posterior, behaviour = fit(
            bound, records, engine=engine, approximation=chosen, rates=rates(learning_rate, forgetting), options=options
        )
        return self._answering(posterior, bound, Asked(engine, approximation), behaviour=behaviour)

    def _questions(self, posterior: Posterior, bound: BoundModel, asked: Asked, **known: Any) -> Questions:
        from ppl.agents.fitting import AgentQuestions

        return AgentQuestions(bound, self._fitter(asked), self._texts(bound, asked), **known)

    def unknown(self, data: Any = None, *, datasets: Sequence[Dataset] = (), **values: Any) -> tuple[str, ...]:
        """The parameters that are not given: the agent acts once they are, or `fit` infers them from its behaviour."""
        from ppl.agents.fitting import unknown_of

        return unknown_of(self.bind(datasets=self._apart(data, datasets, values)[1]))

    def log_density(self, data: Any = None, **values: Any) -> float:
        """The log density in nats of the parameters, all of which are given, and of the recorded actions, where there are some."""
        from ppl.agents.fitting import log_density

        records, others = self._apart(data, (), values)
        return log_density(self.bind(datasets=others), records)

    def to_numpyro(self, data: Any = None, *, datasets: Sequence[Dataset] = (), **values: Any) -> Callable[[], None]:
        """The parameters of the agent with a record of its behaviour as a NumPyro callable: the behaviour is its factor `beside`."""
        from ppl.agents.fitting import to_numpyro

        records, others = self._apart(data, datasets, values)
        return to_numpyro(self.bind(datasets=others), records)

    def do(self, **values: Any) -> Model:
        """The agent with these parameters set by intervention."""
        roles = self.typed.agent.roles if self.typed.agent is not None else {}
        for name in (n for n in values if n in roles):
            text = f"`{name}` belongs to what `{self.name}` goes through ({roles[name]}): only parameters are set by `do`"
            hint = f"run(where={{...}}) sets states, perceive({name}=…) tells what happened"
            raise AimError([Diagnostic("AIM0605", text, None, hint)])
        return super().do(**values)

    def sample(self, n: int, /, *, seed: int = 0, datasets: Sequence[Dataset] = (), **values: Any) -> dict[str, np.ndarray]:
        """Prior draws of the parameters of the agent, `n` first; `run` gives what it would do."""
        from ppl.agents.fitting import fittable
        from ppl.engines.sampling import prior_draws

        return prior_draws(fittable(self.bind(datasets=datasets, **values)).prior, n, seed=seed)

    def explain(self, data: Any = None, *, datasets: Sequence[Dataset] = (), **values: Any) -> AgentAccount:  # type: ignore[override]
        """How the agent believes and plans, and why. `str()` is what `ppl explain` prints."""
        from ppl.agents.account import account

        return account(self.program(datasets=self._but_records(data, datasets), **values))

    def graph(self, data: Any = None, *, datasets: Sequence[Dataset] = (), **values: Any) -> FactorGraph:
        """The factor graph of two time steps: the present one, and the states at the next."""
        return super().graph(datasets=self._but_records(data, datasets), **values)

    def _but_records(self, data: Any, datasets: Sequence[Dataset]) -> list[Dataset]:
        """What the data say of parameters, inputs and sizes, without what was seen and done."""
        from ppl.agents.record import apart
        from ppl.graph.readers import as_dataset

        return apart(self.typed, [*datasets, *([] if data is None else [as_dataset(data)])])[1]
