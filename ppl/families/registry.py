"""Every family by the name that the language and the results give it."""

from __future__ import annotations

from ppl.families.bernoulli import Bernoulli
from ppl.families.beta import Beta
from ppl.families.binomial import Binomial
from ppl.families.categorical import Categorical
from ppl.families.dirichlet import Dirichlet
from ppl.families.family import Family
from ppl.families.gamma import Gamma
from ppl.families.inverse_gamma import InverseGamma
from ppl.families.inverse_wishart import InverseWishart
from ppl.families.multinomial import Multinomial
from ppl.families.multivariate_normal import MultivariateNormal
from ppl.families.normal import Normal
from ppl.families.numeric import Positive
from ppl.families.poisson import Poisson
from ppl.families.predicted_counts import BetaBinomial, NegativeBinomial
from ppl.families.student_t import StudentT
from ppl.families.wishart import Wishart

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Normal(),
        MultivariateNormal(),
        Gamma(),
        InverseGamma(),
        Beta(),
        Dirichlet(),
        Wishart(),
        InverseWishart(),
        Bernoulli(),
        Categorical(),
        Binomial(),
        Multinomial(),
        Poisson(),
        StudentT(),
        BetaBinomial(),
        NegativeBinomial(),
    )
}

NUMERIC: dict[str, Positive] = {"Positive": Positive()}
"""Families without a name in the language: what has them is told by draws and exact moments."""
