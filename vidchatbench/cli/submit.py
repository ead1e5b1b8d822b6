"""``vidchatbench submit``: verify a run, show what will be published, and publish it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vidchatbench.benchmark.format import Benchmark
    from vidchatbench.leaderboard.publish import Publication
    from vidchatbench.leaderboard.verification.reading import Bundle
    from vidchatbench.submission.system import SystemDescription

DECLARED = ("training_data", "training_overlap")
_QUESTIONS = {
    "training_data": "What was the system trained on?",
    "training_overlap": "Which of the benchmark's identities or clips were among it? (say 'none' if none)",
}
_BIG = 1000


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("submit")(submit)


def submit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of `evaluate`.")],
    to: Annotated[
        str | None, typer.Option(help="hf:ORG/DATASET, git:PATH or folder:PATH; without it, nothing is published.")
    ] = None,
    with_media: Annotated[
        Path | None, typer.Option(help="Publish the outputs too, from this folder; they never are without it.")
    ] = None,
    declare: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=TEXT", help="Set training_data or training_overlap, as system.yaml would."),
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help="Also verify against this benchmark.")] = None,
    sign: Annotated[bool, typer.Option("--sign", help="Sign the bundle's hash with Sigstore.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Publish without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is published on stdout.")] = False,
) -> None:
    """Verifies a run, shows every file that would be published, and publishes them where --to says.

    hf: opens a pull request, git: makes a branch of a clone to push, folder: writes the files alone. The run is
    verified against its benchmark, which is found by itself on the computer that made the run. What the system was
    trained on must be declared, in system.yaml, by --declare, or when asked.

    Example: vidchatbench submit run/ --to git:../leaderboard
    """
    from vidchatbench.cli.output import print_json
    from vidchatbench.errors import UsageError
    from vidchatbench.leaderboard.publish import Publication, Target, publish
    from vidchatbench.leaderboard.publish import sign as sign_bundle

    target = None if to is None else Target.parse(to)
    if with_media is not None and not with_media.is_dir():
        raise UsageError(f"{with_media} is no folder; --with-media takes the folder of outputs that was evaluated")
    answers = _parse_declared(declare or [])
    bundle = _verified(run, answers, benchmark, with_media)
    undeclared = [name for name in DECLARED if not str(getattr(bundle.system, name) or "").strip()]
    signature = sign_bundle(bundle) if sign and not undeclared else None
    publication = Publication.of(bundle, with_media, signature)
    if target is not None and target.kind == "folder":
        publication = publication.alone()
    _show(publication, bundle, to)
    if undeclared:
        _say_undeclared(undeclared, refuse=target is not None)
    done = None
    if target is None:
        _say("nothing was published; give --to hf:ORG/DATASET, git:PATH or folder:PATH")
    else:
        if not yes:
            _confirm(str(to))
        done = publish(publication, target)
        _say(done)
    if as_json:
        print_json(
            {"bundle_sha256": bundle.sha256, "name": publication.name, "files": _listed(publication), "done": done}
        )


def _verified(run: Path, answers: dict[str, str], benchmark: str | None, outputs: Path | None) -> Bundle:
    from vidchatbench.errors import InputError, UsageError
    from vidchatbench.leaderboard.verification.findings import shorten
    from vidchatbench.leaderboard.verification.reading import read_run
    from vidchatbench.leaderboard.verification.verify import verify_content

    if not run.is_dir():
        raise UsageError(f"{run} is no folder; give the one that `vidchatbench evaluate` wrote")
    bundle, findings = read_run(run)
    if bundle is not None:
        loaded = _benchmark_of(run, benchmark)
        findings = [*findings, *verify_content(bundle, benchmark=loaded, outputs=outputs)]
    findings = [finding for finding in shorten(findings) if finding.code != "no_declaration"]
    errors = [f"{finding.where}: {finding.message}" for finding in findings if finding.severity == "error"]
    if bundle is None or errors:
        raise InputError(str(run), errors, "Nothing was published.")
    for finding in findings:
        _say(f"{finding.severity}: {finding.where}: {finding.message}")
    bundle, findings = read_run(run, _declare(bundle.system, answers))
    if bundle is None:
        raise InputError(str(run), [f"{finding.where}: {finding.message}" for finding in findings])
    return bundle


def _benchmark_of(run: Path, given: str | None) -> Benchmark | None:
    from vidchatbench.benchmark.load import load_benchmark
    from vidchatbench.errors import InputError
    from vidchatbench.report.media import find_benchmark
    from vidchatbench.report.run import read_run as read_for_report

    if given is not None:
        return load_benchmark(given)
    try:
        found = find_benchmark(read_for_report(run), None)
    except InputError:
        return None  # what is wrong with the run is listed by its own verification
    if found is None:
        _say("not compared with its benchmark, whose folder was not found: give it with --benchmark")
    else:
        _say(f"compared with the benchmark in {found.root}")
    return found


def _parse_declared(declared: list[str]) -> dict[str, str]:
    from vidchatbench.errors import UsageError

    answers = {}
    for text in declared:
        name, equals, answer = text.partition("=")
        if name not in DECLARED or not equals or not answer.strip():
            raise UsageError(f"--declare takes {' or '.join(f'{name}=TEXT' for name in DECLARED)}, not {text!r}")
        answers[name] = answer.strip()
    return answers


def _declare(system: SystemDescription, answers: dict[str, str]) -> SystemDescription:
    from vidchatbench.errors import UsageError

    said = {name: answers.get(name) or getattr(system, name) for name in DECLARED}
    missing = [name for name in DECLARED if not str(said[name] or "").strip()]
    for name in missing if sys.stdin.isatty() else ():
        answer = typer.prompt(_QUESTIONS[name], err=True).strip()
        if not answer:
            raise UsageError(f"{name} must be declared")
        said[name] = answer
    return system.model_copy(update=said)


def _say_undeclared(missing: list[str], *, refuse: bool) -> None:
    from vidchatbench.errors import UsageError

    options = " ".join(f"--declare {name}=TEXT" for name in missing)
    text = (
        f"{' and '.join(missing)} must be declared: give {options}, or write it into the outputs' system.yaml "
        "and evaluate again"
    )
    if refuse:
        raise UsageError(text)
    _say(f"before it can be published, {text}")


def _confirm(target: str) -> None:
    from vidchatbench.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError("nobody is there to confirm; give --yes to publish what is listed above")
    if not typer.confirm(f"Publish this to {target}? It says what you declared above, in public", err=True):
        raise UsageError("nothing was published")


def _listed(publication: Publication) -> list[dict[str, object]]:
    import hashlib

    from vidchatbench.core.hashing import hash_file

    files = [(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in publication.files.items()]
    files += [(name, path.stat().st_size, hash_file(path)) for name, path in publication.media.items()]
    return [{"path": name, "bytes": size, "sha256": digest} for name, size, digest in files]


def _show(publication: Publication, bundle: Bundle, to: str | None) -> None:
    from vidchatbench.cli.output import stderr_console
    from vidchatbench.cli.tables import print_table

    results, system = bundle.results, bundle.system
    title = (
        f"{system.name} on {results.benchmark.name} {results.benchmark.version}, suite {results.suite.name} "
        f"v{results.suite.version}: what {'would be' if to is None else 'will be'} published"
    )
    listed = _listed(publication)
    rows = [(str(f["path"]), _size(int(str(f["bytes"]))), f"{str(f['sha256'])[:16]}...") for f in listed]
    print_table(stderr_console(), title, ("file", "size", "sha256"), rows, whole=("size", "sha256"))
    if not publication.media:
        _say("no media: the outputs themselves stay here (--with-media DIR publishes them)")
    _say(f"bundle: {bundle.sha256}")
    for name in DECLARED:
        _say(f"{name}: {getattr(system, name) or 'not declared'}")


def _size(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < _BIG:
            return f"{amount:.0f} {unit}"
        amount /= _BIG
    return f"{amount:.1f} GB"


def _say(text: str) -> None:
    from vidchatbench.cli.output import stderr_console

    stderr_console().print(text, markup=False, highlight=False, soft_wrap=True)
