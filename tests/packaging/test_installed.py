"""The wheel as a user has it: installed, used from another folder, with nothing of the checkout in sight."""

from __future__ import annotations

import json

FIND_PLUGIN = """
import json
from importlib.metadata import entry_points
(entry,) = [entry for entry in entry_points(group="vidchatbench.metrics") if entry.name == "core"]
plugin = entry.load()
print(json.dumps({"metrics": sorted(plugin.metrics), "extractors": sorted(plugin.extractors)}))
"""


def ask(installed, code):
    """Runs ``code`` in isolated mode (no current folder, no PYTHON* variables) and returns what it prints."""
    done = installed.run(installed.python, "-I", "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_both_packages_come_from_the_wheel(root, installed):
    target = str(installed.python.parents[1])
    for package in ("vidchatbench", "vidchatbench_metrics"):
        file = ask(installed, f"import {package}; print({package}.__file__)")
        assert file.startswith(target), file
        assert not file.startswith(str(root))
    assert str(root) not in ask(installed, "import sys; print(sys.path)").split("'")


def test_the_version_is_that_of_the_distribution(installed):
    code = "import vidchatbench._version as v, importlib.metadata as m; print(v.__version__, m.version('vidchatbench'))"
    here, stated = ask(installed, code).split()
    assert here == stated


def test_the_test_set_is_found_inside_the_wheel(root, installed):
    code = "from importlib.resources import files; print(files('vidchatbench').joinpath('_data/test_500/VERSION').read_text())"  # noqa: E501
    assert ask(installed, code) == (root / "data/test_500/VERSION").read_text(encoding="utf-8").strip()


def test_the_entry_point_finds_the_core_plugin(installed):
    assert set(json.loads(ask(installed, FIND_PLUGIN))) == {"metrics", "extractors"}


def test_help_from_the_module_and_from_the_script(installed):
    for command in ((installed.python, "-I", "-m", "vidchatbench"), (installed.script,)):
        done = installed.run(*command, "--help")
        assert done.returncode == 0, done.stderr
        assert "evaluate" in done.stdout


def test_the_metrics_command_lists_every_metric_of_the_core_plugin(installed):
    done = installed.run(installed.script, "metrics", "--json")
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)["metrics"]
    assert isinstance(listed, list)
    ids = [metric["id"] for metric in listed]
    assert len(ids) == len(set(ids))
    assert set(json.loads(ask(installed, FIND_PLUGIN))["metrics"]) <= set(ids)


def test_a_wrong_command_ends_with_2_and_an_empty_stdout(installed):
    done = installed.run(installed.script, "no-such-command")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr
