"""The ``midgap`` command; one module a command, no science in it."""
