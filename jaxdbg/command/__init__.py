"""The command `jaxdbg`: a program is checked without a change to its code."""
