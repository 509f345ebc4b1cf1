//! What an operator sees of it.

use crate::page::Page;
use crate::{Failure, Service};

pub(crate) fn show(page: &mut Page, service: &Service) -> Result<(), Failure> {
    page.section("Health and numbers");
    let users = &service.b.users;
    for tier in &users.health().tiers {
        page.holds(&format!("health of {} in b", tier.name), format!("{:?}", tier.state), "Serving");
    }
    let shared = service.b.shared();
    page.holds("keys that others changed, as the server told b", shared.invalidations > 0, true);
    page.holds("old values that b would have served otherwise", shared.stale_reads_avoided() > 0, true);
    page.holds("milliseconds for which b's memory was not told of changes", shared.trust_age_ms, 0);
    let text = users.stats().to_prometheus(users.name());
    page.note("Some of what b tells Prometheus:");
    for line in text.lines().filter(|line| line.starts_with("scrubjay_remote_")) {
        page.note(&format!("    {line}"));
    }
    page.holds("what it counts of the remote tier is there", text.contains("scrubjay_remote_news_total{"), true);
    Ok(())
}
