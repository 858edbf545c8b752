"""How rows become bytes: pure generators, no I/O."""
