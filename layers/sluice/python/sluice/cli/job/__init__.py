"""`sluice job`: jobs and their runs."""
