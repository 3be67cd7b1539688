"""Between web and workers: the embedded broker, the Celery application, and the way back."""
