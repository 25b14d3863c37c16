"""Laws are tested in float64; those that speak of another precision ask for it."""

import jax

jax.config.update("jax_enable_x64", True)
