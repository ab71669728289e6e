"""Libraries of models: what they are asked is in `protocol`, who is there in `loaded`.

Flax NNX, Linen and Equinox are known. None of them is imported by jaxdbg.
"""

from jaxdbg.frameworks.loaded import loaded
from jaxdbg.jax_internals import libraries

libraries.register(loaded)
