"""The stable text form of typed models: what the later stages get."""

from __future__ import annotations

from checking import typed

from ppl.semantics.dump import dump_model


def text_of(text: str, name: str = "m") -> str:
    return dump_model(typed(text).models[name])


def test_a_mixture_with_its_approximation() -> None:
    assert (
        text_of(
            """
model m(K: size = 3):
    pi ~ Dirichlet(ones(K))
    for k in K: mu[k] ~ Normal(0, sd = 10)
    for n in N:
        z[n] ~ Categorical(pi)
        x[n] ~ Normal(mu[z[n]], precision = 2)

approximate m:
    q(pi, mu) q(z[n])
    use vmp(restarts = 8, damping = 0.5)
"""
        )
        == """model m
  set K: size = 3
  set N (size from the data)
  random pi: simplex[K]
  random mu: real[K] (1 plate)
  random z: K[N] (1 plate)
  random x: real[N] (1 plate)
  pi ~ Dirichlet(concentration = ones(size(K)))
  for k in K: mu[k] ~ Normal(mean = 0, sd = 10)
  for n in N: z[n] ~ Categorical(p = pi)
  for n in N: x[n] ~ Normal(mean = mu[z[n]], precision = 2)
  approximate q(pi, mu) q(z) separate(z) use vmp(restarts = 8, damping = 0.5)
"""
    )


def test_distributions_in_arms_become_choices_of_arguments() -> None:
    lines = text_of(
        """
model m:
    z ~ Bernoulli(0.3)
    x ~ match z:
        0 -> Normal(0, 1)
        1 -> Normal(5, 2)
    y ~ if z == 1 then Normal(0, 1) else Normal(1, 1)
"""
    )
    assert "x ~ Normal(mean = match z {0 -> 0; 1 -> 5}, sd = match z {0 -> 1; 1 -> 2})" in lines
    assert "y ~ Normal(mean = match z {1 -> 0; _ -> 1}, sd = match z {1 -> 1; _ -> 1})" in lines


def test_tables_are_filled_in_and_members_are_certain() -> None:
    lines = text_of(
        """
type Place = {centre, left, right}

model m:
    x ~ {right: 0.25, centre: 0.75}
    y ~ left
    z ~ match x:
        centre -> left
        left | right -> {right: 1}
"""
    )
    assert "x ~ Categorical(p = [0.75, 0, 0.25])" in lines
    assert "y ~ Categorical(p = [0, 1, 0])" in lines
    assert "z ~ Categorical(p = match x {0 -> [0, 1, 0]; 1 | 2 -> [0, 0, 1]})" in lines


def test_functions_of_the_file_are_inlined() -> None:
    lines = text_of(
        """
fn logit(p) = log(p / (1 - p))
fn twice(f) = 2 * logit(f)

model m:
    p ~ Beta(1, 1)
    x ~ Normal(twice(p), 1)
"""
    )
    assert "x ~ Normal(mean = (2 * log((p / (1 - p)))), sd = 1)" in lines


def test_a_link_of_known_values_is_its_first_parametrisation() -> None:
    lines = text_of(
        """
model m(b = 2):
    input x: real[N]
    input f: real[N, K]
    for n in N:
        y[n] ~ Bernoulli(logit = b * x[n])
        c[n] ~ Poisson(log_rate = x[n])
        k[n] ~ Categorical(logits = f[n])
        t[n] ~ Binomial(3, logit = x[n])
        u[n] ~ Bernoulli(probit = x[n])
"""
    )
    assert "y[n] ~ Bernoulli(p = sigmoid((b * x[n])))" in lines
    assert "c[n] ~ Poisson(rate = exp(x[n]))" in lines
    assert "k[n] ~ Categorical(p = softmax(f[n]))" in lines
    assert "t[n] ~ Binomial(n = 3, p = sigmoid(x[n]))" in lines
    assert "u[n] ~ Bernoulli(p = normal_cdf(x[n]))" in lines
    assert "cannot run yet" not in lines


def test_each_index_of_a_statement_has_its_own_name() -> None:
    lines = text_of("model m:\n    for n in N: x[n] ~ Normal(sum(n for n in 0..3) + sum(k for k in 0..2) * sum(k for k in 0..2) + n, 1)\n")
    assert "sum(n_2 for n_2 in 0..3)" in lines
    assert "(sum(k for k in 0..2) * sum(k_2 for k_2 in 0..2))" in lines
    assert lines.rstrip().endswith("+ n), sd = 1)")


def test_ranges_keep_their_set_and_bounds() -> None:
    lines = text_of("model m:\n    z[0] ~ Normal(0, 1)\n    for t in 1..T: z[t] ~ Normal(0, 1)\n")
    assert "for t in 1..T: z[t] ~ Normal(mean = 0, sd = 1)" in lines


def test_the_variables_of_a_submodel_have_dotted_names() -> None:
    lines = text_of(
        """
model reading(centre, noise = 1):
    bias ~ Normal(0, sd = 0.5)
    value ~ Normal(centre + bias, sd = noise)

model m:
    for n in N: x[n] ~ reading(20, noise = 2)
    shift = x.bias
""",
    )
    assert "random x: real[N] (1 plate)" in lines
    assert "random x.bias: real[N] (1 plate)" in lines
    assert "for n in N: x[n] ~ Normal(mean = (20 + x.bias[n]), sd = 2)" in lines
    assert "deterministic shift: real[N]" in lines


def test_an_agent_says_all_that_makes_it_one() -> None:
    assert (
        text_of(
            """
type Arm = {a, b}
agent m(gain = 2):
    state arm: Arm = a
    state side: {l, r} ~ Categorical([0.5, 0.5])
    action pull: Arm
    next arm = pull
    next side = side
    for k in Arm: wins[k] ~ Dirichlet([1, 1])
    observe result: {win, lose} ~ Categorical(wins[arm])
    prefer result ~ softmax({win: gain * t, lose: 0})
    habit pull ~ {a: 0.7, b: 0.3}
    plan pull by efe(horizon = 2, policies = [[a, b], [b, b]])
"""
        )
        == """agent m
  set Arm = {a, b}
  set {l, r}
  set {win, lose}
  parameter gain: real = 2
  state arm: Arm
  state side: {l, r}
  action pull: Arm
  outcome result: {win, lose}
  random wins: simplex[Arm, 2] (1 plate)
  for k in Arm: wins[k] ~ Dirichlet(concentration = [1, 1])
  initial arm = a
  initial side ~ Categorical(p = [0.5, 0.5])
  next arm = pull
  next side = side
  observe result ~ Categorical(p = wins[arm])
  prefer result at t ~ Categorical(p = softmax([(gain * t), 0]))
  habit pull ~ Categorical(p = [0.7, 0.3])
  plan pull by efe(horizon = 2, policies = [[a, b], [b, b]])
"""
    )
