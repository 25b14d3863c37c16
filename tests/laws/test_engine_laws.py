"""Every law of a fit, on every small model of `tests.reference.models`: bounds, exactness, and answers that do not depend on the way."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

import ppl
from ppl.compiler import hoisting, program, rows
from ppl.results.posterior import Posterior
from tests.reference.models import CASES, Case, source

APPROXIMATE = [name for name, case in CASES.items() if not case.exact]
WITH_LABELS = [name for name, case in CASES.items() if case.labels]
WITH_EVIDENCE = [name for name, case in CASES.items() if case.evidence]
every_case = pytest.mark.parametrize("name", CASES)


@cache
def model(name: str) -> Any:
    case = CASES[name]
    return ppl.parse(source(case.text, "model m(K: size = 2)" if "K" in case.data else "model m"))


def data_of(case: Case) -> dict[str, Any]:
    return {k: v for k, v in case.data.items() if k != "K"}


@cache
def fitted(name: str) -> Posterior:
    """The fit by message passing, not by a sum over states."""
    case = CASES[name]
    return model(name).fit(engine="vmp", start=case.labels or None, **data_of(case))


@cache
def evidence(name: str) -> float:
    case = CASES[name]
    assert case.evidence is not None
    return case.evidence()


def same_answer(one: Posterior, other: Posterior, tolerance: float) -> None:
    """The same bound and the same beliefs; sds by their size."""
    assert one.elbo == pytest.approx(other.elbo, rel=tolerance, abs=tolerance)
    for variable in one.names:
        sd = np.max(one[variable].sd) + 1e-12
        np.testing.assert_allclose(one[variable].mean / sd, other[variable].mean / sd, atol=100 * tolerance, err_msg=variable)
        np.testing.assert_allclose(one[variable].sd / sd, other[variable].sd / sd, atol=100 * tolerance, err_msg=variable)


# ------------------------------------------------------------------ the bound
@every_case
def test_the_bound_never_falls(name: str) -> None:
    trace = fitted(name).elbo_trace
    assert np.isfinite(trace).all()
    assert (np.diff(trace) >= -1e-9 * (1 + np.abs(trace[:-1]))).all()


@pytest.mark.parametrize("name", WITH_EVIDENCE)
def test_the_bound_is_below_the_log_evidence(name: str) -> None:
    assert fitted(name).elbo <= evidence(name) + 1e-9


@every_case
def test_the_fit_converges_and_says_whether_it_is_exact(name: str) -> None:
    posterior = fitted(name)
    assert posterior.converged
    assert posterior.exact == CASES[name].exact
    assert posterior.status == ("exact" if posterior.exact else "converged")
    assert posterior.log_evidence == (posterior.elbo if posterior.exact else None)
    assert posterior.free_energy == -posterior.elbo


@pytest.mark.parametrize("name", [n for n in WITH_EVIDENCE if CASES[n].exact])
def test_where_the_plan_is_exact_the_bound_is_the_log_evidence(name: str) -> None:
    assert fitted(name).elbo == pytest.approx(evidence(name), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", [n for n in APPROXIMATE if CASES[n].evidence])
def test_asked_to_be_exact_a_fit_is_so_or_is_refused(name: str) -> None:
    try:
        posterior = model(name).fit(engine="exact", **data_of(CASES[name]))
    except ppl.AimError as error:
        assert [d.code for d in error.diagnostics] == ["AIM0510"]
        return
    assert posterior.exact
    assert posterior.elbo == pytest.approx(evidence(name), rel=1e-9, abs=1e-9)


@every_case
def test_the_parts_of_the_free_energy_sum_to_it(name: str) -> None:
    posterior = fitted(name)
    parts = posterior.free_energy_by_factor()
    assert sum(parts.values()) == pytest.approx(posterior.free_energy, rel=1e-9, abs=1e-9)
    assert all(np.isfinite(v) for v in parts.values())


@every_case
def test_the_result_is_valid_json(name: str) -> None:
    text = json.dumps(fitted(name).to_json(), allow_nan=False)
    assert set(json.loads(text)["beliefs"]) == set(fitted(name).names)


# ------------------------------------------------------------------ the way does not matter
@every_case
def test_single_precision_gives_the_same_answer(name: str) -> None:
    case = CASES[name]
    single = model(name).fit(engine="vmp", dtype=np.float32, start=case.labels or None, **data_of(case))
    assert single.elbo_trace.dtype == np.float32
    assert single.elbo == pytest.approx(fitted(name).elbo, rel=1e-3)
    for variable in single.names:
        wanted = fitted(name)[variable]
        scale = np.maximum(np.max(wanted.sd), 1e-3)
        np.testing.assert_allclose(single[variable].mean / scale, wanted.mean / scale, atol=1e-2, err_msg=variable)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.rows])
def test_the_order_of_the_rows_does_not_matter(name: str) -> None:
    case = CASES[name]
    data = data_of(case)
    order = np.random.default_rng(1).permutation(len(data[case.rows[0]]))
    moved = {k: np.asarray(v)[order] if k in case.rows else v for k, v in data.items()}
    labels = {k: v[order] for k, v in case.labels.items()}
    posterior = model(name).fit(engine="vmp", start=labels or None, **moved)
    assert posterior.elbo == pytest.approx(fitted(name).elbo, rel=1e-9, abs=1e-9)
    rowwise = [v for v in posterior.names if posterior.plan.bound.model.variables[v].plates and posterior[v].mean.shape[:1] == order.shape]
    for variable in posterior.names:
        wanted = fitted(name)[variable]
        if variable in rowwise and variable in ("x", "y", "z", "w", "r", "m"):
            np.testing.assert_allclose(posterior[variable].mean, wanted.mean[order], atol=1e-6, err_msg=variable)
        elif variable not in rowwise:
            np.testing.assert_allclose(posterior[variable].mean, wanted.mean, atol=1e-6, err_msg=variable)


def optimised(monkeypatch: pytest.MonkeyPatch, name: str, wanted: bool) -> Posterior:
    """A fit with every short cut taken wherever it can be, or with none."""
    if wanted:
        monkeypatch.setattr(hoisting, "SMALL", 0)
        monkeypatch.setattr(program, "LONG", 0)
        monkeypatch.setattr(rows, "CHUNK", 2)
    else:
        monkeypatch.setattr(program, "hoist", lambda factor: factor)
        monkeypatch.setattr(program, "LONG", 10**12)
        monkeypatch.setattr(program, "make_rows", lambda *_: None)
    case = CASES[name]
    return model(name).fit(engine="vmp", start=case.labels or None, **data_of(case))


@every_case
def test_summing_data_first_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    same_answer(optimised(monkeypatch, name, True), fitted(name), 1e-9)


@every_case
def test_factors_taken_member_by_member_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    same_answer(optimised(monkeypatch, name, False), fitted(name), 1e-9)


@pytest.mark.parametrize("name", WITH_LABELS)
def test_rows_take_the_same_steps_as_the_plain_table(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = optimised(monkeypatch, name, False).elbo_trace
    shared = min(len(plain), len(fitted(name).elbo_trace))
    np.testing.assert_allclose(fitted(name).elbo_trace[:shared], plain[:shared], rtol=1e-9)


@pytest.mark.parametrize("name", ["mean and precision", "a mixture of poissons"])
def test_the_same_seed_gives_the_same_fit(name: str) -> None:
    one, other = (model(name).fit(engine="vmp", seed=3, **data_of(CASES[name])) for _ in range(2))
    np.testing.assert_array_equal(one.elbo_trace, other.elbo_trace)
    for variable in one.names:
        np.testing.assert_array_equal(one[variable].mean, other[variable].mean)
        np.testing.assert_array_equal(one[variable].sample(3, seed=1), other[variable].sample(3, seed=1))


def test_a_damped_fit_ends_where_the_plain_one_does() -> None:
    text = source(CASES["mean and precision"].text) + "\napproximate m:\n    use vmp(damping = 0.5)\n"
    damped = ppl.parse(text, "m").fit(**data_of(CASES["mean and precision"]))
    assert damped.iterations > fitted("mean and precision").iterations
    same_answer(damped, fitted("mean and precision"), 1e-7)
