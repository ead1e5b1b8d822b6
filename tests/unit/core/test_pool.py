"""A pool of worker processes: what calls return and raise, what dies alone, and that a signal leaves nothing behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from pool_calls import act
from processes import all_ended, children, until

from vidchatbench.core.pool import worker_pool
from vidchatbench.errors import MediaError

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of Unix")


def test_calls_return_in_order_from_as_many_processes_as_there_may_be() -> None:
    with worker_pool(2) as pool:
        found = list(pool.map(act, [""] * 6, map(str, range(6))))
    assert [name for name, _ in found] == list("012345")
    assert 1 <= len({pid for _, pid in found}) <= 2
    assert os.getpid() not in {pid for _, pid in found}
    until(lambda: all_ended(pid for _, pid in found), 10)


def test_what_a_call_raises_comes_back_and_costs_nothing_else() -> None:
    with worker_pool(1) as pool:
        full, bad = pool.submit(act, "", "fills the disk"), pool.submit(act, "", "reads a bad clip")
        sound = pool.submit(act, "", "works")
        with pytest.raises(OSError, match="No space left") as raised:
            full.result()
        assert raised.value.errno == errno.ENOSPC
        assert "in act" in str(raised.value.__cause__), "the traceback of the other process"
        with pytest.raises(MediaError, match=r"a\.mp4: it is no clip"):
            bad.result()
        assert sound.result()[0] == "works"


def test_what_cannot_be_sent_is_an_error_of_that_call_alone() -> None:
    with worker_pool(1) as pool:
        lost = pool.submit(lambda: 1)
        with pytest.raises((AttributeError, TypeError, ValueError)) as raised:
            lost.result()
        assert "lambda" in str(raised.value)
        assert pool.submit(act, "", "works").result()[0] == "works"


def test_a_process_that_dies_takes_only_its_own_call_with_it() -> None:
    with worker_pool(1) as pool:
        futures = [pool.submit(act, "", kind) for kind in ("works", "dies", "works")]
        before, after = futures[0].result(), futures[2].result()
        with pytest.raises(BrokenProcessPool, match="SIGKILL, as when memory runs out"):
            futures[1].result()
    assert before[1] != after[1]


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background would ignore it
sys.path[:0] = {paths!r}
from pool_calls import act
from vidchatbench.core.pool import worker_pool
if __name__ == "__main__":
    with worker_pool(2) as pool:
        print(list(pool.map(act, [{folder!r}] * 3, ["waits"] * 3)))
"""


def test_sigterm_ends_everything_and_leaves_no_warning(tmp_path: Path) -> None:
    here = Path(__file__).resolve()
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(paths=[str(here.parents[2] / "support")], folder=str(tmp_path)))
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: len(list(tmp_path.glob("begun *"))) == 2, 300)
        workers = children(process.pid)
        assert len(workers) >= 2
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGTERM
    until(lambda: all_ended(workers))
    assert stderr == ""
