"""`anneal`: finds the verb and hands over. Imports nothing that costs time: `--help` is static text, verbs load when used."""

from __future__ import annotations

import sys

GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "The daemon",
        (
            ("up", "Start the daemon and follow a folder of YAML"),
            ("down", "Stop the daemon and its local processes, or follow a folder no more; its state stays"),
            ("status", "Show the daemon, its sources, what waits and what fails"),
            ("logs", "Show what an object's processes say, or the daemon's log"),
            ("confirm", "Allow a large removal that waits for a yes"),
        ),
    ),
    (
        "Objects",
        (
            ("get", "List objects: `anneal get anneal` shows them all"),
            ("describe", "Show one object with conditions, parts, failures and events"),
            ("tree", "Show owners, objects and the external things that belong to them"),
            ("why", "Walk to the deepest reason why something is not ready"),
            ("events", "Show what happened, oldest first"),
            ("wait", "Wait until objects are ready, gone, or have a value"),
        ),
    ),
    (
        "Changes",
        (
            ("plan", "Show what would be done outside, without doing it"),
            ("diff", "Show what a file would change in the API server"),
            ("apply", "Create or change objects from files"),
            ("delete", "Delete objects, and what they made outside"),
            ("scale", "Set how many Machines a set has"),
            ("rebuild", "Put the image of Machines onto their disks anew"),
            ("rollout", "Show, pause, promote or undo the rollout of a model"),
            ("dlq", "List the requests that were given up, or have them answered after all"),
            ("image", "Build and push the image that serves models on a Swarm"),
        ),
    ),
    (
        "Clouds",
        (
            ("export", "Print the servers of a cloud as Machines that are only looked at"),
            ("gc", "Remove what carries our tag on a cloud and has no object any more"),
        ),
    ),
    (
        "Help",
        (
            ("explain", "Describe the fields of a kind"),
            ("crds", "Print the CustomResourceDefinitions, for a Kubernetes of your own"),
            ("completion", "Print the completion script of bash, zsh or fish"),
            ("version", "Print the versions of the client and the daemon"),
        ),
    ),
)
VERBS: dict[str, str] = {verb: text for _, verbs in GROUPS for verb, text in verbs}

HINTS = {
    "create": "anneal apply -f FILE",
    "edit": "edit the file in its folder, or `kubectl edit`",
    "ls": "anneal get anneal",
    "list": "anneal get anneal",
    "ps": "anneal get anneal",
    "start": "anneal up -d DIR",
    "stop": "anneal down",
    "rm": "anneal delete KIND/NAME",
    "log": "anneal logs",
    "patch": "edit the file in its folder, or `kubectl patch`",
}

EXIT_CODES = """\
Exit codes: 0 done, 1 failed, 2 plan has changes, 3 no such object, 4 no answer from the daemon,
            64 command not understood, 124 out of time, 130 interrupted. (diff: 1 differences, 2 failed)"""


def help_text() -> str:
    """What `anneal --help` prints."""
    lines = [
        "anneal brings machines, clusters, experiments and models to the state that your YAML describes, and keeps them there.",
        "",
        "Usage: anneal VERB [ARGUMENTS] [--kubeconfig FILE] [-n NAMESPACE]",
        "",
    ]
    for title, verbs in GROUPS:
        lines.append(f"{title}:")
        lines += [f"  {verb:<12}{text}" for verb, text in verbs]
        lines.append("")
    return "\n".join([
        *lines,
        "Start here:  anneal up -d DIR && anneal get anneal",
        "Then:        anneal VERB --help     examples and flags of one verb",
        "",
        "Everything lives under $ANNEAL_HOME (default ~/.anneal); kubectl works with its `kubeconfig` file too.",
        EXIT_CODES,
    ])  # fmt: skip


def _verb(argv: list[str]) -> tuple[str, list[str]]:
    """Split off the verb. Flags that stand before it (kubectl allows that) go behind it."""
    leading: list[str] = []
    rest = list(argv)
    while rest and rest[0].startswith("-") and rest[0] not in ("-h", "--help", "--version"):
        flag = rest.pop(0)
        leading.append(flag)
        if flag in ("--kubeconfig", "-n", "--namespace", "--home") and rest:
            leading.append(rest.pop(0))
    if not rest:
        return "", leading
    return rest[0], rest[1:] + leading


def _unknown(verb: str) -> str:
    if verb in HINTS:
        return f'cannot run "{verb}": there is no such verb; try: {HINTS[verb]}'
    import difflib

    near = difflib.get_close_matches(verb, VERBS, n=1, cutoff=0.5)
    return f'cannot run "{verb}": there is no such verb; ' + (
        f"did you mean `anneal {near[0]}`?" if near else "`anneal --help` lists them"
    )


def dispatch(argv: list[str]) -> int:
    """Run one command; returns its exit code. Raises CliError and what argparse raises."""
    verb, rest = _verb(argv)
    if verb in ("", "-h", "--help", "help") and not (verb == "help" and rest):
        if not verb and argv:
            from reconciler.cli.errors import UsageError

            raise UsageError("cannot run: no verb was given; `anneal --help` lists them")
        sys.stdout.write(help_text() + "\n")
        return 0
    if verb == "help":
        verb, rest = rest[0], ["--help"]
    if verb == "--version":
        verb, rest = "version", ["--client"]
    if verb not in VERBS and verb != "__complete":
        from reconciler.cli.errors import UsageError

        raise UsageError(_unknown(verb))
    from importlib import import_module

    module = import_module(f"reconciler.cli.verbs.{verb.strip('_')}")
    code: int = module.run(rest)
    return code


def main(argv: list[str] | None = None) -> int:
    """The console script: run, print an error readably, return the exit code."""
    import gc

    gc.disable()  # a short life makes little garbage
    code = _guarded(sys.argv[1:] if argv is None else argv)
    if argv is None:
        _leave(code)
    return code


def _guarded(argv: list[str]) -> int:
    try:
        code = dispatch(argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `anneal get … | head`: nothing is wrong
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from reconciler.cli.errors import CliError

        if not isinstance(error, CliError):
            raise
        from reconciler.cli.terminal import complain

        complain(str(error))
        return error.code


def _leave(code: int) -> None:
    """End without taking the interpreter apart: that takes milliseconds, and threads that still watch would delay it."""
    import os

    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
