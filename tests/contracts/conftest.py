"""Makes failing asserts of the contract suites as telling as those of test files."""

import pytest

pytest.register_assert_rewrite(
    "tests.contracts.clock_contract",
    "tests.contracts.pool_contract",
    "tests.contracts.sink_contract",
    "tests.contracts.source_contract",
    "tests.contracts.link_contract",
    "tests.contracts.object_store_contract",
    "tests.contracts.opens_tasks",
    "tests.contracts.task_listing_contract",
    "tests.contracts.task_store_contract",
    "tests.contracts.task_race_contract",
    "tests.contracts.upload_contract",
)
