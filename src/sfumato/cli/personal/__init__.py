"""``sfumato personal``: learn your own style from pictures that you like."""

from __future__ import annotations

import typer

from sfumato.cli.personal.ask import ask
from sfumato.cli.personal.change import add, delete, learn, new, remove
from sfumato.cli.personal.options import ManyValues
from sfumato.cli.personal.share import export, import_
from sfumato.cli.personal.show import list_, show

app = typer.Typer(help="Learn your own style from pictures that you like.", no_args_is_help=True)
# The help lists the commands in this order.
app.command(cls=ManyValues)(new)
app.command(cls=ManyValues)(add)
app.command()(learn)
app.command()(remove)
app.command()(show)
app.command("list")(list_)
app.command()(export)
app.command("import")(import_)
app.command()(delete)
app.command()(ask)
