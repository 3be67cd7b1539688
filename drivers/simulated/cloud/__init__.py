"""A cloud to try anneal on, and to break it with: a process of its own, reached over HTTP, its state in one file.

`python -m drivers.simulated.cloud --state DIR` prints one line of JSON, `{"url": …}`, once it listens on loopback.
It knows servers, ports and addresses, each with id, name, tags, metadata and a state that changes with time. Over `/admin` it is
told to lie, and made to do what people do behind anneal's back.
"""
