"""Where nodes are dialled that the cluster tells of: what the policy for addresses says, which may take a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triocql.abc import Address
from triocql.cluster.workers import Workers
from triocql.observability.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from triocql.abc import Reactor
    from triocql.metadata.peers import ClusterFacts, NodeFacts
    from triocql.policies.addresses import AddressTranslation

    Outcome = Address | BaseException

logger = get_logger(__name__)

_TIMEOUT = 2.0


class Translation:
    """The addresses to dial, by those that are told.

    Args:
        policy: what is asked, once about each address, and again where it fails to say; None to dial what is told.
        timeout: seconds that a policy which blocks may take for all nodes together.
    """

    def __init__(
        self, reactor: Reactor, policy: AddressTranslation | None, timeout: float = _TIMEOUT
    ) -> None:
        self._reactor = reactor
        self._workers = Workers(reactor, "the policy for addresses")
        self._policy = policy
        self._timeout = timeout
        self._found: dict[Address, Address] = {}

    def __call__(self, told: Address) -> Address:
        """Return the address to dial for one that was told."""
        return self._found.get(told, told)

    async def prepare(self, facts: ClusterFacts) -> None:
        """Have the policy say where the nodes are dialled that are told of, if it has not said so before."""
        policy = self._policy
        if policy is None:
            return
        nodes = (facts.local, *facts.peers)
        self._found = {node.told: self._found[node.told] for node in nodes if node.told in self._found}
        asked = tuple(node for node in nodes if node.told not in self._found)
        if not asked:
            return
        outcomes: list[Outcome] | None
        if getattr(policy, "blocks", False):
            outcomes = await self._in_thread(policy, asked)
        else:
            outcomes = [_translated(policy, node) for node in asked]
        if outcomes is None:
            logger.warning(
                "the policy for addresses took more than %g s and is not waited for", self._timeout
            )
        self._found.update(_usable(asked, outcomes or ()))

    async def _in_thread(
        self, policy: AddressTranslation, asked: tuple[NodeFacts, ...]
    ) -> list[Outcome] | None:
        """Return the outcomes; None if they take too long."""
        try:
            return await self._workers.run(
                lambda: [_translated(policy, node) for node in asked], self._reactor.now() + self._timeout
            )
        except TimeoutError:
            return None
        except Exception as error:  # there is no thread to be had
            return [error] * len(asked)


def _usable(asked: Iterable[NodeFacts], outcomes: Iterable[Outcome]) -> Iterator[tuple[Address, Address]]:
    """Give what was told and what came of it, where that is an address."""
    for node, outcome in zip(asked, outcomes, strict=False):
        if isinstance(outcome, Address):
            yield node.told, outcome
        else:
            logger.error(
                "the policy for addresses failed; %s is dialled as it is", node.told, exc_info=outcome
            )


def _translated(policy: AddressTranslation, node: NodeFacts) -> Outcome:
    """Return what the policy says, or raises: whatever it is, for nobody waits for it in this frame."""
    try:
        found = policy.translate(
            node.told, host_id=node.host_id, data_centre=node.data_centre, rack=node.rack
        )
    except BaseException as error:
        return error
    if isinstance(found, Address):
        return found
    return TypeError(f"translate() returned {type(found).__name__}, not an Address")
