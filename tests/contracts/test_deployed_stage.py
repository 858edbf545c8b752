"""C25: how the bucket's trigger of a deployed stage rings: how soon, and whether at all.

With ``--live`` it asks the stage whose address and API key the environment
names, for as many exports as ``SLUICE_LIVE_STAGE_EXPORTS`` says. An export
that took longer than the bell grace was rescued by the sweeper: its bell was
lost, or late. Without ``--live`` the same is asked of the function host.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import quantiles

import pytest

from infra.emulators.function_compute.interpreter import source_tree
from infra.local.cloud import local_cloud
from sluice.domain.limits import Timings
from tests.support.deployed_stage import Finished, export_many
from tests.support.live_cloud import read_variables

VARIABLES = ("SLUICE_LIVE_STAGE_URL", "SLUICE_LIVE_STAGE_API_KEY")
FILE = "\ufeffid,text\r\n1,王伟\r\n20250314000000000123,'=1+1\r\n".encode()


def check(finished: list[Finished]) -> None:
    assert [one.content for one in finished] == [FILE] * len(finished)
    assert len({one.task_id for one in finished}) == len(finished)


@pytest.mark.live
@pytest.mark.timeout(3600)
def test_c25_the_trigger_rings_soon_and_what_it_misses_is_rescued() -> None:
    url, api_key = read_variables(VARIABLES)
    finished = export_many(url, api_key, int(os.environ.get("SLUICE_LIVE_STAGE_EXPORTS", "100")))
    check(finished)
    waits = sorted(one.trigger_to_file_s for one in finished)
    rescued = sum(wait > Timings().trigger_grace_s for wait in waits)
    cuts = quantiles(waits, n=100)
    print(f"bell to file: p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s, most {waits[-1]:.2f} s; {rescued} rescued")
    assert rescued <= len(finished) // 100


@pytest.mark.slow
def test_the_same_exports_through_the_function_host(tmp_path: Path) -> None:
    with local_cloud(tmp_path, interpreter=source_tree()) as cloud:
        check(export_many(cloud.host.doors["api_domain"].url, cloud.new_key("acme"), 3))
