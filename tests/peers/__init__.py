"""Other people's tests, run plain and under jaxdbg, and compared test by test.

chex, optax, distrax, dm-haiku and jraph ship their tests in their wheels. Each module
runs in a process of its own, once for each mode, in the same order:

    python -m tests.peers chex optax --modes record,default,every_op,recorder
    python -m tests.peers --path ../jax/tests/api_test.py --sample 20

What may differ, and why, is in `allowed.py`.
"""
