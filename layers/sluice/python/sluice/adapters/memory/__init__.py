"""The in-memory twins of the stores: for tests, and for the fault simulator."""
