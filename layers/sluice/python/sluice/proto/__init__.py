"""Generated from `layers/sluice/proto`; never edited."""
