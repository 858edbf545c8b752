"""Jobs and their runs: plan, open, deliver, show, cancel."""
