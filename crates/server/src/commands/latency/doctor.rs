//! LATENCY DOCTOR: the samples in words, and what to look at.

use crate::call::Call;
use crate::error::Error;
use crate::latency::History;

pub(super) fn doctor(call: &mut Call<'_>) -> Result<(), Error> {
    let report = match call.shared.config.latency_threshold_ms() {
        0 => "Latency monitoring is off, so there is nothing to examine. Switch it on with \
             \"CONFIG SET latency-monitor-threshold <milliseconds>\" and ask again after a while.\n"
            .to_owned(),
        threshold_ms => report(&call.shared.latency.all(), call.now_ms() / 1000, threshold_ms),
    };
    call.reply.verbatim("txt", report.as_bytes());
    Ok(())
}

fn report(events: &[(&'static str, History)], now_seconds: u64, threshold_ms: u64) -> String {
    if events.is_empty() {
        return format!("No event has taken longer than {threshold_ms} ms since the last reset. All is well.\n");
    }
    let mut text = format!("Events that took longer than {threshold_ms} ms:\n\n");
    for (number, (event, history)) in (1..).zip(events) {
        let Some(summary) = history.summary(now_seconds) else { continue };
        text.push_str(&format!(
            "{number}. {event}: {} latency spikes (average {}ms, mean deviation {}ms, period {:.2} sec). Worst all time event {}ms.\n",
            history.samples.len(),
            summary.average_ms,
            summary.deviation_ms,
            summary.period_seconds,
            history.worst_ms,
        ));
    }
    text.push_str("\nWhat to look at:\n\n");
    for (event, _) in events {
        text.push_str(&format!("- {event}: {}\n", advice(event)));
    }
    text
}

fn advice(event: &str) -> &'static str {
    match event {
        "command" => {
            "SLOWLOG GET shows which commands were slow. KEYS, FLUSHALL and long scripts hold the whole keyspace; \
             values of many megabytes take their time, too."
        }
        "fast-command" => {
            "A command of constant cost was slow: the machine was busy, swapped, or the thread waited for a latch that a \
             slow command held."
        }
        "expire-cycle" => "Many keys expire at once. Spread their times.",
        _ => "Look at what the machine did at that time: disk, swap, neighbours.",
    }
}
