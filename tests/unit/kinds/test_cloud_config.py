"""What is read out of a clouds.yaml, and what is said of one that cannot be used."""

from __future__ import annotations

import pytest

from drivers.contract import CredentialsInvalid
from reconciler.kinds.providers import account, cloud_config
from specs.openstack import IdentityRef

FILE = "clouds: {lab: {region_name: one, auth: {auth_url: 'http://a/v3', username: u, password: hunter2}}}"


def ref(**more: str) -> IdentityRef:
    return IdentityRef.model_validate({"name": "cloud", "cloudName": "lab", **more})


def test_the_entry_that_is_meant_with_the_region_that_is_meant():
    """The spec's region wins over the entry's."""
    assert cloud_config(ref(), FILE)["region_name"] == "one"
    assert cloud_config(ref(region="two"), FILE)["region_name"] == "two"


@pytest.mark.parametrize("text", ["", "{", "clouds: {}", "clouds: {lab: text}", "[]", FILE.replace("lab", "other")])
def test_what_is_no_clouds_yaml_is_said_without_its_content(text):
    """CredentialsInvalid names the place and the entry, never what stands there."""
    with pytest.raises(CredentialsInvalid, match=r'Secret "cloud" holds no clouds\.yaml with a cloud "lab"') as caught:
        cloud_config(ref(), text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_accounts_are_told_apart():
    """By where the credentials come from, entry and region: breakers are kept by it."""
    refs = [ref(), ref(region="two"), ref(cloudName="maxi"), ref(name="other")]
    assert len({account(each, "default") for each in refs} | {account(ref(), "elsewhere")}) == 5
