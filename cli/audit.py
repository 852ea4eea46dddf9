"""Checks the audit log of the configured ledger."""

from __future__ import annotations

import asyncio

from core.adapters.ledger.chain import ChainReport
from core.adapters.ledger.ledger import Ledger
from serving.configuration import load


def verify_chain() -> ChainReport:
    """How far the chain of hashes is sound."""
    return asyncio.run(_verify(load().settings.database_url.get_secret_value()))


async def _verify(url: str) -> ChainReport:
    ledger = await Ledger.open(url)
    try:
        return await ledger.verify_audit()
    finally:
        await ledger.close()
