"""Laws are tested in float64; those that speak of float32 ask for it."""

import jax

jax.config.update("jax_enable_x64", True)
