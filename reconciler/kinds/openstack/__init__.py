"""What we know about wanting a server of an OpenStack cloud. Pure, but for the lookup of ids."""
