"""Links by which a browser gets one object from OSS itself."""

from __future__ import annotations

from sluice.adapters.aliyun.oss.bucket import OssBucket
from sluice.adapters.object_names import check_key
from sluice.domain.filenames import content_disposition
from sluice.domain.limits import DAY_S
from sluice.ports.clock import Clock

LINK_S_MAX = 7 * DAY_S
"""OSS takes no longer life of a link signed with version 4."""


class OssLinks:
    """Signs links to the objects of ``bucket``; its endpoint is where browsers go, so seldom the store's own.

    A link lives no longer than the token that signed it: where the token's end
    is not known, OSS ends the link with it all the same.
    """

    names_downloads = True

    def __init__(self, bucket: OssBucket, *, clock: Clock) -> None:
        self._bucket = bucket
        self._clock = clock

    def mint_link(self, key: str, *, filename: str, expires_at: float, task_id: str = "") -> str:
        del task_id  # the store serves the link
        check_key(key)
        credentials = self._bucket.credentials()
        life_s = min(expires_at, credentials.expires_at or expires_at) - self._clock.now()
        return self._bucket.sign(
            credentials,
            key,
            life_s=max(1, int(min(life_s, LINK_S_MAX))),
            query={"response-content-disposition": content_disposition(filename)},
        )
