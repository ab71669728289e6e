"""The structure of jaxprs, over JAX versions, and one way to evaluate them."""
