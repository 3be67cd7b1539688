"""What the daemon counts."""

from prometheus_client.parser import text_string_to_metric_families

from reconciler.metrics import Metrics


def test_a_pass_is_counted_and_measured():
    """What is counted can be scraped, with its labels."""
    metrics = Metrics()
    metrics.reconciled("machines", "done", 0.02)
    metrics.called("simulated/server", "create", "ok", 0.1)
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }
    assert samples["anneal_reconciles_total", "done", "machines"] == 1
    assert samples["anneal_driver_calls_total", "create", "ok", "simulated/server"] == 1
    assert samples["anneal_reconcile_duration_seconds_count", "machines"] == 1


def test_names_follow_the_conventions():
    """Every metric begins with anneal_ and is documented."""
    for family in text_string_to_metric_families(Metrics().render().decode()):
        assert family.name.startswith("anneal_")
        assert family.documentation
