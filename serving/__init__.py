"""What runs in production: the web app and its workers. Imports neither the reconciler nor the drivers.

    browser, client → web (Flask, gunicorn) → queue of the revision → worker (Celery) → reply → web → client

The web process checks and gathers, and never predicts; the worker predicts, and speaks to the broker and the web process only.
"""
