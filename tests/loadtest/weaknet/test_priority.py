import os
import subprocess
import sys

import pytest

from loadtest.weaknet.priority import prefer_descendants


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may raise priorities")
def test_a_child_of_another_session_is_preferred_too() -> None:
    script = "import sys; sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, start_new_session=True
    ) as child:
        before = os.getpriority(os.PRIO_PROCESS, os.getpid())
        prefer_descendants(child.pid)
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == -10
        assert os.getpriority(os.PRIO_PROCESS, os.getpid()) == before
        assert child.stdin is not None
        child.stdin.close()


def test_a_process_that_is_gone_is_no_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    prefer_descendants(child.pid)
