"""``sfumato studio``: the web page and the service, its workers, accounts and keys."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.output import say
from sfumato.errors import InputError, OutputError, UsageError, how_to_install, needs_extra

if TYPE_CHECKING:
    from sfumato.studio.database import Sessions
    from sfumato.studio.settings import Settings

app = typer.Typer(help="Open the web page, or serve a team.", no_args_is_help=False)
account_app = typer.Typer(help="Add, list, change and remove the accounts of a Studio.", no_args_is_help=True)
app.add_typer(account_app, name="account")

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="Where everything is stored. \\[default: SFUMATO_STUDIO_DATA, or studio in the folder of Sfumato's data]",
        show_default=False,
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="postgresql://user:password@host/name. \\[default: SFUMATO_DATABASE_URL, or SQLite in the data folder]",
        show_default=False,
    ),
]
NoProvenance = Annotated[
    bool,
    typer.Option(
        "--no-provenance",
        help="Do not seal results. By default they get content credentials, an invisible mark and a line in a signed "
        "log, if the extra provenance is installed.",
    ),
]
AccountName = Annotated[str, typer.Argument(metavar="NAME", help="Name to log in with, such as anna.")]


@app.callback(invoke_without_command=True)
def studio(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; 0 takes a free one. \\[default: 7333 or the next free one]"),
    ] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
    workers: Annotated[
        int,
        typer.Option(min=0, max=64, help="Worker processes; one for drafts comes on top. 0: none here."),
    ] = 1,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Delete pictures without a star after this time, as in 30d. \\[default: keep them]",
            show_default=False,
        ),
    ] = None,
    allow_network: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-network",
            metavar="HOST[:PORT]",
            help="Serve other machines too, under this host name; people log in by name and password. Repeatable.",
            show_default=False,
        ),
    ] = None,
    no_provenance: NoProvenance = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")] = False,
) -> None:
    """Open the web page, or serve a team."""
    before = os.umask(0o077)  # for all subcommands and processes of workers: what people upload is theirs only
    context.call_on_close(lambda: os.umask(before))
    if context.invoked_subcommand is not None:
        sources = [context.get_parameter_source(name) for name in context.params]
        if any(source is not None and source.name == "COMMANDLINE" for source in sources):
            raise UsageError(f"put the options behind the subcommand: sfumato studio {context.invoked_subcommand} ...")
        return
    with needs_extra("studio", "Studio"):
        from sfumato.studio.app import create_app
        from sfumato.studio.database import migrate
        from sfumato.studio.logs import log_as_json
        from sfumato.studio.security import Hosts
        from sfumato.studio.server import Crew, listen, serve
        from sfumato.studio.settings import parse_days

    hosts = Hosts.parse(allow_network or [])
    settings = _settings(
        data, database, keep=0 if keep is None else parse_days(keep), provenance=_check_seal(no_provenance)
    )
    migrate(settings.database_url)
    service = create_app(settings, hosts)
    if hosts.names:
        _check_somebody(service.state.studio.sessions)
    log_as_json(verbose=bool(hosts.names))
    crew = Crew(settings, workers)
    with listen("0.0.0.0" if hosts.names else "127.0.0.1", port) as listener:

        def ready() -> None:
            number = listener.getsockname()[1]
            if hosts.names:
                say(f"Studio serves {', '.join(allow_network or [])} on port {number}; Ctrl-C stops it.")
            else:
                link = f"http://127.0.0.1:{number}/#token={service.state.studio.token.renew()}"
                say(f"Studio: {link}")
                say("The link works once, in one browser. Ctrl-C stops Studio; waiting jobs go on at the next start.")
                if not no_browser:
                    _open_browser(link)
            crew.start()

        try:
            serve(service, listener, ready)
        finally:
            crew.stop()


@app.command()
def worker(
    data: DataOption = None,
    database: DatabaseOption = None,
    name: Annotated[str, typer.Option(help="Name in the log and in the list of workers.")] = "worker",
    quick_only: Annotated[bool, typer.Option("--quick-only", help="Take only drafts and questions.")] = False,
    no_provenance: NoProvenance = False,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Do the jobs of a Studio, here or on another machine that shares its database and folder."""
    import signal
    import threading

    with needs_extra("studio", "Studio"):
        from sfumato.studio.database import migrate
        from sfumato.studio.heartbeat import beating
        from sfumato.studio.logs import log_as_json
        from sfumato.studio.worker import Worker

    settings = _settings(data, database, provenance=not no_provenance)
    log_as_json(verbose=not with_parent)
    if not with_parent:
        migrate(settings.database_url)
    found = Worker(settings, name, quick_only)

    def stop(*_: object) -> None:
        found.stop()

    def follow_parent() -> None:
        sys.stdin.read()  # ends with the parent
        found.stop()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
    if with_parent:
        threading.Thread(target=follow_parent, name="parent", daemon=True).start()
    with beating(settings, found.name):
        found.run()


@app.command()
def key(
    label: Annotated[str, typer.Argument(help="What the key is for.")],
    account: Annotated[str, typer.Option(help="Account that it belongs to.")] = "local",
    scopes: Annotated[str, typer.Option(help="Of read, write and admin, with commas.")] = "read,write",
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Make a key for a program and print it; it is shown this once."""
    with needs_extra("studio", "Studio"):
        from sfumato.studio import registry
    say(registry.make_key(_open(data, database), account, label, scopes.split(",")))


@account_app.command("add")
def add_account(
    name: AccountName,
    admin: Annotated[bool, typer.Option("--admin", help="May manage accounts; the first account always may.")] = False,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Add an account; the password is asked for, or read from standard input."""
    with needs_extra("studio", "Studio"):
        from sfumato.studio import registry
    sessions = _open(data, database)
    registry.check_name(sessions, name)
    role = registry.add_account(sessions, name, _password(), admin)
    say(f"{name} may log in now ({role})")


@account_app.command("list")
def list_accounts(data: DataOption = None, database: DatabaseOption = None) -> None:
    """List all accounts."""
    with needs_extra("studio", "Studio"):
        from sfumato.studio import registry
    for line in registry.list_accounts(_open(data, database)):
        say(line)


@account_app.command("password")
def change_password(name: AccountName, data: DataOption = None, database: DatabaseOption = None) -> None:
    """Give an account another password; its logins end."""
    with needs_extra("studio", "Studio"):
        from sfumato.studio import registry
    sessions = _open(data, database)
    registry.find(sessions, name)
    registry.change_password(sessions, name, _password())
    say(f"{name} has another password, and was logged out everywhere")


@account_app.command("remove")
def remove_account(
    name: AccountName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Remove an account with all its pictures, tastes and jobs."""
    with needs_extra("studio", "Studio"):
        from sfumato.studio import registry
    settings = _settings(data, database)
    sessions = _open(data, database)
    count = registry.count_pictures(sessions, name)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"this deletes {name} and {count} pictures permanently; add --yes to confirm")
        typer.confirm(f"Delete {name} and {count} pictures permanently?", abort=True)
    registry.remove_account(sessions, settings, name)
    say(f"{name} and {count} pictures were deleted")


def _settings(data: Path | None, database: str | None, **values: object) -> Settings:
    with needs_extra("studio", "Studio"):
        from sfumato.studio.settings import Settings
    settings = Settings.from_environment(data, database, **values)
    settings.make_folder()
    return settings


def _check_seal(is_refused: bool) -> bool:
    """Return whether results are to be sealed; make the keys, if there are none.

    Nobody asked for seals, so Studio starts without them where keys cannot be made or read. A log from which lines are
    missing is a sign of tampering, which stops it.

    Raises:
        UsageError: the log is damaged.
    """
    from sfumato.provenance.keys import Keys, is_installed

    if is_refused:
        return False
    if not is_installed():
        say(f"Results are not sealed, because an extra is missing: {how_to_install('provenance')}")
        return False
    from sfumato.provenance.seal import Seal

    try:
        keys = Keys.open()
    except (InputError, OutputError) as problem:
        say(f"results are not sealed: {problem}", err=True)
        return False
    try:
        Seal(keys)
    except (InputError, OutputError) as problem:
        raise UsageError(f"results cannot be sealed: {problem}; or add --no-provenance") from problem
    return True


def _open(data: Path | None, database: str | None) -> Sessions:
    from sfumato.studio.database import migrate, open_database

    settings = _settings(data, database)
    migrate(settings.database_url)
    return open_database(settings.database_url)


def _check_somebody(sessions: Sessions) -> None:
    from sfumato.studio import registry

    if not registry.has_login(sessions):
        raise UsageError(
            "nobody could log in: no account has a password; make one with sfumato studio account add NAME --admin"
        )


def _password() -> str:
    """Ask for a new password twice; without a terminal, read one line of standard input."""
    if sys.stdin is None:
        raise UsageError("standard input is closed; give the password there")
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _open_browser(link: str) -> None:
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(link,), name="browser", daemon=True).start()
