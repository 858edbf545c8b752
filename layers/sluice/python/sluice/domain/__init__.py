"""What things are: values, states, limits, errors. Standard library and msgspec only, no I/O."""
