"""One file per kind: pure plan() and status(), plus its wiring to drivers."""
