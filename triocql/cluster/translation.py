"""Where nodes are dialled that the cluster tells of: what the policy for addresses says, asked once for each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from triocql.abc import Address, Reactor
from triocql.observability.logs import get_logger
from triocql.policies.addresses import AddressTranslation

if TYPE_CHECKING:
    from triocql.metadata.peers import ClusterFacts, NodeFacts

logger = get_logger(__name__)


class Translation:
    """The addresses to dial, by those that are told."""

    def __init__(self, reactor: Reactor, policy: AddressTranslation | None) -> None:
        self._reactor = reactor
        self._policy = policy
        self._addresses: dict[Address, Address] = {}

    def __call__(self, told: Address) -> Address:
        """Return the address to dial for one that was prepared."""
        return self._addresses.get(told, told)

    async def prepare(self, facts: ClusterFacts) -> None:
        """Have the policy say where the nodes are dialled that are told of, if it has not said so before."""
        if self._policy is None:
            return
        known = self._addresses
        self._addresses = {}
        for node in (facts.local, *facts.peers):
            address = known[node.told] if node.told in known else await self._ask(self._policy, node)
            self._addresses[node.told] = address

    async def _ask(self, policy: AddressTranslation, node: NodeFacts) -> Address:
        ask = partial(
            policy.translate, node.told, host_id=node.host_id, data_centre=node.data_centre, rack=node.rack
        )
        try:
            address = await self._reactor.run_blocking(ask) if getattr(policy, "blocks", False) else ask()
            return Address(*address)
        except Exception:
            logger.exception("the policy for addresses failed; %s is dialled as it is", node.told)
            return node.told
