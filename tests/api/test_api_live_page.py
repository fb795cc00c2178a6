"""docs/live.md: its examples are executed as they stand, and hear what is there to hear."""

import json
import re
import subprocess
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import pytest
from api_support import Api
from stream_support import note, serving

from lah_platform.settings import PROJECT_ROOT
from lah_platform.stores.postgres import connect

_PAGE = (PROJECT_ROOT / "docs" / "live.md").read_text(encoding="utf-8")


def test_the_examples_of_the_page_hear_of_every_anomaly(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    follow, over_socket = re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL)
    (command,) = re.findall(r"```\n(curl .*?)\n```", _PAGE)
    quick = api.changed(live_poll_s=0.02)
    with serving(quick) as url, connect(api.url) as connection:
        key = api.keys["acme", "viewer"]
        monkeypatch.setenv("HUB", url)
        monkeypatch.setenv("KEY", key)
        ids = note(connection, "acme", 2)
        said = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=20, check=True).stdout
        heard = [json.loads(line[6:])["anomaly_id"] for line in said.splitlines() if line.startswith("data: ")]
        assert heard == ids

        with redirect_stdout(StringIO()) as printed:
            exec(over_socket, {})
        assert [each for each in ids if each in printed.getvalue()] == ids

        names: dict[str, Any] = {}
        exec(follow, names)
        changes = names["changes"](at="0", kind="anomaly")
        assert [next(changes)[1]["anomaly_id"] for _ in ids] == ids
        later = note(connection, "acme")
        assert next(changes)[1]["anomaly_id"] == later[0]
        changes.close()
