"""What is wrong in a JSON body is refused with the name of its field."""

from __future__ import annotations

import pytest

from sluice.api.http.bodies.models import OpenBody, read_model
from sluice.domain.errors import ErrorCode, SluiceError


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ('{"style": "gold"}', "options.style"),
        ('{"style": ""}', "options.style"),
        ('{"style": null}', "options.style"),
        ('{"banding": "maybe"}', "options.banding"),
        ('{"on_invalid": "TEXT"}', "options.on_invalid"),
    ],
)
def test_an_option_that_has_no_such_value_is_refused_with_its_field(options: str, field: str) -> None:
    body = f'{{"format": "xlsx", "columns": [{{"name": "a"}}], "options": {options}}}'
    with pytest.raises(SluiceError) as caught:
        read_model(body.encode(), OpenBody)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert caught.value.facts == {"field": field}
    assert "gold" not in caught.value.detail
