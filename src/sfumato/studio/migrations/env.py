"""Alembic's entry: runs the migrations on the connection of `database.migrate`."""

from __future__ import annotations

from alembic import context

from sfumato.studio.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a column by copying its table
    compare_type=True,
)
context.run_migrations()
