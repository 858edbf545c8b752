"""Runs one tiny export through a deployed stage and says what is wrong: ``python -m infra.post_deploy``."""
