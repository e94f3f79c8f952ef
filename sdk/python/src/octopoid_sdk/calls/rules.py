"""Rules: answers that are given by themselves."""

from __future__ import annotations

from octopoid_sdk.calls.tasks import new_id
from octopoid_sdk.exchange import Steps, request
from octopoid_sdk.fleet_records import Rule


def list_rules() -> Steps[list[Rule]]:
    """Every rule, oldest first, those that were revoked too."""
    page = yield request("GET", "rules")
    rules: list[Rule] = page["rules"]
    return rules


def create_rule(
    message_id: str,
    scope: str,
    *,
    actor: str,
    answer: str | None = None,
    pattern: str | None = None,
    expires_at: str | None = None,
    id: str | None = None,
) -> Steps[Rule]:
    """Have a request's answer given again; answers at once every open request that it is for.

    Args:
        scope: whose requests: task, agent, role or project; which one is the request's own.
        actor: the person who makes it, as `human:ana`.
        answer: the one that the request was given, by default.
        pattern: which requests; `*` stands for any part of a line. Exactly this one by default.

    Raises:
        Conflict: the actor is no person, or the request cannot have this answer.
        BadRequest: the pattern says nothing, or does not fit the request.
    """
    body = {
        "id": id or new_id(),
        "message_id": message_id,
        "scope": scope,
        "actor": actor,
        "answer": answer,
        "pattern": pattern,
        "expires_at": expires_at,
    }
    rule: Rule = yield request("POST", "rules", body=body)
    return rule


def revoke_rule(rule_id: str, *, actor: str | None = None) -> Steps[Rule]:
    """End a rule for good."""
    rule: Rule = yield request("POST", "rules", rule_id, "revoke", body={"actor": actor})
    return rule
