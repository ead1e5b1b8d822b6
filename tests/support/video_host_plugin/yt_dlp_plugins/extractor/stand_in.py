"""A plugin of yt-dlp through which the YouTube extractor asks the tests' own host; see ``tests/video_host.py``."""

from __future__ import annotations

import os

from yt_dlp.extractor.youtube import YoutubeIE
from yt_dlp.utils import ExtractorError, GeoRestrictedError


class StandInIE(YoutubeIE, plugin_name="stand-in"):
    """Takes YouTube's addresses and gives what the stand-in says of a video."""

    def _real_extract(self, url):
        video = self._match_id(url)
        told = self._download_json(f"{os.environ['VCB_TEST_HOST']}/about/{video}", video)
        if told.get("refusal"):
            kind = GeoRestrictedError if "your country" in told["refusal"] else ExtractorError
            raise kind(told["refusal"]) if kind is GeoRestrictedError else kind(told["refusal"], expected=True)
        return {"id": video, "title": f"Video {video}", "formats": told["formats"], **told.get("more", {})}
