"""From a finding to a folder that shows the same failure with nothing but JAX."""
