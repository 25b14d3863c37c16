"""The file that `ppl new` writes: small enough to read at once, and it runs as it is."""

STARTER = """\
# A model says what is random and what depends on what. It never says how to infer.
#
#   ppl run {file}                     the posterior, from the data in the `fit` line below
#   ppl run {file} --data mine.csv     the same with data of your own (a column named y)
#   ppl graph {file} -o {name}.svg     a picture of it
#   ppl test {file}                    the `test` blocks at the end

model {name}(spread = 10):
    "Where some measurements lie, and how precise they are."

    # Random variables have a `~`. Any of them may be observed: what you give is, the rest is inferred.
    centre ~ Normal(0, sd = spread)
    precision ~ Gamma(1, rate = 1)

    # A plate: one y for each member of N. How many there are, the data say.
    for n in N:
        y[n] ~ Normal(centre, precision = precision)

# What `ppl run` does when it is given no data.
fit {name} to y = [2.1, 1.9, 2.6, 1.4, 2.3]

# Checks travel with the model.
test "the centre is near the mean of the data":
    fit {name} to y = [2.1, 1.9, 2.6, 1.4, 2.3]
    expect mean(centre) = 2.06 within 0.1
"""


def starter(name: str, file: str) -> str:
    """The text of a new file with a model of this name."""
    return STARTER.format(name=name, file=file)
