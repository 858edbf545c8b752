"""Stubs generated from layers/sluice/proto; never edited by hand."""
