"""Whose it is to end a transaction: its block's, never a statement's inside the block."""

from __future__ import annotations

from eventhub.errors import HandlerFault


def ended_by_hand() -> HandlerFault:
    """What a block fails with whose transaction was over before the block was.

    Trying the record again would not help: after a COMMIT its claim is taken, so it would be skipped as handled.
    """
    msg = (
        "the transaction was ended inside its block, by a COMMIT or ROLLBACK of its own or by an error that was "
        "swallowed, so claim, writes and events are not one any more; let the block end it: return, or raise"
    )
    return HandlerFault(msg)
