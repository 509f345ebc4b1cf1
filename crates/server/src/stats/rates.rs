//! Rates over the last 1.6 seconds, as INFO's `instantaneous_*` fields show them.

use parking_lot::Mutex;

const SAMPLES: usize = 16;
const SERIES: usize = 3;

#[derive(Debug, Default)]
struct Window {
    last_ms: u64,
    last: [u64; SERIES],
    samples: [[u64; SAMPLES]; SERIES],
    at: usize,
}

/// Commands, input bytes and output bytes per second. One thread samples, every thread may read.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<Window>);

impl Rates {
    /// Notes the totals (commands, input bytes, output bytes) at `now_ms`; called every 100 ms.
    pub(crate) fn sample(&self, now_ms: u64, totals: [u64; SERIES]) {
        let mut window = self.0.lock();
        let elapsed_ms = now_ms.saturating_sub(window.last_ms).max(1);
        if window.last_ms != 0 {
            let at = window.at;
            for (series, total) in totals.iter().enumerate() {
                window.samples[series][at] = total.saturating_sub(window.last[series]) * 1000 / elapsed_ms;
            }
            window.at = (at + 1) % SAMPLES;
        }
        window.last_ms = now_ms;
        window.last = totals;
    }

    fn mean(&self, series: usize) -> u64 {
        self.0.lock().samples[series].iter().sum::<u64>() / SAMPLES as u64
    }

    /// `instantaneous_ops_per_sec`.
    pub(crate) fn commands_per_second(&self) -> u64 {
        self.mean(0)
    }

    /// Bytes behind `instantaneous_input_kbps`.
    pub(crate) fn input_bytes_per_second(&self) -> u64 {
        self.mean(1)
    }

    /// Bytes behind `instantaneous_output_kbps`.
    pub(crate) fn output_bytes_per_second(&self) -> u64 {
        self.mean(2)
    }
}
