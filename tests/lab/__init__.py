"""A checked cell in a real JupyterLab."""
