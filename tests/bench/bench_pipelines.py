"""What steps of a pipeline cost: rows for each processor second, in this process, batch after batch."""

from __future__ import annotations

import time
from itertools import repeat

from sluice.demo.order_table import COLUMNS, order_columns
from sluice.domain.secret import Secret
from sluice.tables.processors.row_steps import RowSteps
from sluice.tables.processors.step_parsing import parse_steps
from tests.bench.plan import Plan
from tests.bench.results import Stepped

BATCH_ROWS = 8_000
ROUND_BATCHES = 40
FILTER_MASK_PRODUCT = "filter, mask, decimal product"
STEPS: dict[str, list[dict[str, object]]] = {
    FILTER_MASK_PRODUCT: [
        {"filter": "amount >= 1000 and paid is true and city <> 'Berlin'"},
        {
            "map": {
                **{name: name for name in ("id", "order_no", "city", "amount", "paid")},
                "email": "mask(email, 'email')",
                "total": "amount * quantity",
            }
        },
    ],
    "dates, texts and conditions": [
        {
            "map": {
                "id": "id",
                "month": "date_format(created_at, '%Y-%m')",
                "due": "created_at + interval '1 month'",
                "who": "upper(trim(customer)) || ' / ' || city",
                "size": "case when quantity >= 50 then 'large' when quantity >= 10 then 'medium' else 'small' end",
            }
        }
    ],
    "a regular expression": [{"map": {"id": "id", "user": "regexp_extract(email, '^([a-z]+)', 1)"}}],
}
"""By what is done."""


def measure_steps(plan: Plan) -> list[Stepped]:
    """Each of the steps again and again; the first round warms up."""
    return [_measured(name, plan) for name in STEPS] if plan.step_rounds else []


def _measured(name: str, plan: Plan) -> Stepped:
    kinds = {column.name: column.type for column in COLUMNS}
    steps = RowSteps(parse_steps(STEPS[name], kinds, {}), COLUMNS, Secret)
    batch = order_columns(0, BATCH_ROWS)
    kept = steps.apply(batch, BATCH_ROWS).rows
    cpu_s = []
    for _ in repeat(None, plan.step_rounds):
        started = time.process_time()
        for _ in repeat(None, ROUND_BATCHES):
            steps.apply(batch, BATCH_ROWS)
        cpu_s.append(time.process_time() - started)
    return Stepped(subject=name, rows=BATCH_ROWS * ROUND_BATCHES, kept_share=kept / BATCH_ROWS, cpu_s=cpu_s)
