"""Credentials that change, are revoked, or lead elsewhere: said, nothing lost, and picked up again without a restart."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.openstack.proxy import Fault
from tests.openstack.world import PATIENCE, posts
from tests.support.daemon import until
from tests.support.world import because, message

pytestmark = pytest.mark.timeout(900)


def rewrite(world, **auth: Any) -> None:
    """Another clouds.yaml: fields of `auth`, and what else stands beside it."""
    config: Any = yaml.safe_load(world.clouds.read_text())
    config["clouds"]["mini"]["auth"] |= auth
    world.clouds.write_text(yaml.safe_dump(config))


def forget_tokens(proxies) -> None:
    """The services would remember a token for minutes; the proxies take none any more."""
    for proxy in proxies.values():
        proxy.lie(Fault("unauthorized"))


async def test_rotated_credentials_are_picked_up(world, real, proxies):
    """Fault 35: the password changes: CredentialsInvalid, nothing lost; the new clouds.yaml needs no restart."""
    await world.create("a")
    await world.ready("a")
    before = [s.id for s in (await world.of("a"))["servers"]]
    identity, old = real.admin.identity, world.clouds.read_text()
    identity.update_user(identity.find_user(real.user), password="another")
    forget_tokens(proxies)
    try:
        said = await world.until("a", because("CredentialsInvalid"))
        assert "another" not in message(said)
        for proxy in proxies.values():
            proxy.honest()
        rewrite(world, password="another")
        await world.ready("a")
    finally:
        real.restore_password()
        real.until(real.may_enter)
    world.clouds.write_text(old)
    assert [s.id for s in real.inventory()["servers"]] == before


async def test_an_application_credential_that_is_revoked_is_replaced_by_another(world, real, proxies):
    """Fault 35: revoked, it says so and deletes nothing; the next one needs no restart."""
    identity, user = real.sdk.identity, real.sdk.current_user_id

    def credential(name: str) -> Any:
        return identity.create_application_credential(user, name)

    def use(one: Any) -> None:
        config: Any = yaml.safe_load(world.clouds.read_text())
        entry = config["clouds"]["mini"]
        auth = {"application_credential_id": one.id, "application_credential_secret": one.secret}
        entry |= {"auth_type": "v3applicationcredential", "auth": {"auth_url": entry["auth"]["auth_url"], **auth}}
        world.clouds.write_text(yaml.safe_dump(config))

    first = credential("first")
    use(first)
    await world.create("a")
    await world.ready("a")
    before = [s.id for s in (await world.of("a"))["servers"]]
    identity.delete_application_credential(user, first.id)
    forget_tokens(proxies)
    said = await world.until("a", because("CredentialsInvalid"))
    assert first.secret not in message(said)
    for proxy in proxies.values():
        proxy.honest()
    use(credential("second"))
    await world.ready("a")
    assert [s.id for s in real.inventory()["servers"]] == before


async def test_a_token_that_expires_in_between_is_renewed_once(world, real, proxies):
    """Fault 35: one 401 to a create: a new login, the same request again, and nobody notices."""
    proxies["compute"].lie(Fault("unauthorized", "/servers$", ("POST",), count=1))
    await world.create("a")
    await world.ready("a")
    assert posts(proxies, "/servers") == 2
    assert real.total() == {"servers": 1, "ports": 1}


async def test_another_project_is_not_taken_for_an_empty_one(world, real, proxies):
    """Fault 8: clouds.yaml leads to a project without our server: said; nothing is made there, and a deletion waits."""
    await world.create("a")
    await world.ready("a")
    before, old, made = real.total(), world.clouds.read_text(), real.made()
    elsewhere = real.admin.identity.create_project(name=f"elsewhere-of-{real.user}", domain_id="default")
    try:
        user, role = real.admin.identity.find_user(real.user), real.admin.identity.find_role("member")
        real.admin.identity.assign_project_role_to_user(elsewhere, user, role)
        rewrite(world, project_name=elsewhere.name)
        await world.edit("a", tags=["blue"])  # or half an hour later, by itself
        said = await world.until("a", because("CredentialsInvalid"))
        assert elsewhere.id in message(said)
        assert real.project in message(said)
        await world.delete("a")
        asked = len(proxies["compute"].log)
        await until(lambda: len(proxies["compute"].log) > asked + 2, PATIENCE, lambda: "the daemon does not look")
        assert await world.get("a") is not None
        assert (real.total(), real.made()) == (before, made)
        world.clouds.write_text(old)
        await world.gone("a")
        assert real.total() == {}
    finally:
        real.admin.identity.delete_project(elsewhere)
