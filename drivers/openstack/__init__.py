"""OpenStack, by openstacksdk."""
